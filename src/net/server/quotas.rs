//! Quotas of clients: what each may use, and how much of this party it may take up at one time.

use super::refusal::Refusal;
use crate::net::{
    budget::Budget,
    config::{Client, Limits},
    control::RefusalReason,
    model_id::name_in,
};
use std::sync::Arc;

/// Client, or party that only measures the way, and its budgets.
pub struct ClientQuota {
    /// Place in the order of `cluster.toml`.
    pub number: u32,
    /// None for a party that only measures the way.
    pub client: Option<Client>,
    /// Connections.
    pub connections: Arc<Budget>,
    /// Requests under way.
    pub requests: Arc<Budget>,
    /// Bytes on their way in.
    pub bytes: Arc<Budget>,
}

impl ClientQuota {
    /// Unused quota.
    pub fn new(number: usize, client: Option<Client>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            number: number as u32,
            client,
            connections: Budget::new(limits.client_connections as u64),
            requests: Budget::new(limits.client_requests as u64),
            bytes: Budget::new(limits.client_bytes),
        })
    }

    /// Checks that the client may use a model.
    pub fn check_model(&self, model: &str) -> Result<(), Refusal> {
        match self.client.as_ref().is_some_and(|client| client.may_use(name_in(model))) {
            true => Ok(()),
            false => {
                let text = format!("client '{}' may not use model {model}: cluster.toml does not list it for this client", self.name());
                Err(Refusal::new(RefusalReason::Unauthorised, text))
            }
        }
    }

    /// Name, for logs and refusals.
    pub fn name(&self) -> &str {
        self.client.as_ref().map_or("a party, probing", |client| &client.name)
    }
}
