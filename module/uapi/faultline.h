/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * faultline: a private, VMA-like region manager behind a character device.
 *
 * This header is the single source of the interface: the module's and the
 * harness's Rust views of it are generated from it with bindgen.
 *
 * Objects
 *   space   One per open file description of /dev/faultline. Its addresses are
 *           byte offsets of the file, from 0 up to FAULTLINE_SPACE_SIZE.
 *   region  A half-open interval [start, end) of a space with a protection and
 *           a backing. Regions never overlap; both ends are page aligned.
 *           Two that touch are joined if they have the same protection and are
 *           both ANON, or continue each other in a file: the same open(2) of it,
 *           and the same backing and right to write.
 *   window  An mmap(2) of part of the device file: MAP_SHARED, never PROT_EXEC.
 *           What an access through it may do is decided by the region under it.
 *
 * Accesses
 *   no region at the address           SIGBUS
 *   access the region forbids          SIGSEGV
 *   the page limit is reached          SIGBUS
 *   beyond the end of the file         SIGBUS
 *   the file could not be read         SIGBUS
 *
 * Conventions of every call
 *   - Structures have a fixed layout, the same for 32 and 64 bits. They grow
 *     only at the end: the size in the request number tells the kernel which
 *     version the caller knows. A shorter (older) structure is extended with
 *     zeroes; of a longer (newer) one the unknown tail must be zero, otherwise
 *     E2BIG.
 *   - Padding and reserved fields must be zero, unknown flags are refused:
 *     EINVAL.
 *   - addr and length are in bytes and page aligned, length is not zero, and
 *     [addr, addr + length) lies inside the space: EINVAL otherwise (a MAP
 *     without FIXED that does not fit is ENOMEM, as for mmap(2)).
 *   - A call that fails changes nothing in the space, except where EFAULT and
 *     WILLNEED say so. The structure gets results only from a call that
 *     succeeds.
 *   - EINVAL: a structure shorter than the first version of it.
 *   - EACCES: a call that changes something, or mmap(2), on a descriptor that
 *     is not open for reading and writing.
 *   - mmap(2) of a window: EINVAL unless MAP_SHARED and inside the space, EPERM
 *     with PROT_EXEC (which mprotect(2) refuses with EACCES).
 *   - EFAULT: the structure could not be read or written, which is tried before
 *     anything is changed. If it cannot be written any more when the call has
 *     succeeded (it may lie in what the call has unmapped), what was done stays.
 *   - EINTR: a fatal signal arrived while waiting. EBUSY never means a conflict.
 *   - ENOTTY: no such call.
 */
#ifndef _UAPI_LINUX_FAULTLINE_H
#define _UAPI_LINUX_FAULTLINE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FAULTLINE_DEVICE	"/dev/faultline"

/* Size of every space in bytes: addresses are below this. */
#define FAULTLINE_SPACE_SIZE	(1ULL << 46)

/* Protection of a region: the values of PROT_READ and PROT_WRITE. */
#define FAULTLINE_PROT_NONE	0x0
#define FAULTLINE_PROT_READ	0x1
#define FAULTLINE_PROT_WRITE	0x2

/* What the pages of a region are made of. */
#define FAULTLINE_BACKING_ANON		0	/* zero-filled memory */
#define FAULTLINE_BACKING_SHARED	1	/* the pages of a memfd, shared with all its users */
#define FAULTLINE_BACKING_PRIVATE	2	/* a copy of each page of a file, made at first touch */

/*
 * MAP: make a region.
 *
 * SHARED and PRIVATE take a file and an offset into it, page aligned. The region
 * keeps the file, which may be closed then.
 *
 * SHARED: fd is a memfd. While any region maps it, it is frozen: its size does
 * not change and no hole is punched (EPERM from ftruncate(2) and fallocate(2)
 * meanwhile); read(2), write(2) and every other mapping of it see the same
 * pages. An access beyond its end is SIGBUS. It is thawed before the call that
 * removes the last such region returns, or a moment after a call that failed or
 * was short of memory, or the end of a space. A file on a tmpfs is no memfd.
 *
 * PRIVATE: fd is a regular file that can be read. What is written to the file
 * later may or may not be seen in pages not touched so far. Behind the end of
 * the file its last page reads zero; an access beyond that page is SIGBUS.
 *
 * A region that is or may become writable holds off write seals: one of a
 * memfd that is open for writing and has no write seal. PROTECT refuses others.
 *
 * Without a flag, addr is a hint: the lowest free interval at or above it is
 * taken, or failing that the lowest free interval of the space. As a hint it
 * may lie beyond the space, which is as if it were 0. An interval that another
 * call is busy with at that moment may be passed over.
 *
 * Errors: EINVAL, EEXIST (FIXED_NOREPLACE), ENOMEM (no free interval, too many
 * regions, or allocation), EINTR, EFAULT; with a file EBADF, EACCES (not open
 * for reading; SHARED with PROT_WRITE: not open for writing), EPERM (SHARED with
 * PROT_WRITE: write sealed), ENODEV (not a file that such a region can have;
 * SHARED: no memfd, or one of huge pages), EBUSY (SHARED: somebody else has
 * frozen the memfd), EOVERFLOW (offset + length is above 2^63 - 1).
 */
