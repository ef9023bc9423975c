// SPDX-License-Identifier: GPL-2.0-only
//! stress-ng's `--vma`: a few pages that all map, unmap, protect, discard and access at
//! random.

use std::io;

use super::{Crew, Kind, USUAL};
use crate::bench::field::Field;
use crate::bench::team::{Go, span};
use crate::bench::turn::{Outcome, Turn};
use crate::rng::Rng;
use crate::{PAGE_SIZE, Prot};

/// Pages that all of it happens in.
const PAGES: u64 = 32;
/// The most that is mapped at a time.
const MOST: u64 = 8;

pub(super) static KINDS: [Kind; 1] = [Kind {
    name: "vma_chaos",
    about: |_| {
        "threads load and store at random in 32 pages, beside two that map some of them with any \
         protection, over what is there or where nothing is, and one each that unmaps, protects \
         and discards; accesses that raise a signal are counted, too (stress-ng --vma)"
            .to_owned()
    },
    unit: "accesses",
    interference: true,
    crew: Crew::Fixed(20),
    run: chaos,
    ..USUAL
}];

/// What a thread beside the accessors does.
#[derive(Clone, Copy, Debug)]
enum Changer {
    Map,
    Unmap,
    Protect,
    Discard,
}

const CHANGERS: [Changer; 5] = [
    Changer::Map,
    Changer::Map,
    Changer::Unmap,
    Changer::Protect,
    Changer::Discard,
];

/// What a thread has done, and how much of it in vain: accesses that were illegal,
/// changes that found a hole or no hole.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: u64,
    in_vain: u64,
}

fn chaos(turn: &Turn<'_>) -> io::Result<Outcome> {
    let field = Field::new(turn.on, turn.dir, PAGES * PAGE_SIZE)?;
    let prepare = |number| {
        // Makes the thread's heap: nothing may be mapped while the field has holes.
        drop(std::hint::black_box(vec![number; 100]));
        Ok(Rng::new(turn.seed, number as u64))
    };
    let work = |number: usize, rng: &mut Rng, go: &Go<'_>| match number.checked_sub(turn.threads) {
        None => Ok(access(&field, rng, go)),
        Some(changer) => change(&field, CHANGERS[changer], rng, go),
    };
    let (mut ends, growth) = turn.crew(CHANGERS.len(), field.space(), prepare, work)?;
    let changers = ends.split_off(turn.threads);
    let time = span(&ends);
    let per_second = |count: u64| count as f64 / time.as_secs_f64();
    let illegal = ends.iter().map(|end| end.done.in_vain).sum();
    let changes = changers.iter().map(|end| end.done.done).sum();
    Ok(Outcome {
        per_thread: ends.iter().map(|end| end.done.done).collect(),
        extra: [
            ("illegal accesses/s".to_owned(), per_second(illegal)),
            ("changes/s".to_owned(), per_second(changes)),
        ]
        .into(),
        time,
        growth,
        ..Outcome::default()
    })
}

fn access(field: &Field, rng: &mut Rng, go: &Go<'_>) -> Tally {
    let area = field.area();
    let mut tally = Tally::default();
    while go.on() {
        let at = (rng.below(PAGES) * PAGE_SIZE) as usize;
        let result = match rng.one_in(2) {
            true => area.load(at).map(drop),
            false => area.store(at, tally.done),
        };
        tally.done += 1;
        tally.in_vain += u64::from(result.is_err());
    }
    tally
}

fn change(field: &Field, changer: Changer, rng: &mut Rng, go: &Go<'_>) -> io::Result<Tally> {
    let mut tally = Tally::default();
    while go.on() {
        let result = change_once(field, changer, rng);
        tally.done += 1;
        match result.as_ref().map_err(io::Error::raw_os_error) {
            Ok(()) => {}
            // A hole where none may be, or no hole where one has to be.
            Err(Some(libc::ENOMEM | libc::EEXIST)) => tally.in_vain += 1,
            Err(_) => return result.map(|()| tally),
        }
    }
    if matches!(changer, Changer::Unmap) {
        // Nobody else makes holes.
        field.close()?;
    }
    Ok(tally)
}

fn change_once(field: &Field, changer: Changer, rng: &mut Rng) -> io::Result<()> {
    const PROTS: [Prot; 4] = [Prot::NONE, Prot::READ, Prot::WRITE, Prot::READ_WRITE];
    let first = rng.below(PAGES);
    let count = 1 + rng.below(MOST.min(PAGES - first));
    let (at, length) = (first * PAGE_SIZE, count * PAGE_SIZE);
    let prot = PROTS[rng.below(PROTS.len() as u64) as usize];
    match changer {
        Changer::Map => field.map(at, length, prot, rng.one_in(2)),
        Changer::Unmap => field.unmap(at, length),
        Changer::Protect => field.protect(at, length, prot),
        Changer::Discard => field.discard(at, length),
    }
}
