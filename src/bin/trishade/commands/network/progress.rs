//! Progress of work over the network: a bar where standard error is a terminal, else a line every ten seconds.

use crate::terminal;
use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Time between two lines.
const PERIOD: Duration = Duration::from_secs(10);

/// Parts of a bar.
const PARTS: u64 = 1000;

/// Work under way; it ends when this is dropped.
pub struct Work {
    bar: Option<indicatif::ProgressBar>,
    stage: Arc<Mutex<Stage>>,
    /// Dropped when the work ends, which ends the thread that says how far it is.
    ended: Option<mpsc::Sender<()>>,
    says: Option<JoinHandle<()>>,
}

/// Stage of the work, and how far it is.
struct Stage {
    what: &'static str,
    part: f64,
    since: Instant,
}

impl Work {
    /// Begins work with its first stage.
    pub fn begin(what: &'static str) -> Self {
        match std::io::stderr().is_terminal() {
            true => {
                let bar = terminal::progress(PARTS, what);
                bar.enable_steady_tick(Duration::from_millis(200));
                let mut work = Self::saying(what, PERIOD, |_| ());
                work.bar = Some(bar);
                work
            }
            false => Self::saying(what, PERIOD, terminal::say),
        }
    }

    /// Work of which `say` hears every so often.
    fn saying(what: &'static str, period: Duration, say: impl Fn(&str) + Send + 'static) -> Self {
        let stage = Arc::new(Mutex::new(Stage { what, part: 0.0, since: Instant::now() }));
        let (ended, end) = mpsc::channel::<()>();
        let seen = stage.clone();
        let run = move || {
            while end.recv_timeout(period) == Err(mpsc::RecvTimeoutError::Timeout) {
                let line = lock(&seen).line();
                say(&line);
            }
        };
        // without a thread the work goes on all the same
        let says = thread::Builder::new().name("trishade progress".into()).spawn(run).ok();
        Self { bar: None, stage, ended: Some(ended), says }
    }

    /// Notes the stage, and the part of it that is done.
    pub fn moved(&self, what: &'static str, part: f64) {
        let mut stage = lock(&self.stage);
        let fresh = stage.what != what;
        if fresh {
            *stage = Stage { what, part: 0.0, since: Instant::now() };
        }
        stage.part = part.clamp(0.0, 1.0);
        if let Some(bar) = &self.bar {
            if fresh {
                bar.set_message(what);
                bar.reset();
            }
            bar.set_position((stage.part * PARTS as f64) as u64);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.ended = None;
        if let Some(says) = self.says.take() {
            // one that has failed has nothing more to say
            let _ = says.join();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Stage {
    fn line(&self) -> String {
        let took = self.since.elapsed().as_secs_f64();
        match self.part {
            0.0 => format!("  {}: {took:.0} s so far", self.what),
            part => format!("  {}: {:.0} %, {:.0} s left", self.what, 100.0 * part, took * (1.0 - part) / part),
        }
    }
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_until_the_work_ends() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = lines.clone();
        let work = Work::saying("reading", Duration::from_millis(5), move |line| to.lock().unwrap().push(line.to_owned()));
        let wait = |wanted: &str| {
            let until = Instant::now() + Duration::from_secs(10);
            while !lines.lock().unwrap().iter().any(|line: &String| line.contains(wanted)) {
                assert!(Instant::now() < until, "no '{wanted}' in {:?}", lines.lock().unwrap());
                thread::sleep(Duration::from_millis(1));
            }
        };
        wait("reading: 0 s so far");
        work.moved("sharing", 0.25);
        wait("sharing: 25 %");
        drop(work);
        let said = lines.lock().unwrap().len();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(lines.lock().unwrap().len(), said);
    }

    #[test]
    fn the_time_left_follows_from_the_work_done() {
        let since = Instant::now().checked_sub(Duration::from_secs(30)).unwrap();
        assert_eq!(Stage { what: "x", part: 0.75, since }.line(), "  x: 75 %, 10 s left");
        assert_eq!(Stage { what: "x", part: 0.0, since }.line(), "  x: 30 s so far");
    }
}
