// SPDX-License-Identifier: GPL-2.0-only

//! What a model says when it fails.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::{cell::Cell, sync::Once};

use faultline_portable_loom::{
    bug::Bug,
    sync::{bust, load_latest},
};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A model that catches a bug.
pub(crate) struct Catcher {
    model: fn(),
    /// Part of what it says then.
    text: &'static str,
}

impl From<fn()> for Catcher {
    fn from(model: fn()) -> Self {
        Self { model, text: "" }
    }
}

impl From<(fn(), &'static str)> for Catcher {
    fn from((model, text): (fn(), &'static str)) -> Self {
        Self { model, text }
    }
}

/// Every one of `bugs` must make its model fail.
pub(crate) fn all_are_caught<C: Into<Catcher>>(bugs: &[Bug], model_of: fn(Bug) -> C) {
    let mut missed = Vec::new();
    for &bug in bugs {
        let Catcher { model, text } = model_of(bug).into();
        bust(Some(bug));
        let said = failure(model);
        bust(None);
        match said {
            Some(said) if said.contains(text) => {
                println!("{bug:?}: {}", said.lines().next().unwrap_or_default());
            }
            other => missed.push((bug, other)),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// What a model says that fails, if it does. Nothing is printed.
fn failure(model: fn()) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(model);
    QUIET.set(false);
    load_latest(false);
    result
        .err()
        .map(|payload| match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => (*payload.downcast_ref::<&str>().unwrap_or(&"?")).to_owned(),
        })
}
