// Threads for one piece of work that is known beforehand. Thread rule: any thread.
#ifndef HONE_BASE_PARALLEL_H
#define HONE_BASE_PARALLEL_H

#include <stdint.h>

enum { HONE_PARALLEL_LIMIT = 64 };

// `wanted` threads within limits; 0 or less: as many as the process may use CPUs.
int hone_parallel_count(int64_t wanted);

// Calls run(user, index) for every index in [0, count), each on a thread of its own where one can
// be had, and waits for all. The caller's thread is one of them. count <= HONE_PARALLEL_LIMIT.
typedef void hone_parallel_fn(void *user, int index);
void hone_parallel_run(int count, hone_parallel_fn *run, void *user);

#endif
