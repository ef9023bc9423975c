// SPDX-License-Identifier: GPL-2.0-only

//! faultline: a private, VMA-like region manager behind a character device.
//!
//! Three rooms, each of which knows only those before it:
//! `portable` (algorithms, which know nothing of the kernel), `kern` (safe
//! abstractions over kernel facilities, and nearly all `unsafe`) and `driver`.

#![recursion_limit = "256"]

mod driver;
mod kern;
pub mod portable;

use kernel::{
    c_str,
    miscdevice::{MiscDeviceOptions, MiscDeviceRegistration},
    prelude::*,
    sync::{rcu, Arc},
};

use driver::{device::Device, live, policy::Policy, registry, space::TOTAL_PAGES, view};
use kern::{debugfs::Dir, frozen::Thaw, param};

module! {
    type: Faultline,
    name: "faultline",
    authors: ["The faultline developers"],
    description: "VMA-like region manager with a speculative fault handler",
    license: "GPL",
}

/// What the loaded module holds.
#[pin_data(PinnedDrop)]
struct Faultline {
    #[pin]
    device: MiscDeviceRegistration<Device>,
    _debugfs: Dir<()>,
    thaw: Thaw,
}

impl kernel::InPlaceModule for Faultline {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let policy = Policy::of_new_spaces().inspect_err(|_| {
            pr_err!("no such policy; see the parameter policy\n");
        });
        pin_init::pin_init_scope(move || {
            policy?;
            TOTAL_PAGES.init(param::total_pages());
            registry::init();
            let shown = Arc::new((), GFP_KERNEL)?;
            Ok(try_pin_init!(Self {
                thaw: Thaw::new()?,
                // From here on spaces can be opened.
                device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                    name: c_str!("faultline"),
                }),
                // Last: an open file in debugfs keeps no module whose init fails.
                _debugfs: view::show(shown),
            }))
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Faultline {
    fn drop(self: Pin<&mut Self>) {
        // No file and no window is left, but their objects may still wait for
        // a grace period, and their destructors are in this module.
        rcu::rcu_barrier();
        live::check_none();
        // Behind the barrier no destructor queues a memfd to be thawed; what is
        // queued is waited for when `thaw` is dropped.
    }
}
