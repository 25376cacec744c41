// How the pool works. A job cuts [0, units) into one contiguous share per thread and each share
// into a few chunks, each half of what is left: few to take, and small ones at the end for whoever
// is first to help. A share is one atomic word (job number, next chunk, chunk count); a thread
// takes a chunk by a compare-and-swap on it, its own share first, then the others'. So a job never
// waits for a thread that the kernel has not scheduled: on a crowded machine somebody else does its
// share. A word with an old job number cannot be taken, and a job is not over while a taken chunk
// is unfinished; hence after a successful take (and only then) the job's fields may be read.
//
// Sleeping is by futex. Each side first announces (job number, count of pending chunks) and then
// looks whether the other sleeps, all sequentially consistent, so no wake-up is lost. How long to
// spin adapts: it doubles when the wait was one that the longest spinning would have covered,
// asleep or not, and halves when it was longer; it is zero when there are more threads than CPUs.
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
  CHUNKS_PER_SHARE = 5,
  SPIN_LOW = 1000,     // ticks of the time stamp counter, 2 to 4 in a nanosecond
  SPIN_HIGH = 200000,  // some 50 to 100 microseconds
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

// How long a side that waits may spin, in ticks; learns from how long the waits were.
typedef struct patience {
  uint64_t begin, ticks, most;
} patience_t;

struct hone_pool {
  uint32_t threads, started;
  uint64_t spin_high;
  patience_t patience;  // of the caller
  pool_worker_t *workers;
  pool_share_t *shares;
  // The running job; written by the caller while no chunk is taken.
  hone_pool_fn *fn;
  void *data;
  int64_t units;
  uint32_t share_count;
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

// First unit of chunk `index` of a share, of as many chunks as chunks_of says.
static int64_t chunk_begin(int64_t units, uint32_t index) { return units - (units >> index); }

static uint32_t chunks_of(int64_t units) {
  uint32_t count = 1;
  while (count < CHUNKS_PER_SHARE && chunk_begin(units, count) < units) count++;
  return count;
}

static void run_chunk(hone_pool_t *pool, uint32_t share, uint32_t chunk) {
  int64_t low = piece_begin(pool->units, pool->share_count, share);
  int64_t units = piece_begin(pool->units, pool->share_count, share + 1) - low;
  int64_t begin = chunk_begin(units, chunk);
  int64_t end = chunk + 1 < chunks_of(units) ? chunk_begin(units, chunk + 1) : units;
  pool->fn(pool->data, low + begin, low + end);
}

// Takes chunks of job `job` until there are none, starting with share `self`; gives their number.
// The job is not over before that many are subtracted from `pending`.
static uint32_t work(hone_pool_t *pool, uint32_t job, uint32_t self) {
  uint32_t done = 0;
  for (uint32_t i = 0; i < pool->threads; ++i) {
    uint32_t share = self + i < pool->threads ? self + i : self + i - pool->threads, chunk;
    for (; share_take(&pool->shares[share], job, &chunk); ++done) run_chunk(pool, share, chunk);
  }
  return done;
}

static void learn(patience_t *patience) {
  uint64_t waited = __rdtsc() - patience->begin, more = patience->ticks * 2;
  if (waited <= patience->most) {
    patience->ticks = more < patience->most ? more : patience->most;
  } else if (patience->ticks > SPIN_LOW) {
    patience->ticks /= 2;
  }
}

// Spins while *word == value; true if it changed in time.
static bool spin(_Atomic uint32_t *word, uint32_t value, patience_t *patience) {
  patience->begin = __rdtsc();
  if (patience->most == 0) return false;
  do {
    if (atomic_load_explicit(word, memory_order_acquire) != value) return true;
    _mm_pause();
  } while (__rdtsc() - patience->begin < patience->ticks);
  return false;
}

static void finish(hone_pool_t *pool, uint32_t done) {
  if (done == 0) return;
  if (atomic_fetch_sub(&pool->pending, done) == done && atomic_load(&pool->is_caller_asleep) != 0)
    futex_wake(&pool->pending, 1);
}

static void *worker_main(void *data) {
  pool_worker_t *worker = data;
  hone_pool_t *pool = worker->pool;
  uint32_t seen = 0;
  patience_t patience = {.ticks = pool->spin_high, .most = pool->spin_high};
  for (;;) {
    if (!spin(&pool->job, seen, &patience)) {
      atomic_fetch_add(&pool->sleepers, 1);
      while (atomic_load(&pool->job) == seen) futex_wait(&pool->job, seen);
      atomic_fetch_sub(&pool->sleepers, 1);
    }
    learn(&patience);
    seen = atomic_load(&pool->job);
    if (atomic_load(&pool->is_closing)) return NULL;
    uint32_t done = work(pool, seen, worker->index);
    finish(pool, done);
  }
}

// Until the chunks that others took are done.
static void await_others(hone_pool_t *pool) {
  uint32_t left;
  bool waited = false;
  while ((left = atomic_load(&pool->pending)) != 0) {
    waited = true;
    if (spin(&pool->pending, left, &pool->patience)) continue;
    atomic_store(&pool->is_caller_asleep, 1);
    left = atomic_load(&pool->pending);
    if (left != 0) futex_wait(&pool->pending, left);
    atomic_store(&pool->is_caller_asleep, 0);
  }
  if (waited) learn(&pool->patience);
}

static uint32_t share_chunks(const hone_pool_t *pool, uint32_t share) {
  int64_t begin = piece_begin(pool->units, pool->share_count, share);
  return chunks_of(piece_begin(pool->units, pool->share_count, share + 1) - begin);
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
  uint32_t job = atomic_load_explicit(&pool->job, memory_order_relaxed) + 1;
  pool->fn = fn;
  pool->data = data;
  pool->units = units;
  pool->share_count = shares;
  uint32_t total = 0;
  for (uint32_t i = 0; i < shares; ++i) total += share_chunks(pool, i);
  atomic_store(&pool->pending, total);
  for (uint32_t i = 0; i < shares; ++i) {
    uint64_t word = share_word(job, 0, share_chunks(pool, i));
    atomic_store_explicit(&pool->shares[i].word, word, memory_order_release);
  }
  atomic_store(&pool->job, job);
  // Whoever is awake will find the job; wake only as many as are wanted beyond those.
  uint32_t sleepers = atomic_load(&pool->sleepers), awake = pool->started - sleepers;
  if (sleepers != 0 && shares - 1 > awake) futex_wake(&pool->job, (int)(shares - 1 - awake));

  uint32_t done = work(pool, job, 0);
  atomic_fetch_sub(&pool->pending, done);
  await_others(pool);
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
  pool->patience = (patience_t){.ticks = pool->spin_high, .most = pool->spin_high};
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
