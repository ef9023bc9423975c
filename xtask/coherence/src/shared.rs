// SPDX-License-Identifier: GPL-2.0-only
//! What is kept of lines that more than one processor has accessed: which
//! instructions did, and whether they meet in the same bytes.

use crate::line::{Bytes, LINE};
use crate::table::Site;

/// Instructions of one line that are told apart.
const SITES: usize = 64;
/// A byte that several processors have accessed.
const SEVERAL: u8 = u8::MAX;

/// A line that is not one processor's only.
#[derive(Clone, Debug)]
pub struct Shared {
    /// An address at which it was accessed: the kernel's, if there was one.
    pub address: u64,
    /// The instructions.
    pub sites: Vec<Site>,
    /// Accesses of further ones.
    pub others: Site,
    /// Who has accessed each byte: nobody, the processor of this number less one, or
    /// [`SEVERAL`].
    who: [u8; LINE as usize],
}

impl Shared {
    /// One that had accessed `bytes`, with these instructions.
    pub fn new(cpu: u32, bytes: Bytes, address: u64, early: &[Site], others: Site) -> Shared {
        let mut shared = Shared {
            address,
            sites: early
                .iter()
                .filter(|site| site.code != 0)
                .copied()
                .collect(),
            others,
            who: [0; LINE as usize],
        };
        shared.mark(cpu, bytes);
        shared
    }

    /// Notes an access.
    pub fn access(&mut self, cpu: u32, code: u64, bytes: Bytes, address: u64) -> &mut Site {
        self.mark(cpu, bytes);
        if is_kernel(address) && !is_kernel(self.address) {
            self.address = address;
        }
        if let Some(at) = self.sites.iter().position(|site| site.code == code) {
            return &mut self.sites[at];
        }
        if self.sites.len() < SITES {
            self.sites.push(Site {
                code,
                ..Site::default()
            });
            return self.sites.last_mut().expect("just pushed");
        }
        &mut self.others
    }

    /// Bytes that several processors have accessed. If one of them was written, they
    /// truly share; if not, they only happen to lie in one line.
    pub fn common(&self) -> Bytes {
        (0..LINE)
            .filter(|&byte| self.who[byte as usize] == SEVERAL)
            .fold(0, |bytes, byte| bytes | 1 << byte)
    }

    fn mark(&mut self, cpu: u32, bytes: Bytes) {
        let me = cpu as u8 + 1;
        for (byte, who) in self.who.iter_mut().enumerate() {
            if bytes & 1 << byte != 0 {
                *who = match *who {
                    0 => me,
                    known if known == me => me,
                    _ => SEVERAL,
                };
            }
        }
    }
}

/// Whether an address is in the kernel's half.
pub fn is_kernel(address: u64) -> bool {
    address >> 63 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_bytes_are_not_common() {
        let mut shared = Shared::new(0, 0x0f, 0x1000, &[], Site::default());
        shared.access(1, 7, 0xf0, 0x1000);
        assert_eq!(shared.common(), 0);
        shared.access(1, 7, 0x18, 0x1000);
        assert_eq!(shared.common(), 0x08);
    }

    #[test]
    fn an_instruction_has_one_site_and_the_rest_is_counted_together() {
        let mut shared = Shared::new(0, 1, 0x1000, &[Site::default()], Site::default());
        for code in 1..=SITES as u64 + 5 {
            shared.access(1, code, 1, 0x1000).writes += 1;
            shared.access(1, code, 1, 0x1000).writes += 1;
        }
        assert_eq!(shared.sites.len(), SITES);
        assert!(shared.sites.iter().all(|site| site.writes == 2));
        assert_eq!(shared.others.writes, 10);
    }

    #[test]
    fn the_kernels_address_is_kept() {
        let mut shared = Shared::new(0, 1, 0x7000, &[], Site::default());
        shared.access(1, 1, 1, 0xffff_8880_0000_7000);
        shared.access(1, 1, 1, 0x7000);
        assert_eq!(shared.address, 0xffff_8880_0000_7000);
    }
}
