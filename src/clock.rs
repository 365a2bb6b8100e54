//! The clock: seconds since a fixed moment. Where the platform has none it stands still.

/// Seconds since the first call.
#[cfg(not(target_arch = "wasm32"))]
pub fn now() -> f64 {
    use std::{sync::OnceLock, time::Instant};
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Always zero: a browser has no monotonic clock in `std`.
#[cfg(target_arch = "wasm32")]
pub fn now() -> f64 {
    0.0
}
