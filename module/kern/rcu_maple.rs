// SPDX-License-Identifier: GPL-2.0-only

//! A maple tree of shared objects that RCU readers look up.
//!
//! C header: [`include/linux/maple_tree.h`](srctree/include/linux/maple_tree.h)
//!
//! `kernel::maple_tree` needs the tree's lock to look anything up. Here an object
//! is looked up under RCU, and it may stand in several intervals of the index
//! space: what a store leaves of an interval that it cuts keeps its object. So
//! every change is a single store.
//!
//! A look-up without the lock is made again if something was stored meanwhile: a
//! node of the tree may be changed in place, in two steps, and an object does not
//! know where it stands. (Areas do, and `lock_vma_under_rcu()` checks it.)
//!
//! Nobody sleeps with the lock: all who store meet in it, and who has to be woken costs
//! the others more than their own work. But a tree says how many nodes a store takes only as
//! long as nothing else is stored. So who has to wait for that memory *reserves* the tree
//! (`portable/reserve.rs`) and stores when the memory is there; others that want to store
//! sleep until then on a mutex. Most memory is got before, without any of this
//! ([`RcuMaple::get_memory`]).

mod count;
mod found;
mod hook;
mod view;

pub(crate) use count::Value;
pub(crate) use view::View;

use core::{marker::PhantomData, mem::ManuallyDrop, ops::Deref, pin::Pin, ptr};

use kernel::{
    bindings as c, c_str,
    error::to_result,
    prelude::*,
    static_lock_class,
    str::CStr,
    sync::{
        atomic::{Atomic, Relaxed},
        lock::spinlock::SpinLockBackend,
        rcu, LockClassKey, SpinLock,
    },
    task::might_sleep,
    time::{delay::fsleep, Delta},
    types::Opaque,
};

use self::found::{Found, Raw};
use super::{
    array_vec::ArrayVec,
    bindings,
    mutex::{Guard, Mutex},
    rcu_arc::RcuArc,
};
use crate::portable::reserve::{Lock, Reserved, Turn};

/// An object found in the tree, and the interval of indices it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'g, T> {
    /// The first index.
    pub(crate) first: usize,
    /// The last index, inclusive.
    pub(crate) last: usize,
    /// The object, valid as long as the tree is looked at.
    pub(crate) value: &'g T,
}

// The lock would sleep there, also between the steps of a store, for which readers spin.
const _: () = assert!(!cfg!(CONFIG_PREEMPT_RT));

/// How many intervals of those where it is to be a store overwrites at most.
const BATCH: usize = 32;
/// And one on each side, if it joins them.
const MOST: usize = BATCH + 2;

/// References to all objects that stood in an interval that was overwritten,
/// be it in parts; as often as they stood there.
pub(crate) type Removed<T> = ArrayVec<RcuArc<T>, MOST>;

/// Where the memory of a store is to come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// From what is there.
    NoWait,
    /// From wherever it can be had.
    Wait,
    /// As `Wait`, for as long as it takes.
    Surely,
}

/// What a store has done.
pub(crate) struct Stored {
    /// The last index that is done.
    pub(crate) last: usize,
    /// Whether the tree is another now.
    pub(crate) has_changed: bool,
}

/// Why nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// There would be more intervals than allowed.
    Full,
    NoMemory,
}

/// # Invariants
///
/// - `tree` is an initialised tree in RCU mode, which is only written with `lock`
///   held, by whose [`Turn`] it is. An entry came from [`RcuArc::into_raw`] and owns the
///   reference, one for each interval.
/// - `len` is the number of intervals, those that count as one as one, and `twins`
///   that of all beyond. They, and `seq`, are only written as the tree is.
///
/// What each store writes is in one line, as long as locks have nothing for debugging.
#[pin_data(PinnedDrop)]
#[repr(C, align(64))]
pub(crate) struct RcuMaple<T: Value> {
    #[pin]
    lock: SpinLock<Reserved>,
    #[pin]
    tree: Opaque<c::maple_tree>,
    /// Changes with each store.
    #[pin]
    seq: Opaque<c::seqcount_t>,
    len: Atomic<usize>,
    twins: Atomic<usize>,
    /// Held by who may have to wait for memory. Taken before the lock.
    #[pin]
    waiting: Mutex<()>,
    _owns: PhantomData<RcuArc<T>>,
}

