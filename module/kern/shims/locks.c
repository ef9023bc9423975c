// SPDX-License-Identifier: GPL-2.0-only
/* Locks, what lockdep is told of them, and tasks: see shims.h. */

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

void faultline_rcuwait_init(struct rcuwait *wait)
{
	rcuwait_init(wait);
}

void faultline_prepare_to_rcuwait(struct rcuwait *wait)
{
	prepare_to_rcuwait(wait);
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

void faultline_current_command(u8 *command)
{
	char comm[TASK_COMM_LEN];

	BUILD_BUG_ON(sizeof(comm) != FAULTLINE_COMMAND_LENGTH);
	get_task_comm(comm, current->group_leader);
	memcpy(command, comm, sizeof(comm));
}

void faultline_allow_signal(int signal)
{
	allow_signal(signal);
}
