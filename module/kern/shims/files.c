// SPDX-License-Identifier: GPL-2.0-only
/* Files and their inodes: see shims.h. */

#include <linux/anon_inodes.h>
#include <linux/dax.h>
#include <linux/hugetlb.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "shims.h"

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
