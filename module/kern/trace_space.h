/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracepoints of spaces, beside those of range locks in trace.h.
 *
 * space is the range lock of the space, as lock in the events of range locks;
 * page is a page of the space, address one of the window that was accessed.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM faultline

#if !defined(_FAULTLINE_TRACE_SPACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FAULTLINE_TRACE_SPACE_H

#include <linux/tracepoint.h>
#include "trace_names.h"

/*
 * The semaphore of a space, as the events of range locks. It locks the whole space; the
 * interval says which pages are meant, from the first to the last, and is empty if that
 * is not known yet.
 */
DECLARE_EVENT_CLASS(faultline_space_lock,
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

DEFINE_EVENT(faultline_space_lock, faultline_space_start_locking,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write),
	TP_ARGS(lock, start, end, write)
);

/* A change that lets readers in has released it, and then got it for reading. */
DEFINE_EVENT(faultline_space_lock, faultline_space_released,
	TP_PROTO(unsigned long lock, u64 start, u64 end, bool write),
	TP_ARGS(lock, start, end, write)
);

/* success is false if a fatal signal ended the wait. */
TRACE_EVENT(faultline_space_acquire_returned,
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

/* A space ends, and this is one of its counters: an event for each. */
TRACE_EVENT(faultline_space_counted,
	TP_PROTO(unsigned long space, u32 counter, u64 value),
	TP_ARGS(space, counter, value),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u32, counter)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->counter = counter;
		__entry->value = value;
	),
	TP_printk("space=%p counter=%s value=%llu",
		  (void *)__entry->space,
		  __print_symbolic(__entry->counter, FAULTLINE_COUNTERS), __entry->value)
);

/* A speculation has installed an entry for a page of such a backing. */
TRACE_EVENT(faultline_fault_speculated,
	TP_PROTO(unsigned long space, unsigned long address, u64 page, bool write, u32 backing),
	TP_ARGS(space, address, page, write, backing),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(unsigned long, address)
		__field(u64, page)
		__field(bool, write)
		__field(u32, backing)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->address = address;
		__entry->page = page;
		__entry->write = write;
		__entry->backing = backing;
	),
	TP_printk("space=%p address=%lx page=%llu write=%s backing=%s",
		  (void *)__entry->space, __entry->address, __entry->page,
		  __entry->write ? "true" : "false",
		  __print_symbolic(__entry->backing, FAULTLINE_BACKINGS))
);

/*
 * A speculation was given up. sequence is the generation of the region that it has
 * seen last, 0 if none.
 */
TRACE_EVENT(faultline_fault_aborted,
	TP_PROTO(unsigned long space, unsigned long address, u64 page, bool write, u32 cause,
		 u64 sequence),
	TP_ARGS(space, address, page, write, cause, sequence),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(unsigned long, address)
		__field(u64, page)
		__field(bool, write)
		__field(u32, cause)
		__field(u64, sequence)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->address = address;
		__entry->page = page;
		__entry->write = write;
		__entry->cause = cause;
		__entry->sequence = sequence;
	),
	TP_printk("space=%p address=%lx page=%llu write=%s cause=%s sequence=%llu",
		  (void *)__entry->space, __entry->address, __entry->page,
		  __entry->write ? "true" : "false",
		  __print_symbolic(__entry->cause, FAULTLINE_CAUSES), __entry->sequence)
);

/* After that, the fault is about to take a lock of the space. */
TRACE_EVENT(faultline_fault_fell_back,
	TP_PROTO(unsigned long space, unsigned long address, u64 page, bool write),
	TP_ARGS(space, address, page, write),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(unsigned long, address)
		__field(u64, page)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->address = address;
		__entry->page = page;
		__entry->write = write;
	),
	TP_printk("space=%p address=%lx page=%llu write=%s",
		  (void *)__entry->space, __entry->address, __entry->page,
		  __entry->write ? "true" : "false")
);

/* A fault is over. Nothing of the space is locked. */
TRACE_EVENT(faultline_fault_completed,
	TP_PROTO(unsigned long space, unsigned long address, u64 page, bool write, u32 path,
		 u32 result),
	TP_ARGS(space, address, page, write, path, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(unsigned long, address)
		__field(u64, page)
		__field(bool, write)
		__field(u32, path)
		__field(u32, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->address = address;
		__entry->page = page;
		__entry->write = write;
		__entry->path = path;
		__entry->result = result;
	),
	TP_printk("space=%p address=%lx page=%llu write=%s path=%s result=%s",
		  (void *)__entry->space, __entry->address, __entry->page,
		  __entry->write ? "true" : "false",
		  __print_symbolic(__entry->path, FAULTLINE_PATHS),
		  __print_symbolic(__entry->result, FAULTLINE_OUTCOMES))
);

/*
 * A fault, or WILLNEED, has its page in the slot and is about to install the entry,
 * with the leaf locked. filled is false if it has found the slot full.
 */
TRACE_EVENT(faultline_commit,
	TP_PROTO(unsigned long space, u64 page, unsigned long leaf, bool filled),
	TP_ARGS(space, page, leaf, filled),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, page)
		__field(unsigned long, leaf)
		__field(bool, filled)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->page = page;
		__entry->leaf = leaf;
		__entry->filled = filled;
	),
	TP_printk("space=%p page=%llu leaf=%lu slot=%s",
		  (void *)__entry->space, __entry->page, __entry->leaf,
		  __entry->filled ? "filled" : "found")
);

