//! The terminal: lines no wider than it, text of others without control characters, numbers with units, tables, digits, colour where it is
//! wanted.

use std::io::{self, IsTerminal, Write};
use terminal_size::terminal_size_of;
use trishade::text;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a line at most.
const WIDEST: usize = 80;

/// Columns of a table's entry at least, however narrow the terminal.
const NARROW: usize = 8;

/// One of the two streams that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Standard output: what a command was asked for.
    Output,
    /// Standard error: all else.
    Error,
}

impl To {
    fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }

    /// Columns, if it is a terminal.
    fn width(self) -> Option<usize> {
        let size = match self {
            Self::Output => terminal_size_of(io::stdout()),
            Self::Error => terminal_size_of(io::stderr()),
        };
        self.is_terminal().then(|| size.map_or(WIDEST, |(width, _)| usize::from(width.0)).clamp(NARROW, WIDEST))
    }

    /// Writes a line as it is; a closed pipe is not an error.
    fn write(self, line: &str) {
        let _ = match self {
            Self::Output => writeln!(io::stdout(), "{line}"),
            Self::Error => writeln!(io::stderr(), "{line}"),
        };
    }

    /// Writes lines, of a terminal as many as they take.
    pub fn line(self, text: &str) {
        let lines: Vec<String> = text.split('\n').flat_map(|line| wrapped(line, self.width(), indent(line) + 2)).collect();
        self.write(&lines.join("\n"));
    }

    /// Text in a colour, unless `NO_COLOR` is set or there is no terminal.
    pub fn colour(self, text: &str, code: &str) -> String {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !self.is_terminal();
        if plain { text.into() } else { format!("\x1b[{code}m{text}\x1b[0m") }
    }

    /// Two columns, the first as wide as its longest entry.
    pub fn table(self, rows: &[(&str, String)]) {
        let first = rows.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        for (name, value) in rows {
            let line = format!("  {name}{}  {value}", " ".repeat(first - name.width()));
            wrapped(&line, self.width(), first + 4).iter().for_each(|line| self.write(line));
        }
    }

    /// Columns aligned to the right, but the first; the first row is the head. Where they are wider than the terminal the widest are cut.
    pub fn columns(self, rows: &[Vec<String>]) {
        for (r, line) in aligned(rows, self.width()).into_iter().enumerate() {
            self.write(&if r == 0 { self.colour(&line, "1") } else { line });
        }
    }
}

/// Writes a line to standard error.
pub fn say(line: &str) {
    To::Error.line(line);
}

/// Writes to standard output, as it is.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a line for people to standard output.
pub fn show(line: &str) {
    To::Output.line(line);
}

/// A command line to copy on standard error: cut, it goes on behind a backslash.
#[cfg(feature = "net")]
pub fn command(line: &str) {
    let lines = wrapped(&format!("  {line}"), To::Error.width().map(|width| width - 2), 6);
    let _ = writeln!(io::stderr(), "{}", lines.join(" \\\n"));
}

/// Whether standard output is a terminal.
pub fn is_shown() -> bool {
    To::Output.is_terminal()
}

/// Writes JSON to standard output, in one line whose texts have no control characters.
pub fn print_json(value: &serde_json::Value) {
    let _ = writeln!(io::stdout(), "{}", text::line(&value.to_string(), true));
}

/// Something to know, not an error, on standard error. It may name what others have named.
pub fn note(text: &str) {
    say(&format!("  {}", escaped(text)));
}

/// One clear error; further lines are indented, whoever has put them there.
pub fn complain(what: &str) {
    let lines: Vec<String> = what.lines().map(escaped).collect();
    say(&format!("{} {}", To::Error.colour("error:", "31;1"), lines.first().map_or("", |line| line)));
    lines.iter().skip(1).for_each(|line| say(&format!("  {line}")));
}

/// Something that may go wrong, on standard error.
pub fn warn(what: &str) {
    say(&format!("{} {}", To::Error.colour("warning:", "33;1"), escaped(what)));
}

/// Text of others, such as names in a model, as it may be shown: characters that steer a terminal become their numbers, as `\u{1b}`.
pub fn escaped(text: &str) -> String {
    text::line(text, false)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Columns that a text takes; colours take none.
fn columns_in(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let first = parts.next().map_or(0, UnicodeWidthStr::width);
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, shown)| shown.width())).sum::<usize>()
}

