// SPDX-License-Identifier: GPL-2.0-only
//! Which remapper owns which pages.

use std::ops::Range;

use crate::rng::Rng;

/// An area: pages of one space that one remapper changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// Number of the space.
    pub(super) space: u32,
    /// Its pages, relative to the first one under test.
    pub(super) pages: Range<u32>,
    /// Number of the remapper.
    pub(super) owner: u32,
}

/// How many areas a space is cut into: several per remapper and per 2 MiB.
pub(super) fn areas_wanted(pages: u32, remappers: u32) -> u32 {
    (pages / 96).max(2 * remappers).max(1)
}

/// Cuts each space at random places, so that areas share leaves of the page
/// directory and lie across their borders, and deals them out to the remappers
/// in turn, so that neighbours belong to different ones.
pub(super) fn cut(spaces: u32, pages: u32, remappers: u32, rng: &mut Rng) -> Vec<Area> {
    let mut areas = Vec::new();
    for space in 0..spaces {
        let wanted = areas_wanted(pages, remappers).min(pages);
        let mut cuts: Vec<u32> = vec![0, pages];
        while cuts.len() <= wanted as usize {
            let cut = rng.below(u64::from(pages)) as u32;
            if !cuts.contains(&cut) {
                cuts.push(cut);
            }
        }
        cuts.sort_unstable();
        for (index, ends) in cuts.windows(2).enumerate() {
            let owner = (index as u32 + space) % remappers.max(1);
            areas.push(Area {
                space,
                pages: ends[0]..ends[1],
                owner,
            });
        }
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_cover_each_space_once_and_all_remappers_have_some() {
        for (pages, remappers) in [(8, 4), (2, 1), (1024, 2), (5000, 7), (16, 0)] {
            let areas = cut(2, pages, remappers, &mut Rng::new(3, 0));
            for space in 0..2 {
                let mut next = 0;
                for area in areas.iter().filter(|area| area.space == space) {
                    assert_eq!(area.pages.start, next);
                    assert!(area.pages.end > next);
                    next = area.pages.end;
                }
                assert_eq!(next, pages);
            }
            for remapper in 0..remappers {
                assert!(areas.iter().any(|area| area.owner == remapper));
            }
        }
    }
}
