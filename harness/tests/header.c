// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header by itself, in C and C++, and the layout that programs are compiled with:
 * it never changes, structures only grow at their end. `cargo xtask test host.header`
 * compiles this.
 */
#include "faultline.h"
/* Whoever includes it does not count how often. */
#include "faultline.h"

#include <stddef.h>

#ifdef __cplusplus
#define CHECK(what)	static_assert(what, #what)
#else
#define CHECK(what)	_Static_assert(what, #what)
#endif

#define SIZE(name, bytes)		CHECK(sizeof(struct faultline_##name) == (bytes))
#define AT(name, field, bytes)		CHECK(offsetof(struct faultline_##name, field) == (bytes))
/* A request has its direction (1: written by the program, 2: read), size and number. */
#define REQUEST(call, direction, bytes, number) \
	CHECK(FAULTLINE_IOC_##call == \
	      ((direction##UL << 30) | (bytes##UL << 16) | (0xF7UL << 8) | number##UL))

CHECK(FAULTLINE_SPACE_SIZE == 1ULL << 46);
CHECK(sizeof(FAULTLINE_DEVICE) == sizeof("/dev/faultline"));

SIZE(map, 40);
AT(map, addr, 0);
AT(map, length, 8);
AT(map, prot, 16);
AT(map, flags, 20);
AT(map, backing, 24);
AT(map, fd, 28);
AT(map, offset, 32);
REQUEST(MAP, 3, 40, 0x00);

SIZE(unmap, 24);
AT(unmap, addr, 0);
AT(unmap, length, 8);
AT(unmap, flags, 16);
REQUEST(UNMAP, 1, 24, 0x01);

SIZE(query, 48);
AT(query, addr, 0);
AT(query, start, 8);
AT(query, end, 16);
AT(query, generation, 24);
AT(query, prot, 32);
AT(query, backing, 36);
AT(query, offset, 40);
REQUEST(QUERY, 3, 48, 0x02);

SIZE(policy, 8);
AT(policy, flags, 0);
AT(policy, policy, 4);
REQUEST(POLICY, 3, 8, 0x03);

SIZE(limit, 16);
AT(limit, max_pages, 0);
AT(limit, max_regions, 8);
REQUEST(LIMIT, 3, 16, 0x04);

/* All of it are words, of which some more may be added at the end. */
SIZE(stats, 54 * 8);
AT(stats, regions, 0);
AT(stats, pages, 8);
AT(stats, max_pages, 16);
AT(stats, faults, 56);
AT(stats, max_regions, 144);
AT(stats, spf_attempts, 200);
AT(stats, fault_waits, 408);
AT(stats, fault_wait_ns, 424);
REQUEST(STATS, 2, 432, 0x05);

SIZE(protect, 24);
AT(protect, addr, 0);
AT(protect, length, 8);
AT(protect, prot, 16);
AT(protect, flags, 20);
REQUEST(PROTECT, 1, 24, 0x06);

SIZE(remap, 40);
AT(remap, addr, 0);
AT(remap, old_length, 8);
AT(remap, new_length, 16);
AT(remap, new_addr, 24);
AT(remap, flags, 32);
AT(remap, reserved, 36);
REQUEST(REMAP, 3, 40, 0x07);

SIZE(advise, 24);
AT(advise, addr, 0);
AT(advise, length, 8);
AT(advise, advice, 16);
AT(advise, flags, 20);
REQUEST(ADVISE, 1, 24, 0x08);

/* The protections and advice of mmap(2) and madvise(2), and the flags of mremap(2). */
CHECK(FAULTLINE_PROT_NONE == 0 && FAULTLINE_PROT_READ == 1 && FAULTLINE_PROT_WRITE == 2);
CHECK(FAULTLINE_ADVISE_WILLNEED == 3 && FAULTLINE_ADVISE_DONTNEED == 4);
CHECK(FAULTLINE_REMAP_MAYMOVE == 1 && FAULTLINE_REMAP_FIXED == 2);
CHECK(FAULTLINE_MAP_FIXED == 1 && FAULTLINE_MAP_FIXED_NOREPLACE == 2);
CHECK(FAULTLINE_BACKING_ANON == 0 && FAULTLINE_BACKING_SHARED == 1 && FAULTLINE_BACKING_PRIVATE == 2);
CHECK(FAULTLINE_POLICY_GLOBAL == 0 && FAULTLINE_POLICY_REGION == 1 && FAULTLINE_POLICY_RANGE == 2);
CHECK(FAULTLINE_POLICY_SPF_GLOBAL == 3 && FAULTLINE_POLICY_SPF_RANGE == 4);
CHECK(FAULTLINE_POLICY_SET == 1);

int main(void)
{
	return 0;
}
