// SPDX-License-Identifier: GPL-2.0-only

//! A maple tree of owned objects that RCU readers look up.
//!
//! C header: [`include/linux/maple_tree.h`](srctree/include/linux/maple_tree.h)
//!
//! `kernel::maple_tree` needs the tree's lock to look anything up. Here each
//! object stands in one interval of the index space; look-ups take no lock;
//! writers are serialised by a mutex, because what a change does to the edges
//! of its range depends on what it finds there.

use core::{marker::PhantomData, ptr};

use kernel::{
    alloc::KVVec,
    bindings as c,
    error::to_result,
    prelude::*,
    sync::{new_mutex, rcu, Mutex},
    types::Opaque,
};

use super::rcu_box::RcuBox;

/// An object found in the tree, and the interval of indices it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'g, T> {
    /// The first index.
    pub(crate) first: usize,
    /// The last index, inclusive.
    pub(crate) last: usize,
    /// The object, valid as long as the RCU read section lasts.
    pub(crate) value: &'g T,
}

/// What stays of the first and of the last object that a change overlaps.
pub(crate) struct Edges<T> {
    /// Takes the place of the first object below the range.
    pub(crate) left: Option<RcuBox<T>>,
    /// Takes the place of the last object above the range.
    pub(crate) right: Option<RcuBox<T>>,
}

/// Objects that are no longer in the tree. Dropping them frees each after a
/// grace period.
pub(crate) type Retired<T> = KVVec<RcuBox<T>>;

/// # Invariants
///
/// - `tree` is an initialised tree in RCU mode. Its entries came from
///   [`RcuBox::into_raw`]; each owns its object and stands in one slot.
/// - The tree is only written with `writer` held.
#[pin_data(PinnedDrop)]
pub(crate) struct RcuMaple<T: Send + Sync + 'static> {
    #[pin]
    writer: Mutex<()>,
    #[pin]
    tree: Opaque<c::maple_tree>,
    _owns: PhantomData<RcuBox<T>>,
}

// SAFETY: It owns objects that may be sent.
unsafe impl<T: Send + Sync + 'static> Send for RcuMaple<T> {}
// SAFETY: Readers share objects under RCU, writers are serialised.
unsafe impl<T: Send + Sync + 'static> Sync for RcuMaple<T> {}

