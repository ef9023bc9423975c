// SPDX-License-Identifier: GPL-2.0-only

//! faultline_torture: torture of faultline's range lock, as it is in the kernel.
//!
//! Twin of `faultline_main.rs` on the same `portable` and `kern`.

mod kern {
    //! Of the kernel abstractions, what this takes.

    pub(crate) mod bindings;
    #[allow(dead_code)] // The driver uses the rest.
    pub(crate) mod debugfs;
    #[allow(dead_code)]
    pub(crate) mod extent;
    pub(crate) mod kthread;
    mod lockdep;
    #[allow(dead_code)] // The driver uses the rest.
    pub(crate) mod range_lock;
    pub(crate) mod sync;
    pub(crate) mod torture_param;
    pub(crate) mod trace;
}
pub mod portable;
mod torture;

use kernel::{c_str, prelude::*, sync::Arc};

use kern::{debugfs::Dir, kthread::Kthread};
use torture::control::Control;

module! {
    type: Torture,
    name: "faultline_torture",
    authors: ["The faultline developers"],
    description: "Torture of faultline's range lock",
    license: "GPL",
}

/// What the loaded module holds.
#[pin_data(PinnedDrop)]
struct Torture {
    /// Until it is dropped, files show what the control has.
    _debugfs: Dir<Control>,
    control: Arc<Control>,
    /// `None` when it is to stop.
    thread: Option<Kthread<Control>>,
}

impl kernel::InPlaceModule for Torture {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let control = Control::start()?;
            Ok(try_pin_init!(Self {
                thread: Some(Kthread::run(control.clone(), c_str!("torture_control"))?),
                // Last but what cannot fail: an open file keeps no module whose init fails.
                _debugfs: {
                    let dir = Dir::new(c_str!("faultline_torture"), control.clone());
                    dir.add_text::<Control>(c_str!("result"));
                    dir
                },
                control,
            }))
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Torture {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        // It is told to stop before it has begun, perhaps, and then ends nothing.
        *this.thread = None;
        this.control.end();
    }
}
