// SPDX-License-Identifier: GPL-2.0-only
/*
 * An arena, as the author of a runtime would begin one, in C11 or C++17 with nothing
 * but the header and libc: one huge window, chunks that get memory when they are wanted
 * and give it back when they are not, a write barrier made of read-only chunks, and
 * large objects that grow without being copied.
 *
 * It says what it does, and checks what comes of it; its status is 1 if that is wrong.
 * It runs where the module is loaded: see "Use it in a program" in the README.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faultline.h"

#define PAGE	((uint64_t)4096)
#define CHUNK	((uint64_t)2 << 20)
/* Chunks are in the lower half of the heap, large objects in the upper. */
#define HEAP	((uint64_t)1 << 40)
#define LARGE	(HEAP / 2)
#define CHUNKS	16
#define THREADS	4
#define ROUNDS	8

/* The window: what is at an address of the space is there in this process. */
static unsigned char *heap;
static int space = -1;
/* Where the large objects end. */
static uint64_t large_end = LARGE;
/* Chunks written since they were protected: set by the signal handler. */
static volatile sig_atomic_t dirty[CHUNKS];
/* The handlers that were there before ours. */
static struct sigaction old_segv, old_bus;

/* Where a load that is expected to fault goes on; for one thread. */
static sigjmp_buf faulted;
static volatile sig_atomic_t expected;

static void fail(const char *what)
{
	fprintf(stderr, "arena: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "arena: wrong: %s\n", what);
	exit(1);
}

static volatile uint64_t *word(uint64_t address)
{
	return (volatile uint64_t *)(void *)(heap + address);
}

/* Structures are zeroed first: fields that are added one day must be zero. */
static void map(uint64_t address, uint64_t length)
{
	struct faultline_map arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = address;
	arg.length = length;
	arg.prot = FAULTLINE_PROT_READ | FAULTLINE_PROT_WRITE;
	/* That something is there would be a bug of ours. */
	arg.flags = FAULTLINE_MAP_FIXED_NOREPLACE;
	arg.backing = FAULTLINE_BACKING_ANON;
	arg.fd = -1;
	if (ioctl(space, FAULTLINE_IOC_MAP, &arg))
		fail("MAP");
}

static void unmap(uint64_t address, uint64_t length)
{
	struct faultline_unmap arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = address;
	arg.length = length;
	if (ioctl(space, FAULTLINE_IOC_UNMAP, &arg))
		fail("UNMAP");
}

/* May be called in a signal handler. */
static int protect(uint64_t address, uint64_t length, uint32_t prot)
{
	struct faultline_protect arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = address;
	arg.length = length;
	arg.prot = prot;
	return ioctl(space, FAULTLINE_IOC_PROTECT, &arg);
}

static void discard(uint64_t address, uint64_t length)
{
	struct faultline_advise arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = address;
	arg.length = length;
	arg.advice = FAULTLINE_ADVISE_DONTNEED;
	if (ioctl(space, FAULTLINE_IOC_ADVISE, &arg))
		fail("ADVISE");
}

static struct faultline_stats stats(void)
{
	struct faultline_stats arg;

	memset(&arg, 0, sizeof(arg));
	if (ioctl(space, FAULTLINE_IOC_STATS, &arg))
		fail("STATS");
	return arg;
}

/*
 * Makes an object longer: where it is if there is room, or else its pages go along to
 * where there is. Returns where it is then.
 */
static uint64_t grow(uint64_t address, uint64_t old_length, uint64_t new_length)
{
	struct faultline_remap arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = address;
	arg.old_length = old_length;
	arg.new_length = new_length;
	if (ioctl(space, FAULTLINE_IOC_REMAP, &arg) == 0) {
		if (large_end < address + new_length)
			large_end = address + new_length;
		return arg.new_addr;
	}
	if (errno != ENOMEM)
		fail("REMAP in place");
	arg.flags = FAULTLINE_REMAP_MAYMOVE | FAULTLINE_REMAP_FIXED;
	arg.new_addr = large_end;
	if (ioctl(space, FAULTLINE_IOC_REMAP, &arg))
		fail("REMAP");
	large_end = arg.new_addr + new_length;
	return arg.new_addr;
}

/* Does what would be done if our handler were not there. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	struct sigaction *old = number == SIGSEGV ? &old_segv : &old_bus;

	if (old->sa_flags & SA_SIGINFO)
		old->sa_sigaction(number, info, context);
	else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
		old->sa_handler(number);
	else
		signal(number, SIG_DFL);	/* and the access is made again */
}

/* The write barrier: notes the chunk, and lets the store be made again. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	uint64_t at = (uint64_t)((unsigned char *)info->si_addr - heap);
	int saved = errno;

	if (expected)
		siglongjmp(faulted, number);
	if (number != SIGSEGV || info->si_code <= 0 || at >= CHUNKS * CHUNK) {
		pass_on(number, info, context);
		return;
	}
	/* Noted first: from the call on other threads store there freely. */
	dirty[at / CHUNK] = 1;
	if (protect(at - at % CHUNK, CHUNK, FAULTLINE_PROT_READ | FAULTLINE_PROT_WRITE))
		pass_on(number, info, context);
	errno = saved;
}

