//! Log of a party on standard error. Nothing in a line steers a terminal or begins another line, whoever has chosen its words.

use crate::args::Log;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;
use trishade::text;

/// Bytes at most of a line for people.
const MOST: usize = 8 << 10;

/// Writer of whole lines.
struct Lines<W> {
    to: W,
    json: bool,
}

/// Begins the log.
pub fn start(style: Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRISHADE_LOG").unwrap_or_else(|_| "info".into());
    let json = matches!(style, Log::Json);
    let writer = move || Lines { to: io::stderr(), json };
    match json {
        false => begin(filter, writer),
        // a log that cannot be written, on a full disk, ends nothing
        true => tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_target(false)
            .log_internal_errors(false)
            .init(),
    }
}

fn begin(filter: tracing_subscriber::EnvFilter, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    log.with_ansi(false).log_internal_errors(false).init();
}

impl<W: Write> Write for Lines<W> {
    /// Writes one event, which ends with its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let whole = String::from_utf8_lossy(event);
        let mut line = text::line(whole.strip_suffix('\n').unwrap_or(&whole), self.json);
        if !self.json && line.len() > MOST {
            line.truncate(line.floor_char_boundary(MOST));
            line += "...";
        }
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, words: &str) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let writer = move || Lines { to: to.clone(), json };
        let event = || tracing::warn!(client = words, why = %words, "{words}");
        let builder = tracing_subscriber::fmt().with_target(false);
        match json {
            true => tracing::subscriber::with_default(builder.json().with_writer(writer).finish(), event),
            false => tracing::subscriber::with_default(builder.with_ansi(false).with_writer(writer).finish(), event),
        }
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn words_of_others_stay_within_their_line() {
        let words = "a\u{1b}[2J\r\n2026 ERROR party: forged\u{202e}gpj\u{85}\u{2028}";
        for json in [false, true] {
            let log = logged(json, words);
            assert_eq!(log.lines().count(), 1, "{log:?}");
            let steers = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}');
            assert!(!log.trim_end_matches('\n').contains(steers) && log.ends_with('\n'), "{log:?}");
            assert!(log.contains("forged"));
            if json {
                let object: serde_json::Value = serde_json::from_str(&log).unwrap();
                assert_eq!(object["fields"]["client"], words, "a reader of objects has the words as they were");
            }
        }
        assert!(logged(false, &"x".repeat(100_000)).len() < MOST + 10);
    }
}
