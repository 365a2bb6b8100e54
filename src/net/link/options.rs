//! Options of a link: bounds on time and space, and the policy for inbound records.

#[cfg(feature = "seeded")]
use super::fault::FaultPlan;
use crate::net::{
    budget::Budget,
    config::{Limits, LinkFigures},
};
use std::{sync::Arc, time::Duration};

/// Policy for the memory that inbound records take.
#[derive(Clone)]
pub enum InboundPolicy {
    /// Not counted: this side has asked for what comes.
    Unmetered,
    /// A record is read as soon as the budget has room for it.
    Block(Arc<Budget>),
    /// A record beyond the budget ends the link. Permits are acquired, and memory is allocated, as the bytes come.
    Reject(Arc<Budget>),
}

/// Options of a link.
#[derive(Clone)]
pub struct LinkOptions {
    /// Bytes of an inbound record at most.
    pub record_limit: u64,
    /// Policy for inbound records.
    pub inbound: InboundPolicy,
    /// Bytes that may wait to be sent: with more the link ends.
    pub outbound_limit: u64,
    /// Time until a connection must be there and both sides know each other.
    pub connect: Duration,
    /// Time for which an address that refuses is dialled again: the listener may be starting. Within `connect`.
    pub retry: Duration,
    /// Silence after which the other side is taken for lost.
    pub idle: Duration,
    /// Network that the link imitates, for trials on one machine.
    pub shape: Option<LinkFigures>,
    /// Fault to come, for tests.
    #[cfg(feature = "seeded")]
    pub fault: Option<Arc<FaultPlan>>,
}

impl LinkOptions {
    /// Options of a link to a peer or to a party, with these limits.
    pub fn new(limits: &Limits, shape: Option<LinkFigures>) -> Self {
        Self {
            record_limit: limits.frame,
            inbound: InboundPolicy::Unmetered,
            outbound_limit: u64::MAX,
            connect: limits.connect(),
            retry: Duration::ZERO,
            idle: limits.idle(),
            shape,
            #[cfg(feature = "seeded")]
            fault: None,
        }
    }
}
