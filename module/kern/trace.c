// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints of range locks; kern/trace.rs fires them. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"
