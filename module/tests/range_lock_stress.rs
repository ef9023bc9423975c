// SPDX-License-Identifier: GPL-2.0-only

//! Threads that do with a range lock all that can be done, at random, for some
//! seconds (`FAULTLINE_LONG`: a minute).
//!
//! Each page has a count of who is in, and a word that is no atomic: under
//! ThreadSanitizer it shows that who comes in sees what others did before. So
//! nothing else in here may order the threads.

use std::{
    cell::UnsafeCell,
    env,
    pin::{pin, Pin},
    sync::{
        atomic::{
            AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use faultline_portable::{
    interval::Interval,
    range_lock::{Guard, RangeLock, Ranges, Read, Request, Shape, Slot, Write},
    sync::Task,
};

const SHAPE: Shape = Shape::new(2, 2);
const THREADS: usize = 6;
/// How long nobody may get on before that is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pages inside granules of both sizes and at their edges, ascending.
const PAGES: [u64; 12] = [
    0,
    1,
    2,
    511,
    512,
    513,
    1024,
    (1 << 18) - 1,
    1 << 18,
    (1 << 18) + 512,
    1 << 19,
    1 << 20,
];
/// Pages as bits.
type Pages = u32;

/// In [`Page::inside`], a writer; a reader is 1.
const WRITER: u32 = 1 << 16;

#[derive(Default)]
struct Page {
    inside: AtomicU32,
    /// Changed by writers, looked at by all.
    word: UnsafeCell<u64>,
    /// How often the word should have been changed.
    changes: AtomicU64,
}

// SAFETY: The range lock guards the word. That is what is tested.
unsafe impl Sync for Page {}

impl Page {
    fn look(&self) -> u64 {
        // SAFETY: The caller holds the page.
        unsafe { *self.word.get() }
    }

    fn change(&self) {
        self.changes.fetch_add(1, Relaxed);
        // SAFETY: The caller holds the page to write.
        unsafe { *self.word.get() += 1 };
    }
}

struct World {
    lock: RangeLock<[Slot; SHAPE.places()]>,
    pages: [Page; PAGES.len()],
    /// Leaked boxes. Not `OnceLock`, whose code in std ThreadSanitizer cannot see.
    tasks: [AtomicPtr<Task>; THREADS],
    steps: AtomicU64,
    killed: AtomicU64,
    stop: AtomicBool,
}

impl World {
    fn each(&self, pages: Pages) -> impl Iterator<Item = &Page> {
        let all = self.pages.iter().enumerate();
        all.filter(move |(at, _)| pages & (1 << at) != 0)
            .map(|(_, page)| page)
    }

    fn come_in_to_write(&self, pages: Pages) {
        for page in self.each(pages) {
            let others = page.inside.fetch_add(WRITER, Relaxed);
            assert_eq!(others, 0, "a writer is not alone");
            page.change();
        }
    }

    fn come_in_to_read(&self, pages: Pages) {
        for page in self.each(pages) {
            let others = page.inside.fetch_add(1, Relaxed);
            assert!(others < WRITER, "a reader with a writer");
            page.look();
        }
    }

    fn go(&self, pages: Pages, as_whom: u32) {
        for page in self.each(pages) {
            page.look();
            page.inside.fetch_sub(as_whom, Relaxed);
        }
    }

    fn become_readers(&self, pages: Pages) {
        for page in self.each(pages) {
            let before = page.inside.fetch_sub(WRITER - 1, Relaxed);
            assert_eq!(before, WRITER, "a writer was not alone");
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % n
    }

    /// One time in `n`.
    fn rarely(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Neighbouring pages, few of them as a rule, and what holds them all.
    fn span(&mut self) -> (Interval, Pages) {
        let count = PAGES.len() as u64;
        let longest = if self.rarely(4) { count } else { 2 };
        let first = self.below(count);
        let last = (first + self.below(longest)).min(count - 1);
        let interval = Interval::new(PAGES[first as usize], PAGES[last as usize] + 1);
        let pages = (1 << (last + 1)) - (1 << first);
        (interval.expect("ascending"), pages)
    }

    fn ranges(&mut self) -> (Ranges, Pages) {
        let (first, pages) = self.span();
        if self.rarely(4) {
            let (second, more) = self.span();
            if let Some(two) = Ranges::two(first, second) {
                return (two, pages | more);
            }
        }
        (first.into(), pages)
    }

    /// Holds a range for a while.
    fn hold(&mut self) {
        match self.below(16) {
            0 => thread::yield_now(),
            n => (0..n * 8).for_each(|_| std::hint::spin_loop()),
        }
    }
}

type Held<'r, 'l, M> = Guard<'r, 'l, M>;

struct Worker<'w> {
    world: &'w World,
    random: Random,
}

impl<'w> Worker<'w> {
    fn step(&mut self, request: Pin<&mut Request<'w>>) {
        let (ranges, pages) = self.random.ranges();
        let how = self.random.below(8);
        if self.random.rarely(2) {
            let guard = match how {
                0 => request.try_write(ranges),
                1 | 2 => self.unless_killed(request.write_killable(ranges).ok()),
                3 => {
                    drop(request.queue_write(ranges));
                    None
                }
                _ => Some(request.write(ranges)),
            };
            if let Some(guard) = guard {
                self.write(guard, pages);
            }
        } else {
            let guard = match how {
                0 => request.try_read(ranges),
                1 | 2 => self.unless_killed(request.read_killable(ranges).ok()),
                _ => Some(request.read(ranges)),
            };
            if let Some(guard) = guard {
                self.read(guard, pages);
            }
        }
        if self.random.rarely(8) {
            let victim = self.random.below(THREADS as u64) as usize;
            let task = self.world.tasks[victim].load(Acquire);
            // SAFETY: Null, or a box that was leaked before the pointer was stored.
            if let Some(task) = unsafe { task.as_ref() } {
                task.kill();
            }
        }
        self.world.steps.fetch_add(1, Relaxed);
    }

    fn unless_killed<G>(&self, guard: Option<G>) -> Option<G> {
        if guard.is_none() {
            self.world.killed.fetch_add(1, Relaxed);
            Task::revive();
        }
        guard
    }

    fn write(&mut self, mut guard: Held<'_, 'w, Write>, pages: Pages) {
        self.world.come_in_to_write(pages);
        self.random.hold();
        let pages = match self.random.rarely(3) {
            true => self.release_part(&mut guard, pages, WRITER),
            false => pages,
        };
        self.random.hold();
        if self.random.rarely(3) {
            self.world.become_readers(pages);
            return self.read_on(guard.downgrade(), pages);
        }
        self.world.go(pages, WRITER);
    }

    fn read(&mut self, guard: Held<'_, 'w, Read>, pages: Pages) {
        self.world.come_in_to_read(pages);
        self.read_on(guard, pages);
    }

    fn read_on(&mut self, mut guard: Held<'_, 'w, Read>, pages: Pages) {
        self.random.hold();
        let pages = match self.random.rarely(3) {
            true => self.release_part(&mut guard, pages, 1),
            false => pages,
        };
        self.random.hold();
        self.world.go(pages, 1);
    }

    /// Gives back a prefix or a suffix; the pages that are kept.
    fn release_part<M>(
        &mut self,
        guard: &mut Held<'_, 'w, M>,
        pages: Pages,
        as_whom: u32,
    ) -> Pages {
        let at = self.random.below(PAGES.len() as u64) as usize;
        let below = (1 << at) - 1;
        if self.random.rarely(2) {
            self.world.go(pages & below, as_whom);
            guard.release_below(PAGES[at]);
            pages & !below
        } else {
            self.world.go(pages & !below, as_whom);
            guard.release_from(PAGES[at]);
            pages & below
        }
    }
}

fn work(world: &World, number: usize) {
    let seed = 0x9e37_79b9_7f4a_7c15 ^ ((number as u64 + 1) << 40);
    let random = Random(seed);
    let mut worker = Worker { world, random };
    let task = Box::into_raw(Box::new(Task::current()));
    // Release: pairs with the load of who kills.
    world.tasks[number].store(task, Release);
    let mut again = pin!(Request::new(&world.lock));
    while !world.stop.load(Relaxed) {
        match worker.random.rarely(2) {
            true => worker.step(again.as_mut()),
            false => worker.step(pin!(Request::new(&world.lock))),
        }
    }
}

/// Panics when nobody gets on.
fn watch(world: &World, until: Instant) {
    let (mut seen, mut since) = (0, Instant::now());
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
        let steps = world.steps.load(Relaxed);
        if steps != seen {
            (seen, since) = (steps, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "all wait after {steps} steps");
    }
}

fn main() {
    let time = match env::var_os("FAULTLINE_LONG") {
        Some(_) => Duration::from_secs(60),
        None => Duration::from_secs(3),
    };
    let world = Arc::new(World {
        lock: RangeLock::in_place(SHAPE),
        pages: Default::default(),
        tasks: [const { AtomicPtr::new(core::ptr::null_mut()) }; THREADS],
        steps: AtomicU64::new(0),
        killed: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let world = world.clone();
            thread::spawn(move || work(&world, number))
        })
        .collect();
    watch(&world, Instant::now() + time);
    world.stop.store(true, Relaxed);
    let end = Instant::now();
    while !threads.iter().all(|t| t.is_finished()) {
        thread::sleep(Duration::from_millis(10));
        assert!(end.elapsed() < PATIENCE, "a thread does not end");
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    for page in &world.pages {
        assert_eq!(page.inside.load(Relaxed), 0);
        assert_eq!(page.look(), page.changes.load(Relaxed), "a lost change");
    }
    let all = pin!(Request::new(&world.lock));
    assert!(all.try_write(Interval::ALL).is_some(), "not free");
    let (steps, killed) = (&world.steps, &world.killed);
    println!(
        "{} steps, {} killed",
        steps.load(Relaxed),
        killed.load(Relaxed)
    );
    assert_ne!(killed.load(Relaxed), 0, "nobody was killed");
}
