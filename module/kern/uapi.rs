// SPDX-License-Identifier: GPL-2.0-only

//! The UAPI header, generated, and its structures as plain bytes.

#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub
)]
mod generated {
    include!(concat!(env!("FAULTLINE_GENERATED"), "/uapi.rs"));
}

pub(crate) use generated::*;

use kernel::transmute::{AsBytes, FromBytes};

/// A structure that grows from version to version.
pub(crate) trait Versioned: FromBytes + AsBytes {
    /// The size of its first version in bytes, below which nothing is accepted.
    const FIRST_SIZE: usize;
}

macro_rules! plain_bytes {
    ($($name:ident: $first:literal, now $size:literal);* $(;)?) => {$(
        // No version may have implicit padding.
        const _: () = assert!(core::mem::size_of::<$name>() == $size);

        impl Versioned for $name {
            const FIRST_SIZE: usize = $first;
        }

        // SAFETY: A C structure of integers, for which every bit pattern is valid.
        unsafe impl FromBytes for $name {}
        // SAFETY: A C structure of integers that fill it without padding: by the header, and by
        // the size above.
        unsafe impl AsBytes for $name {}
    )*};
}

plain_bytes! {
    faultline_map: 40, now 40;
    faultline_unmap: 24, now 24;
    faultline_query: 48, now 48;
    faultline_policy: 8, now 8;
    faultline_limit: 8, now 16;
    faultline_stats: 144, now 432;
    faultline_protect: 24, now 24;
    faultline_remap: 40, now 40;
    faultline_advise: 24, now 24;
}
