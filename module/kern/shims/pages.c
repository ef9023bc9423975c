// SPDX-License-Identifier: GPL-2.0-only
/* Pages, of files and not: see shims.h. */

#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "shims.h"

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
