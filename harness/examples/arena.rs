// SPDX-License-Identifier: GPL-2.0-only
//! An arena, as the author of a runtime would begin one: one huge window, chunks that
//! get memory when they are wanted and give it back when they are not, a write barrier
//! made of read-only chunks, and large objects that grow without being copied.
//!
//! It says what it does, and checks what comes of it; its status is 1 if that is wrong.
//! It runs where the module is loaded: see "Use it in a program" in the README.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use faultline::{
    Advice, Area, Fault, PAGE_SIZE, Placement, Prot, Relocation, Signal, Space, Stats, Window,
    WindowOptions,
};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Bytes of a chunk: what the module keeps one leaf of its page directory for.
const CHUNK: u64 = 2 << 20;
/// Bytes of the heap: chunks in the lower half, large objects in the upper.
const HEAP: u64 = 1 << 40;
const LARGE: u64 = HEAP / 2;
const WORD: u64 = 8;
const THREADS: u64 = 4;
const ROUNDS: u64 = 8;

/// Addresses of objects are those of the space, and so are offsets into the window.
struct Arena {
    space: Space,
    heap: Window,
    /// Chunks that have a region, but no user and no pages.
    free: Mutex<Vec<u64>>,
    /// Behind the last chunk.
    chunks_end: AtomicU64,
    /// Behind the last large object; locked while one is made, or grows.
    large_end: Mutex<u64>,
    /// Chunks that were written since they were protected.
    dirty: Mutex<BTreeSet<u64>>,
}

impl Arena {
    fn new() -> io::Result<Arena> {
        let space = Space::open()?;
        // Threads that fault in different stripes share no counter of the kernel.
        let heap = WindowOptions::new()
            .align(CHUNK as usize)
            .stripe(64 << 30)
            .open(&space, 0, HEAP as usize)?;
        Ok(Arena {
            space,
            heap,
            free: Mutex::default(),
            chunks_end: AtomicU64::new(0),
            large_end: Mutex::new(LARGE),
            dirty: Mutex::default(),
        })
    }

    /// A chunk of zeroes: one that was given back, or a new one.
    fn chunk(&self) -> io::Result<Chunk<'_>> {
        let reused = self.free.lock().expect("no thread panics").pop();
        let start = match reused {
            Some(start) => start,
            None => {
                let start = self.chunks_end.fetch_add(CHUNK, Ordering::Relaxed);
                // Without REPLACE: that something is there would be a bug of ours.
                let place = Placement::FixedNoreplace;
                self.space.map(start, CHUNK, Prot::READ_WRITE, place)?
            }
        };
        Ok(Chunk {
            arena: self,
            start,
            used: 0,
        })
    }

    fn load(&self, address: u64) -> Result<u64, Fault> {
        self.heap.load(address as usize)
    }

    /// The store of the mutator, with the barrier: the first one to a chunk that was
    /// protected is noted.
    fn store(&self, address: u64, value: u64) -> Result<()> {
        match self.heap.store(address as usize, value) {
            Err(fault) if fault.signal == Signal::Segv => {
                let chunk = address - address % CHUNK;
                // Noted first: from the call on other threads store there freely.
                self.dirty.lock().expect("no thread panics").insert(chunk);
                self.space.protect(chunk, CHUNK, Prot::READ_WRITE)?;
                Ok(self.heap.store(address as usize, value)?)
            }
            result => Ok(result?),
        }
    }

    /// Makes the next store to the chunk a note. When this returns no thread can
    /// still be storing.
    fn watch(&self, chunk: &Chunk<'_>) -> io::Result<()> {
        self.space.protect(chunk.start, CHUNK, Prot::READ)
    }

    /// An object of so many bytes, whole pages.
    fn large(&self, bytes: u64) -> io::Result<Large> {
        let mut end = self.large_end.lock().expect("no thread panics");
        let place = Placement::FixedNoreplace;
        let start = self.space.map(*end, bytes, Prot::READ_WRITE, place)?;
        *end = start + bytes;
        Ok(Large { start, bytes })
    }

    /// Makes it longer: where it is if there is room, or else its pages go along to
    /// where there is. Returns whether it was moved.
    fn grow(&self, large: &mut Large, bytes: u64) -> io::Result<bool> {
        let mut end = self.large_end.lock().expect("no thread panics");
        let remap = |to| self.space.remap(large.start, large.bytes, bytes, to);
        let start = match remap(Relocation::Stay) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                remap(Relocation::Fixed(*end))?
            }
            result => result?,
        };
        let moved = start != large.start;
        *large = Large { start, bytes };
        *end = (*end).max(start + bytes);
        Ok(moved)
    }
}

/// A chunk in use; objects are taken from its beginning.
struct Chunk<'a> {
    arena: &'a Arena,
    start: u64,
    used: u64,
}

impl Chunk<'_> {
    /// Room for an object of so many words, or none.
    fn allocate(&mut self, words: u64) -> Option<u64> {
        let bytes = words * WORD;
        let at = (CHUNK - self.used >= bytes).then_some(self.start + self.used)?;
        self.used += bytes;
        Some(at)
    }

    /// Gives the memory back and keeps the addresses: whoever gets the chunk next
    /// finds zeroes.
    fn release(self) -> io::Result<()> {
        let space = &self.arena.space;
        space.protect(self.start, CHUNK, Prot::READ_WRITE)?;
        space.advise(self.start, CHUNK, Advice::DontNeed)?;
        let mut free = self.arena.free.lock().expect("no thread panics");
        free.push(self.start);
        Ok(())
    }
}

