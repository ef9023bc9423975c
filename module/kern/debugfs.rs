// SPDX-License-Identifier: GPL-2.0-only

//! Files in debugfs that are read record by record.
//!
//! C headers: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)
//!
//! `kernel::debugfs` gives its files no owner, so that one that is open while its
//! module goes is closed by code that is not there any more; and it has each file
//! in one piece, which all of it has to fit into a buffer for.
//!
//! # Who may race
//!
//! - *An open file and the end of the module.* The owner of [`Files::OPERATIONS`] is
//!   the module: debugfs takes a reference to it before it calls `open`, and gives it
//!   up behind `release`. Who opens a file of a module that is going gets `ENXIO`. (A
//!   module whose init fails goes whatever its references. So nothing that can fail
//!   comes behind [`Dir::new`].)
//! - *A read and the removal of the directory.* debugfs calls `open`, `read` and
//!   `llseek` only of a file that is not removed, and a removal waits for such calls. So
//!   they may use the directory's data, which is dropped behind that. `release` is
//!   called in any case, and uses nothing but what is the open file's own.
//! - *Two reads of one open file.* seq_file has a mutex for each open file, and holds it
//!   from before `start` until behind `stop`. What is a reader's own needs no lock.
//!
//! That mutex is also held while seq_file copies to user memory, behind `stop`; so none
//! of what a fault takes may be held by who takes it, nor is: only reads do.

use core::{
    ffi::{c_int, c_void},
    marker::PhantomData,
    ptr,
};

use kernel::{
    bindings as c, fmt, module::this_module, prelude::*, seq_file::SeqFile, seq_print, str::CStr,
    sync::Arc,
};

use super::bindings;

/// Who may read a file: root.
const MODE: c::umode_t = 0o400;

/// What a file shows: a sequence of records, each of which is shown in one piece.
///
/// Nothing is kept between two records but a place, so a file may be as long as it
/// likes, and what it shows may change while it is read.
pub(crate) trait Records: 'static {
    /// What the directory has.
    type Data: Send + Sync + 'static;
    /// Where a reader is; by default, at the beginning.
    type Place: Default + Send;
    /// What is there.
    type Record: Send;

    /// The record at `place` or behind it, and the place behind that. Asked anew if the
    /// record did not fit, or where a read goes on. May sleep.
    fn next(data: &Self::Data, place: &Self::Place) -> Option<(Self::Place, Self::Record)>;

    /// Shows a record. May sleep.
    fn show(data: &Self::Data, record: &Self::Record, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// What a short file shows, in one piece.
pub(crate) trait Text: 'static {
    /// What the directory has.
    type Data: Send + Sync + 'static;

    /// Shows it all. May sleep.
    fn show(data: &Self::Data, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A [`Text`] as the only record.
struct Whole<T>(PhantomData<T>);

impl<T: Text> Records for Whole<T> {
    type Data = T::Data;
    /// Whether it is shown.
    type Place = bool;
    type Record = ();

    fn next(_: &T::Data, is_shown: &bool) -> Option<(bool, ())> {
        (!is_shown).then_some((true, ()))
    }

    fn show(data: &T::Data, (): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::show(data, f)
    }
}

/// A directory with files that show `data`; removed, with all its files, when dropped.
///
/// # Invariants
///
/// `dentry` is a directory of debugfs that only this object removes, or an error. The
/// files in it have a pointer to `data`.
pub(crate) struct Dir<D: Send + Sync + 'static> {
    dentry: *mut c::dentry,
    data: Arc<D>,
}

// SAFETY: A directory is not tied to a task, and `data` may be sent.
unsafe impl<D: Send + Sync> Send for Dir<D> {}
// SAFETY: debugfs has locks of its own, and `data` may be shared.
unsafe impl<D: Send + Sync> Sync for Dir<D> {}

impl<D: Send + Sync + 'static> Dir<D> {
    /// An empty directory at the top of debugfs. As usual there, nobody is told if it
    /// could not be made: then there are no files. Nothing that can fail comes behind it in
    /// the init of a module. May sleep.
    pub(crate) fn new(name: &CStr, data: Arc<D>) -> Self {
        // SAFETY: The name is a string, which is copied.
        let dentry = unsafe { bindings::faultline_debugfs_dir(name.as_char_ptr()) };
        // INVARIANT: Just made, without files.
        Self { dentry, data }
    }

    /// Adds a file of records. May sleep.
    pub(crate) fn add_records<R: Records<Data = D>>(&self, name: &CStr) {
        let data = ptr::from_ref(&*self.data).cast_mut().cast();
        // SAFETY: The name is a string, which is copied; the operations are static, and for
        // files with a pointer to an `R::Data`, which is valid until the directory is removed.
        unsafe {
            bindings::faultline_debugfs_file(
                name.as_char_ptr(),
                MODE,
                self.dentry,
                data,
                Files::<R>::OPERATIONS,
            )
        }
    }

    /// Adds a file in one piece. May sleep.
    pub(crate) fn add_text<T: Text<Data = D>>(&self, name: &CStr) {
        self.add_records::<Whole<T>>(name);
    }
}

impl<D: Send + Sync + 'static> Drop for Dir<D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Behind it nobody uses `data` but this object.
        unsafe { bindings::faultline_debugfs_remove(self.dentry) }
    }
}

/// Who reads an open file.
struct Reader<R: Records> {
    /// The directory's, to be used during calls that its removal waits for.
    data: *const R::Data,
    /// Where `found` was looked for.
    place: R::Place,
    /// The record, and the place behind it. Only between `start` and `stop`.
    found: Option<(R::Place, R::Record)>,
}

