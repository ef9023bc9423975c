// SPDX-License-Identifier: GPL-2.0-only
//! What debugfs shows of regions: `maps`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::view::{own_space, path, text};
use crate::rng::Rng;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::files::{memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, BASE, Live, at, bytes, regions};
use crate::{Backing, PAGE_SIZE, Placement, Prot, Region, Source, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "view":
    maps_agree_with_query,
    maps_of_each_space_stand_below_it,
    small_reads_and_seeks_find_the_same,
    many_regions_are_shown_and_seeked,
    region_that_grows_down_is_shown_from_there_on,
    space_that_ends_ends_its_lines,
    regions_that_stay_come_once_while_others_change,
];

const RW: Prot = Prot::READ_WRITE;

/// A line of a region, which must have the form that is promised.
fn parse(line: &str) -> Result<Region, Stop> {
    let words: Vec<&str> = line.split(' ').collect();
    let hex = |text: &str, digits: usize| {
        let number = u64::from_str_radix(text, 16).ok()?;
        (text.len() == digits).then_some(number)
    };
    let read = || {
        let [range, prot, backing, offset, generation] = words[..] else {
            return None;
        };
        let (start, end) = range.split_once('-')?;
        let prot = ["--", "r-", "-w", "rw"].iter().position(|p| *p == prot)?;
        let backing = ["anon", "shared", "private"]
            .iter()
            .position(|b| *b == backing)?;
        Some(Region {
            start: hex(start, 12)?,
            end: hex(end, 12)?,
            generation: generation.parse().ok()?,
            prot: Prot::from_bits(prot as u32),
            backing: Backing::from_number(backing as u32),
            offset: hex(offset, 16)?,
        })
    };
    read().ok_or_else(|| Stop::fail(format!("the line \"{line}\"")))
}

/// The regions below the header of space `id`.
fn regions_of(text: &str, id: u64) -> Result<Vec<Region>, Stop> {
    let header = format!("space {id} pid {} ", process::id());
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&header));
    ensure!(
        lines.next().is_some(),
        "no line \"{header}\" in {text:.2000}"
    );
    lines
        .take_while(|line| !line.starts_with("space "))
        .map(parse)
        .collect()
}

fn id_of_own_space() -> Result<u64, Stop> {
    own_space()?["id"]
        .as_u64()
        .ok_or_else(|| Stop::fail("no number"))
}

/// A space of so many regions, a page each.
fn stripes(count: usize) -> Result<Space, Stop> {
    let space = Space::open()?;
    space.map(BASE, bytes(count), RW, Placement::FixedNoreplace)?;
    for page in (0..count).step_by(2) {
        space.protect(at(page), bytes(1), Prot::READ)?;
    }
    Ok(space)
}

fn maps_agree_with_query() -> Outcome {
    const PAGES: usize = 64;
    let file = memfd(PAGES, 1)?;
    let arena = Arena::empty(PAGES)?;
    let id = id_of_own_space()?;
    let mut rng = Rng::new(20, 0);
    let mut most = 0;
    for step in 0..400 {
        let from = rng.below(PAGES as u64) as usize;
        let pages = 1 + rng.below((PAGES - from) as u64) as usize;
        let prot = Prot::from_bits(rng.below(4) as u32);
        let source = match rng.below(3) {
            0 => Source::Anon,
            1 => shared(&file, from),
            _ => private(&file, from),
        };
        match rng.below(4) {
            0 => arena.unmap(from, pages)?,
            // There may be a hole.
            1 => drop(arena.protect(from, pages, prot)),
            _ => arena.place(from, pages, prot, source)?,
        }
        let expected = regions(&arena.space)?;
        most = most.max(expected.len());
        let seen = regions_of(&text("maps")?, id)?;
        ensure_eq!(seen, expected, "regions after step {step}");
    }
    ensure!(most > 8, "never more than {most} regions");
    Ok(())
}

