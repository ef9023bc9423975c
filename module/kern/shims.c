// SPDX-License-Identifier: GPL-2.0-only
/* See shims.h. */

#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <trace/events/lock.h>

#include "shims.h"

void faultline_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
{
	__mutex_init(lock, name, key);
}

void faultline_mutex_lock(struct mutex *lock)
{
	mutex_lock(lock);
}

int faultline_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}

void faultline_arch_spin_lock(arch_spinlock_t *lock)
{
	arch_spin_lock(lock);
}

void faultline_arch_spin_unlock(arch_spinlock_t *lock)
{
	arch_spin_unlock(lock);
}

void faultline_preempt_disable(void)
{
	preempt_disable();
}

void faultline_preempt_enable(void)
{
	preempt_enable();
}

void faultline_set_current_state(unsigned int state)
{
	set_current_state(state);
}

bool faultline_signal_pending_state(unsigned int state)
{
	return signal_pending_state(state, current);
}

void faultline_lockdep_init_map(struct lockdep_map *map, const char *name,
				struct lock_class_key *key)
{
	lockdep_init_map_wait(map, name, key, 0, LD_WAIT_SLEEP);
}

void faultline_lockdep_acquire(struct lockdep_map *map, bool write)
{
	if (write)
		rwsem_acquire(map, 0, 0, _RET_IP_);
	else
		rwsem_acquire_read(map, 0, 0, _RET_IP_);
}

void faultline_lockdep_try_acquired(struct lockdep_map *map, bool write)
{
	if (write)
		rwsem_acquire(map, 0, 1, _RET_IP_);
	else
		rwsem_acquire_read(map, 0, 1, _RET_IP_);
}

void faultline_lockdep_acquired(struct lockdep_map *map)
{
	lock_acquired(map, _RET_IP_);
}

void faultline_lockdep_downgrade(struct lockdep_map *map)
{
	lock_downgrade(map, _RET_IP_);
}

void faultline_lockdep_release(struct lockdep_map *map)
{
	rwsem_release(map, _RET_IP_);
}

void faultline_contention_begin(struct lockdep_map *map, bool write)
{
	lock_contended(map, _RET_IP_);
	trace_contention_begin(map, write ? LCB_F_WRITE : LCB_F_READ);
}

void faultline_contention_end(struct lockdep_map *map, bool success)
{
	trace_contention_end(map, success ? 0 : -EINTR);
}

bool faultline_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

void faultline_allow_signal(int signal)
{
	allow_signal(signal);
}

unsigned int faultline_num_online_cpus(void)
{
	return num_online_cpus();
}

u64 __percpu *faultline_percpu_alloc(unsigned int len)
{
	return __alloc_percpu_gfp(len * sizeof(u64), SMP_CACHE_BYTES, GFP_KERNEL_ACCOUNT);
}

void faultline_percpu_free(u64 __percpu *array)
{
	free_percpu(array);
}

void faultline_percpu_add(u64 __percpu *array, unsigned int index, u64 amount)
{
	this_cpu_add(array[index], amount);
}

u64 faultline_percpu_sum(u64 __percpu *array, unsigned int index)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(&array[index], cpu));
	return sum;
}

static DEFINE_PER_CPU(u64, faultline_live[FAULTLINE_LIVE_KINDS]);

void faultline_live_add(unsigned int kind, u64 amount)
{
	this_cpu_add(faultline_live[kind], amount);
}

u64 faultline_live_sum(unsigned int kind)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(faultline_live[kind], cpu));
	return sum;
}

void faultline_xa_init(struct xarray *xa)
{
	xa_init_flags(xa, XA_FLAGS_ACCOUNT);
}

int faultline_maple_get_nodes(bool nofail)
{
	gfp_t gfp = nofail ? GFP_KERNEL | __GFP_NOFAIL : GFP_KERNEL;
	struct maple_tree tree;
	unsigned long index;
	int ret = 0;

	mt_init(&tree);

	/* More nodes than a store to a tree of any height asks for. */
	for (index = 0; index < 512 && !ret; index++)
		ret = mtree_store(&tree, index, xa_mk_value(index), gfp);
	mtree_destroy(&tree);
	return ret;
}

int faultline_percpu_counter_init(struct percpu_counter *counter)
{
	return percpu_counter_init(counter, 0, GFP_KERNEL_ACCOUNT);
}

void faultline_percpu_counter_destroy(struct percpu_counter *counter)
{
	percpu_counter_destroy(counter);
}

s64 faultline_percpu_counter_slack(void)
{
	return (s64)READ_ONCE(percpu_counter_batch) * num_online_cpus();
}

s64 faultline_percpu_counter_read(struct percpu_counter *counter)
{
	return percpu_counter_read(counter);
}

static const struct file_operations faultline_inode_fops = {
	.owner = THIS_MODULE,
};

struct file *faultline_inode_file(void)
{
	return anon_inode_create_getfile("[faultline]", &faultline_inode_fops, NULL, O_RDWR, NULL);
}

void faultline_file_share_mapping(struct file *file, struct file *owner)
{
	file->f_mapping = owner->f_mapping;
}
