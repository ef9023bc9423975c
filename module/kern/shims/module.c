// SPDX-License-Identifier: GPL-2.0-only
/* The module, and what it shows: see shims.h. */

#include <linux/module.h>

#include "shims.h"

void faultline_module_get(void)
{
	__module_get(THIS_MODULE);
}

void faultline_module_put(void)
{
	module_put(THIS_MODULE);
}

struct workqueue_struct *faultline_alloc_workqueue(void)
{
	return alloc_workqueue("faultline", WQ_UNBOUND, 0);
}

struct dentry *faultline_debugfs_dir(const char *name)
{
	return debugfs_create_dir(name, NULL);
}

void faultline_debugfs_file(const char *name, umode_t mode, struct dentry *dir, void *data,
			    const struct file_operations *fops)
{
	debugfs_create_file(name, mode, dir, data, fops);
}

void faultline_debugfs_remove(struct dentry *dir)
{
	debugfs_remove(dir);
}