#define FAULTLINE_MAP_FIXED		0x1	/* exactly at addr, replacing what is there */
#define FAULTLINE_MAP_FIXED_NOREPLACE	0x2	/* exactly at addr, EEXIST if anything is there; implies FIXED */

struct faultline_map {
	__u64 addr;		/* in: hint or address; out: address of the region */
	__u64 length;		/* in: bytes */
	__u32 prot;		/* in: FAULTLINE_PROT_* */
	__u32 flags;		/* in: FAULTLINE_MAP_* */
	__u32 backing;		/* in: FAULTLINE_BACKING_* */
	__s32 fd;		/* in: the file, -1 for ANON */
	__u64 offset;		/* in: bytes into the file, 0 for ANON */
};

/*
 * UNMAP: remove every part of every region in the range; holes are fine. When
 * it has returned, no CPU reads or writes through the old translations.
 *
 * Errors: EINVAL, ENOMEM (allocation, or too many regions: it would split one,
 * and there are as many as there may be), EINTR, EFAULT.
 */
struct faultline_unmap {
	__u64 addr;		/* in: bytes */
	__u64 length;		/* in: bytes */
	__u64 flags;		/* in: 0 */
};

/*
 * PROTECT: set the protection of every region in the range, as mprotect(2),
 * but nothing is changed if there is a hole. When it has returned, no CPU makes
 * an access that the new protection forbids.
 *
 * Errors: EINVAL, ENOMEM (a hole in the range, too many regions, or allocation),
 * EACCES (PROT_WRITE for a SHARED region that may not become writable), EINTR,
 * EFAULT.
 */
struct faultline_protect {
	__u64 addr;		/* in: bytes */
	__u64 length;		/* in: bytes */
	__u32 prot;		/* in: FAULTLINE_PROT_* */
	__u32 flags;		/* in: 0 */
};

/*
 * REMAP: change the length or the address of regions, as mremap(2). Pages move
 * with their regions, nothing is copied. When it has returned, no CPU reads or
 * writes through the old translations.
 *
 * Shrinking unmaps the tail. Growing extends a region that ends at
 * addr + old_length if there is room behind it, or else moves it (MAYMOVE).
 * FIXED moves to new_addr. With equal lengths it moves every region of the old
 * range, of which there must be one at addr, and replaces what is where they go;
 * what is where a hole goes stays. In any other case what is left of the old
 * range lies in one region (shrinking in place: addr does). An interval that
 * another call is busy with may be passed over, as by MAP.
 *
 * Errors: EINVAL (also: FIXED without MAYMOVE, or the old and the new range
 * overlap), EFAULT (also: no region at addr, or the range leaves it), ENOMEM (no room, too many regions, or
 * allocation), EOVERFLOW and what security modules say (growing: as MAP), EINTR.
 */
#define FAULTLINE_REMAP_MAYMOVE	0x1
#define FAULTLINE_REMAP_FIXED	0x2

struct faultline_remap {
	__u64 addr;		/* in: bytes */
	__u64 old_length;	/* in: bytes */
	__u64 new_length;	/* in: bytes */
	__u64 new_addr;		/* in: with FIXED, else ignored; out: address of the region */
	__u32 flags;		/* in: FAULTLINE_REMAP_* */
	__u32 reserved;		/* in: 0 */
};

/*
 * ADVISE: as madvise(2), with its values, but nothing is changed if there is a
 * hole.
 *
 * DONTNEED discards the pages of the range, for every window: ANON reads zero
 * afterwards, PRIVATE the file anew, SHARED the memfd's page as it is.
 * WILLNEED brings the pages of the range into the space, though not into
 * anybody's page tables. It goes from page to page upwards: whatever error
 * comes behind the search for holes leaves the pages brought so far.
 *
 * Errors: EINVAL, ENOMEM (a hole in the range; WILLNEED: the page limit, or
 * allocation), EFAULT (also WILLNEED: a page beyond the end of its file),
 * EIO (WILLNEED: the file could not be read), EINTR.
 */
