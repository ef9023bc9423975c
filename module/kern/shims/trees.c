// SPDX-License-Identifier: GPL-2.0-only
/* Trees, and what else holds objects: see shims.h. */

#include <linux/jhash.h>

#include "shims.h"

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
