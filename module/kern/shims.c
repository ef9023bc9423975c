// SPDX-License-Identifier: GPL-2.0-only
/* See shims.h. */

#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/dax.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/jhash.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/preempt.h>
#include <linux/random.h>
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

unsigned int faultline_num_online_cpus(void)
{
	return num_online_cpus();
}

unsigned int faultline_num_possible_cpus(void)
{
	return num_possible_cpus();
}

u64 __percpu *faultline_percpu_alloc(unsigned int len)
{
	return __alloc_percpu_gfp(len * sizeof(u64), SMP_CACHE_BYTES, GFP_KERNEL_ACCOUNT);
}

void faultline_percpu_free(u64 __percpu *array)
{
	free_percpu(array);
}

u64 *faultline_percpu_own(u64 __percpu *array)
{
	return raw_cpu_ptr(array);
}

void faultline_percpu_add(u64 __percpu *array, unsigned int index, u64 amount)
{
	this_cpu_add(array[index], amount);
}

void faultline_percpu_inc_all(u64 __percpu *array, u64 set)
{
	while (set) {
		this_cpu_inc(array[__ffs64(set)]);
		set &= set - 1;
	}
}

bool faultline_percpu_sum_all(u64 __percpu *array, unsigned int len, u64 *sums)
{
	bool has_counted = false;
	unsigned int index;
	int cpu;

	for_each_possible_cpu(cpu) {
		const u64 *own = per_cpu_ptr(array, cpu);
		u64 any = 0;

		/* What is counted meanwhile may be missed here as well as below. */
		for (index = 0; index < len; index++)
			any |= data_race(own[index]);
		if (!any)
			continue;
		has_counted = true;
		for (index = 0; index < len; index++)
			sums[index] += READ_ONCE(own[index]);
	}
	return has_counted;
}

static DEFINE_PER_CPU(u64, faultline_live[FAULTLINE_LIVE_KINDS]);

void faultline_live_add(unsigned int kind, u64 amount)
{
	this_cpu_add(faultline_live[kind], amount);
}

#define FAULTLINE_NUMBERS 1024
static atomic64_t faultline_numbers;
static DEFINE_PER_CPU(u64, faultline_number);

u64 faultline_next_number(void)
{
	u64 *last = &get_cpu_var(faultline_number);
	u64 number = *last;

	/* The last of a block, or none so far. Relaxed: only that no two are equal matters. */
	if (number % FAULTLINE_NUMBERS == 0)
		number = atomic64_fetch_add_relaxed(FAULTLINE_NUMBERS, &faultline_numbers);
	*last = ++number;
	put_cpu_var(faultline_number);
	return number;
}

static bool faultline_is_possible(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_possible(cpu);
}

int faultline_possible_from(unsigned int cpu)
{
	for (; cpu < nr_cpu_ids; cpu++)
		if (cpu_possible(cpu))
			return cpu;
	return -1;
}

unsigned long faultline_numbers_address(void)
{
	return (unsigned long)&faultline_numbers;
}

unsigned long faultline_number_address(unsigned int cpu)
{
	return faultline_is_possible(cpu) ? (unsigned long)per_cpu_ptr(&faultline_number, cpu) : 0;
}

unsigned long faultline_live_address(unsigned int cpu)
{
	return faultline_is_possible(cpu) ? (unsigned long)per_cpu_ptr(&faultline_live[0], cpu) : 0;
}

unsigned long faultline_percpu_address(u64 __percpu *array, unsigned int cpu)
{
	return faultline_is_possible(cpu) ? (unsigned long)per_cpu_ptr(array, cpu) : 0;
}

u64 faultline_live_sum(unsigned int kind)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(faultline_live[kind], cpu));
	return sum;
}

u32 faultline_hash(const void *bytes, u32 length, u32 seed)
{
	return jhash(bytes, length, seed);
}

void faultline_xa_init(struct xarray *xa)
{
	xa_init_flags(xa, XA_FLAGS_ACCOUNT);
}