#define FAULTLINE_ADVISE_WILLNEED	3
#define FAULTLINE_ADVISE_DONTNEED	4

struct faultline_advise {
	__u64 addr;		/* in: bytes */
	__u64 length;		/* in: bytes */
	__u32 advice;		/* in: FAULTLINE_ADVISE_* */
	__u32 flags;		/* in: 0 */
};

/*
 * QUERY: the region that contains addr, or else the next one above it.
 * addr may be any byte of the space, it need not be aligned.
 *
 * Under the policies "range" and "spf-range" it does not wait for changes. What it finds stood
 * there at one moment; but beside a REMAP that may be when the regions were in
 * neither place, and beside a change of several regions when it had been made to
 * some of them.
 *
 * Errors: EINVAL (addr beyond the space), ENOENT (no region at or above addr),
 * EFAULT.
 */
struct faultline_query {
	__u64 addr;		/* in: bytes */
	__u64 start;		/* out: bytes */
	__u64 end;		/* out: bytes, exclusive */
	__u64 generation;	/* out: another whenever the region is mapped, moved, grown, or joined with
				 * another, or its protection or backing changes; the parts that a
				 * change leaves of one keep it, and no other has it while the module
				 * is loaded */
	__u32 prot;		/* out: FAULTLINE_PROT_* */
	__u32 backing;		/* out: FAULTLINE_BACKING_* */
	__u64 offset;		/* out: bytes into the backing file, 0 for ANON */
};

/*
 * POLICY: how a space locks. With FAULTLINE_POLICY_SET the policy is changed,
 * once every operation in flight has ended, and every fault that has locked
 * something; without it is reported.
 *
 * Errors: EINVAL (no such policy or flag), EINTR, EFAULT.
 */
#define FAULTLINE_POLICY_GLOBAL		0	/* one reader/writer semaphore per space */
#define FAULTLINE_POLICY_REGION		1	/* faults try the region's lock first; changes take both */
#define FAULTLINE_POLICY_RANGE		2	/* a range lock: faults read one page, changes write theirs */
#define FAULTLINE_POLICY_SPF_GLOBAL	3	/* faults speculate first; else as global */
#define FAULTLINE_POLICY_SPF_RANGE	4	/* faults speculate first; else as range */

#define FAULTLINE_POLICY_SET		0x1

struct faultline_policy {
	__u32 flags;		/* in: 0 or FAULTLINE_POLICY_SET */
	__u32 policy;		/* in (SET), out: FAULTLINE_POLICY_* */
};

/*
 * LIMIT: the most pages and regions the space may hold. A limit can only be
 * lowered: a value above the present one is EPERM (and neither is changed), one
 * below what is held now only stops further growth. 0 leaves it as it is. The
 * limits in force are written back. Calls at once that change the regions on both
 * sides of a boundary may exceed the limit of regions by one for each boundary;
 * a PROTECT or REMAP of several regions may be refused (ENOMEM) if it only keeps
 * within it by joining what it makes with its like beside it.
 *
 * All spaces together have the module parameter total_pages, which are handed
 * out in batches: at its end a space may reach it while others have pages of
 * theirs left.
 *
 * Errors: EPERM, EFAULT.
 */
struct faultline_limit {
	__u64 max_pages;	/* in, out: pages */
	__u64 max_regions;	/* in, out: regions */
};

/*
 * STATS: counters of one space since it was opened. Each is exact once the
 * space is quiet, and never runs backwards except the two marked "now".
 *
 * faults = fault_ok + fault_no_region + fault_denied + fault_limit
 *	  + fault_killed + fault_no_memory + fault_retried + fault_again
 *	  + fault_no_page + fault_io
 *
 * Errors: EFAULT.
 */
struct faultline_stats {
	__u64 regions;		/* now */
	__u64 pages;		/* now: pages held by the space */
	__u64 max_pages;	/* the limit in force */

	__u64 maps;		/* successful calls */
	__u64 unmaps;
	__u64 pages_added;	/* pages allocated and installed in the space */
	__u64 pages_removed;

