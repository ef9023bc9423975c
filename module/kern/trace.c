// SPDX-License-Identifier: GPL-2.0-only
/* The module's tracepoints; kern/trace.rs fires them. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"
