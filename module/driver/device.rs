// SPDX-License-Identifier: GPL-2.0-only

//! The character device: each open is a space.

use kernel::{
    fs::{file::flags, File},
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{Arc, ArcBorrow},
};

use super::{ioctl, registry, space::Space, stats::Counter, window};

/// `/dev/faultline`.
pub(crate) struct Device;

#[vtable]
impl MiscDevice for Device {
    type Ptr = Arc<Space>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Space>> {
        let space = Space::new()?;
        registry::enter(&space)?;
        // SAFETY: The file is being opened. It owns the reference to the space that is returned
        // here, and gives it up in its release.
        unsafe { space.inode.adopt(file) };
        Ok(space)
    }

    /// No file and no window is left, as each window has a reference to the file.
    fn release(space: Arc<Space>, _file: &File) {
        registry::leave(&space);
    }

    fn mmap(space: ArcBorrow<'_, Space>, file: &File, vma: &VmaNew) -> Result {
        if !is_read_write(file) {
            return Err(EACCES);
        }
        window::map(space, vma)
    }

    fn ioctl(space: ArcBorrow<'_, Space>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        ioctl::dispatch(&space, cmd, arg, is_read_write(file))
    }

    fn show_fdinfo(space: ArcBorrow<'_, Space>, m: &SeqFile, _file: &File) {
        let sums = space.stats.sums();
        seq_print!(m, "faultline-policy:\t{}\n", space.lock.policy().name());
        seq_print!(m, "faultline-regions:\t{}\n", space.regions.len());
        seq_print!(m, "faultline-max-regions:\t{}\n", space.regions.limit());
        seq_print!(m, "faultline-pages:\t{}\n", space.held.get());
        seq_print!(m, "faultline-max-pages:\t{}\n", space.held.limit());
        seq_print!(m, "faultline-faults:\t{}\n", sums.get(Counter::Faults));
        #[cfg(faultline_test_hooks)]
        space.show_hashes(m);
    }
}

fn is_read_write(file: &File) -> bool {
    file.flags() & flags::O_ACCMODE == flags::O_RDWR
}
