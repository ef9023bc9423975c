/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names of numbers in the events of trace_space.h. kern/trace_space.rs does not
 * compile unless they are those of its enums, in their order.
 */
#ifndef _FAULTLINE_TRACE_NAMES_H
#define _FAULTLINE_TRACE_NAMES_H

#include "faultline.h"

/* Why a speculation was given up. */
#define FAULTLINE_CAUSES			\
	{ 0, "writer_active" },			\
	{ 1, "no_region" },			\
	{ 2, "not_speculable" },		\
	{ 3, "stale" },				\
	{ 4, "denied" },			\
	{ 5, "detached" },			\
	{ 6, "not_cached" },			\
	{ 7, "leaf_busy" },			\
	{ 8, "raced" },				\
	{ 9, "no_memory" }

/* How a fault was handled. */
#define FAULTLINE_PATHS				\
	{ 0, "speculative" },			\
	{ 1, "region" },			\
	{ 2, "locked" }

/* What came of a fault: the counters of struct faultline_stats. */
#define FAULTLINE_OUTCOMES			\
	{ 0, "ok" },				\
	{ 1, "no_region" },			\
	{ 2, "denied" },			\
	{ 3, "limit" },				\
	{ 4, "killed" },			\
	{ 5, "no_memory" },			\
	{ 6, "retried" },			\
	{ 7, "again" },				\
	{ 8, "no_page" },			\
	{ 9, "io" }

#define FAULTLINE_BACKINGS			\
	{ FAULTLINE_BACKING_ANON, "anon" },	\
	{ FAULTLINE_BACKING_SHARED, "shared" },	\
	{ FAULTLINE_BACKING_PRIVATE, "private" }

#define FAULTLINE_ADVICES			\
	{ FAULTLINE_ADVISE_WILLNEED, "willneed" },	\
	{ FAULTLINE_ADVISE_DONTNEED, "dontneed" }

#ifdef __BINDGEN__
#include <linux/stringify.h>
static const char FAULTLINE_SPELLED_CAUSES[] = __stringify(FAULTLINE_CAUSES);
static const char FAULTLINE_SPELLED_PATHS[] = __stringify(FAULTLINE_PATHS);
static const char FAULTLINE_SPELLED_OUTCOMES[] = __stringify(FAULTLINE_OUTCOMES);
#endif

#endif
