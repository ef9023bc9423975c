// SPDX-License-Identifier: GPL-2.0-only

//! Windows: areas of user memory that show part of a space.

use kernel::{
    mm::virt::{flags, VmaNew},
    prelude::*,
    sync::{Arc, ArcBorrow},
};

use super::space::{Space, SPACE_PAGES};
use crate::{
    kern::vm_ops,
    portable::interval::{Interval, PAGE_SHIFT},
};

/// Sets up a window on `space`.
///
/// `EINVAL` unless it is `MAP_SHARED` and inside the space, `EPERM` with
/// `PROT_EXEC`. The caller has checked that the file is open for reading and
/// writing.
pub(crate) fn map(space: ArcBorrow<'_, Space>, vma: &VmaNew) -> Result {
    if vma.flags() & flags::SHARED == 0 {
        return Err(EINVAL);
    }
    let first = vm_ops::pgoff(vma) as u64;
    let pages = ((vma.end() - vma.start()) >> PAGE_SHIFT) as u64;
    let inside = first
        .checked_add(pages)
        .and_then(|end| Interval::new(first, end))
        .is_some_and(|window| window.end() <= SPACE_PAGES);
    if !inside {
        return Err(EINVAL);
    }
    vma.try_clear_mayexec().map_err(|_| EPERM)?;
    vma.set_dontexpand();
    vm_ops::install(vma, Arc::from(space));
    Ok(())
}