impl<R: Records> Reader<R> {
    /// Looks for a record. Returns what stands for it in C.
    ///
    /// # Safety
    ///
    /// `data` is valid: the directory is not removed meanwhile.
    unsafe fn look(&mut self) -> *mut c_void {
        // SAFETY: By the safety requirements.
        self.found = R::next(unsafe { &*self.data }, &self.place);
        match self.found {
            Some(_) => ptr::from_mut(self).cast(),
            None => ptr::null_mut(),
        }
    }
}

/// A record as it is shown.
struct Shown<'a, R: Records>(&'a R::Data, &'a R::Record);

impl<R: Records> fmt::Display for Shown<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        R::show(self.0, self.1, f)
    }
}

/// The operations of files that show an `R`.
///
/// seq_file counts records, from 0 at the beginning of the file, and begins there anew
/// when somebody seeks; it never goes back otherwise. So the number says no more than
/// whether to begin, and the place says where to go on.
struct Files<R>(PhantomData<R>);

impl<R: Records> Files<R> {
    const OPERATIONS: &'static c::file_operations = &c::file_operations {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        open: Some(Self::open),
        read: Some(c::seq_read),
        llseek: Some(c::seq_lseek),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    const RECORDS: &'static c::seq_operations = &c::seq_operations {
        start: Some(Self::start),
        stop: Some(Self::stop),
        next: Some(Self::next),
        show: Some(Self::show),
    };

    /// # Safety
    ///
    /// `file` is being opened, and `inode` was made by [`Dir::add_records`] for `R`.
    unsafe extern "C" fn open(inode: *mut c::inode, file: *mut c::file) -> c_int {
        let reader = Reader::<R> {
            // SAFETY: By the safety requirements.
            data: unsafe { (*inode).i_private }.cast_const().cast(),
            place: R::Place::default(),
            found: None,
        };
        let Ok(reader) = KBox::new(reader, GFP_KERNEL) else {
            return ENOMEM.to_errno();
        };
        // SAFETY: By the safety requirements; the operations are static.
        let error = unsafe { c::seq_open(file, Self::RECORDS) };
        if error == 0 {
            // SAFETY: `seq_open()` has put a seq_file there.
            let seq = unsafe { (*file).private_data }.cast::<c::seq_file>();
            // SAFETY: As above; nobody else can use it yet.
            unsafe { (*seq).private = KBox::into_raw(reader).cast() };
        }
        error
    }

    /// # Safety
    ///
    /// The last use of a file that `open` has opened.
    unsafe extern "C" fn release(inode: *mut c::inode, file: *mut c::file) -> c_int {
        // SAFETY: `open` has put a seq_file there.
        let seq = unsafe { (*file).private_data }.cast::<c::seq_file>();
        // SAFETY: As above.
        let reader = unsafe { (*seq).private }.cast::<Reader<R>>();
        // SAFETY: `open` has put it there, and it is taken back once. It does not use its data.
        drop(unsafe { KBox::from_raw(reader) });
        // SAFETY: By the safety requirements.
        unsafe { c::seq_release(inode, file) }
    }

    /// # Safety
    ///
    /// `seq` is that of a file that `open` has opened, and its lock is held.
    unsafe fn reader<'a>(seq: *mut c::seq_file) -> &'a mut Reader<R> {
        // SAFETY: `open` has put it there, and by the lock nobody else uses it.
        unsafe { &mut *(*seq).private.cast() }
    }

    /// # Safety
    ///
    /// As for `reader`, and the directory is not removed meanwhile; `number` is valid.
    unsafe extern "C" fn start(seq: *mut c::seq_file, number: *mut c::loff_t) -> *mut c_void {
        // SAFETY: By the safety requirements.
        let reader = unsafe { Self::reader(seq) };
        // SAFETY: By the safety requirements.
        if unsafe { *number } == 0 {
            reader.place = R::Place::default();
        }
        // SAFETY: By the safety requirements.
        unsafe { reader.look() }
    }

    /// # Safety
    ///
    /// As for `start`.
    unsafe extern "C" fn next(
        seq: *mut c::seq_file,
        _record: *mut c_void,
        number: *mut c::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the safety requirements.
        let reader = unsafe { Self::reader(seq) };
        // SAFETY: By the safety requirements.
        unsafe { *number += 1 };
        if let Some((behind, _)) = reader.found.take() {
            reader.place = behind;
        }
        // SAFETY: By the safety requirements.
        unsafe { reader.look() }
    }

    /// # Safety
    ///
    /// As for `reader`.
    unsafe extern "C" fn stop(seq: *mut c::seq_file, _record: *mut c_void) {
        // SAFETY: By the safety requirements.
        unsafe { Self::reader(seq) }.found = None;
    }

    /// # Safety
    ///
    /// As for `start`.
    unsafe extern "C" fn show(seq: *mut c::seq_file, _record: *mut c_void) -> c_int {
        // SAFETY: By the safety requirements.
        let reader = unsafe { Self::reader(seq) };
        if let Some((_, record)) = &reader.found {
            // SAFETY: By the safety requirements.
            let data = unsafe { &*reader.data };
            // SAFETY: It is valid, and its lock is held.
            let seq = unsafe { SeqFile::from_raw(seq) };
            seq_print!(seq, "{}", Shown::<R>(data, record));
        }
        0
    }
}