/// A line cut at spaces into lines of at most so many columns, those after the first indented; a longer word stays whole.
fn wrapped(line: &str, width: Option<usize>, hanging: usize) -> Vec<String> {
    let Some(width) = width.filter(|&width| columns_in(line) > width) else { return vec![line.into()] };
    let (start, hanging) = (indent(line), hanging.min(width / 2));
    let (mut lines, mut now) = (Vec::new(), " ".repeat(start));
    let mut empty = true;
    for word in line[start..].split(' ') {
        if !empty && columns_in(&now) + 1 + columns_in(word) > width {
            lines.push(std::mem::replace(&mut now, " ".repeat(hanging)));
            empty = true;
        }
        if !empty {
            now.push(' ');
        }
        now.push_str(word);
        empty = false;
    }
    lines.push(now);
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A text of at most so many columns; of a longer one the end is left out.
fn cut(text: &str, width: usize) -> String {
    if columns_in(text) <= width || text.contains('\x1b') {
        return text.into();
    }
    let (mut out, mut columns) = (String::new(), 1);
    for c in text.chars() {
        columns += c.width().unwrap_or(0);
        if columns > width {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Bytes in decimal units.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// Seconds.
pub fn seconds(s: f64) -> String {
    match s {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.1} us", s * 1e6),
    }
}

fn aligned(rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let count = rows.first().map_or(0, Vec::len);
    let mut widths: Vec<usize> = (0..count).map(|c| rows.iter().map(|row| columns_in(&row[c])).max().unwrap_or(0)).collect();
    while let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROW) {
        let over = *widest;
        if width.is_none_or(|width| widths.iter().map(|w| w + 2).sum::<usize>() <= width) {
            break;
        }
        widths.iter_mut().filter(|w| **w == over).for_each(|w| *w -= 1);
    }
    let line = |row: &Vec<String>| {
        let cell = |(c, (cell, &width)): (usize, (&String, &usize))| {
            let cell = cut(cell, width);
            let space = " ".repeat(width.saturating_sub(columns_in(&cell)));
            if c == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        format!("  {}", cells.join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Grey images side by side, two rows of pixels to a line of text; pixels in 0..=1.
pub fn images(images: &[&[f32]], height: usize, width: usize) {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    for y in (0..height).step_by(2) {
        let mut line = String::from("  ");
        for image in images {
            for x in 0..width {
                let below = if y + 1 < height { image[(y + 1) * width + x] } else { 0.0 };
                let level = ((image[y * width + x] + below) / 2.0).clamp(0.0, 1.0);
                line.push(SHADES[(level * 4.0).round() as usize]);
            }
            line.push(' ');
        }
        say(line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_command_a_terminal_are_shown_as_numbers() {
        for (text, shown) in [
            ("plain ünïcode 名前 \\ \u{1f600}", "plain ünïcode 名前 \\ \u{1f600}"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("a\r\nerror: b\tc\0\x7f", "a\\u{d}\\u{a}error: b\\u{9}c\\u{0}\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}gnp.x\u{2066}\u{200f}\u{feff}\u{2028}", "\\u{202e}gnp.x\\u{2066}\\u{200f}\\u{feff}\\u{2028}"),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(escaped(shown), shown);
        }
        let value = serde_json::json!({"\u{9b}31m\x1b": "\u{202e}\u{e0041}é\n"});
        let text = text::line(&value.to_string(), true);
        assert_eq!(text, text::line(&text, true));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn lines_are_cut_at_words() {
        let line = "  error: the first words and a-very-long-word-that-stays then more";
        assert_eq!(wrapped(line, None, 4), [line]);
        assert_eq!(wrapped(line, Some(80), 4), [line]);
        let lines = wrapped(line, Some(24), 4);
        assert_eq!(lines, ["  error: the first words", "    and", "    a-very-long-word-that-stays", "    then more"]);
        assert_eq!(wrapped("\x1b[31;1merror:\x1b[0m 12345", Some(12), 2).len(), 1, "a colour has no width");
        assert_eq!(wrapped("名前 名前 名前", Some(9), 0), ["名前 名前", "名前"]);
    }

    #[test]
    fn tables_are_no_wider_than_the_terminal() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let long = "a/very/long/name/of/a/layer/that/an/exporter/has/made/0/conv/Conv_output";
        let rows = [row(["layer", "does", "bytes"]), row([long, "conv 3x3 + relu", "1.00 MB"]), row(["名前", "x", "\x1b[31my\x1b[0m"])];
        let lines = aligned(&rows, Some(60));
        assert!(lines.iter().all(|line| columns_in(line) <= 60), "{lines:?}");
        assert!(
            lines[1].contains("a/very/long/name") && lines[1].contains('…') && lines[1].ends_with("conv 3x3 + relu  1.00 MB"),
            "{lines:?}"
        );
        assert!(aligned(&rows, None)[1].contains(long));
        assert!(aligned(&rows, Some(10)).iter().all(|line| columns_in(line) <= 2 + 3 * (NARROW + 2)));
    }
}
