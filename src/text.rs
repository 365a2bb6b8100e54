//! Texts of others, made fit for a log or a terminal: nothing in them moves a cursor, begins a line, turns the direction of what
//! follows, or fills a screen.

/// Bytes at most of a text of others.
pub const MOST: usize = 500;

/// The text with escapes such as `\u{1b}` for all characters that show nothing or steer a terminal, cut to [`MOST`] bytes and `...`.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST));
    for c in text.chars() {
        let length = if steers(c) { c.escape_unicode().count() } else { c.len_utf8() };
        if out.len() + length > MOST {
            return out + "...";
        }
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// A line of a log with escapes for characters that steer a terminal: as JSON writes them, `\u001b`, or as [`printable`] does.
pub fn line(text: &str, json: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (steers(c), json) {
            (false, _) => out.push(c),
            (true, false) => out.extend(c.escape_unicode()),
            (true, true) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}")),
        }
    }
    out
}

/// Whether a character is a control, a separator of lines, a mark of direction, or shows nothing.
fn steers(c: char) -> bool {
    let unseen = matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(printable("a\u{1b}[2J\r\nb"), "a\\u{1b}[2J\\u{d}\\u{a}b");
        assert_eq!(printable("\u{202e}txt.exe\u{2066}\u{85}"), "\\u{202e}txt.exe\\u{2066}\\u{85}");
        assert_eq!(printable("Käse 酪 e\u{301} \"'\\"), "Käse 酪 e\u{301} \"'\\");
        assert_eq!(line("{\"a\":\"\u{9b}x\u{e0041}\"}", true), "{\"a\":\"\\u009bx\\udb40\\udc41\"}");
        assert_eq!(line("a\nb", false), "a\\u{a}b");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_line(text in proptest::collection::vec(any::<char>(), 0..600)) {
            let text: String = text.into_iter().collect();
            let shown = printable(&text);
            prop_assert!(shown.len() <= MOST + 3 && !shown.chars().any(steers));
            prop_assert!(!line(&text, true).chars().any(steers));
        }
    }
}
