// SPDX-License-Identifier: GPL-2.0-only

//! Memfds whose pages stay where they are: `shmem_freeze()`.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! A memfd's reverse map finds the areas that map the memfd. If a driver maps
//! its pages into areas of its own, nothing takes those entries away when a
//! page leaves the page cache, and the page is freed while it is mapped. Two
//! things take pages out of the cache of a memfd that is open:
//!
//! - *Truncation and holes*, from ftruncate(2), fallocate(2), `MADV_REMOVE`.
//!   They are refused while the inode is frozen. `F_SEAL_SHRINK` would not do:
//!   it allows holes.
//! - *Replacement and reclaim*: swap, migration, compaction, collapse into a
//!   huge page, splitting of one. Each holds the folio's lock, has unmapped it
//!   everywhere it knows of, and then gives up if there are references it does
//!   not know. A page that is mapped has one for each entry, and one that is
//!   about to be mapped has the [`PageRef`] that was got with the folio locked.
//!   So nothing but an entry needs to hold the page, and a page that no area
//!   maps can be swapped. A page whose memory breaks (hwpoison) stays in
//!   shmem's cache.
//!
//! The flag has one other user, `mm/memfd_luo.c` (live update of the kernel). A
//! memfd that it has frozen is left to it. It does not leave ours to us: when
//! it gives up a memfd, or cannot take it, it clears the flag. That takes the
//! right to use `/dev/liveupdate`.
//!
//! # Locks
//!
//! `inode_lock`, then [`FROZEN`]. write(2) to a memfd reads its source, which
//! may take a fault and all that a fault takes, with `inode_lock` held. So who
//! holds anything that a fault takes must not take it: [`Hold::new`] and
//! [`Unheld::thaw`] are for callers that hold nothing; all others drop the
//! [`Hold`], and the work is done later, by [`Thaw`].

use kernel::{
    bindings as c,
    error::to_result,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{
        atomic::{Atomic, AtomicFlag, Full, Relaxed},
        global_lock, Arc,
    },
    time::{delay::fsleep, msecs_to_jiffies, Delta},
    workqueue::{impl_has_delayed_work, new_delayed_work, DelayedWork, Queue, WorkItem},
};

use super::{
    bindings,
    held_file::{HeldFile, ReadError, Want},
    memfd::{LockedInode, Memfd},
    module_pin::ModulePin,
    page_ref::PageRef,
};

/// Memfds by the address of their inodes.
type Table = RBTree<usize, Arc<FrozenMemfd>>;

global_lock! {
    // SAFETY: Initialised by `Thaw::new`, before there can be a `Hold`.
    unsafe(uninit) static FROZEN: Mutex<Option<Table>> = None;
}

/// A memfd that is frozen, by this module.
///
/// Its pages stay at their indices as long as there is a [`Hold`] on it, except
/// that one which is neither mapped nor referenced may be swapped or replaced.
///
/// # Invariants
///
/// From when it is put into [`FROZEN`], under the address of the inode of
/// `file`, until it is taken out, both under the inode's lock, the inode is
/// frozen, and by no other object.
#[pin_data]
pub(crate) struct FrozenMemfd {
    file: Memfd,
    /// Holds, over all regions of all spaces. From zero it rises only under
    /// `inode_lock`.
    holds: Atomic<usize>,
    /// How often `thaw` has found the inode's lock taken.
    tries: Atomic<u32>,
    #[pin]
    thaw: DelayedWork<Self>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for FrozenMemfd { self.thaw }
}

/// Keeps a memfd frozen, and its write seals off if pages may be written.
///
/// May be dropped in any context; then the memfd is thawed a moment later.
///
/// # Invariants
///
/// - `file` is an open file of the inode of `memfd`.
/// - If `holds` is set, `memfd` counts this hold. Then, if `may_write` is set,
///   `mapping_map_writable()` was called for it, and `file` is open for writing.
pub(crate) struct Hold {
    memfd: Arc<FrozenMemfd>,
    file: Memfd,
    may_write: bool,
    holds: AtomicFlag,
}

/// Whether pages may be written through a hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// If the file and its seals allow it.
    IfAllowed,
    /// It must be possible.
    Needed,
}

