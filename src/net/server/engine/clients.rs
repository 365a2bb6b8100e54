//! Messages of clients: requests, their shares, cancellations, and queries for preprocessing tokens.

use super::{
    super::{
        events::{ClientHandle, RequestPermits},
        refusal::Refusal,
    },
    state::{AskedRequest, Engine},
};
use crate::net::{
    control::{Control, InferRequest, RefusalReason, RequestKind},
    link::Incoming,
    secrets::Id,
    wire::{parcels, short},
};
use std::time::Instant;

impl Engine {
    /// Notes a request whose shares follow.
    pub(super) fn on_asked(&mut self, client: ClientHandle, request: InferRequest, permits: RequestPermits) {
        let limit = self.state.setup.config.limits.requests;
        if self.asked.len() + self.requests.len() >= limit {
            let text = format!("{limit} requests are under way");
            return client.link.refuse(Some(request.request), RefusalReason::TooMuch, &text);
        }
        let key = (client.connection, request.request);
        self.asked.insert(key, AskedRequest { client, request, permits, since: Instant::now() });
    }

    /// Handles another message of a client.
    pub(super) fn on_client_record(&mut self, client: &ClientHandle, incoming: Incoming) {
        match incoming {
            Incoming::Control(Control::GetTokens { kind, wanted }) => self.on_get_tokens(client, kind, wanted),
            Incoming::Control(Control::Cancel { request }) => self.on_cancel(client.connection, &request),
            Incoming::Parcels(body) => match parcels(&body) {
                Ok(parcels) => parcels.into_iter().for_each(|(id, shares)| self.on_shares(client, &id, shares)),
                Err(error) => client.link.kill(error),
            },
            _ => {}
        }
    }

    /// Gives up what a client has asked for whose connection has ended.
    pub(super) fn on_client_lost(&mut self, connection: u64) {
        self.asked.retain(|(of, _), _| *of != connection);
        let lost: Vec<Id> = self.requests.iter().filter(|(_, r)| r.connection == connection).map(|(id, _)| *id).collect();
        lost.iter().for_each(|id| self.give_up(id, RefusalReason::Cancelled, "the client is gone", None));
        self.drop_tokens(|issued| issued.connection == connection);
    }

    /// Begins a request whose shares have come, or refuses it.
    fn on_shares(&mut self, client: &ClientHandle, id: &Id, shares: &[u8]) {
        let Some(asked) = self.asked.remove(&(client.connection, *id)) else { return };
        if let Err(Refusal { reason, text }) = self.begin(asked, shares) {
            self.refuse_pending(id, reason, &format!("party {}: {text}", self.state.number));
            tracing::warn!(client = client.quota.name(), request = short(id), ?reason, text, "refused");
            client.link.refuse(Some(*id), reason, &text);
        }
    }

    fn on_cancel(&mut self, connection: u64, id: &Id) {
        self.asked.remove(&(connection, *id));
        if self.requests.get(id).is_some_and(|request| request.connection == connection) {
            self.give_up(id, RefusalReason::Cancelled, "the client has cancelled", None);
        }
    }

    fn on_get_tokens(&mut self, client: &ClientHandle, kind: RequestKind, wanted: u32) {
        if let Err(Refusal { reason, text }) = client.quota.check_model(&kind.model) {
            return client.link.refuse(None, reason, &text);
        }
        let tokens = self.preprocessing.issue(&kind, wanted as usize, client.connection);
        client.link.control(&Control::Tokens { kind, tokens });
    }
}
