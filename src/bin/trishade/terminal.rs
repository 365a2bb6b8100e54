//! The terminal: lines, numbers with units, tables, digits, progress, colour where it is wanted.

use std::io::{self, IsTerminal, Write};

/// Writes a line to standard error; a closed pipe is not an error.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes to standard output.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// One clear error; names of others in it steer nothing.
pub fn complain(what: &str) {
    let lines: Vec<_> = what.lines().map(|line| trishade::text::line(line, false)).collect();
    say(&format!("{} {}", colour("error:", "31;1"), lines.join("\n")));
}

/// One warning.
pub fn warn(what: &str) {
    say(&format!("{} {}", colour("warning:", "33;1"), trishade::text::line(what, false)));
}

/// Text in a colour, unless `NO_COLOR` is set or standard error is not a terminal.
pub fn colour(text: &str, code: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !io::stderr().is_terminal();
    if plain { text.into() } else { format!("\x1b[{code}m{text}\x1b[0m") }
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

/// Two columns, the first as wide as its longest entry.
pub fn table(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in rows {
        say(&format!("  {name:width$}  {value}"));
    }
}

/// Columns aligned to the right, but the first; the first row is the head.
pub fn columns(rows: &[Vec<String>]) {
    let count = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..count).map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
    for (r, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(c, (cell, &width))| if c == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") })
            .collect();
        let line = format!("  {}", cells.join("  ")).trim_end().to_owned();
        say(&if r == 0 { colour(&line, "1") } else { line });
    }
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

/// A progress bar on standard error, hidden where that is no terminal.
pub fn progress(total: u64, what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(total);
    if let Ok(style) = indicatif::ProgressStyle::with_template("  {msg} [{bar:40}] {percent} % {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    bar
}