impl<T: Send + Sync + 'static> RcuMaple<T> {
    /// An empty tree.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            writer <- new_mutex!((), "RcuMaple::writer"),
            // INVARIANT: Initialised here, without entries.
            // SAFETY: `tree` is valid for writing.
            tree <- Opaque::ffi_init(|tree| unsafe {
                c::mt_init_flags(tree, c::MT_FLAGS_ALLOC_RANGE | c::MT_FLAGS_USE_RCU)
            }),
            _owns: PhantomData,
        })
    }

    /// The object that stands at `index`.
    pub(crate) fn get<'g>(&self, index: usize, _rcu: &'g rcu::Guard) -> Option<&'g T> {
        // SAFETY: By the type invariants.
        let found = unsafe { c::mtree_load(self.tree.get(), index) };
        // SAFETY: An entry is an object, which is not freed before the read section ends.
        unsafe { found.cast::<T>().as_ref() }
    }

    /// The object that stands at `index`, or else the next above it that
    /// begins at or below `last`. Its interval may be that of a change half done.
    pub(crate) fn find<'g>(
        &self,
        index: usize,
        last: usize,
        _rcu: &'g rcu::Guard,
    ) -> Option<Entry<'g, T>> {
        self.find_raw(index, last)
            .map(|(first, last, value)| Entry {
                first,
                last,
                // SAFETY: An entry is an object, which is not freed before the read section ends.
                value: unsafe { &*value },
            })
    }

    /// What `show` makes of the object that stands at `index`, or else of the
    /// next above it that begins at or below `last`, at a moment at which no
    /// change is half done. May sleep.
    pub(crate) fn find_settled<R>(
        &self,
        index: usize,
        last: usize,
        show: impl FnOnce(&Entry<'_, T>) -> R,
    ) -> Option<R> {
        let _writer = self.writer.lock();
        let rcu = rcu::read_lock();
        self.find(index, last, &rcu).map(|entry| show(&entry))
    }

    /// `MA_STATE()`
    fn state(&self, index: usize) -> c::ma_state {
        c::ma_state {
            tree: self.tree.get(),
            index,
            last: index,
            node: ptr::null_mut(),
            status: c::maple_status_ma_start,
            min: 0,
            max: usize::MAX,
            mas_flags: 0,
            store_type: c::store_type_wr_invalid,
            ..Default::default()
        }
    }

    fn find_raw(&self, index: usize, last: usize) -> Option<(usize, usize, *mut T)> {
        let mut mas = self.state(index);
        let _rcu = rcu::read_lock();
        // SAFETY: `mas` is initialised as MA_STATE() does, and used in one RCU read section.
        let found = unsafe { c::mas_find(&mut mas, last) };
        (!found.is_null()).then_some((mas.index, mas.last, found.cast()))
    }

    /// The first of the lowest `size` free indices within `[min, max]`, a
    /// moment ago. Holds the tree's spin lock.
    pub(crate) fn find_gap(&self, size: usize, min: usize, max: usize) -> Option<usize> {
        let mut mas = self.state(0);
        // SAFETY: By the type invariants.
        let lock = unsafe { &raw mut (*self.tree.get()).__bindgen_anon_1.ma_lock };
        // SAFETY: It is initialised.
        unsafe { c::spin_lock(lock) };
        // SAFETY: `mas` is initialised as MA_STATE() does, and the lock is held.
        let found = to_result(unsafe { c::mas_empty_area(&mut mas, min, max, size) });
        // SAFETY: Just taken.
        unsafe { c::spin_unlock(lock) };
        found.ok().map(|()| mas.index)
    }

    /// Puts `new` at `[first, last]`, if nothing is there. Returns whether it
    /// did; `ENOMEM`. May sleep.
    pub(crate) fn insert(
        &self,
        first: usize,
        last: usize,
        new: &mut Option<RcuBox<T>>,
    ) -> Result<bool> {
        let Some(object) = new.take() else {
            return Err(EINVAL);
        };
        let _writer = self.writer.lock();
        let raw = object.into_raw();
        // INVARIANT: On success the object stands in one slot.
        // SAFETY: By the type invariants.
        let inserted = to_result(unsafe {
            c::mtree_insert_range(self.tree.get(), first, last, raw.cast(), c::GFP_KERNEL)
        });
        if inserted.is_err() {
            // SAFETY: It was not inserted.
            *new = Some(unsafe { RcuBox::from_raw(raw) });
        }
        match inserted {
            Ok(()) => Ok(true),
            Err(EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts `new`, or nothing, at `[first, last]` in place of all that is there.
    ///
    /// If anything overlaps the range, `edges` is called first, with the
    /// outermost objects that do (perhaps the same one). It makes what is to
    /// stand below `first` and above `last` where these reach beyond the
    /// range. It may sleep and may fail.
    ///
    /// Readers may for a moment see an outermost object beyond the range, and
    /// no longer in it. Errors: those of `edges`, `ENOMEM`; then the tree is
    /// as it was. May sleep.
    pub(crate) fn replace(
        &self,
        first: usize,
        last: usize,
        new: Option<RcuBox<T>>,
        edges: impl FnOnce(Entry<'_, T>, Entry<'_, T>) -> Result<Edges<T>>,
    ) -> Result<Retired<T>> {
        let _writer = self.writer.lock();
        let (overlapping, edges) = self.prepare(first, last, edges)?;
        if overlapping.is_empty() && new.is_none() {
            return Ok(Retired::new());
        }
        let mut retired = Retired::with_capacity(overlapping.len(), GFP_KERNEL_ACCOUNT)?;

        // This may allocate and so fail; nothing behind it does.
        self.store(first, last, new, c::GFP_KERNEL)?;
        if let Some((from, _, _)) = overlapping.first() {
            if let Some(left) = edges.left {
                self.store_over(*from, first - 1, left);
            }
        }
        if let Some((_, to, _)) = overlapping.last() {
            if let Some(right) = edges.right {
                self.store_over(last + 1, *to, right);
            }
        }
        for (_, _, object) in overlapping {
            // SAFETY: Its only slot has just been overwritten.
            let object = unsafe { RcuBox::from_raw(object) };
            // Within the capacity; if it were not, the object would be freed all the same.
            let _ = retired.push(object, GFP_KERNEL_ACCOUNT);
        }
        Ok(retired)
    }

    /// All objects that overlap the range, and what is to stay beside it.
    #[allow(clippy::type_complexity)]
    fn prepare(
        &self,
        first: usize,
        last: usize,
        edges: impl FnOnce(Entry<'_, T>, Entry<'_, T>) -> Result<Edges<T>>,
    ) -> Result<(KVVec<(usize, usize, *mut T)>, Edges<T>)> {
        let mut overlapping = KVVec::new();
        let mut index = first;
        while index <= last {
            let Some(found) = self.find_raw(index, last) else {
                break;
            };
            overlapping.push(found, GFP_KERNEL_ACCOUNT)?;
            let Some(next) = found.1.checked_add(1) else {
                break;
            };
            index = next;
        }
        let as_entry = |&(first, last, value): &(usize, usize, *mut T)| Entry {
            first,
            last,
            // SAFETY: It is in the tree, and stays there as long as `writer` is held.
            value: unsafe { &*value },
        };
        let edges = match (overlapping.first(), overlapping.last()) {
            (Some(lowest), Some(highest)) => edges(as_entry(lowest), as_entry(highest))?,
            _ => Edges {
                left: None,
                right: None,
            },
        };
        let reaches_below = overlapping.first().is_some_and(|found| found.0 < first);
        let reaches_above = overlapping.last().is_some_and(|found| found.1 > last);
        if edges.left.is_some() != reaches_below || edges.right.is_some() != reaches_above {
            return Err(EINVAL);
        }
        Ok((overlapping, edges))
    }

    /// Overwrites exactly one slot, which needs no memory.
    fn store_over(&self, first: usize, last: usize, new: RcuBox<T>) {
        let stored = self.store(first, last, Some(new), c::GFP_NOWAIT);
        kernel::warn_on!(stored.is_err());
    }

    /// The caller holds `writer`, and takes care of what it overwrites.
    fn store(&self, first: usize, last: usize, new: Option<RcuBox<T>>, gfp: c::gfp_t) -> Result {
        let new = new.map_or(ptr::null_mut(), RcuBox::into_raw);
        // SAFETY: By the type invariants.
        let stored = to_result(unsafe {
            c::mtree_store_range(self.tree.get(), first, last, new.cast(), gfp)
        });
        if stored.is_err() && !new.is_null() {
            // SAFETY: It was not stored.
            drop(unsafe { RcuBox::from_raw(new) });
        }
        stored
    }
}

#[pinned_drop]
impl<T: Send + Sync + 'static> PinnedDrop for RcuMaple<T> {
    fn drop(self: Pin<&mut Self>) {
        let mut index = 0;
        while let Some((_, last, object)) = self.find_raw(index, usize::MAX) {
            // SAFETY: Nobody else uses the tree, and each object stands in one slot.
            drop(unsafe { RcuBox::from_raw(object) });
            match last.checked_add(1) {
                Some(next) => index = next,
                None => break,
            }
        }
        // SAFETY: By the type invariants; it only frees nodes.
        unsafe { c::mtree_destroy(self.tree.get()) };
    }
}
