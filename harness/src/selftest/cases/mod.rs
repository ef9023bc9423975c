// SPDX-License-Identifier: GPL-2.0-only
//! The tests, by subject.

mod cgroup;
mod concurrency;
mod fault;
mod gup;
mod lifetime;
mod limits;
mod map;
mod model;
mod open;
mod policy;
mod query;
mod races;
mod self_argument;
mod share;
mod signal;
mod size;
mod tracing;
mod transfer;
mod uapi;
mod unload;
mod unmap;
mod vma_lock;
mod window;
mod window_access;
mod window_advice;
mod window_remap;

use super::runner::Test;

/// Every test, in the order in which they run.
pub(super) fn all() -> impl Iterator<Item = Test> {
    let groups: [&[&[Test]]; 26] = [
        &[uapi::TESTS],
        &[open::TESTS],
        &[size::TESTS],
        &[query::TESTS],
        &[map::TESTS],
        &[unmap::TESTS],
        &[model::TESTS],
        &[fault::TESTS],
        &[vma_lock::TESTS],
        &[window::TESTS],
        &[window_access::TESTS],
        &[window_advice::TESTS],
        &[window_remap::TESTS],
        &[share::TESTS],
        &[gup::TESTS],
        &[transfer::TESTS],
        &[limits::TESTS, limits::WITH_PARAMETERS],
        &[cgroup::TESTS],
        &[self_argument::TESTS],
        &[signal::TESTS, signal::WITH_HOOKS],
        &[policy::TESTS, policy::WITH_HOOKS, policy::WITH_PARAMETERS],
        &[tracing::TESTS],
        &[lifetime::TESTS],
        &[concurrency::TESTS],
        &[races::TESTS],
        &[unload::TESTS],
    ];
    groups
        .into_iter()
        .flatten()
        .flat_map(|tests| tests.iter().copied())
}
