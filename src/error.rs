//! Errors, sorted by who has to act.

/// Every failure of the library. Messages say what is wrong, where, and what to do; they never hold a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller gave something that cannot be used: a shape, an option, a range.
    #[error("{0}")]
    Input(String),
    /// A model cannot be read or holds something that is not supported.
    #[error("{0}")]
    Model(String),
    /// A number does not fit the fixed-point range.
    #[error("{0}")]
    Range(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// No device of that name, or the device failed, was lost or ran out of memory.
    #[error("device: {0}")]
    Device(String),
    /// A message of a peer does not fit the protocol: missing, twice, of another length, or never awaited.
    #[error("out of step: {0}")]
    OutOfStep(String),
    /// The calling code broke a rule of the engine (docs/architecture.md, "rules").
    #[error("misuse: {0}")]
    Misuse(String),
    /// A peer stopped, or said why it gave up.
    #[error("peer: {0}")]
    Peer(String),
    /// The caller ended it.
    #[error("cancelled by the caller")]
    Cancelled,
}

/// The result of everything fallible here.
pub type Result<T> = std::result::Result<T, Error>;