fn maps_of_each_space_stand_below_it() -> Outcome {
    let first = stripes(6)?;
    let id = id_of_own_space()?;
    let empty = Space::open()?;
    let last = stripes(4)?;
    let text = text("maps")?;
    for (id, space) in [(id, &first), (id + 1, &empty), (id + 2, &last)] {
        ensure_eq!(regions_of(&text, id)?, regions(space)?, "space {id}");
    }
    Ok(())
}

/// Reads on in pieces of `size` bytes.
fn read_in_pieces(mut file: &File, size: usize) -> Result<Vec<u8>, Stop> {
    let (mut seen, mut piece) = (Vec::new(), vec![0; size]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(seen),
            length => seen.extend(&piece[..length]),
        }
    }
}

fn small_reads_and_seeks_find_the_same() -> Outcome {
    let _space = stripes(300)?;
    for name in ["maps", "spaces.jsonl", "objects", "stats"] {
        let expected = text(name)?.into_bytes();
        for size in [1, 2, 7, 53, 54, 100, 4095, 4096, 5000, 65536] {
            let file = File::open(path(name))?;
            let seen = read_in_pieces(&file, size)?;
            ensure!(seen == expected, "{name} in pieces of {size} bytes");
        }
        let mut file = File::open(path(name))?;
        let mut rng = Rng::new(21, 0);
        for _ in 0..50 {
            let (mut piece, from) = ([0; 97], rng.below(expected.len() as u64));
            let length = file.read_at(&mut piece, from)?;
            let place = &expected[from as usize..][..length];
            ensure!(
                length != 0 && piece[..length] == *place,
                "{name}: pread at {from}"
            );
            ensure_eq!(file.seek(SeekFrom::Start(from))?, from, "{name}: lseek");
            let rest = read_in_pieces(&file, 1000)?;
            ensure!(rest == expected[from as usize..], "{name}: from {from} on");
        }
        let behind = expected.len() as u64 + 100;
        ensure_eq!(
            file.read_at(&mut [0; 8], behind)?,
            0,
            "{name}: bytes behind"
        );
    }
    Ok(())
}

fn many_regions_are_shown_and_seeked() -> Outcome {
    const COUNT: usize = 20_000;
    let space = stripes(COUNT)?;
    let id = id_of_own_space()?;
    let all = text("maps")?;
    let seen = regions_of(&all, id)?;
    ensure_eq!(seen.len(), COUNT, "regions");
    ensure!(seen == regions(&space)?, "regions differ from QUERY");
    let file = File::open(path("maps"))?;
    let from = all.len() - 1000;
    let mut piece = [0; 1000];
    file.read_exact_at(&mut piece, from as u64)?;
    ensure!(piece == all.as_bytes()[from..], "the end differs");
    Ok(())
}

/// Reads byte by byte to the end of a line.
fn read_line(mut file: &File) -> Result<String, Stop> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.pop();
    String::from_utf8(line).map_err(|error| Stop::fail(error.to_string()))
}

/// Reads into the line of the first region of this process's only space. With the
/// last byte of a line the kernel gets the next one ready, so that is left to be read.
fn read_into_own_space(mut file: &File) -> Result<String, Stop> {
    let pid = format!(" pid {} ", process::id());
    loop {
        let line = read_line(file)?;
        if line.starts_with("space ") && line.contains(&pid) {
            let mut begun = [0; 25];
            file.read_exact(&mut begun)?;
            return Ok(String::from_utf8_lossy(&begun).into_owned());
        }
    }
}

fn region_that_grows_down_is_shown_from_there_on() -> Outcome {
    let data = memfd(8, 1)?;
    let sources = [Source::Anon, shared(&data, 1), private(&data, 1)];
    for source in sources {
        let arena = Arena::backed(4, RW, source)?;
        arena.protect(0, 2, Prot::READ)?;
        Live::required()?;
        let file = File::open(path("maps"))?;
        let begun = read_into_own_space(&file)?;
        // Both become one, which has grown over what was read.
        arena.protect(0, 2, RW)?;
        let whole = regions(&arena.space)?;
        ensure_eq!(whole.len(), 1, "regions");
        let first = parse(&(begun + &read_line(&file)?))?;
        ensure_eq!((first.start, first.end), (at(0), at(2)), "first region");
        let rest = parse(&read_line(&file)?)?;
        let offset = match source {
            Source::Anon => 0,
            _ => source.offset() + bytes(2),
        };
        let expected = Region {
            start: at(2),
            offset,
            ..whole[0]
        };
        ensure_eq!(rest, expected, "the part that was not read yet");
        ensure_eq!(io::read_to_string(&file)?, "", "what is behind");
    }
    Ok(())
}

