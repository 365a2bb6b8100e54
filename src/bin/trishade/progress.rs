//! Progress of long work on standard error: a bar on a terminal, elsewhere a line every ten seconds.

use crate::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt::Write,
    io::{self, IsTerminal},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Time between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Steps of a bar.
const STEPS: u64 = 1000;

/// Work under way, shown until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    /// Ends the lines.
    lines: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    fn shown(what: &str, bar: ProgressBar, template: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self::in_lines(what, bar, EVERY, |line| terminal::say(&line));
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            let left = |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&left(f64::from(state.fraction()), state.elapsed()));
            };
            bar.set_style(style.progress_chars("=> ").with_key("left", left));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: None }
    }

    fn in_lines(what: &str, bar: ProgressBar, every: Duration, tell: impl Fn(String) + Send + 'static) -> Self {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let (end, ended) = mpsc::channel();
        let (what, shared) = (what.to_owned(), bar.clone());
        let lines = thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let share = shared.length().map(|all| shared.position() as f64 / all.max(1) as f64);
                tell(line(&what, share, shared.elapsed()));
            }
        });
        Self { bar, lines: Some((end, lines)) }
    }

    /// The share that is done, 0 to 1.
    pub fn set(&self, share: f64) {
        self.bar.set_position((share * STEPS as f64) as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((end, lines)) = self.lines.take() {
            drop(end);
            // nothing in it can panic but a closed standard error, which is no matter here
            let _ = lines.join();
        }
    }
}

/// Does work that tells its share from time to time, shown until it ends.
pub fn of<T>(what: &str, work: impl FnOnce(&Progress) -> T) -> T {
    work(&Progress::shown(what, ProgressBar::new(STEPS), "  {msg} [{bar:30}] {percent} %{left}"))
}

/// Does work that does not say how far it has come, such as reading a model.
pub fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let _shown = Progress::shown(what, ProgressBar::new_spinner(), "  {msg} {spinner} {elapsed}");
    work()
}

/// Time left of work of which so much is done; nothing is said of work that has hardly begun.
fn left(share: f64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64() * (1.0 - share) / share;
    match seconds {
        seconds if share < 0.01 || !seconds.is_finite() => String::new(),
        seconds if seconds < 90.0 => format!(", {seconds:.0} s left"),
        seconds if seconds < 5400.0 => format!(", {:.0} min left", seconds / 60.0),
        seconds => format!(", {:.1} h left", seconds / 3600.0),
    }
}

fn line(what: &str, share: Option<f64>, elapsed: Duration) -> String {
    match share {
        Some(share) => format!("  {what}: {:.0} %{}", share * 100.0, left(share, elapsed)),
        None => format!("  {what}: {} s", elapsed.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_the_work_is_and_when_it_ends() {
        let after = Duration::from_secs;
        assert_eq!(line("sharing", Some(0.0), after(20)), "  sharing: 0 %");
        assert_eq!(line("sharing", Some(0.25), after(20)), "  sharing: 25 %, 60 s left");
        assert_eq!(line("sharing", Some(0.1), after(60)), "  sharing: 10 %, 9 min left");
        assert_eq!(line("sharing", Some(0.05), after(1800)), "  sharing: 5 %, 9.5 h left");
        assert_eq!(line("sharing", Some(1.0), after(20)), "  sharing: 100 %, 0 s left");
        assert_eq!(line("reading", None, after(20)), "  reading: 20 s");
    }

    #[test]
    fn lines_come_until_the_work_ends() {
        let (tell, told) = mpsc::channel();
        let progress = Progress::in_lines("work", ProgressBar::new(STEPS), Duration::from_millis(1), move |line| {
            let _ = tell.send(line);
        });
        progress.set(0.5);
        assert!(told.iter().any(|line| line.starts_with("  work: 50 %, ")), "the share is told");
        drop(progress);
        // comes to an end because the thread has: its end of the channel is gone
        told.iter().for_each(drop);
    }
}