	__u64 faults;		/* entries of the fault handler, page_mkwrite included */
	__u64 fault_ok;		/* an entry was installed, or one was already there */
	__u64 fault_write;	/* of faults: write accesses */
	__u64 fault_mkwrite;	/* of faults: read-only entries asked to become writable */
	__u64 fault_no_region;	/* SIGBUS */
	__u64 fault_denied;	/* SIGSEGV */
	__u64 fault_limit;	/* SIGBUS */
	__u64 fault_killed;	/* SIGBUS, seen by nobody: the task is being killed */
	__u64 fault_no_memory;	/* VM_FAULT_OOM: the allocator or the cgroup failed */
	__u64 fault_retried;	/* VM_FAULT_RETRY given to the core */
	__u64 fault_again;	/* no entry: its page table was freed meanwhile (MADV_DONTNEED) */

	__u64 max_regions;	/* the limit in force */
	__u64 protects;		/* successful calls */
	__u64 remaps;
	__u64 advises;
	__u64 pages_moved;	/* by REMAP */
	__u64 fault_no_page;	/* SIGBUS: the page is beyond the end of its file */
	__u64 fault_io;		/* SIGBUS: the file could not be read */

	/*
	 * Speculation. Exact once no fault is in flight: attempts are successes and
	 * aborts, and each abort is a fallback to the lock.
	 */
	__u64 spf_attempts;
	__u64 spf_anon_read;	/* successes, by backing and access */
	__u64 spf_anon_write;
	__u64 spf_shared_read;
	__u64 spf_shared_write;
	__u64 spf_private_read;
	__u64 spf_private_write;
	__u64 spf_writer_active;	/* aborts, by cause: a change of the page is under way */
	__u64 spf_no_region;
	__u64 spf_not_speculable;	/* the file's times are to be updated */
	__u64 spf_stale;	/* the page is made of something else meanwhile */
	__u64 spf_denied;	/* the region forbids the access */
	__u64 spf_detached;	/* the leaf was removed meanwhile, again and again */
	__u64 spf_not_cached;	/* needs I/O, or the folio is busy or broken */
	__u64 spf_leaf_busy;	/* the wait for the leaf's commit lock was killed */
	__u64 spf_raced;	/* the page, or its page table, went away meanwhile */
	__u64 spf_no_memory;	/* the allocator, the cgroup or the limit has nothing left */
	__u64 spf_false_aborts;	/* of the aborts: no change of the page was seen in the way */
	__u64 spf_fallbacks;

	__u64 locked_anon_read;	/* entries installed with a lock held, by backing and access */
	__u64 locked_anon_write;
	__u64 locked_shared_read;
	__u64 locked_shared_write;
	__u64 locked_private_read;
	__u64 locked_private_write;
	__u64 fault_region_locked;	/* of faults: handled under the region's lock */

	/*
	 * Waits of faults for the lock of the space, which could not be had at once;
	 * not those for one page's lock, memory, or I/O. A wait is false if no change
	 * that had the lock when the fault came was one of its page: so it was one of
	 * other pages (under a policy that locks the whole space, or regions), or the
	 * fault only stood behind a change that waited itself (under each policy: first
	 * come, first served). What comes while it waits is not looked at. Where a MAP
	 * without address goes is not known before, so who waits for one does so
	 * falsely; and a change that has just got the lock may not be seen.
	 */
	__u64 fault_waits;
	__u64 fault_waits_false;	/* of these */
	__u64 fault_wait_ns;	/* how long all of them took, also those that were killed */
};

#define FAULTLINE_IOC_MAGIC	0xF7

#define FAULTLINE_IOC_MAP	_IOWR(FAULTLINE_IOC_MAGIC, 0x00, struct faultline_map)
#define FAULTLINE_IOC_UNMAP	_IOW(FAULTLINE_IOC_MAGIC, 0x01, struct faultline_unmap)
#define FAULTLINE_IOC_QUERY	_IOWR(FAULTLINE_IOC_MAGIC, 0x02, struct faultline_query)
#define FAULTLINE_IOC_POLICY	_IOWR(FAULTLINE_IOC_MAGIC, 0x03, struct faultline_policy)
#define FAULTLINE_IOC_LIMIT	_IOWR(FAULTLINE_IOC_MAGIC, 0x04, struct faultline_limit)
#define FAULTLINE_IOC_STATS	_IOR(FAULTLINE_IOC_MAGIC, 0x05, struct faultline_stats)
#define FAULTLINE_IOC_PROTECT	_IOW(FAULTLINE_IOC_MAGIC, 0x06, struct faultline_protect)
#define FAULTLINE_IOC_REMAP	_IOWR(FAULTLINE_IOC_MAGIC, 0x07, struct faultline_remap)
#define FAULTLINE_IOC_ADVISE	_IOW(FAULTLINE_IOC_MAGIC, 0x08, struct faultline_advise)

#endif /* _UAPI_LINUX_FAULTLINE_H */
