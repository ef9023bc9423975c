// SPDX-License-Identifier: GPL-2.0-only
//! The tests, by subject.

mod advise;
mod atomic;
mod batches;
mod cgroup;
mod concurrency;
mod differential;
mod disk;
mod enomem;
mod fault;
mod file;
mod freeze;
mod gup;
mod holds;
mod interleave;
mod interleave_leaf;
mod lifetime;
mod limit_exact;
mod limit_regions;
mod limit_total;
mod limits;
mod map;
mod merge;
mod model;
mod open;
mod policy;
mod private;
mod protect;
mod purity;
mod query;
mod races;
mod region;
mod relocate;
mod resize;
mod retry;
mod seal;
mod self_argument;
mod share;
mod shared;
mod signal;
mod size;
mod speculation;
mod stripes;
mod tracing;
mod transfer;
mod uapi;
mod uapi_change;
mod unload;
mod unmap;
mod view;
mod view_maps;
mod view_objects;
mod view_verbs;
mod vma_lock;
mod window;
mod window_access;
mod window_advice;
mod window_remap;

use super::runner::Test;

/// Every test, in the order in which they run.
pub(super) fn all() -> impl Iterator<Item = Test> {
    let groups: [&[&[Test]]; 49] = [
        &[uapi::TESTS, uapi_change::TESTS],
        &[open::TESTS],
        &[size::TESTS],
        &[query::TESTS],
        &[map::TESTS],
        &[unmap::TESTS],
        &[model::TESTS, differential::TESTS],
        &[merge::TESTS],
        &[batches::TESTS, batches::WITH_HOOKS],
        &[protect::TESTS],
        &[resize::TESTS, relocate::TESTS],
        &[advise::TESTS],
        &[file::TESTS],
        &[shared::TESTS],
        &[freeze::TESTS],
        &[seal::TESTS],
        &[holds::TESTS],
        &[private::TESTS, disk::TESTS],
        &[fault::TESTS],
        &[vma_lock::TESTS],
        &[window::TESTS, stripes::TESTS],
        &[window_access::TESTS],
        &[window_advice::TESTS],
        &[window_remap::TESTS],
        &[share::TESTS],
        &[gup::TESTS],
        &[transfer::TESTS],
        &[limits::TESTS, limits::WITH_PARAMETERS],
        &[limit_regions::TESTS, limit_regions::WITH_PARAMETERS],
        &[limit_exact::TESTS, limit_exact::WITH_HOOKS],
        &[limit_total::WITH_PARAMETERS, limit_total::WITH_LARGER_TOTAL],
        &[enomem::TESTS],
        &[cgroup::TESTS],
        &[self_argument::TESTS],
        &[signal::TESTS, signal::WITH_HOOKS],
        &[policy::TESTS, policy::WITH_HOOKS, policy::WITH_PARAMETERS],
        &[speculation::TESTS],
        &[interleave::WITH_HOOKS, interleave_leaf::WITH_HOOKS],
        &[purity::WITH_HOOKS],
        &[region::TESTS, region::WITH_HOOKS],
        &[retry::TESTS, retry::WITH_HOOKS],
        &[tracing::TESTS],
        &[lifetime::TESTS],
        &[concurrency::TESTS, concurrency::WITH_HOOKS],
        &[races::TESTS],
        &[atomic::TESTS],
        &[
            view::TESTS,
            view_maps::TESTS,
            view_objects::TESTS,
            view_verbs::TESTS,
        ],
        &[view::WITH_UNLOADING, view_verbs::WITH_UNLOADING],
        &[unload::TESTS],
    ];
    groups
        .into_iter()
        .flatten()
        .flat_map(|tests| tests.iter().copied())
}