void faultline_maple_init(struct maple_tree *tree)
{
	mt_init_flags(tree, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	/* Not always the same lock keeps others from storing. */
	mt_on_stack(*tree);
}

void faultline_seqcount_init(seqcount_t *seq)
{
	seqcount_init(seq);
}

void *faultline_maple_load(struct maple_tree *tree, seqcount_t *seq, unsigned long index)
{
	unsigned int begun;
	void *entry;

	do {
		begun = read_seqcount_begin(seq);
		entry = mtree_load(tree, index);
	} while (read_seqcount_retry(seq, begun));
	return entry;
}

unsigned int faultline_maple_begin_look(seqcount_t *seq)
{
	return read_seqcount_begin(seq);
}

bool faultline_maple_end_look(seqcount_t *seq, unsigned int begun)
{
	return read_seqcount_retry(seq, begun);
}

void faultline_maple_begin_store(seqcount_t *seq)
{
	write_seqcount_begin(seq);
}

void faultline_maple_end_store(seqcount_t *seq)
{
	write_seqcount_end(seq);
}

int faultline_maple_preallocate(struct ma_state *mas, void *entry, bool wait, bool nofail)
{
	gfp_t gfp = wait ? GFP_KERNEL : GFP_NOWAIT;

	return mas_preallocate(mas, entry, nofail ? gfp | __GFP_NOFAIL : gfp);
}

void faultline_maple_get_nodes(void)
{
	struct maple_tree tree;
	unsigned long index;

	mt_init(&tree);

	/* More nodes than a store to a tree of any height asks for. */
	for (index = 0; index < 512; index++)
		if (mtree_store(&tree, index, xa_mk_value(index), GFP_KERNEL))
			break;
	mtree_destroy(&tree);
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

unsigned int faultline_file_shared_areas(struct file *file)
{
	return max(atomic_read(&file->f_mapping->i_mmap_writable), 0);
}

void faultline_put_page(struct page *page)
{
	put_page(page);
}

bool faultline_page_hwpoison(struct page *page)
{
	/* Pairs with nothing: where it breaks later, copy_mc_highpage() or the access fails. */
	return PageHWPoison(page);
}

void faultline_mark_page_dirty(struct page *page)
{
	folio_mark_dirty(page_folio(page));
}

int faultline_copy_mc_page(struct page *to, struct page *from)
{
	return copy_mc_highpage(to, from);
}

void faultline_zero_page_from(struct page *page, unsigned int offset)
{
	zero_user_segment(page, offset, PAGE_SIZE);
}

bool faultline_file_is_readable(struct file *file)
{
	return file->f_mode & FMODE_READ;
}

bool faultline_file_is_writable(struct file *file)
{
	return file->f_mode & FMODE_WRITE;
}

bool faultline_file_is_regular(struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode);
}

bool faultline_file_can_mmap(struct file *file)
{
	return can_mmap_file(file);
}

bool faultline_file_is_shmem(struct file *file)
{
	return shmem_file(file);
}

bool faultline_file_is_hugetlb(struct file *file)
{
	return is_file_hugepages(file);
}

bool faultline_file_is_dax(struct file *file)
{
	return dax_mapping(file->f_mapping);
}

bool faultline_file_is_internal(struct file *file)
{
	return file_inode(file)->i_sb->s_flags & SB_KERNMOUNT;
}

bool faultline_file_is_named_memfd(struct file *file)
{
	return str_has_prefix(file->f_path.dentry->d_name.name, "memfd:");
}

bool faultline_file_bypasses_cache(struct file *file)
{
	return file->f_op->splice_read == copy_splice_read && !file_inode(file)->i_sb->s_bdev;
}

loff_t faultline_file_size(struct file *file)
{
	return i_size_read(file->f_mapping->host);
}

int faultline_inode_lock_killable(struct inode *inode)
{
	return inode_lock_killable(inode);
}

bool faultline_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

void faultline_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void faultline_shmem_freeze(struct inode *inode, bool freeze)
{
	shmem_freeze(inode, freeze);
}

bool faultline_shmem_is_frozen(struct inode *inode)
{
	return SHMEM_I(inode)->flags & SHMEM_F_MAPPING_FROZEN;
}

unsigned int faultline_shmem_seals(struct inode *inode)
{
	return SHMEM_I(inode)->seals;
}

int faultline_mapping_map_writable(struct inode *inode)
{
	return mapping_map_writable(inode->i_mapping);
}

void faultline_mapping_unmap_writable(struct inode *inode)
{
	mapping_unmap_writable(inode->i_mapping);
}

struct page *faultline_shmem_read_page(struct file *file, pgoff_t index)
{
	return shmem_read_mapping_page(file->f_mapping, index);
}

struct page *faultline_shmem_find_page(struct file *file, pgoff_t index)
{
	struct folio *folio;
	int error;

	error = shmem_get_folio(file->f_mapping->host, index, 0, &folio, SGP_READ);
	if (error)
		return ERR_PTR(error);
	if (!folio)
		return NULL;
	folio_unlock(folio);
	return folio_file_page(folio, index);
}

struct page *faultline_find_uptodate_page(struct file *file, pgoff_t index)
{
	struct folio *folio;

	folio = filemap_get_folio(file->f_mapping, index);
	if (IS_ERR(folio))
		return NULL;
	/*
	 * Not locked. The barrier in it pairs with that in folio_mark_uptodate(),
	 * or with the release in folio_end_read(): what is read of the page behind
	 * it is what it was filled with, or later.
	 */
	if (!folio_test_uptodate(folio)) {
		folio_put(folio);
		return NULL;
	}
	folio_mark_accessed(folio);
	return folio_file_page(folio, index);
}

struct page *faultline_try_locked_page(struct file *file, pgoff_t index)
{
	struct folio *folio;
	struct page *page = NULL;

	folio = __filemap_get_folio(file->f_mapping, index, FGP_LOCK | FGP_NOWAIT, 0);
	if (IS_ERR(folio))
		return NULL;
	/* Locked, and still of the file: FGP_LOCK has looked. */
	if (folio_test_uptodate(folio))
		page = folio_file_page(folio, index);
	folio_unlock(folio);
	if (!page)
		folio_put(folio);
	return page;
}

bool faultline_file_has_page(struct file *file, struct page *page, pgoff_t index)
{
	struct folio *folio = page_folio(page);

	/*
	 * Not folio_contains(), which is for folios that are locked. Nothing here
	 * orders the load of the mapping with page_cache_delete(). If the page was
	 * lost before the region was published, the caller's look-up of that does
	 * (the read barrier of its sequence count); if before a change passed the
	 * leaf, the leaf's lock, or, if there was none, the full barriers on both
	 * sides. A page that is lost later may be missed. The index stays when the
	 * mapping is gone, and a folio that is referenced is not split.
	 */
	return READ_ONCE(folio->mapping) == file->f_mapping &&
	       index - READ_ONCE(folio->index) < folio_nr_pages(folio) &&
	       folio_file_page(folio, index) == page;
}

bool faultline_times_are_current(struct inode *inode)
{
	struct timespec64 now, mtime, ctime;

	/* Somebody has seen this one, so that the next is to be another. */
	if (READ_ONCE(inode->i_ctime_nsec) & I_CTIME_QUERIED)
		return false;
	ktime_get_coarse_real_ts64(&now);
	now = timestamp_truncate(now, inode);
	mtime = inode_get_mtime(inode);
	ctime = inode_get_ctime(inode);
	return timespec64_compare(&mtime, &now) >= 0 && timespec64_compare(&ctime, &now) >= 0;
}

void faultline_readahead(struct file *file, pgoff_t index)
{
	page_cache_sync_readahead(file->f_mapping, &file->f_ra, file, index, 1);
}

int faultline_invalidate_lock_shared_killable(struct address_space *mapping)
{
	return down_read_killable(&mapping->invalidate_lock);
}

void faultline_invalidate_unlock_shared(struct address_space *mapping)
{
	filemap_invalidate_unlock_shared(mapping);
}

/* The folio at index, locked unless it is up to date; -EEXIST: look again. */
static struct folio *faultline_get_folio(struct address_space *mapping, pgoff_t index,
					 bool *locked)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int error = 0;

	*locked = true;
	folio = filemap_get_folio(mapping, index);
	if (IS_ERR(folio)) {
		folio = filemap_alloc_folio(gfp, mapping_min_folio_order(mapping), NULL);
		if (!folio)
			return ERR_PTR(-ENOMEM);
		error = filemap_add_folio(mapping, folio, mapping_align_index(mapping, index), gfp);
	} else if (folio_test_uptodate(folio)) {
		/* Not locked: as in faultline_find_uptodate_page(). */
		*locked = false;
	} else {
		error = folio_lock_killable(folio);
		if (!error && (folio->mapping != mapping || folio_test_uptodate(folio))) {
			/* Truncated, or somebody else has read it. */
			folio_unlock(folio);
			error = -EEXIST;
		}
	}
	if (error) {
		folio_put(folio);
		return ERR_PTR(error);
	}
	return folio;
}