impl FrozenMemfd {
    /// Page `index`, ready to be mapped, writable if `want` is `Write`. The
    /// caller sees to it that a [`Hold`] stays until the page is no longer
    /// mapped, one that may write if it is mapped writable. May sleep and do
    /// I/O; charged to the memory cgroup.
    ///
    /// A page to be written is marked dirty here: a clean one that reads zero
    /// would be dropped by reclaim. Nothing cleans it as long as it is
    /// referenced or mapped.
    pub(crate) fn page(&self, index: u64, want: Want) -> Result<PageRef, ReadError> {
        let page = self.file.shmem_page(index)?;
        if let Want::Write = want {
            page.mark_dirty();
            self.file.update_time();
        }
        Ok(page)
    }

    /// As [`page`](Self::page), for a caller that holds nothing, under RCU: a page
    /// that is in the cache, and that nobody is busy with. Before it is mapped, with
    /// a [`Hold`], the caller checks that it [still is](HeldFile::has_page), and
    /// marks it dirty if it is to be written. Does not sleep.
    ///
    /// It has been got with the folio locked, so that from then on the reference
    /// keeps it in the cache, but for truncation.
    pub(crate) fn cached_page(&self, index: u64) -> Option<PageRef> {
        self.file.try_locked_page(index)
    }

    /// Whether the times of the file are those of a change that is made now: else
    /// [`page`](Self::page) has to note them, in a line that is shared by all who
    /// write to the file.
    pub(crate) fn times_are_current(&self) -> bool {
        self.file.times_are_current()
    }

