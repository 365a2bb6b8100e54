//! Commands of parties on machines of their own: `keygen`, `cluster`, `config`, `party`, `client`, `doctor`.

mod caller;
pub mod client;
pub mod doctor;
mod log;
pub mod party;
pub mod setup;
