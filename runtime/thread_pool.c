// How the pool works. A job cuts [0, units) into one contiguous share per thread and each share
// into a few chunks. A share is one atomic word (job number, next chunk, chunk count); a thread
// takes a chunk by a compare-and-swap on it, its own share first, then the others'. So a job never
// waits for a thread that the kernel has not scheduled: on a crowded machine somebody else does its
// share. A word with an old job number cannot be taken, and a job is not over while a taken chunk
// is unfinished; hence after a successful take (and only then) the job's fields may be read.
//
// Sleeping is by futex. Each side first announces (job number, count of pending chunks) and then
// looks whether the other sleeps, all sequentially consistent, so no wake-up is lost. How long to
// spin adapts: it doubles when spinning paid off and halves when it ended in sleep anyway, and is
// zero when there are more threads than CPUs.
#include "runtime/thread_pool.h"

#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/cpu.h"

enum {
  CHUNKS_PER_SHARE = 4,
  SPIN_LOW = 16,     // pause instructions; one takes 10 to 50 ns
  SPIN_HIGH = 2048,  // some 50 microseconds
  CACHE_LINE = 64,
};

// The share word: job number in the high half, next chunk and chunk count in the low one.
static uint64_t share_word(uint32_t job, uint32_t next, uint32_t count) {
  return (uint64_t)job << 32 | (uint64_t)next << 16 | count;
}

typedef struct pool_share {
  _Alignas(CACHE_LINE) _Atomic uint64_t word;
} pool_share_t;

typedef struct pool_worker {
  hone_pool_t *pool;
  pthread_t thread;
  uint32_t index;  // 1..threads-1; the caller is 0
} pool_worker_t;

struct hone_pool {
  uint32_t threads, started;
  uint32_t spin_high, caller_budget;
  pool_worker_t *workers;
  pool_share_t *shares;
  // The running job; written by the caller while no chunk is taken.
  hone_pool_fn *fn;
  void *data;
  int64_t units;
  uint32_t share_count, chunk_count;
  _Alignas(CACHE_LINE) _Atomic uint32_t job;  // futex: workers sleep on it
  _Atomic uint32_t sleepers;
  _Atomic bool is_closing;
  _Alignas(CACHE_LINE) _Atomic uint32_t pending;  // futex: chunks not done; the caller sleeps on it
  _Atomic uint32_t is_caller_asleep;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

// First unit of piece `index` of `count` even pieces of `units`.
static int64_t piece_begin(int64_t units, uint32_t count, uint32_t index) {
  int64_t base = units / count, extra = units % count;
  return base * index + (index < extra ? index : extra);
}

static bool share_take(pool_share_t *share, uint32_t job, uint32_t *out_chunk) {
  uint64_t word = atomic_load_explicit(&share->word, memory_order_acquire);
  for (;;) {
    uint32_t next = (uint32_t)(word >> 16) & 0xffff, count = (uint32_t)word & 0xffff;
    if ((uint32_t)(word >> 32) != job || next >= count) return false;
    if (atomic_compare_exchange_weak_explicit(&share->word, &word, share_word(job, next + 1, count),
                                              memory_order_acq_rel, memory_order_acquire)) {
      *out_chunk = next;
      return true;
    }
  }
}

static void run_chunk(hone_pool_t *pool, uint32_t share, uint32_t chunk) {
  int64_t low = piece_begin(pool->units, pool->share_count, share);
  int64_t high = piece_begin(pool->units, pool->share_count, share + 1);
  int64_t begin = low + piece_begin(high - low, pool->chunk_count, chunk);
  int64_t end = low + piece_begin(high - low, pool->chunk_count, chunk + 1);
  if (begin < end) pool->fn(pool->data, begin, end);
  if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->is_caller_asleep) != 0) {
    futex_wake(&pool->pending, 1);
  }
}

// Takes chunks of job `job` until there are none, starting with share `self`.
static void work(hone_pool_t *pool, uint32_t job, uint32_t self) {
  for (uint32_t i = 0; i < pool->threads; ++i) {
    uint32_t share = (self + i) % pool->threads, chunk;
    while (share_take(&pool->shares[share], job, &chunk)) run_chunk(pool, share, chunk);
  }
}

// Spins while *word == value, at most *budget times; adapts the budget. True if the word changed.
static bool spin(_Atomic uint32_t *word, uint32_t value, uint32_t high, uint32_t *budget) {
  for (uint32_t i = 0; i < *budget; ++i) {
    if (atomic_load_explicit(word, memory_order_acquire) != value) {
      *budget = *budget * 2 < high ? *budget * 2 : high;
      return true;
    }
    _mm_pause();
  }
  if (*budget > SPIN_LOW) *budget /= 2;
  return atomic_load_explicit(word, memory_order_acquire) != value;
}

