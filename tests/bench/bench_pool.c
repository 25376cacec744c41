// What a job of the thread pool costs, barrier included: nothing to do, and 20 microseconds of work
// in 64 units; on an idle machine and beside one busy process per CPU. Next to it, in the same run,
// the two simplest ways to do it: a pthread_barrier before and after, and threads that sleep on a
// futex between jobs. Wall time, median of several rounds.
// Usage: bench_pool [THREADS [JOBS]]
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/thread_pool.h"

enum { UNITS = 64, ROUNDS = 9, THREADS_LIMIT = 64, BUSY_LIMIT = 64 };

typedef void run_fn(void *pool, int64_t units, hone_pool_fn *fn, void *data);

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// ---- the simple pools: share i of the units to thread i
typedef struct simple {
  uint32_t threads;
  pthread_t handles[THREADS_LIMIT];
  pthread_barrier_t begin, end;
  _Atomic uint32_t job, pending, next_index;
  bool sleeps, is_closing;  // sleeps: by futex, else in the barriers
  hone_pool_fn *fn;
  void *data;
  int64_t units;
} simple_t;

static void futex(_Atomic uint32_t *word, int op, uint32_t value) {
  syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void run_share(simple_t *pool, uint32_t index) {
  int64_t low = pool->units * index / pool->threads;
  int64_t high = pool->units * (index + 1) / pool->threads;
  if (low < high) pool->fn(pool->data, low, high);
}

static void await_job(simple_t *pool, uint32_t seen) {
  if (!pool->sleeps) {
    pthread_barrier_wait(&pool->begin);
    return;
  }
  while (atomic_load(&pool->job) == seen) futex(&pool->job, FUTEX_WAIT_PRIVATE, seen);
}

static void finish_share(simple_t *pool) {
  if (!pool->sleeps) {
    pthread_barrier_wait(&pool->end);
    return;
  }
  if (atomic_fetch_sub(&pool->pending, 1) == 1) futex(&pool->pending, FUTEX_WAKE_PRIVATE, 1);
}

static void *simple_main(void *data) {
  simple_t *pool = data;
  uint32_t index = atomic_fetch_add(&pool->next_index, 1) + 1, seen = 0;
  for (;;) {
    await_job(pool, seen++);
    if (pool->is_closing) return NULL;
    run_share(pool, index);
    finish_share(pool);
  }
}

static void start_job(simple_t *pool) {
  atomic_store(&pool->pending, pool->threads - 1);
  atomic_fetch_add(&pool->job, 1);
  if (pool->sleeps)
    futex(&pool->job, FUTEX_WAKE_PRIVATE, THREADS_LIMIT);
  else
    pthread_barrier_wait(&pool->begin);
}

static void simple_run(void *data, int64_t units, hone_pool_fn *fn, void *job) {
  simple_t *pool = data;
  pool->fn = fn, pool->data = job, pool->units = units;
  start_job(pool);
  run_share(pool, 0);
  if (!pool->sleeps) {
    pthread_barrier_wait(&pool->end);
    return;
  }
  for (uint32_t left; (left = atomic_load(&pool->pending)) != 0;)
    futex(&pool->pending, FUTEX_WAIT_PRIVATE, left);
}

static simple_t *simple_create(uint32_t threads, bool sleeps) {
  simple_t *pool = calloc(1, sizeof *pool);
  if (pool == NULL) exit(1);
  pool->threads = threads, pool->sleeps = sleeps;
  pthread_barrier_init(&pool->begin, NULL, threads);
  pthread_barrier_init(&pool->end, NULL, threads);
  for (uint32_t i = 1; i < threads; i++)
    if (pthread_create(&pool->handles[i], NULL, simple_main, pool) != 0) exit(1);
  return pool;
}

static void simple_destroy(simple_t *pool) {
  pool->is_closing = true;
  start_job(pool);
  for (uint32_t i = 1; i < pool->threads; i++) pthread_join(pool->handles[i], NULL);
  free(pool);
}

static void hone_run(void *pool, int64_t units, hone_pool_fn *fn, void *data) {
  hone_pool_run(pool, 0, units, fn, data);
}

// ---- jobs
static void do_nothing(void *data, int64_t begin, int64_t end) {
  (void)data, (void)begin, (void)end;
}

// `data`: multiplications of one unit.
static void multiply(void *data, int64_t begin, int64_t end) {
  long count = *(long *)data * (long)(end - begin);
  uint64_t x = 1;
  for (long i = 0; i < count; i++) {
    x *= 0x9e3779b97f4a7c15u;
    __asm__ volatile("" : "+r"(x));
  }
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double job_ns(run_fn *run, void *pool, hone_pool_fn *fn, long *work, int jobs) {
  double rounds[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    double start = now_ns();
    for (int i = 0; i < jobs; i++) run(pool, UNITS, fn, work);
    rounds[r] = (now_ns() - start) / jobs;
  }
  qsort(rounds, ROUNDS, sizeof *rounds, compare);
  return rounds[ROUNDS / 2];
}

static void report(const char *machine, void *const pools[3], int jobs, long *work) {
  static const char *const names[] = {"hone", "pthread_barrier", "futex"};
  for (int i = 0; i < 3; i++) {
    run_fn *run = i == 0 ? hone_run : simple_run;
    double empty = job_ns(run, pools[i], do_nothing, work, jobs);
    double full = job_ns(run, pools[i], multiply, work, jobs);
    printf("%-5s %-16s %10.0f %10.0f\n", machine, names[i], empty, full);
    fflush(stdout);
  }
}

static void set_busy(pid_t *children, int count) {
  for (int i = 0; i < count; i++) {
    children[i] = fork();
    if (children[i] == 0)
      for (;;) __asm__ volatile("");
  }
}

static void end_busy(const pid_t *children, int count) {
  for (int i = 0; i < count; i++) {
    if (children[i] <= 0) continue;
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
  }
}

int main(int count, char **arguments) {
  uint32_t threads = count > 1 ? (uint32_t)atoi(arguments[1]) : 2;
  int jobs = count > 2 ? atoi(arguments[2]) : 2000;
  hone_status_t status = {0};
  hone_pool_t *pool;
  if (threads < 2 || threads > THREADS_LIMIT || jobs < 1) {
    fprintf(stderr, "usage: bench_pool [THREADS (2 to %d) [JOBS]]\n", (int)THREADS_LIMIT);
    return 2;
  }
  if (!hone_pool_create(threads, &pool, &status)) return 1;
  simple_t *barrier = simple_create(threads, false), *sleeping = simple_create(threads, true);
  long work = 1000;
  double alone = 0;
  for (int r = 0; r < 100; r++) {
    double start = now_ns();
    multiply(&work, 0, UNITS);
    double time = now_ns() - start;
    alone = r == 0 || time < alone ? time : alone;
  }
  work = (long)(1000 * 20000 / alone) + 1;
  printf("%u threads, ns per job        nothing   20000 ns\n", threads);
  void *pools[] = {pool, barrier, sleeping};
  pid_t children[BUSY_LIMIT];
  int busy = (int)threads < BUSY_LIMIT ? (int)threads : BUSY_LIMIT;
  report("idle", pools, jobs, &work);
  set_busy(children, busy);
  report("busy", pools, jobs / 8 + 1, &work);
  end_busy(children, busy);
  hone_pool_destroy(pool);
  simple_destroy(barrier);
  simple_destroy(sleeping);
  return 0;
}