fn space_that_ends_ends_its_lines() -> Outcome {
    let before = Live::required()?;
    let first = stripes(100)?;
    let file = File::open(path("maps"))?;
    let begun = read_into_own_space(&file)?;
    let second = stripes(3)?;
    drop(first);
    let id = id_of_own_space()?;
    let line = parse(&(begun + &read_line(&file)?))?;
    ensure_eq!(line.start, at(0), "first region");
    let rest = io::read_to_string(&file)?;
    ensure!(rest.starts_with("space "), "behind the end: {rest:.200}");
    ensure_eq!(regions_of(&rest, id)?, regions(&second)?, "the other space");
    drop(second);
    // The open file keeps nothing of them.
    before.must_return("objects while the file is open")
}

/// Regions that are never touched stand between two pages that change all the time.
fn regions_that_stay_come_once_while_others_change() -> Outcome {
    const GROUPS: usize = 150;
    let arena = Arena::empty(1)?;
    let id = id_of_own_space()?;
    for group in 0..GROUPS {
        arena.remap(4 * group, 1, Prot::READ)?;
        arena.remap(4 * group + 3, 1, Prot::WRITE)?;
    }
    let staying = regions(&arena.space)?;
    ensure_eq!(staying.len(), 2 * GROUPS, "regions that stay");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changer = scope.spawn(|| {
            let mut rng = Rng::new(22, 0);
            // Relaxed: it only has to be seen some time.
            while !done.load(Ordering::Relaxed) {
                let page = 4 * rng.below(GROUPS as u64) as usize + 1;
                match rng.below(4) {
                    0 => arena.unmap(page, 2)?,
                    1 => arena.remap(page + 1, 1, Prot::NONE)?,
                    2 => arena.remap(page, 1, RW)?,
                    _ => arena.remap(page, 2, RW)?,
                }
            }
            Ok::<(), Stop>(())
        });
        let watched = watch_others_change(id, &staying);
        done.store(true, Ordering::Relaxed);
        changer.join().expect("no panic")?;
        watched
    })
}

fn watch_others_change(id: u64, staying: &[Region]) -> Outcome {
    let end = Instant::now() + Duration::from_secs(3);
    let (mut reads, mut pictures) = (0, Vec::new());
    while Instant::now() < end || reads < 3 {
        ensure!(Instant::now() < end + AMPLE, "only {reads} reads");
        let size = [64, 300, 4096, 65536][reads % 4];
        let seen = read_in_pieces(&File::open(path("maps"))?, size)?;
        let seen = String::from_utf8(seen).map_err(|error| Stop::fail(error.to_string()))?;
        let seen = regions_of(&seen, id)?;
        for pair in seen.windows(2) {
            ensure!(pair[0].end <= pair[1].start, "they overlap: {pair:x?}");
        }
        let (stayed, others): (Vec<Region>, Vec<Region>) = seen
            .iter()
            .partition(|region| [Prot::READ, Prot::WRITE].contains(&region.prot));
        ensure!(stayed == staying, "of those that stay: {stayed:x?}");
        for other in &others {
            let page = (other.start - BASE) / PAGE_SIZE % 4;
            let pages = (other.end - other.start) / PAGE_SIZE;
            let is_true = match other.prot {
                RW => [(1, 1), (1, 2), (2, 1)].contains(&(page, pages)),
                _ => (page, pages) == (2, 1),
            };
            ensure!(is_true, "never was there: {other:x?}");
        }
        pictures.push(others.len());
        reads += 1;
    }
    pictures.dedup();
    ensure!(pictures.len() > 2, "nothing has changed in {reads} reads");
    Ok(())
}
