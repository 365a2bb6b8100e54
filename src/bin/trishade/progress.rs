//! Progress of long work on standard error: a bar on a terminal, elsewhere a line every ten seconds.

use crate::terminal;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::{
    fmt::Write,
    io::{self, IsTerminal},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Time between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Steps of a bar.
const STEPS: u64 = 1000;

/// Work under way, shown until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    stage: Arc<Mutex<Stage>>,
    /// Ends the lines.
    lines: Option<(Sender<()>, JoinHandle<()>)>,
}

/// A stage of the work, and the share of it that is done.
struct Stage {
    what: String,
    share: f64,
    since: Instant,
}

impl Progress {
    /// Begins work with its first stage.
    pub fn begin(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self::in_lines(what, EVERY, |line| terminal::say(&line));
        }
        let (bar, stage) = (ProgressBar::new(STEPS), Stage::begin(what));
        if let Ok(style) = ProgressStyle::with_template("  {msg} [{bar:30}] {percent} %{left}") {
            let seen = stage.clone();
            let left = move |_: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&lock(&seen).left());
            };
            bar.set_style(style.progress_chars("=> ").with_key("left", left));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, stage, lines: None }
    }

    fn in_lines(what: &str, every: Duration, tell: impl Fn(String) + Send + 'static) -> Self {
        let (stage, (end, ended)) = (Stage::begin(what), mpsc::channel());
        let seen = stage.clone();
        let run = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let line = lock(&seen).line();
                tell(line);
            }
        };
        // without a thread the work goes on all the same
        let lines = thread::Builder::new().name("progress".into()).spawn(run).ok();
        Self { bar: ProgressBar::hidden(), stage, lines: lines.map(|lines| (end, lines)) }
    }

    /// The share that is done, 0 to 1.
    pub fn set(&self, share: f64) {
        lock(&self.stage).share = share;
        self.bar.set_position((share * STEPS as f64) as u64);
    }

    /// The stage, and the share of it that is done.
    pub fn stage(&self, what: &str, share: f64) {
        let mut stage = lock(&self.stage);
        if stage.what != what {
            *stage = Stage { what: what.into(), share: 0.0, since: Instant::now() };
            self.bar.set_message(what.to_owned());
        }
        drop(stage);
        self.set(share);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((end, lines)) = self.lines.take() {
            drop(end);
            // one that has failed has nothing more to say
            let _ = lines.join();
        }
    }
}

/// Does work that tells its share from time to time, shown until it ends.
pub fn of<T>(what: &str, work: impl FnOnce(&Progress) -> T) -> T {
    work(&Progress::begin(what))
}

/// Does work that does not say how far it has come, such as reading a model.
pub fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    of(what, |_| work())
}

impl Stage {
    fn begin(what: &str) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { what: what.into(), share: 0.0, since: Instant::now() }))
    }

    fn line(&self) -> String {
        match self.share {
            0.0 => format!("  {}: {} s", self.what, self.since.elapsed().as_secs()),
            share => format!("  {}: {:.0} %{}", self.what, share * 100.0, self.left()),
        }
    }

    fn left(&self) -> String {
        left(self.share, self.since.elapsed())
    }
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_the_work_is_and_when_it_ends() {
        let line = |share, seconds| {
            let since = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            Stage { what: "sharing".into(), share, since }.line()
        };
        assert_eq!(line(0.0, 20), "  sharing: 20 s");
        assert_eq!(line(0.005, 20), "  sharing: 0 %");
        assert_eq!(line(0.25, 20), "  sharing: 25 %, 60 s left");
        assert_eq!(line(0.1, 60), "  sharing: 10 %, 9 min left");
        assert_eq!(line(0.05, 1800), "  sharing: 5 %, 9.5 h left");
        assert_eq!(line(1.0, 20), "  sharing: 100 %, 0 s left");
    }

    #[test]
    fn lines_come_until_the_work_ends() {
        let (tell, told) = mpsc::channel();
        let progress = Progress::in_lines("reading", Duration::from_millis(1), move |line| {
            let _ = tell.send(line);
        });
        assert!(told.iter().any(|line: String| line == "  reading: 0 s"));
        progress.stage("sharing", 0.5);
        assert!(told.iter().any(|line| line.starts_with("  sharing: 50 %, ")), "the share is told");
        drop(progress);
        // comes to an end because the thread has: its end of the channel is gone
        told.iter().for_each(drop);
    }
}
