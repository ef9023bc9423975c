// SPDX-License-Identifier: GPL-2.0-only

//! Hashes of what faults of all leaves share, by which tests see whether one of them
//! has written to it (C10). Only in the build with `--cfg faultline_test_hooks`.
//!
//! And where the space is, so that they can watch its words.
//!
//! What a fault may write to is not in there: leaves, pages, and what each CPU has
//! of its own.

use kernel::{prelude::*, seq_file::SeqFile, seq_print};

use super::space::Space;
use crate::kern::bytes;

impl Space {
    /// Writes a line for each. May sleep.
    pub(super) fn show_hashes(&self, m: &SeqFile) {
        // First, as the look at the regions takes the lock of their tree.
        let space = bytes::hash(self, 0);
        let lock = self.lock.hash();
        let regions = self.regions.hash();
        let at = core::ptr::from_ref(self) as usize;
        seq_print!(m, "faultline-space-at:\t{at:x} {}\n", size_of::<Space>());
        seq_print!(m, "faultline-hash-space:\t{space:08x}\n");
        seq_print!(m, "faultline-hash-lock:\t{lock:08x}\n");
        seq_print!(m, "faultline-hash-regions:\t{regions:08x}\n");
    }
}