static void *worker_main(void *data) {
  pool_worker_t *worker = data;
  hone_pool_t *pool = worker->pool;
  uint32_t seen = 0, budget = pool->spin_high;
  for (;;) {
    if (!spin(&pool->job, seen, pool->spin_high, &budget)) {
      atomic_fetch_add(&pool->sleepers, 1);
      while (atomic_load(&pool->job) == seen) futex_wait(&pool->job, seen);
      atomic_fetch_sub(&pool->sleepers, 1);
    }
    seen = atomic_load(&pool->job);
    if (atomic_load(&pool->is_closing)) return NULL;
    work(pool, seen, worker->index);
  }
}

void hone_pool_run(hone_pool_t *pool, uint32_t threads, int64_t units, hone_pool_fn *fn,
                   void *data) {
  if (units <= 0) return;
  uint32_t shares = pool == NULL ? 1 : pool->threads;
  if (threads != 0 && threads < shares) shares = threads;
  if (shares > units) shares = (uint32_t)units;
  if (shares <= 1) {
    fn(data, 0, units);
    return;
  }
  int64_t per_share = units / shares;
  uint32_t chunks = per_share < CHUNKS_PER_SHARE ? (uint32_t)per_share : CHUNKS_PER_SHARE;
  uint32_t job = atomic_load_explicit(&pool->job, memory_order_relaxed) + 1;
  pool->fn = fn;
  pool->data = data;
  pool->units = units;
  pool->share_count = shares;
  pool->chunk_count = chunks;
  atomic_store(&pool->pending, shares * chunks);
  for (uint32_t i = 0; i < shares; ++i) {
    atomic_store_explicit(&pool->shares[i].word, share_word(job, 0, chunks), memory_order_release);
  }
  atomic_store(&pool->job, job);
  // Whoever is awake will find the job; wake only as many as are wanted beyond those.
  uint32_t sleepers = atomic_load(&pool->sleepers), awake = pool->started - sleepers;
  if (sleepers != 0 && shares - 1 > awake) futex_wake(&pool->job, (int)(shares - 1 - awake));

  work(pool, job, 0);
  for (;;) {
    uint32_t left = atomic_load(&pool->pending);
    if (left == 0) return;
    if (spin(&pool->pending, left, pool->spin_high, &pool->caller_budget)) continue;
    atomic_store(&pool->is_caller_asleep, 1);
    left = atomic_load(&pool->pending);
    if (left != 0) futex_wait(&pool->pending, left);
    atomic_store(&pool->is_caller_asleep, 0);
  }
}

// Workers take no signals: Ctrl-C belongs to the caller's thread.
static bool start_workers(hone_pool_t *pool, hone_status_t *status) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  for (uint32_t i = 1; i < pool->threads && error == 0; ++i) {
    pool_worker_t *worker = &pool->workers[i];
    *worker = (pool_worker_t){.pool = pool, .index = i};
    error = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (error == 0) pool->started = i;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) return true;
  return hone_fail(status, HONE_EXHAUSTED,
                   "cannot start thread %u of %u: %s; ask for fewer threads", pool->started + 2,
                   pool->threads, strerror(error));
}

bool hone_pool_create(uint32_t threads, hone_pool_t **out_pool, hone_status_t *status) {
  *out_pool = NULL;
  if (threads < 1 || threads > HONE_THREAD_LIMIT) {
    return hone_fail(status, HONE_INVALID, "%u threads: must be 1 to %d", threads,
                     (int)HONE_THREAD_LIMIT);
  }
  hone_pool_t *pool = aligned_alloc(CACHE_LINE, sizeof *pool);
  pool_worker_t *workers = calloc(threads, sizeof *workers);
  pool_share_t *shares = aligned_alloc(CACHE_LINE, threads * sizeof *shares);
  if (pool == NULL || workers == NULL || shares == NULL) {
    free(pool);
    free(workers);
    free(shares);
    return hone_fail(status, HONE_EXHAUSTED, "out of memory for %u threads", threads);
  }
  memset(pool, 0, sizeof *pool);
  memset(shares, 0, threads * sizeof *shares);
  pool->threads = threads;
  pool->workers = workers;
  pool->shares = shares;
  pool->spin_high = threads > hone_cpu_count() ? 0 : SPIN_HIGH;
  pool->caller_budget = pool->spin_high;
  if (!start_workers(pool, status)) {
    hone_pool_destroy(pool);
    return false;
  }
  *out_pool = pool;
  return true;
}

void hone_pool_destroy(hone_pool_t *pool) {
  if (pool == NULL) return;
  atomic_store(&pool->is_closing, true);
  atomic_fetch_add(&pool->job, 1);
  futex_wake(&pool->job, (int)HONE_THREAD_LIMIT);
  for (uint32_t i = 1; i <= pool->started; ++i) pthread_join(pool->workers[i].thread, NULL);
  free(pool->workers);
  free(pool->shares);
  free(pool);
}

uint32_t hone_pool_threads(const hone_pool_t *pool) { return pool == NULL ? 1 : pool->threads; }