type SpinGuard<'a> = kernel::sync::lock::Guard<'a, Reserved, SpinLockBackend>;

impl Lock for SpinLock<Reserved> {
    type Guard<'a> = SpinGuard<'a>;

    fn lock(&self) -> SpinGuard<'_> {
        SpinLock::lock(self)
    }
}

impl Lock for Mutex<()> {
    type Guard<'a> = Guard<'a, ()>;

    fn lock(&self) -> Guard<'_, ()> {
        Mutex::lock(self)
    }
}

// SAFETY: It owns references that may be sent.
unsafe impl<T: Value> Send for RcuMaple<T> {}
// SAFETY: Readers share objects under RCU, writers are serialised by the lock.
unsafe impl<T: Value> Sync for RcuMaple<T> {}

impl<T: Value> RcuMaple<T> {
    /// An empty tree, whose lock is known to lockdep as `name` with class `key`.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- SpinLock::new(Reserved::new(), name, key),
            waiting <- Mutex::new((), c_str!("RcuMaple::waiting"), static_lock_class!()),
            // INVARIANT: Initialised here, without entries.
            // SAFETY: `tree` is valid for writing.
            tree <- Opaque::ffi_init(|tree| unsafe { bindings::faultline_maple_init(tree) }),
            // SAFETY: `seq` is valid for writing.
            seq <- Opaque::ffi_init(|seq| unsafe { bindings::faultline_seqcount_init(seq) }),
            len: Atomic::new(0),
            twins: Atomic::new(0),
            _owns: PhantomData,
        })
    }

    /// The number of intervals that have an object, a moment ago. Those that touch
    /// and are one count as one.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: nothing is derived from it.
        self.len.load(Relaxed)
    }

    /// The object that stands at `index`. Waits for a store that is under way, which
    /// does not sleep.
    pub(crate) fn get<'g>(&self, index: usize, _rcu: &'g rcu::Guard) -> Option<&'g T> {
        // SAFETY: By the type invariants.
        let found =
            unsafe { bindings::faultline_maple_load(self.tree.get(), self.seq.get(), index) };
        // SAFETY: An entry is an object, which is not freed before the read section ends.
        unsafe { found.cast::<T>().as_ref() }
    }

    /// Waits for the tree's lock, to look only: what is seen stays as it is, and references
    /// may be taken. Does not sleep; nor may who holds it.
    pub(crate) fn lock_to_look(&self) -> LockedToLook<'_, T> {
        // INVARIANT: It is the lock of this tree.
        let held = self.lock.lock();
        LockedToLook {
            view: View::of_locked(self),
            _held: held,
        }
    }

    /// Waits until the tree is locked and nobody has reserved it, for stores that get
    /// their memory from there. May sleep; not while what is returned is held, but in
    /// a store that may wait.
    pub(crate) fn lock(&self, memory: Memory) -> Locked<'_, T> {
        might_sleep();
        let turn = Turn::begin(&self.lock, &self.waiting, memory != Memory::NoWait);
        // INVARIANT: They are the locks of this tree.
        Locked {
            tree: self,
            view: View::of_locked(self),
            memory,
            turn,
        }
    }

    /// Sees to it that a store finds memory without waiting, if there is any: a tree
    /// of its own is filled and emptied, which leaves its nodes where this CPU gets
    /// its next ones from. May sleep.
    pub(crate) fn get_memory() {
        // SAFETY: No requirements.
        unsafe { bindings::faultline_maple_get_nodes() };
    }

    /// `MA_STATE()`
    fn state(&self, index: usize, last: usize) -> c::ma_state {
        c::ma_state {
            tree: self.tree.get(),
            index,
            last,
            node: ptr::null_mut(),
            status: c::maple_status_ma_start,
            min: 0,
            max: usize::MAX,
            mas_flags: 0,
            store_type: c::store_type_wr_invalid,
            ..Default::default()
        }
    }
}

