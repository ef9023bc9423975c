/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Rust cannot call directly: macros, static inline functions, and calls
 * that the kernel's own bindings leave out. Each does one thing and decides
 * nothing. The contracts are those of the C functions named in the comments.
 */
#ifndef _FAULTLINE_SHIMS_H
#define _FAULTLINE_SHIMS_H

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/seqlock.h>
#include <linux/shmem_fs.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "trace_names.h"

/* mutex */
void faultline_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key);
void faultline_mutex_lock(struct mutex *lock);
int faultline_mutex_lock_killable(struct mutex *lock);

/* arch_spinlock_t, and preemption */
void faultline_arch_spin_lock(arch_spinlock_t *lock);
void faultline_arch_spin_unlock(arch_spinlock_t *lock);
void faultline_preempt_disable(void);
void faultline_preempt_enable(void);

/* Sleeping */
void faultline_set_current_state(unsigned int state);
bool faultline_signal_pending_state(unsigned int state);

/* rcuwait_init(), prepare_to_rcuwait() */
void faultline_rcuwait_init(struct rcuwait *wait);
void faultline_prepare_to_rcuwait(struct rcuwait *wait);

/* A lock that lockdep does not know by itself: rwsem_acquire() and friends. */
void faultline_lockdep_init_map(struct lockdep_map *map, const char *name,
				struct lock_class_key *key);
void faultline_lockdep_acquire(struct lockdep_map *map, bool write);
void faultline_lockdep_try_acquired(struct lockdep_map *map, bool write);
void faultline_lockdep_acquired(struct lockdep_map *map);
void faultline_lockdep_downgrade(struct lockdep_map *map);
void faultline_lockdep_release(struct lockdep_map *map);

/* trace_contention_begin() with lockdep's lock_contended(), and trace_contention_end(). */
void faultline_contention_begin(struct lockdep_map *map, bool write);
void faultline_contention_end(struct lockdep_map *map, bool success);

/* fatal_signal_pending(current) */
bool faultline_fatal_signal_pending(void);

/* get_task_comm() of the current process: zeroes behind it, one at least. */
#define FAULTLINE_COMMAND_LENGTH 16
void faultline_current_command(u8 *command);

/* allow_signal(): for a kernel thread, which otherwise ignores them all. */
void faultline_allow_signal(int signal);

unsigned int faultline_num_online_cpus(void);
unsigned int faultline_num_possible_cpus(void);

/* An array of u64 per CPU, zeroed: __alloc_percpu_gfp(), this_cpu_add(). */
u64 __percpu *faultline_percpu_alloc(unsigned int len);
void faultline_percpu_free(u64 __percpu *array);
/* What this CPU has, which the caller may lose: raw_cpu_ptr(). */
u64 *faultline_percpu_own(u64 __percpu *array);
void faultline_percpu_add(u64 __percpu *array, unsigned int index, u64 amount);
void faultline_percpu_inc_all(u64 __percpu *array, u64 set);
/*
 * Adds what each CPU has to sums, one CPU after the other; those that have nothing
 * but zeroes take a short look only. Whether any has something else.
 */
bool faultline_percpu_sum_all(u64 __percpu *array, unsigned int len, u64 *sums);

/* The module's live objects, by kind (enum in driver/live.rs): this_cpu_add(). */
#define FAULTLINE_LIVE_KINDS 4
void faultline_live_add(unsigned int kind, u64 amount);
u64 faultline_live_sum(unsigned int kind);

/*
 * A number from 1 on that no other call returns. As get_next_ino(): each CPU has a
 * block of numbers, so a line that all CPUs write is written once for 1024 of them.
 * In tasks only.
 */
u64 faultline_next_number(void);

/* The first CPU at or above cpu that there may be, or -1. */
int faultline_possible_from(unsigned int cpu);
/* Where these are, to be shown: what a CPU has of each, 0 if there is no such CPU. */
unsigned long faultline_numbers_address(void);
unsigned long faultline_number_address(unsigned int cpu);
unsigned long faultline_live_address(unsigned int cpu);
unsigned long faultline_percpu_address(u64 __percpu *array, unsigned int cpu);

/* An empty array whose nodes are charged to the memory cgroup. */
void faultline_xa_init(struct xarray *xa);

/* An empty tree of ranges in RCU mode, which only one task writes at a time. */
void faultline_maple_init(struct maple_tree *tree);
/*
 * A store may change a node in place, so that mtree_load() finds what has never
 * stood at its index. Who looks up without a lock checks that nothing was stored
 * meanwhile: seq, which is only written with the tree locked.
 */
void faultline_seqcount_init(seqcount_t *seq);
void *faultline_maple_load(struct maple_tree *tree, seqcount_t *seq, unsigned long index);
unsigned int faultline_maple_begin_look(seqcount_t *seq);
/* Whether something was stored meanwhile. */
bool faultline_maple_end_look(seqcount_t *seq, unsigned int begun);
/* Around mas_store_prealloc(). Preemption is disabled between the two. */
void faultline_maple_begin_store(seqcount_t *seq);
void faultline_maple_end_store(seqcount_t *seq);
/*
 * mas_preallocate(): before the store, which readers wait for. It may wait for
 * memory, with nofail for as long as it takes.
 */
int faultline_maple_preallocate(struct ma_state *mas, void *entry, bool wait, bool nofail);
/*
 * Fills a maple tree and empties it again: its nodes, if there is memory, are
 * then what this CPU allocates next, also where it may not wait.
 */
void faultline_maple_get_nodes(void);

/*
 * A file on an inode, and so with an address_space, of its own:
 * anon_inode_create_getfile(). Its file_operations pin this module until its
 * release, which can run after that of the device file.
 */
struct file *faultline_inode_file(void);