/* Reads a locked folio, as filemap_read_folio(). */
static int faultline_read_folio(struct file *file, struct folio *folio)
{
	int error;

	error = file->f_mapping->a_ops->read_folio(file, folio);
	if (!error)
		error = folio_wait_locked_killable(folio);
	/* Not locked any more: pairs as above; who has read it has unlocked it behind. */
	if (!error && !folio_test_uptodate(folio))
		error = -EIO;
	/* Memory that the file system lacks may be lacking for ever. */
	return error == -ENOMEM ? -EIO : error;
}

struct page *faultline_read_page(struct file *file, pgoff_t index)
{
	struct folio *folio;
	bool locked;
	int error;

	do {
		folio = faultline_get_folio(file->f_mapping, index, &locked);
		error = PTR_ERR_OR_ZERO(folio);
		if (!error && locked) {
			error = faultline_read_folio(file, folio);
			if (error)
				folio_put(folio);
		}
		if (!error) {
			folio_mark_accessed(folio);
			return folio_file_page(folio, index);
		}
	} while ((error == -EEXIST || error == AOP_TRUNCATED_PAGE) && !fatal_signal_pending(current));
	return ERR_PTR(error == -EEXIST || error > 0 ? -EINTR : error);
}

void faultline_release_fault_lock(struct vm_fault *vmf)
{
	release_fault_lock(vmf);
}

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
