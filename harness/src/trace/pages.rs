// SPDX-License-Identifier: GPL-2.0-only
//! Pages of a ring buffer, as `trace_pipe_raw` gives them: see
//! `include/linux/ring_buffer.h` and `events/header_page`.
//!
//! A page begins with a time stamp and the number of bytes that are used. In these
//! stand events, each with a type or length in 5 bits and the time since the event
//! before it in 27.

use std::ops::Range;

/// The highest type that is a length, in words.
const LONGEST: u32 = 28;
/// Nothing, or an event that was thrown away.
const PADDING: u32 = 29;
/// More time than fits.
const TIME_EXTEND: u32 = 30;
/// The time, but for its highest bits.
const TIME_STAMP: u32 = 31;
/// Bits of a time stamp that an event has.
const STAMP_BITS: u32 = 59;
/// Events are missing in front of this page.
const MISSED: u64 = 1 << 31;
/// And their number stands behind the used bytes.
const MISSED_STORED: u64 = 1 << 30;

/// Where things are in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a page.
    pub size: usize,
    /// Where the number of used bytes is.
    pub commit: usize,
    /// Where events begin.
    pub data: usize,
}

/// An event in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its time.
    pub time: u64,
    /// Where its record is, in the page.
    pub record: Range<usize>,
}

/// What is in a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// When it begins.
    pub time: u64,
    /// Whether events are missing in front of it, and how many, if that is known.
    pub missed: Option<Option<u64>>,
    /// Its events in their order.
    pub entries: Vec<Entry>,
}

/// Reads a page, or says what is wrong with it.
pub fn parse(page: &[u8], layout: Layout) -> Result<Page, &'static str> {
    let time = u64_at(page, 0).ok_or("it has no time stamp")?;
    let commit = u64_at(page, layout.commit).ok_or("it has no length")?;
    let used = (commit as u32 as u64 & !(MISSED | MISSED_STORED)) as usize;
    let end = layout.data + used;
    if end > page.len() {
        return Err("more bytes are used than it has");
    }
    let stored = || u64_at(page, end).filter(|_| commit & MISSED_STORED != 0);
    let mut parsed = Page {
        time,
        missed: (commit & MISSED != 0).then(stored),
        entries: Vec::new(),
    };
    let (mut at, mut now) = (layout.data, time);
    while at < end {
        let word = u32_at(page, at).ok_or("an event is cut off")?;
        let (kind, delta) = (word & 31, u64::from(word >> 5));
        let next = |offset| u32_at(page, at + offset).ok_or("an event is cut off");
        match kind {
            PADDING if delta == 0 => break,
            // The kernel does not count the time of an event that was thrown away.
            PADDING => at += 4 + next(4)? as usize,
            TIME_EXTEND => {
                now += delta + (u64::from(next(4)?) << 27);
                at += 8;
            }
            TIME_STAMP => {
                let low = delta + (u64::from(next(4)?) << 27);
                now = with_high_bits(low, now);
                at += 8;
            }
            _ => {
                let (start, length) = match kind {
                    0 => (
                        at + 8,
                        (next(4)? as usize).checked_sub(4).ok_or("no length")?,
                    ),
                    1..=LONGEST => (at + 4, 4 * kind as usize),
                    _ => unreachable!("five bits"),
                };
                now += delta;
                if start + length > end {
                    return Err("an event is longer than its page");
                }
                parsed.entries.push(Entry {
                    time: now,
                    record: start..start + length,
                });
                at = start + length.next_multiple_of(4);
            }
        }
    }
    Ok(parsed)
}

/// A time stamp with the high bits of the one before it, or the next of these.
fn with_high_bits(low: u64, before: u64) -> u64 {
    let time = low | (before >> STAMP_BITS << STAMP_BITS);
    if time < before {
        time + (1 << STAMP_BITS)
    } else {
        time
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        size: 128,
        commit: 8,
        data: 16,
    };

    /// A page with these words as its events.
    fn page(time: u64, flags: u64, words: &[u32]) -> Vec<u8> {
        let mut page = time.to_le_bytes().to_vec();
        page.extend(((4 * words.len() as u64) | flags).to_le_bytes());
        page.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        page.resize(LAYOUT.size, 0);
        page
    }

    fn word(kind: u32, delta: u32) -> u32 {
        (delta << 5) | kind
    }

    fn times(words: &[u32]) -> Vec<u64> {
        let page = parse(&page(1000, 0, words), LAYOUT).unwrap();
        page.entries.iter().map(|entry| entry.time).collect()
    }

    #[test]
    fn times_add_up() {
        assert_eq!(times(&[word(1, 5), 7, word(2, 6), 8, 9]), [1005, 1011]);
        let long = [word(TIME_EXTEND, 1), 2, word(1, 3), 7];
        assert_eq!(times(&long), [1000 + 1 + (2 << 27) + 3]);
        let absolute = [word(TIME_STAMP, 9), 1, word(1, 3), 7];
        assert_eq!(times(&absolute), [9 + (1 << 27) + 3]);
        let thrown_away = [word(PADDING, 1), 4, 0, word(1, 5), 7];
        assert_eq!(times(&thrown_away[..2]), [0u64; 0]);
        assert_eq!(times(&[word(PADDING, 1), 4, word(1, 5), 7]), [1005]);
    }

    #[test]
    fn lengths_are_words_or_stand_apart() {
        let words = [word(0, 1), 4 + 6, 1, 2, word(1, 1), 3];
        let page = parse(&page(0, 0, &words), LAYOUT).unwrap();
        let records: Vec<_> = page.entries.iter().map(|e| e.record.clone()).collect();
        assert_eq!(records, [24..30, 36..40]);
    }

    #[test]
    fn padding_ends_a_page() {
        assert_eq!(
            times(&[word(1, 1), 7, word(PADDING, 0), word(1, 1)]),
            [1001]
        );
    }

    #[test]
    fn missing_events_are_seen() {
        let words = [word(1, 1), 7];
        let known = parse(
            &{
                let mut bytes = page(0, MISSED | MISSED_STORED, &words);
                bytes[24..32].copy_from_slice(&17u64.to_le_bytes());
                bytes
            },
            LAYOUT,
        );
        assert_eq!(known.unwrap().missed, Some(Some(17)));
        let unknown = parse(&page(0, MISSED, &words), LAYOUT).unwrap();
        assert_eq!((unknown.missed, unknown.entries.len()), (Some(None), 1));
        assert_eq!(parse(&page(0, 0, &words), LAYOUT).unwrap().missed, None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&page(0, 4096, &[]), LAYOUT).is_err());
        assert!(parse(&page(0, 0, &[word(28, 1)]), LAYOUT).is_err());
        assert!(parse(&page(0, 0, &[word(0, 1), 0]), LAYOUT).is_err());
        assert!(parse(&[0; 10], LAYOUT).is_err());
    }

    #[test]
    fn stamps_get_the_high_bits_that_they_lack() {
        let high = 3 << STAMP_BITS;
        assert_eq!(with_high_bits(5, high + 1), high + 5);
        assert_eq!(with_high_bits(5, high + 9), high + (1 << STAMP_BITS) + 5);
    }
}