/* file->f_mapping = owner->f_mapping, in ->open only. */
void faultline_file_share_mapping(struct file *file, struct file *owner);

/* How many shared areas that are or may become writable map it: i_mmap_writable */
unsigned int faultline_file_shared_areas(struct file *file);

/* Pages: put_page(), PageHWPoison(), folio_mark_dirty(), copy_mc_highpage(), zero_user_segment() */
void faultline_put_page(struct page *page);
bool faultline_page_hwpoison(struct page *page);
void faultline_mark_page_dirty(struct page *page);
int faultline_copy_mc_page(struct page *to, struct page *from);
void faultline_zero_page_from(struct page *page, unsigned int offset);

/* FMODE_READ, FMODE_WRITE, S_ISREG(), can_mmap_file() */
bool faultline_file_is_readable(struct file *file);
bool faultline_file_is_writable(struct file *file);
bool faultline_file_is_regular(struct file *file);
bool faultline_file_can_mmap(struct file *file);

/* shmem_file(), is_file_hugepages(), dax_mapping(), SB_KERNMOUNT */
bool faultline_file_is_shmem(struct file *file);
bool faultline_file_is_hugetlb(struct file *file);
bool faultline_file_is_dax(struct file *file);
bool faultline_file_is_internal(struct file *file);

/* d_name begins as memfd_create() has it; not for a file in a directory, which has a lock. */
bool faultline_file_is_named_memfd(struct file *file);

/* f_op->splice_read is copy_splice_read(), and s_bdev is NULL */
bool faultline_file_bypasses_cache(struct file *file);

/* i_size_read() */
loff_t faultline_file_size(struct file *file);

/* inode_lock() */
int faultline_inode_lock_killable(struct inode *inode);
bool faultline_inode_trylock(struct inode *inode);
void faultline_inode_unlock(struct inode *inode);

/* For inodes of shmem: SHMEM_F_MAPPING_FROZEN, and the seals. Under inode_lock(). */
void faultline_shmem_freeze(struct inode *inode, bool freeze);
bool faultline_shmem_is_frozen(struct inode *inode);
unsigned int faultline_shmem_seals(struct inode *inode);

/* mapping_map_writable(inode->i_mapping) */
int faultline_mapping_map_writable(struct inode *inode);
void faultline_mapping_unmap_writable(struct inode *inode);

/*
 * Pages of a file, with a reference, or an error pointer.
 *   shmem_read_page	shmem_read_mapping_page(): the file's page, made if it is a hole
 *   shmem_find_page	shmem_get_folio(SGP_READ): NULL for a hole
 *   find_uptodate_page	filemap_get_folio(): NULL if it is not there and up to date
 *   try_locked_page	the same, and NULL if the folio is locked by others
 *   file_has_page	whether a page that is referenced is the file's page at index
 *   times_are_current	whether file_update_time() would change nothing
 */
struct page *faultline_shmem_read_page(struct file *file, pgoff_t index);
struct page *faultline_shmem_find_page(struct file *file, pgoff_t index);
struct page *faultline_find_uptodate_page(struct file *file, pgoff_t index);
struct page *faultline_try_locked_page(struct file *file, pgoff_t index);
bool faultline_file_has_page(struct file *file, struct page *page, pgoff_t index);
bool faultline_times_are_current(struct inode *inode);

/*
 * read_cache_page(), but a fatal signal ends all its waits, also the one for a
 * read that somebody else, or readahead, has begun. -ENOMEM means that a page
 * or a node of the cache could not be allocated, and never comes from
 * ->read_folio: that is -EIO. Under the mapping's invalidate_lock.
 */
struct page *faultline_read_page(struct file *file, pgoff_t index);

/* page_cache_sync_readahead() for a page; down_read_killable(&mapping->invalidate_lock) */
void faultline_readahead(struct file *file, pgoff_t index);
int faultline_invalidate_lock_shared_killable(struct address_space *mapping);
void faultline_invalidate_unlock_shared(struct address_space *mapping);

/* release_fault_lock() */
void faultline_release_fault_lock(struct vm_fault *vmf);

/* __module_get(THIS_MODULE): it must not have gone */
void faultline_module_get(void);
void faultline_module_put(void);

/* alloc_workqueue(), unbound */
struct workqueue_struct *faultline_alloc_workqueue(void);

/* debugfs; without it nothing is made. */
struct dentry *faultline_debugfs_dir(const char *name);
void faultline_debugfs_file(const char *name, umode_t mode, struct dentry *dir, void *data,
			    const struct file_operations *fops);
void faultline_debugfs_remove(struct dentry *dir);

/* jhash() */
u32 faultline_hash(const void *bytes, u32 length, u32 seed);

/* Parameters of faultline.ko (C, because Rust's are not shown in sysfs). */
u64 faultline_param_max_pages(void);
u64 faultline_param_total_pages(void);
u64 faultline_param_max_regions(void);
const char *faultline_param_policy(void);
const char *faultline_param_busted(void);
unsigned int faultline_param_delay_unmap_ms(void);
unsigned int faultline_param_delay_discard_ms(void);
unsigned int faultline_param_delay_fault_ms(void);
unsigned int faultline_param_delay_points(void);
unsigned int faultline_param_delay_one_in(void);
unsigned int faultline_param_delay_us(void);
unsigned int faultline_param_delay_store_ms(void);
unsigned int faultline_param_delay_read_ms(void);
unsigned int faultline_param_precision(void);

/* Parameters of faultline_torture.ko. */
const char *faultline_torture_type(void);
int faultline_torture_nwriters_stress(void);
int faultline_torture_nreaders_stress(void);
int faultline_torture_stat_interval(void);
int faultline_torture_long_hold(void);
int faultline_torture_duration(void);
int faultline_torture_verbose(void);

#endif
