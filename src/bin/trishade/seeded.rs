//! The commands that a program built with the feature `seeded` refuses: it has the tests' predictable keys and faults in it.
//!
//! `cargo test` and `cargo build --all-targets` build such a program, `cargo test --release` at the very path that the README
//! names. It makes no key of a party or client and shares nothing between machines, unless the environment says
//! `TRISHADE_SEEDED=allow`, as the project's own tests do.

use crate::{
    args::{ClientCommand, ClusterCommand, Command},
    failure::Failure,
};
use trishade::Error;

/// An error if this program is one for tests and the command is not for those.
pub fn check(command: &Command) -> Result<(), Failure> {
    if !cfg!(feature = "seeded") || std::env::var_os("TRISHADE_SEEDED").is_some_and(|value| value == "allow") {
        return Ok(());
    }
    let name = match command {
        Command::Party(_) => "party",
        Command::Client(ClientCommand::Upload { .. }) => "client upload",
        Command::Client(ClientCommand::Infer(_)) => "client infer",
        Command::Keygen(_) => "keygen",
        Command::Cluster(ClusterCommand::Init { .. }) => "cluster init",
        _ => return Ok(()),
    };
    Err(Error::Input(format!(
        "`{name}` is refused: this program was built with the feature `seeded`, which is for tests and can make keys that anybody \
         can compute; build it anew with `cargo build --release`"
    ))
    .into())
}
