// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints of spaces; kern/trace_space.rs fires them. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace_space.h"
