/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAULTLINE_TRACE_SYSTEM
#define FAULTLINE_TRACE_SYSTEM faultline
#endif
#undef TRACE_SYSTEM
#define TRACE_SYSTEM FAULTLINE_TRACE_SYSTEM

#if !defined(_FAULTLINE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FAULTLINE_TRACE_H

#include <linux/tracepoint.h>

/*
 * A range lock, as the events of mmap_lock: the lock, the interval in pages
 * (end exclusive), and whether it is for writing.
 */
DECLARE_EVENT_CLASS(faultline_range_lock,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write),
	TP_ARGS(lock, start, end, write),
	TP_STRUCT__entry(
		__field(unsigned long, lock)
		__field(u64, start)
		__field(u64, end)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->lock = lock;
		__entry->start = start;
		__entry->end = end;
		__entry->write = write;
	),
	TP_printk("lock=%p pages=[%llu,%llu) write=%s",
		  (void *)__entry->lock, __entry->start, __entry->end,
		  __entry->write ? "true" : "false")
);

DEFINE_EVENT(faultline_range_lock, faultline_range_start_locking,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write),
	TP_ARGS(lock, start, end, write)
);

/* The whole range, or a part of it that is given back early. */
DEFINE_EVENT(faultline_range_lock, faultline_range_released,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write),
	TP_ARGS(lock, start, end, write)
);

/* success is false if a fatal signal ended the wait, or a try failed. */
TRACE_EVENT(faultline_range_acquire_returned,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write, bool success),
	TP_ARGS(lock, start, end, write, success),
	TP_STRUCT__entry(
		__field(unsigned long, lock)
		__field(u64, start)
		__field(u64, end)
		__field(bool, write)
		__field(bool, success)
	),
	TP_fast_assign(
		__entry->lock = lock;
		__entry->start = start;
		__entry->end = end;
		__entry->write = write;
		__entry->success = success;
	),
	TP_printk("lock=%p pages=[%llu,%llu) write=%s success=%s",
		  (void *)__entry->lock, __entry->start, __entry->end,
		  __entry->write ? "true" : "false",
		  __entry->success ? "true" : "false")
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
