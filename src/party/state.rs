//! The state of a party's task: scope, outbox, inbox, windows, meter.

#[cfg(feature = "seeded")]
use super::observe::Observed;
use super::{
    credit::CreditWindow,
    keys::Keys,
    message::{Message, Name},
    meter::Meter,
    network::Net,
    scope::Scope,
    store::Settings,
    watch::Watch,
};
use crate::{Error, device::Growing};
use std::collections::{HashMap, HashSet};

/// Bytes a receiver that may be dealt and not yet taken, unless set otherwise.
pub const WINDOW: u64 = 1 << 30;

/// Everything of a party that changes in a run.
pub(crate) struct State {
    pub(super) scope: Scope,
    pub(super) runs: u64,
    pub(super) outbox: [Vec<Message>; 3],
    /// By sender and name.
    pub(super) inbox: HashMap<(usize, Name), Message>,
    /// The credit at each peer for dealt words; and the words taken of those that each peer dealt.
    pub(super) windows: [CreditWindow; 3],
    pub(super) taken: [u64; 3],
    /// Messages of which a part has come, by sender and name.
    pub(super) parts: HashMap<(usize, Name), Growing>,
    /// Bytes of messages of each peer that nobody has awaited yet, and how many there may be.
    pub(super) waiting: [u64; 3],
    pub(super) most_waiting: u64,
    pub(super) waits: Vec<String>,
    pub(super) yielded: bool,
    pub(super) failed: Option<Error>,
    pub(super) meter: Meter,
    pub(super) used: HashSet<(usize, Name)>,
    #[cfg(feature = "seeded")]
    pub(super) observed: Observed,
    pub(super) settings: Settings,
    /// The network that the caller has told of, and that of a shaped transport while it runs.
    pub(super) net: Option<Net>,
    pub(super) shaped: Option<Net>,
    /// The lead's part of the run is done beforehand.
    pub(super) preprocessed: bool,
    pub(super) watch: Watch,
}

impl State {
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            scope: Scope::root(keys, 0),
            runs: 0,
            outbox: Default::default(),
            inbox: HashMap::new(),
            windows: std::array::from_fn(|_| CreditWindow::new(WINDOW)),
            taken: [0; 3],
            parts: HashMap::new(),
            waiting: [0; 3],
            most_waiting: u64::MAX,
            waits: Vec::new(),
            yielded: false,
            failed: None,
            meter: Meter::default(),
            used: HashSet::new(),
            #[cfg(feature = "seeded")]
            observed: Observed::default(),
            settings: Settings::default(),
            net: None,
            shaped: None,
            preprocessed: false,
            watch: Watch::default(),
        }
    }

    /// Begins a run: its root scope, and nothing left of the run before.
    pub(super) fn begin(&mut self, scope: Scope, number: u64, shaped: Option<Net>, preprocessed: bool) {
        self.shaped = shaped;
        self.preprocessed = preprocessed;
        self.runs = self.runs.max(number);
        self.scope = scope;
        self.outbox = Default::default();
        self.inbox.clear();
        self.windows.iter_mut().for_each(CreditWindow::reset);
        self.taken = [0; 3];
        self.waiting = [0; 3];
        self.parts.clear();
        self.failed = None;
        self.used.clear();
    }

    /// Makes room for deals that wait for it; false if nothing takes room.
    pub(super) fn make_room(&mut self) -> bool {
        self.windows.iter_mut().fold(false, |made, window| made | window.open())
    }

    /// Notes that the current scope waits. Two waits in one scope in one turn mean a join that is not ours.
    pub(super) fn wait(&mut self, why: String) {
        if std::mem::replace(&mut self.scope.waiting, true) {
            let misuse = "two waits in one scope: use the engine's join and join_all";
            self.failed.get_or_insert(Error::Misuse(format!("{misuse} ({why})")));
        }
        self.waits.push(why);
    }
}