/// A tree whose lock is held.
///
/// # Invariants
///
/// This task holds the lock of the tree that `view` is of.
pub(crate) struct LockedToLook<'a, T: Value> {
    view: View<'a, T>,
    _held: SpinGuard<'a>,
}

impl<T: Value> LockedToLook<'_, T> {
    /// The last index of what [`View::find`] finds, and a reference to the object.
    pub(crate) fn find_object(&self, index: usize, last: usize) -> Option<(usize, RcuArc<T>)> {
        let entry = self.find_raw(index, last)?;
        // SAFETY: It is an entry, which has a reference, and keeps it.
        let object = ManuallyDrop::new(unsafe { RcuArc::from_raw(entry.object) });
        Some((entry.last, RcuArc::clone(&object)))
    }

    /// The first of the lowest `size` free indices within `[min, max]`.
    pub(crate) fn find_gap(&self, size: usize, min: usize, max: usize) -> Option<usize> {
        let mut mas = self.view.tree.state(0, 0);
        // SAFETY: `mas` is initialised as MA_STATE() does, and the lock is held.
        let found = to_result(unsafe { c::mas_empty_area(&mut mas, min, max, size) });
        found.ok().map(|()| mas.index)
    }
}

impl<'a, T: Value> Deref for LockedToLook<'a, T> {
    type Target = View<'a, T>;

    fn deref(&self) -> &View<'a, T> {
        &self.view
    }
}

/// A tree to which nobody else stores.
///
/// # Invariants
///
/// `turn` is one with the locks of `tree`, which `view` is of; it may wait if `memory` may be
/// waited for.
pub(crate) struct Locked<'a, T: Value> {
    tree: &'a RcuMaple<T>,
    view: View<'a, T>,
    memory: Memory,
    turn: Turn<'a, SpinLock<Reserved>, Mutex<()>>,
}

impl<'a, T: Value> Deref for Locked<'a, T> {
    type Target = View<'a, T>;

    fn deref(&self) -> &View<'a, T> {
        &self.view
    }
}

