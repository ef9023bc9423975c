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

static char *policy = "global";
module_param(policy, charp, 0444);
MODULE_PARM_DESC(policy, "Locking policy of new spaces: global, region or range");

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

static unsigned int delay_read_ms;
module_param(delay_read_ms, uint, 0644);
MODULE_PARM_DESC(delay_read_ms, "Test only: how long a fault sleeps before it reads a page of a file");

unsigned int faultline_param_delay_read_ms(void)
{
	return READ_ONCE(delay_read_ms);
}
#endif
