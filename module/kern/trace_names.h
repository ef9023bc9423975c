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

/* The counters of a space: fields of struct faultline_stats. */
#define FAULTLINE_COUNTERS			\
	{ 0, "maps" },			\
	{ 1, "unmaps" },		\
	{ 2, "pages_added" },		\
	{ 3, "pages_removed" },		\
	{ 4, "faults" },		\
	{ 5, "fault_ok" },		\
	{ 6, "fault_write" },		\
	{ 7, "fault_mkwrite" },		\
	{ 8, "fault_no_region" },	\
	{ 9, "fault_denied" },		\
	{ 10, "fault_limit" },		\
	{ 11, "fault_killed" },		\
	{ 12, "fault_no_memory" },	\
	{ 13, "fault_retried" },	\
	{ 14, "fault_again" },		\
	{ 15, "fault_no_page" },	\
	{ 16, "fault_io" },		\
	{ 17, "protects" },		\
	{ 18, "remaps" },		\
	{ 19, "advises" },		\
	{ 20, "pages_moved" },		\
	{ 21, "fault_region_locked" },	\
	{ 22, "spf_attempts" },		\
	{ 23, "spf_anon_read" },	\
	{ 24, "spf_anon_write" },	\
	{ 25, "spf_shared_read" },	\
	{ 26, "spf_shared_write" },	\
	{ 27, "spf_private_read" },	\
	{ 28, "spf_private_write" },	\
	{ 29, "spf_writer_active" },	\
	{ 30, "spf_no_region" },	\
	{ 31, "spf_not_speculable" },	\
	{ 32, "spf_stale" },		\
	{ 33, "spf_denied" },		\
	{ 34, "spf_detached" },		\
	{ 35, "spf_not_cached" },	\
	{ 36, "spf_leaf_busy" },	\
	{ 37, "spf_raced" },		\
	{ 38, "spf_no_memory" },	\
	{ 39, "spf_false_aborts" },	\
	{ 40, "spf_fallbacks" },	\
	{ 41, "locked_anon_read" },	\
	{ 42, "locked_anon_write" },	\
	{ 43, "locked_shared_read" },	\
	{ 44, "locked_shared_write" },	\
	{ 45, "locked_private_read" },	\
	{ 46, "locked_private_write" },	\
	{ 47, "fault_waits" },		\
	{ 48, "fault_waits_false" },	\
	{ 49, "fault_wait_ns" }

#ifdef __BINDGEN__
#include <linux/stringify.h>
static const char FAULTLINE_SPELLED_CAUSES[] = __stringify(FAULTLINE_CAUSES);
static const char FAULTLINE_SPELLED_PATHS[] = __stringify(FAULTLINE_PATHS);
static const char FAULTLINE_SPELLED_OUTCOMES[] = __stringify(FAULTLINE_OUTCOMES);
static const char FAULTLINE_SPELLED_COUNTERS[] = __stringify(FAULTLINE_COUNTERS);
#endif

#endif
