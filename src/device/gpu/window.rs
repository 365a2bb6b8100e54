//! Windows: one dispatch over all items, or several if a binding would be larger than the adapter allows.
//!
//! A window starts where every windowed binding's offset is a multiple of 256 bytes, the strictest alignment there is.

use std::ops::Range;

/// Alignment of a storage binding's offset, in words.
const ALIGNMENT: usize = 256 / 8;

/// How a binding meets the items, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Words in all; a bit more or less than items x per_item.
    pub(super) len: usize,
    /// Words an item, or 0 if every window needs the whole.
    pub(super) per_item: usize,
}

/// Cuts the items so that no binding is larger than `max` bytes; the reason if that cannot be.
pub(super) fn split(items: usize, spans: &[Span], max: u64) -> Result<Vec<Range<usize>>, String> {
    let max = (max / 16 * 2) as usize;
    if let Some(whole) = spans.iter().find(|span| span.per_item == 0 && span.len > max) {
        return Err(format!("a binding of {} bytes, the adapter allows {}", whole.len * 8, max * 8));
    }
    if spans.iter().all(|span| span.len <= max) {
        return Ok(std::iter::once(0..items).collect());
    }
    let windowed = || spans.iter().filter(|span| span.per_item > 0);
    let step = windowed()
        .map(|span| ALIGNMENT >> span.per_item.trailing_zeros().min(5))
        .max()
        .expect("a binding that is too large whole is windowed");
    let fit = |span: &Span| max.saturating_sub(span.len.saturating_sub(items * span.per_item)) / span.per_item;
    let count = windowed().map(fit).min().expect("a binding that is too large whole is windowed") / step * step;
    if count == 0 {
        return Err(format!("{step} items do not fit a binding of {} bytes", max * 8));
    }
    Ok((0..items).step_by(count).map(|first| first..items.min(first + count)).collect())
}

/// Offset and size in bytes of a binding in a window; the last window takes what is left. Sizes are rounded up to 16
/// bytes so that shaders may read pairs of words.
pub(super) fn binding(span: Span, window: &Range<usize>, items: usize) -> (u64, u64) {
    let last = (span.len.max(1) - 1) / ALIGNMENT * ALIGNMENT;
    let start = (window.start * span.per_item).min(last);
    let end = if span.per_item == 0 || window.end == items { span.len } else { (window.end * span.per_item).min(span.len) };
    (start as u64 * 8, (end.saturating_sub(start).max(1) as u64 * 8).next_multiple_of(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_all_and_are_aligned() {
        for per_item in [1, 3, 8, 10, 16, 33, 64, 100] {
            for items in [1, 31, 32, 33, 500, 1000] {
                for extra in [-1i64, 0, 1] {
                    let len = (items as i64 * per_item as i64 + extra).max(1) as usize;
                    let spans = [Span { len, per_item }, Span { len: items, per_item: 1 }, Span { len: 5, per_item: 0 }];
                    let max = 32 * per_item.max(8) as u64 * 8 + 16;
                    let windows = split(items, &spans, max).unwrap();
                    assert_eq!(windows.first().unwrap().start, 0);
                    assert_eq!(windows.last().unwrap().end, items);
                    for (i, window) in windows.iter().enumerate() {
                        assert!(i == 0 || windows[i - 1].end == window.start);
                        for span in spans {
                            let (offset, size) = binding(span, window, items);
                            assert!(offset % 256 == 0 && size <= max && size % 16 == 0, "{offset} {size} {max}");
                            assert!(offset / 8 < span.len as u64);
                            let end = if window.end == items || span.per_item == 0 { span.len } else { window.end * span.per_item };
                            assert_eq!((offset + size) / 8, (end as u64).next_multiple_of(2).max(offset / 8 + 2));
                        }
                    }
                }
            }
        }
        assert!(split(10, &[Span { len: 100, per_item: 0 }], 256).is_err());
        assert!(split(10, &[Span { len: 1000, per_item: 100 }], 256).is_err());
    }
}