/// A large object.
struct Large {
    start: u64,
    bytes: u64,
}

/// Fails if it is not what it should be.
fn is<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<()> {
    match got == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {got:?}, not {wanted:?}").into()),
    }
}

/// One mutator: fills chunks with objects of its own, and looks whether they stay.
fn mutate(arena: &Arena, thread: u64) -> Result<u64> {
    let mut objects = 0;
    for round in 0..ROUNDS {
        let mut chunk = arena.chunk()?;
        let first = chunk.start;
        is("a word of a fresh chunk", arena.load(first), Ok(0))?;
        let stamp = |at: u64| at ^ (thread << 56) ^ (round << 48);
        while let Some(at) = chunk.allocate(64) {
            arena.store(at, stamp(at))?;
            objects += 1;
        }
        for at in (first..first + CHUNK).step_by(64 * WORD as usize) {
            is("an object", arena.load(at), Ok(stamp(at)))?;
        }
        chunk.release()?;
    }
    Ok(objects)
}

fn threads(arena: &Arena) -> Result<()> {
    let objects = thread::scope(|scope| {
        let mutators: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || mutate(arena, thread)))
            .collect();
        let each = mutators
            .into_iter()
            .map(|mutator| mutator.join().expect("no thread panics"));
        each.sum::<Result<u64>>()
    })?;
    let chunks = arena.chunks_end.load(Ordering::Relaxed) / CHUNK;
    let stats = arena.space.stats()?;
    println!(
        "threads: {THREADS} made and checked {objects} objects, {ROUNDS} times a chunk of \
         {} KiB each; there are {chunks} chunks",
        CHUNK >> 10
    );
    is("pages held after the last chunk", stats.pages, 0)
}

fn barrier(arena: &Arena) -> Result<()> {
    let mut chunks = Vec::new();
    for _ in 0..3 {
        let mut chunk = arena.chunk()?;
        let object = chunk.allocate(1).ok_or("a chunk without room")?;
        arena.store(object, 1)?;
        arena.watch(&chunk)?;
        chunks.push((chunk, object));
    }
    is("a load while watched", arena.load(chunks[0].1), Ok(1))?;
    let written = chunks[1].1;
    arena.store(written, 2)?;
    arena.store(written + WORD, 3)?;
    is("what was stored", arena.load(written), Ok(2))?;
    let noted = arena.dirty.lock().expect("no thread panics").clone();
    println!(
        "barrier: of {} chunks that were watched, {} was written",
        chunks.len(),
        noted.len()
    );
    is("chunks written", noted, BTreeSet::from([chunks[1].0.start]))?;
    for (chunk, _) in chunks {
        chunk.release()?;
    }
    Ok(())
}

fn growth(arena: &Arena) -> Result<()> {
    const BYTES: u64 = 16 << 20;
    let mut first = arena.large(BYTES)?;
    let neighbour = arena.large(PAGE_SIZE)?;
    let stamp = |page: u64| page * 3 + 1;
    for page in 0..BYTES / PAGE_SIZE {
        arena.store(first.start + page * PAGE_SIZE, stamp(page))?;
    }
    let before = arena.space.stats()?;
    let old = first.start;
    // The neighbour is in the way, so it moves; then nothing is, so it stays.
    is("moved", arena.grow(&mut first, 2 * BYTES)?, true)?;
    is("moved again", arena.grow(&mut first, 3 * BYTES)?, false)?;
    let after = arena.space.stats()?;
    for page in 0..BYTES / PAGE_SIZE {
        let at = first.start + page * PAGE_SIZE;
        is("a page that went along", arena.load(at), Ok(stamp(page)))?;
    }
    is("a new page", arena.load(first.start + BYTES), Ok(0))?;
    let left = arena.load(old).map_err(|fault| fault.signal);
    is("where it was", left, Err(Signal::Bus))?;
    let pages = |stats: &Stats| (stats.pages_moved, stats.pages_added);
    let (moved, added) = (
        pages(&after).0 - pages(&before).0,
        pages(&after).1 - pages(&before).1,
    );
    println!(
        "growth: from {} to {} MiB, {moved} pages moved and {added} copied or added",
        BYTES >> 20,
        first.bytes >> 20
    );
    is("pages moved", moved, BYTES / PAGE_SIZE)?;
    is("pages added", added, 0)?;
    // An object's bytes, to and from a buffer of the program.
    let area: Area<'_> = arena.heap.area();
    let text = b"copied, and a fault would have been an error";
    area.write(neighbour.start as usize, text)?;
    let mut back = vec![0; text.len()];
    area.read(neighbour.start as usize, &mut back)?;
    is("the text", back.as_slice(), text)
}

fn run() -> Result<()> {
    let arena = Arena::new()?;
    println!(
        "heap: {} GiB at {:p}, policy {}",
        HEAP >> 30,
        arena.heap.ptr(),
        arena.space.policy()?
    );
    threads(&arena)?;
    barrier(&arena)?;
    growth(&arena)?;
    arena.space.unmap(0, HEAP)?;
    let stats = arena.space.stats()?;
    is(
        "regions and pages left",
        (stats.regions, stats.pages),
        (0, 0),
    )?;
    println!("all as it should be");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("arena: {error}");
            if !Space::device().exists() {
                let device = Space::device().display();
                eprintln!("arena: no {device}: is the module loaded?");
            }
            ExitCode::FAILURE
        }
    }
}