/* A change is about to take the entries of so many pages out of every window. */
TRACE_EVENT(faultline_zap,
	TP_PROTO(unsigned long space, u64 first, u64 pages),
	TP_ARGS(space, first, pages),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, first)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->first = first;
		__entry->pages = pages;
	),
	TP_printk("space=%p first=%llu pages=%llu",
		  (void *)__entry->space, __entry->first, __entry->pages)
);

/*
 * Operations on regions, each when it is over: only then it is known what came of
 * it, and where a MAP without address went. (When one begins to lock its range, the
 * range lock says.) Pages are half-open intervals, result is 0 or a negative errno. A
 * call whose arguments are invalid is none.
 */

/* Without address, one that fails has the pages from the hint on. */
TRACE_EVENT(faultline_map,
	TP_PROTO(unsigned long space, u64 start, u64 end, u32 prot, u32 backing, int result),
	TP_ARGS(space, start, end, prot, backing, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, start)
		__field(u64, end)
		__field(u32, prot)
		__field(u32, backing)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->start = start;
		__entry->end = end;
		__entry->prot = prot;
		__entry->backing = backing;
		__entry->result = result;
	),
	TP_printk("space=%p pages=[%llu,%llu) prot=%s%s backing=%s result=%d",
		  (void *)__entry->space, __entry->start, __entry->end,
		  __entry->prot & FAULTLINE_PROT_READ ? "r" : "-",
		  __entry->prot & FAULTLINE_PROT_WRITE ? "w" : "-",
		  __print_symbolic(__entry->backing, FAULTLINE_BACKINGS), __entry->result)
);

TRACE_EVENT(faultline_unmap,
	TP_PROTO(unsigned long space, u64 start, u64 end, int result),
	TP_ARGS(space, start, end, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, start)
		__field(u64, end)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->start = start;
		__entry->end = end;
		__entry->result = result;
	),
	TP_printk("space=%p pages=[%llu,%llu) result=%d",
		  (void *)__entry->space, __entry->start, __entry->end, __entry->result)
);

TRACE_EVENT(faultline_protect,
	TP_PROTO(unsigned long space, u64 start, u64 end, u32 prot, int result),
	TP_ARGS(space, start, end, prot, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, start)
		__field(u64, end)
		__field(u32, prot)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->start = start;
		__entry->end = end;
		__entry->prot = prot;
		__entry->result = result;
	),
	TP_printk("space=%p pages=[%llu,%llu) prot=%s%s result=%d",
		  (void *)__entry->space, __entry->start, __entry->end,
		  __entry->prot & FAULTLINE_PROT_READ ? "r" : "-",
		  __entry->prot & FAULTLINE_PROT_WRITE ? "w" : "-", __entry->result)
);

/* The pages are the old ones; the new ones begin at to, which is start if it fails. */
TRACE_EVENT(faultline_remap,
	TP_PROTO(unsigned long space, u64 start, u64 end, u64 to, u64 new_pages, int result),
	TP_ARGS(space, start, end, to, new_pages, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, start)
		__field(u64, end)
		__field(u64, to)
		__field(u64, new_pages)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->start = start;
		__entry->end = end;
		__entry->to = to;
		__entry->new_pages = new_pages;
		__entry->result = result;
	),
	TP_printk("space=%p pages=[%llu,%llu) new=[%llu,%llu) result=%d",
		  (void *)__entry->space, __entry->start, __entry->end,
		  __entry->to, __entry->to + __entry->new_pages, __entry->result)
);

TRACE_EVENT(faultline_advise,
	TP_PROTO(unsigned long space, u64 start, u64 end, u32 advice, int result),
	TP_ARGS(space, start, end, advice, result),
	TP_STRUCT__entry(
		__field(unsigned long, space)
		__field(u64, start)
		__field(u64, end)
		__field(u32, advice)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->space = space;
		__entry->start = start;
		__entry->end = end;
		__entry->advice = advice;
		__entry->result = result;
	),
	TP_printk("space=%p pages=[%llu,%llu) advice=%s result=%d",
		  (void *)__entry->space, __entry->start, __entry->end,
		  __print_symbolic(__entry->advice, FAULTLINE_ADVICES), __entry->result)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace_space
#include <trace/define_trace.h>