/* The signal that a load raises, or 0. */
static int signal_of_load(uint64_t address)
{
	int number = sigsetjmp(faulted, 1);

	if (number == 0) {
		expected = 1;
		(void)*word(address);
	}
	expected = 0;
	return number;
}

/* One mutator: fills a chunk of its own, and looks whether it stays. */
static void *mutate(void *argument)
{
	uint64_t thread = *(uint64_t *)argument;
	uint64_t chunk = thread * CHUNK, round, at;

	map(chunk, CHUNK);
	for (round = 0; round < ROUNDS; round++) {
		for (at = chunk; at < chunk + CHUNK; at += 512) {
			check(*word(at) == 0, "a fresh chunk reads zero");
			*word(at) = at ^ (thread << 56) ^ (round << 48);
		}
		for (at = chunk; at < chunk + CHUNK; at += 512)
			check(*word(at) == (at ^ (thread << 56) ^ (round << 48)),
			      "an object is as it was stored");
		/* Gives the memory back and keeps the addresses. */
		discard(chunk, CHUNK);
	}
	return NULL;
}

static void threads(void)
{
	uint64_t numbers[THREADS];
	pthread_t handles[THREADS];
	int i;

	for (i = 0; i < THREADS; i++) {
		numbers[i] = (uint64_t)i;
		errno = pthread_create(&handles[i], NULL, mutate, &numbers[i]);
		if (errno)
			fail("pthread_create");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(handles[i], NULL);
	check(stats().pages == 0, "no page is held after DONTNEED");
	printf("threads: %d filled and checked a chunk of %d KiB each, %d times\n", THREADS,
	       (int)(CHUNK >> 10), ROUNDS);
}

static void barrier(void)
{
	int i, noted = 0;

	for (i = 0; i < 3; i++) {
		*word((uint64_t)i * CHUNK) = 1;
		if (protect((uint64_t)i * CHUNK, CHUNK, FAULTLINE_PROT_READ))
			fail("PROTECT");
	}
	check(*word(0) == 1, "what is watched can be loaded");
	*word(CHUNK) = 2;
	*word(CHUNK + 8) = 3;
	check(*word(CHUNK) == 2 && *word(CHUNK + 8) == 3, "the stores were made");
	for (i = 0; i < CHUNKS; i++)
		noted += dirty[i];
	printf("barrier: of 3 chunks that were watched, %d was written\n", noted);
	check(noted == 1 && dirty[1], "the chunk that was written is noted");
}

static void growth(void)
{
	const uint64_t length = (uint64_t)16 << 20;
	uint64_t first = large_end, at, moved, again;
	struct faultline_stats before, after;

	map(first, length);
	map(first + length, PAGE);
	large_end = first + length + PAGE;
	for (at = 0; at < length; at += PAGE)
		*word(first + at) = at + 1;
	before = stats();
	/* The neighbour is in the way, so it moves; then nothing is, so it stays. */
	moved = grow(first, length, 2 * length);
	again = grow(moved, 2 * length, 3 * length);
	after = stats();
	check(moved != first && again == moved, "it moves once");
	for (at = 0; at < length; at += PAGE)
		check(*word(moved + at) == at + 1, "the pages went along");
	check(*word(moved + length) == 0, "what is new reads zero");
	check(signal_of_load(first) == SIGBUS, "where it was is SIGBUS");
	printf("growth: from %d to %d MiB, %d pages moved and %d copied or added\n",
	       (int)(length >> 20), (int)(3 * length >> 20),
	       (int)(after.pages_moved - before.pages_moved),
	       (int)(after.pages_added - before.pages_added));
	check(after.pages_moved - before.pages_moved == length / PAGE, "all pages moved");
	check(after.pages_added == before.pages_added, "no page was added");
}

int main(void)
{
	struct sigaction action;
	void *window;

	space = open(FAULTLINE_DEVICE, O_RDWR | O_CLOEXEC);
	if (space < 0)
		fail(FAULTLINE_DEVICE " (is the module loaded?)");
	window = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_SHARED, space, 0);
	if (window == MAP_FAILED)
		fail("mmap");
	heap = (unsigned char *)window;
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	if (sigaction(SIGSEGV, &action, &old_segv) || sigaction(SIGBUS, &action, &old_bus))
		fail("sigaction");
	printf("heap: %d GiB at %p\n", (int)(HEAP >> 30), window);

	threads();
	barrier();
	growth();
	unmap(0, HEAP);
	check(stats().regions == 0 && stats().pages == 0, "nothing is left");
	check(signal_of_load(0) == SIGBUS, "what is unmapped is SIGBUS");
	printf("all as it should be\n");
	return 0;
}
