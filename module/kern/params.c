// SPDX-License-Identifier: GPL-2.0-only
/* The parameters of faultline.ko: see shims.h. */

#include <linux/mm.h>
#include <linux/module.h>

#include "shims.h"

static unsigned long max_pages;
module_param(max_pages, ulong, 0444);
MODULE_PARM_DESC(max_pages, "Pages a new space may hold (0: half of the machine's memory)");

u64 faultline_param_max_pages(void)
{
	return max_pages ?: totalram_pages() / 2;
}

static unsigned long total_pages;
module_param(total_pages, ulong, 0444);
MODULE_PARM_DESC(total_pages, "Pages all spaces together may hold (0: three quarters of the machine's memory)");

u64 faultline_param_total_pages(void)
{
	return total_pages ?: totalram_pages() / 4 * 3;
}

static unsigned long max_regions = 1UL << 20;
module_param(max_regions, ulong, 0444);
MODULE_PARM_DESC(max_regions, "Regions a new space may have");

u64 faultline_param_max_regions(void)
{
	return max_regions;
}

static char *policy = "spf-range";
module_param(policy, charp, 0444);
MODULE_PARM_DESC(policy, "Locking policy of new spaces: global, region, range, spf-global or spf-range");

const char *faultline_param_policy(void)
{
	return policy;
}

#ifdef faultline_busted
static char *busted = "";
module_param(busted, charp, 0444);
MODULE_PARM_DESC(busted, "Test only: which mistake to make, see driver/mistake.rs and kern/sync.rs");

const char *faultline_param_busted(void)
{
	return busted;
}
#endif

#ifdef faultline_test_hooks
/* A number that tests set, and the function by which Rust reads it. */
#define TEST_PARAM(name, initial, description)				\
	static unsigned int name = initial;				\
	module_param(name, uint, 0644);					\
	MODULE_PARM_DESC(name, "Test only: " description);		\
	unsigned int faultline_param_##name(void)			\
	{								\
		return READ_ONCE(name);					\
	}								\
	static_assert(true) /* for the semicolon */

TEST_PARAM(delay_unmap_ms, 0, "how long each UNMAP sleeps while it holds the space's lock");
TEST_PARAM(delay_discard_ms, 0, "how long a change sleeps before and behind each batch of pages that it discards");
TEST_PARAM(delay_fault_ms, 0, "how long a fault that has found its region sleeps");
TEST_PARAM(delay_points, ~0U, "the points, by bit, at which faults and changes may sleep: see driver/point.rs");
TEST_PARAM(delay_one_in, 0, "of so many that come to a point one sleeps (0: none)");
TEST_PARAM(delay_us, 200, "how long one sleeps at a point at most");
TEST_PARAM(delay_store_ms, 0, "how long a store of regions has the tree reserved, as if it waited for memory");
TEST_PARAM(delay_read_ms, 0, "how long a fault sleeps before it reads a page of a file");

static const char * const precisions[] = { "page", "leaf", "region", "space" };
static unsigned int precision;

static int precision_set(const char *value, const struct kernel_param *kp)
{
	int found = sysfs_match_string(precisions, value);

	if (found < 0)
		return found;
	WRITE_ONCE(precision, found);
	return 0;
}

static int precision_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", precisions[READ_ONCE(precision)]);
}

static const struct kernel_param_ops precision_ops = {
	.set = precision_set,
	.get = precision_get,
};
module_param_cb(precision, &precision_ops, NULL, 0644);
MODULE_PARM_DESC(precision, "what else than the page aborts speculation: page (nothing), leaf, region or space");

unsigned int faultline_param_precision(void)
{
	return READ_ONCE(precision);
}
#endif
