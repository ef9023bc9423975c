// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints of trace.h in faultline_torture.ko, beside those of faultline.ko. */

#define FAULTLINE_TRACE_SYSTEM faultline_torture
#include "trace.c"
