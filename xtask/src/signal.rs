// SPDX-License-Identifier: GPL-2.0-only
//! SIGINT and SIGTERM set a flag; every loop that waits looks at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::Coded;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Installs the handlers. Called once, before anything is started.
pub(crate) fn install() -> Result<()> {
    let flag = STOP.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("installing handlers")?;
    }
    Ok(())
}

/// Fails once a signal has come in.
pub(crate) fn check() -> Result<()> {
    // Relaxed: the flag carries no data, and a later look sees it.
    match STOP.get().is_some_and(|f| f.load(Ordering::Relaxed)) {
        true => Err(Coded::interrupted()),
        false => Ok(()),
    }
}
