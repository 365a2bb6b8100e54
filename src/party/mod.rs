//! The only place where sharing meets the network: parties, ops, joins, rounds, costs.
//!
//! Protocol code is plain `async fn` over `&Party`. An op takes a structural number; what it sends lies in the outbox
//! until the party's whole task is blocked; then everything goes out in one frame a peer. Messages are matched by name, the
//! name also keys the masks, and the number of rounds is the longest chain of messages (docs/architecture.md).

mod cell;
mod credit;
mod exchange;
mod join;
mod keys;
mod label;
mod local;
mod message;
mod meter;
mod network;
#[cfg(feature = "seeded")]
mod observe;
mod op;
#[expect(clippy::module_inception, reason = "the folder is named for what this file holds")]
mod party;
mod pause;
mod preprocess;
mod remote;
mod scope;
mod shaped;
mod state;
mod store;
mod turns;
mod watch;

pub use cell::Cell;
pub use join::{join, join_all, tagged};
pub use keys::Keys;
pub use local::{Transport, run};
pub use meter::{MessageCost, Meter};
pub use network::Net;
#[cfg(feature = "seeded")]
pub use observe::{Mutation, Seen};
pub use party::{Party, Role};
pub use preprocess::{Preprocessed, preprocess, run_preprocessed};
pub use remote::{Expected, Progress, Remote};
pub use scope::Tag;
pub use state::WINDOW;
pub use watch::{Ended, Span};

// ops and messages are for the protocols of this crate and the project's own tests
#[cfg(not(feature = "internals"))]
pub(crate) use {
    label::Label,
    message::MESSAGE_HEADER,
    op::{Deal, Op, Receive},
};
#[cfg(feature = "internals")]
pub use {
    label::Label,
    message::{MESSAGE_HEADER, Message, Name},
    op::{Deal, Op, Receive, VERIFICATION},
};
