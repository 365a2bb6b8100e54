//! Levels of vector code: what the processor offers, and closures compiled for each.

/// Instruction sets that the processor offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Instructions that the compiler assumes everywhere.
    Portable,
    /// 256-bit vectors.
    Avx2,
    /// 512-bit vectors with 64-bit products.
    Avx512,
}

impl Level {
    /// The best level of this processor.
    #[inline]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512dq") && has!("avx512bw") && has!("avx512vl") {
                return Self::Avx512;
            }
            if has!("avx2") && has!("bmi2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Runs a closure compiled for the processor's best level. What it calls must be `#[inline(always)]` to profit.
///
/// The text becomes a closure of its own for each level. A closure that has one caller is inlined there, however large; one
/// that three levels share is compiled once, without the vectors of any.
macro_rules! vectorise {
    (|| $body:expr) => {
        match $crate::device::vector::Level::best() {
            $crate::device::vector::Level::Avx512 => $crate::device::vector::at_avx512(|| $body),
            $crate::device::vector::Level::Avx2 => $crate::device::vector::at_avx2(|| $body),
            $crate::device::vector::Level::Portable => $body,
        }
    };
}
pub(crate) use vectorise;

/// For `vectorise!`.
#[inline(always)]
pub(crate) fn at_avx512<R>(body: impl FnOnce() -> R) -> R {
    assert!(Level::best() == Level::Avx512, "the level was detected");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the assertion above has found the features.
    return unsafe { in_avx512(body) };
    #[cfg(not(target_arch = "x86_64"))]
    body()
}

/// For `vectorise!`.
#[inline(always)]
pub(crate) fn at_avx2<R>(body: impl FnOnce() -> R) -> R {
    assert!(Level::best() >= Level::Avx2, "the level was detected");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the assertion above has found the features.
    return unsafe { in_avx2(body) };
    #[cfg(not(target_arch = "x86_64"))]
    body()
}

/// Runs a body compiled for a level, which the processor must have.
#[inline(always)]
pub(super) fn at<R>(level: Level, body: impl FnOnce() -> R) -> R {
    assert!(level <= Level::best(), "this processor has no {level:?}");
    #[cfg(target_arch = "x86_64")]
    match level {
        // SAFETY: the assertion above has found the features.
        Level::Avx512 => return unsafe { in_avx512(body) },
        // SAFETY: as above.
        Level::Avx2 => return unsafe { in_avx2(body) },
        Level::Portable => {}
    }
    body()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,bmi2")]
#[inline]
fn in_avx512<R>(body: impl FnOnce() -> R) -> R {
    body()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
#[inline]
fn in_avx2<R>(body: impl FnOnce() -> R) -> R {
    body()
}
