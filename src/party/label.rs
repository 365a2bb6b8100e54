//! Labels: which op a message belongs to, for costs and errors. The labels themselves are the protocols'.

/// Name of an op for costs and errors. Its number travels with its messages; labels of one number are equal.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    number: u8,
    /// None if only the number has come.
    text: Option<&'static str>,
}

/// Bit of the byte that a label travels in which is not the label's.
pub(super) const LABELS: u8 = 0x80;

impl Label {
    /// Makes a label; its number is below 128 and no other label's.
    pub const fn new(number: u8, text: &'static str) -> Self {
        assert!(number < LABELS, "labels are below 128");
        Self { number, text: Some(text) }
    }

    /// A label that has come with a message.
    pub(super) fn received(number: u8) -> Self {
        Self { number, text: None }
    }

    /// The number, as it travels.
    pub(super) fn number(self) -> u8 {
        self.number
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Label {}

impl std::hash::Hash for Label {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "op labelled {}", self.number),
        }
    }
}