impl<T: Value> Locked<'_, T> {
    /// As that of the tree, now.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Puts `new`, or nothing, in place of what is at `[first, last]`, or at as many of
    /// its first intervals as a store may overwrite, unless there are then more than before,
    /// and more than `max`. `join` says how far the store goes, from what is at the indices
    /// beside. Adds what was overwritten to `removed`, which was empty. If it fails, nothing
    /// is changed. May sleep, if it may wait for memory.
    pub(crate) fn store(
        &mut self,
        (first, last): (usize, usize),
        new: Option<&RcuArc<T>>,
        join: impl FnOnce(Option<Entry<'_, T>>, Option<Entry<'_, T>>) -> (usize, usize),
        max: usize,
        removed: &mut Removed<T>,
    ) -> Result<Stored, StoreError> {
        let mut found = Found::new();
        // Those beside it matter if they are joined with it, or count as one.
        let beside = usize::from(new.is_some() || self.has_twins());
        self.scan(first, last, beside, &mut found);
        let entry = |entry: Raw<T>| self.entry(entry);
        let (low, high) = join(found.below.map(entry), found.above.map(entry));
        let high = found.end.unwrap_or(high);

        let before = self.count(&found);
        let behind = self.count_behind(&found, (low, high), new.map(|new| &**new));
        let len = self.tree.len() + behind.len() - before.len();
        let twins = self.tree.twins.load(Relaxed) + behind.twins - before.twins;
        if len > self.tree.len() && len > max {
            return Err(StoreError::Full);
        }
        let covered = |entry: &Raw<T>| low <= entry.first && entry.last <= high;
        let overwritten = |entry: &&Raw<T>| low <= entry.last && entry.first <= high;
        let overwritten = || found.entries.iter().filter(overwritten);
        let cuts_in_two = overwritten().any(|entry| entry.first < low && high < entry.last);
        let has_changed = new.is_some() || overwritten().next().is_some();
        if has_changed {
            // INVARIANT: What the store changes is among what was counted.
            self.store_raw((low, high), new.cloned(), (len, twins))?;
        }
        for entry in overwritten() {
            // SAFETY: It was an entry, which had a reference.
            let object = unsafe { RcuArc::from_raw(entry.object) };
            // The entry is gone, or else what is left of it keeps the reference.
            if !covered(entry) {
                core::mem::forget(object.clone());
            }
            if cuts_in_two {
                // The part above stands in an interval of its own.
                core::mem::forget(object.clone());
            }
            removed.push(object);
        }
        Ok(Stored {
            last: high,
            has_changed,
        })
    }

    fn store_raw(
        &mut self,
        (first, last): (usize, usize),
        new: Option<RcuArc<T>>,
        (len, twins): (usize, usize),
    ) -> Result<(), StoreError> {
        let mut mas = self.tree.state(first, last);
        let seq = self.tree.seq.get();
        let raw = new.as_ref().map_or(ptr::null_mut(), RcuArc::as_raw).cast();
        let mut preallocate = |memory| {
            let (wait, nofail) = (memory != Memory::NoWait, memory == Memory::Surely);
            // SAFETY: Nobody else stores until the store is done.
            unsafe { bindings::faultline_maple_preallocate(&mut mas, raw, wait, nofail) }
        };
        if hook::has_no_memory() || preallocate(Memory::NoWait) != 0 {
            let memory = self.memory;
            if memory == Memory::NoWait {
                return Err(StoreError::NoMemory);
            }
            self.turn.reserve(|| {
                hook::wait_for_memory();
                loop {
                    match preallocate(memory) {
                        0 => break Ok(()),
                        // The list of nodes is not allocated with __GFP_NOFAIL, and this may
                        // be a victim of the OOM killer.
                        _ if memory == Memory::Surely => fsleep(Delta::from_millis(1)),
                        _ => break Err(StoreError::NoMemory),
                    }
                }
            })?;
        }
        // SAFETY: The lock is held, and `mas` has the memory for this very store, which is between
        // the two. In the tree the reference is the entry's.
        unsafe {
            bindings::faultline_maple_begin_store(seq);
            c::mas_store_prealloc(&mut mas, raw);
        }
        // Both are in a line that others lock the tree with, or read: most stores change one.
        // Relaxed: written under the lock only; and who looks without it goes by `seq`.
        if len != self.tree.len() {
            self.tree.len.store(len, Relaxed);
        }
        if twins != self.tree.twins.load(Relaxed) {
            self.tree.twins.store(twins, Relaxed);
        }
        // SAFETY: Begun above.
        unsafe { bindings::faultline_maple_end_store(seq) };
        core::mem::forget(new);
        Ok(())
    }
}

#[pinned_drop]
impl<T: Value> PinnedDrop for RcuMaple<T> {
    fn drop(self: Pin<&mut Self>) {
        // As if it were locked: nobody else uses it.
        let view = View::of_locked(&self);
        let mut index = 0;
        while let Some(Raw { last, object, .. }) = view.find_raw(index, usize::MAX) {
            // SAFETY: As above; the entry's reference, which is not used again.
            drop(unsafe { RcuArc::from_raw(object) });
            match last.checked_add(1) {
                Some(next) => index = next,
                None => break,
            }
        }
        // SAFETY: By the type invariants; it only frees nodes.
        unsafe { c::__mt_destroy(self.tree.get()) };
    }
}