    /// Adds a hold on the memfd that `file` is open on, which is frozen if it is
    /// not yet. `EBUSY` if it is, but not by this module; `ENOMEM`.
    fn hold(inode: &LockedInode<'_>, file: &Memfd) -> Result<Arc<Self>> {
        let key = file.inode() as usize;
        if let Some(memfd) = FROZEN.lock().as_ref().and_then(|table| table.get(&key)) {
            memfd.holds.add(1, Relaxed);
            return Ok(memfd.clone());
        }
        if inode.is_frozen() {
            return Err(EBUSY);
        }
        // INVARIANT: The inode is locked, and frozen before it is unlocked.
        let memfd = Arc::pin_init(
            pin_init!(Self {
                file: file.clone(),
                holds: Atomic::new(1),
                tries: Atomic::new(0),
                thaw <- new_delayed_work!("FrozenMemfd::thaw"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let node = RBTreeNode::new(key, memfd.clone(), GFP_KERNEL_ACCOUNT)?;
        FROZEN.lock().get_or_insert_with(Table::new).insert(node);
        inode.freeze(true);
        Ok(memfd)
    }

    /// Adds a hold, unless there is none. A hold that is there keeps the memfd
    /// frozen, so no lock is needed.
    fn hold_if_held(&self) -> bool {
        let mut holds = self.holds.load(Relaxed);
        while holds != 0 {
            // Relaxed: as for any reference that is copied.
            match self.holds.cmpxchg(holds, holds + 1, Relaxed) {
                Ok(_) => return true,
                Err(now) => holds = now,
            }
        }
        false
    }

    /// Whether that was the last hold.
    fn unhold(&self) -> bool {
        // Full, as for any reference that is given up: all that was done with
        // it comes before the thaw.
        self.holds.fetch_sub(1, Full) == 1
    }

    /// Thaws the memfd, if nobody holds it any more.
    fn thaw_if_unheld(&self, inode: &LockedInode<'_>) {
        // It cannot rise from zero: the inode is locked.
        if self.holds.load(Relaxed) != 0 {
            return;
        }
        let key = self.file.inode() as usize;
        let mut frozen = FROZEN.lock();
        let Some(table) = frozen.as_mut() else { return };
        // Another may have thawed it, and a third have frozen it anew.
        let is_there = |there: &Arc<Self>| core::ptr::eq(&**there, self);
        if table.get(&key).is_some_and(is_there) {
            inode.freeze(false);
            let node = table.remove_node(&key);
            drop(frozen);
            drop(node);
        }
    }

    /// Thaws it soon, from a task of its own. Until then the module cannot be
    /// unloaded, unless that has begun: then [`Thaw::drop`] waits.
    fn thaw_later(self: Arc<Self>, delay_ms: u32) {
        let queue = QUEUE.load(Relaxed);
        PENDING.add(1, Relaxed);
        let module = ModulePin::new();
        // SAFETY: There is a hold or a work of it, so `Thaw` is there, and with it the queue.
        let queue = unsafe { Queue::from_raw(queue) };
        match queue.enqueue_delayed(self, msecs_to_jiffies(delay_ms)) {
            // The work takes it over.
            Ok(()) => core::mem::forget(module),
            // It is queued already; when it runs it will see what we did.
            Err(_) => {
                PENDING.fetch_sub(1, Relaxed);
            }
        }
    }
}

impl WorkItem for FrozenMemfd {
    type Pointer = Arc<Self>;

    /// Never waits for the inode's lock: whoever can keep it taken for long
    /// could hold up the works of others.
    fn run(this: Arc<Self>) {
        let was_locked = LockedInode::try_lock(&this.file)
            .map(|inode| this.thaw_if_unheld(&inode))
            .is_some();
        let tries = this.tries.load(Relaxed).min(MAX_BACKOFF);
        this.tries
            .store(if was_locked { 0 } else { tries + 1 }, Relaxed);
        if !was_locked && !GIVEN_UP.load(Relaxed) {
            this.thaw_later(1 << tries);
        }
        // Relaxed: who sees that drains the queue, which waits for this to end.
        PENDING.fetch_sub(1, Relaxed);
        // SAFETY: Who has queued this work has left it a pin.
        drop(unsafe { ModulePin::taken_over() });
    }
}

impl Hold {
    /// Holds the memfd that `file` is open on.
    ///
    /// `EACCES` if `writing` is needed and `file` not open for it, `EPERM` if
    /// it is needed and the memfd sealed against it, `EBUSY` if somebody else
    /// has frozen it, `ENODEV` if it is no memfd, `ENOMEM`, `EINTR`. May sleep,
    /// for as long as others have the inode locked; the caller holds nothing
    /// that a fault takes.
    pub(crate) fn new(file: HeldFile, writing: Writing) -> Result<Self> {
        let file = Memfd::new(file)?;
        let inode = LockedInode::lock_killable(&file)?;
        let may_write = may_write(&inode, &file, writing)?;
        let memfd = FrozenMemfd::hold(&inode, &file)?;
        // INVARIANT: Just counted; and not yet to be written.
        let mut hold = Self {
            memfd,
            file: file.clone(),
            may_write: false,
            holds: AtomicFlag::new(true),
        };
        if may_write {
            hold.map_writable()?;
            // INVARIANT: Just called.
            hold.may_write = true;
        }
        Ok(hold)
    }

    /// The memfd, without another hold on it.
    pub(crate) fn memfd(&self) -> &Arc<FrozenMemfd> {
        &self.memfd
    }

    /// The file it was made with.
    pub(crate) fn file(&self) -> &HeldFile {
        &self.file
    }

    /// Whether pages may be written through this hold.
    pub(crate) fn may_write(&self) -> bool {
        self.may_write
    }

    /// What tells whether another is alike, but holds nothing.
    pub(crate) fn without_hold(&self) -> Self {
        // INVARIANT: `holds` is not set.
        Self {
            memfd: self.memfd.clone(),
            file: self.file.clone(),
            may_write: self.may_write,
            holds: AtomicFlag::new(false),
        }
    }

    /// Whether both are of the same open file, with the same rights.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.file.is_same_open(&other.file) && self.may_write == other.may_write
    }

    /// Gives the hold up, in any context. Returns the memfd if that was the last.
    ///
    /// Others may still look at the hold, to no use, until it is dropped.
    pub(crate) fn give_up(&self) -> Option<Unheld> {
        // Relaxed: only who gives it up matters here.
        if !self.holds.xchg(false, Relaxed) {
            return None;
        }
        if self.may_write {
            // SAFETY: By the type invariants `mapping_map_writable()` was called.
            unsafe { bindings::faultline_mapping_unmap_writable(self.file.inode()) };
        }
        self.memfd
            .unhold()
            .then(|| Unheld(Some(self.memfd.clone())))
    }

    /// `EPERM` if the memfd is sealed.
    fn map_writable(&self) -> Result {
        // SAFETY: The file keeps its inode.
        to_result(unsafe { bindings::faultline_mapping_map_writable(self.file.inode()) })
    }
}

/// Whether pages may be written. The caller has the inode locked, so no seal is
/// added meanwhile.
fn may_write(inode: &LockedInode<'_>, file: &Memfd, writing: Writing) -> Result<bool> {
    let is_open = file.is_open_for(Want::Write);
    let is_sealed = inode.seals() & (c::F_SEAL_WRITE | c::F_SEAL_FUTURE_WRITE) != 0;
    match writing {
        Writing::Needed if !is_open => Err(EACCES),
        Writing::Needed if is_sealed => Err(EPERM),
        _ => Ok(is_open && !is_sealed),
    }
}

impl Clone for Hold {
    /// A hold of its own. The caller knows that `self` is not given up meanwhile.
    fn clone(&self) -> Self {
        let holds = self.holds.load(Relaxed) && self.memfd.hold_if_held();
        kernel::warn_on!(!holds);
        // INVARIANT: Just counted, and called.
        Self {
            memfd: self.memfd.clone(),
            file: self.file.clone(),
            // It cannot fail as long as `self` holds.
            may_write: self.may_write && holds && self.map_writable().is_ok(),
            holds: AtomicFlag::new(holds),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.give_up());
    }
}

/// A memfd that nobody held any more when the last hold was given up.
///
/// May be dropped in any context; then it is thawed a moment later.
pub(crate) struct Unheld(Option<Arc<FrozenMemfd>>);

impl Unheld {
    /// Thaws it, unless it is held again: when this returns, or a moment later
    /// if a fatal signal ends the wait for its inode. May sleep, as [`Hold::new`];
    /// the caller holds nothing that a fault takes.
    pub(crate) fn thaw(mut self) {
        let Some(memfd) = self.0.take() else { return };
        let locked = LockedInode::lock_killable(&memfd.file);
        match locked {
            Ok(inode) => memfd.thaw_if_unheld(&inode),
            Err(_) => self.0 = Some(memfd.clone()),
        }
    }
}

impl Drop for Unheld {
    fn drop(&mut self) {
        if let Some(memfd) = self.0.take() {
            memfd.thaw_later(0);
        }
    }
}

/// log2 of the longest time in milliseconds between two tries to thaw a memfd.
const MAX_BACKOFF: u32 = 10;

/// The queue of [`Thaw`].
static QUEUE: Atomic<*mut c::workqueue_struct> = Atomic::new(core::ptr::null_mut());
/// Works that are queued or run.
static PENDING: Atomic<usize> = Atomic::new(0);
static STARTED: AtomicFlag = AtomicFlag::new(false);
/// Works are not queued again: see [`Thaw::drop`].
static GIVEN_UP: AtomicFlag = AtomicFlag::new(false);
/// How long the unloading of the module waits for the locks of inodes, in milliseconds.
const UNLOAD_PATIENCE: u32 = 10_000;

/// What thaws memfds, for the life of the module: made before the first
/// [`Hold`], and dropped when no more can be dropped, so after `rcu_barrier()`
/// if they are parts of objects that RCU frees.
///
/// # Invariants
///
/// `queue` is a work queue, which only this object destroys; [`QUEUE`] is the same.
pub(crate) struct Thaw {
    queue: *mut c::workqueue_struct,
}

// SAFETY: Work queues are not tied to a task.
unsafe impl Send for Thaw {}
// SAFETY: It has no methods.
unsafe impl Sync for Thaw {}

impl Thaw {
    /// `EBUSY` the second time, `ENOMEM`. May sleep.
    pub(crate) fn new() -> Result<Self> {
        if STARTED.xchg(true, Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: By the above this is done once.
        unsafe { FROZEN.init() };
        // SAFETY: No requirements.
        let queue = unsafe { bindings::faultline_alloc_workqueue() };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // Relaxed: whoever makes a `Hold` was let in behind this.
        QUEUE.store(queue, Relaxed);
        // INVARIANT: Just made.
        Ok(Self { queue })
    }
}

impl Drop for Thaw {
    fn drop(&mut self) {
        // Works pin the module, so these were queued when its unloading had
        // begun. One waits in a timer while somebody has its inode locked, who
        // may have it for ever: then the memfd stays as it is.
        let mut waited = 0;
        while PENDING.load(Relaxed) != 0 {
            fsleep(Delta::from_millis(1));
            waited += 1;
            if waited == UNLOAD_PATIENCE {
                pr_err!("an inode stays locked; its memfd is left frozen\n");
                // Relaxed: the next work that runs, or the one after it, sees it.
                GIVEN_UP.store(true, Relaxed);
            }
        }
        // SAFETY: By the type invariants. Waits for works that are about to end.
        unsafe { c::destroy_workqueue(self.queue) };
        let left = FROZEN.lock().take();
        let is_thawed = left.is_none_or(|table| table.is_empty());
        if !is_thawed && !GIVEN_UP.load(Relaxed) {
            pr_err!("BUG: memfds left frozen\n");
        }
    }
}
