// SPDX-License-Identifier: GPL-2.0-only
/* Counters of each CPU: see shims.h. */

#include <linux/cpumask.h>

#include "shims.h"

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
