//! Refusals: why a client, or a peer, does not get what it asked for.

use crate::{Error, net::control::RefusalReason};

/// Refusal: a reason for programs and a text for people.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The reason.
    pub reason: RefusalReason,
    /// The text. It shows nothing of this party's inside.
    pub text: String,
}

impl Refusal {
    /// Refusal with a text for people.
    pub fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    /// Refusals for errors. Details of the machine stay in this party's log.
    pub fn of(reason: RefusalReason) -> impl Fn(Error) -> Self {
        move |error| Self { reason, text: public_text(&error) }
    }
}

/// Text of an error for clients and peers; where it hides paths or steps of the protocol, the log has them.
pub fn public_text(error: &Error) -> String {
    let public = match error {
        Error::Input(text) | Error::Model(text) | Error::Range(text) | Error::Peer(text) => return text.clone(),
        Error::File(_) => "a file of this party cannot be read or written; its operator finds the details in its log",
        Error::Device(_) => "this party's device failed; its operator finds the details in its log",
        Error::OutOfStep(_) => "the parties' messages do not fit together; their operators find the details in their logs",
        _ => "this party cannot compute the request; its operator finds the details in its log",
    };
    tracing::warn!(%error, "refused with fewer words");
    public.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_steps_stay_here() {
        for error in [Error::File("/srv/store/a.share: gone".into()), Error::OutOfStep("op 7 of scope /relu".into())] {
            let text = Refusal::of(RefusalReason::Failed)(error).text;
            assert!(!text.contains("/srv") && !text.contains("op 7") && text.contains("log"), "{text}");
        }
        assert_eq!(public_text(&Error::Input("12 inputs: at most 8".into())), "12 inputs: at most 8");
    }
}
