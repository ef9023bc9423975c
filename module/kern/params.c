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
MODULE_PARM_DESC(busted, "Test only: which mistake to make, see driver/mistake.rs");

const char *faultline_param_busted(void)
{
	return busted;
}
#endif

#ifdef faultline_test_hooks
static unsigned int delay_unmap_ms;
module_param(delay_unmap_ms, uint, 0644);
MODULE_PARM_DESC(delay_unmap_ms, "Test only: how long each UNMAP sleeps while it holds the space's lock");

unsigned int faultline_param_delay_unmap_ms(void)
{
	return READ_ONCE(delay_unmap_ms);
}

static unsigned int delay_discard_ms;
module_param(delay_discard_ms, uint, 0644);
MODULE_PARM_DESC(delay_discard_ms, "Test only: how long a change sleeps before and behind each batch of pages that it discards");

unsigned int faultline_param_delay_discard_ms(void)
{
	return READ_ONCE(delay_discard_ms);
}

static unsigned int delay_fault_ms;
module_param(delay_fault_ms, uint, 0644);
MODULE_PARM_DESC(delay_fault_ms, "Test only: how long a fault that has found its region sleeps");

unsigned int faultline_param_delay_fault_ms(void)
{
	return READ_ONCE(delay_fault_ms);
}

static unsigned int delay_points = ~0U;
module_param(delay_points, uint, 0644);
MODULE_PARM_DESC(delay_points, "Test only: the points, by bit, at which faults and changes may sleep: see driver/point.rs");

unsigned int faultline_param_delay_points(void)
{
	return READ_ONCE(delay_points);
}

static unsigned int delay_one_in;
module_param(delay_one_in, uint, 0644);
MODULE_PARM_DESC(delay_one_in, "Test only: of so many that come to a point one sleeps (0: none)");

unsigned int faultline_param_delay_one_in(void)
{
	return READ_ONCE(delay_one_in);
}

static unsigned int delay_us = 200;
module_param(delay_us, uint, 0644);
MODULE_PARM_DESC(delay_us, "Test only: how long one sleeps at a point at most");

unsigned int faultline_param_delay_us(void)
{
	return READ_ONCE(delay_us);
}

static unsigned int delay_read_ms;
module_param(delay_read_ms, uint, 0644);
MODULE_PARM_DESC(delay_read_ms, "Test only: how long a fault sleeps before it reads a page of a file");

unsigned int faultline_param_delay_read_ms(void)
{
	return READ_ONCE(delay_read_ms);
}

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
MODULE_PARM_DESC(precision, "Test only: what else than the page aborts speculation: page (nothing), leaf, region or space");

unsigned int faultline_param_precision(void)
{
	return READ_ONCE(precision);
}
#endif
