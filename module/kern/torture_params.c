// SPDX-License-Identifier: GPL-2.0-only
/* The parameters of faultline_torture.ko, named as locktorture's: see shims.h. */

#include <linux/module.h>

#include "shims.h"

static char *torture_type = "range_lock";
module_param(torture_type, charp, 0444);
MODULE_PARM_DESC(torture_type, "Type of lock to torture: range_lock or busted");

const char *faultline_torture_type(void)
{
	return torture_type;
}

#define TORTURE_PARAM(name, init, doc)		\
	static int name = init;			\
	module_param(name, int, 0444);		\
	MODULE_PARM_DESC(name, doc);		\
						\
	int faultline_torture_##name(void)	\
	{					\
		return name;			\
	}

TORTURE_PARAM(nwriters_stress, -1, "Number of write-locking threads (-1: one per online CPU)")
TORTURE_PARAM(nreaders_stress, -1, "Number of read-locking threads (-1: one per online CPU)")
TORTURE_PARAM(stat_interval, 10, "Seconds between statistics (0: none)")
TORTURE_PARAM(long_hold, 100, "Do an occasional long hold of this many ms (0: never)")
TORTURE_PARAM(duration, 0, "Seconds that the test takes (0: until the module is unloaded)")
TORTURE_PARAM(verbose, 0, "Say when threads start and stop")
