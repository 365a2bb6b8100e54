//! Figures of the network between the parties.

/// Latency and bandwidth of each link, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    /// One way, in microseconds.
    pub latency_us: u64,
    /// Bits a second.
    pub bits_per_second: u64,
}

impl Net {
    /// 10 Gb/s and 0.2 ms.
    pub const LAN: Self = Self { latency_us: 200, bits_per_second: 10_000_000_000 };
    /// 100 Mb/s and 40 ms.
    pub const WAN: Self = Self { latency_us: 40_000, bits_per_second: 100_000_000 };
}
