// The thread pool: every unit exactly once for any sizes, also with more threads than CPUs and
// after pauses.
#include "runtime/thread_pool.h"

#include <stdatomic.h>
#include <time.h>

#include "tests/unit/runtime/toy.h"

typedef struct counts {
  int64_t units;
  uint8_t *hits;  // plain memory: a unit run twice at a time is a race the thread sanitizer sees
  _Atomic int64_t total;
} counts_t;

static void count_units(void *data, int64_t begin, int64_t end) {
  counts_t *counts = data;
  assert_true(begin >= 0 && begin < end && end <= counts->units);
  for (int64_t i = begin; i < end; ++i) counts->hits[i] += 1;
  atomic_fetch_add(&counts->total, end - begin);
}

static void check_run(hone_pool_t *pool, uint32_t threads, int64_t units) {
  counts_t counts = {.units = units, .hits = calloc((size_t)units + 1, 1)};
  hone_pool_run(pool, threads, units, count_units, &counts);
  assert_int_equal(counts.total, units);
  for (int64_t i = 0; i < units; ++i) assert_int_equal(counts.hits[i], 1);
  free(counts.hits);
}

static void runs_every_unit_once(void **state) {
  (void)state;
  hone_status_t status = {0};
  static const uint32_t sizes[] = {1, 2, 3, 5, 16};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    hone_pool_t *pool;
    assert_true(hone_pool_create(sizes[i], &pool, &status));
    assert_int_equal(hone_pool_threads(pool), sizes[i]);
    for (int64_t units = 0; units < 70; ++units) check_run(pool, 0, units);
    for (uint32_t threads = 1; threads < 20; ++threads) check_run(pool, threads, 1000);
    check_run(pool, 0, 100003);
    hone_pool_destroy(pool);
  }
  check_run(NULL, 0, 10);
}

// Long series of small jobs in more threads than CPUs, with pauses in which the workers fall
// asleep.
static void survives_stress(void **state) {
  (void)state;
  hone_status_t status = {0};
  hone_pool_t *pool;
  assert_true(hone_pool_create(11, &pool, &status));
  counts_t counts = {.units = 64, .hits = calloc(64, 1)};
  for (int i = 0; i < 3000; ++i) {
    memset(counts.hits, 0, 64);
    counts.total = 0;
    hone_pool_run(pool, 0, 64, count_units, &counts);
    assert_int_equal(counts.total, 64);
    if (i % 500 == 0) nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
  }
  free(counts.hits);
  hone_pool_destroy(pool);
}

static void create_and_destroy_at_once(void **state) {
  (void)state;
  hone_status_t status = {0};
  for (int i = 0; i < 50; ++i) {
    hone_pool_t *pool;
    assert_true(hone_pool_create(4, &pool, &status));
    hone_pool_destroy(pool);
  }
  hone_pool_destroy(NULL);
}

static void refuses_bad_counts(void **state) {
  (void)state;
  hone_pool_t *pool;
  hone_status_t status = {0};
  assert_false(hone_pool_create(0, &pool, &status));
  assert_null(pool);
  status = (hone_status_t){0};
  assert_false(hone_pool_create(HONE_THREAD_LIMIT + 1, &pool, &status));
  assert_int_equal(status.code, HONE_INVALID);
}

// A sleeping pool takes no CPU time.
static void idles_quietly(void **state) {
  (void)state;
  hone_status_t status = {0};
  hone_pool_t *pool;
  assert_true(hone_pool_create(4, &pool, &status));
  check_run(pool, 0, 1000);
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  struct timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  int64_t used_ns =
      (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec);
  assert_true(used_ns < 100000000);  // 800 ms if the workers spun
  hone_pool_destroy(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_every_unit_once),
      cmocka_unit_test(survives_stress),
      cmocka_unit_test(create_and_destroy_at_once),
      cmocka_unit_test(refuses_bad_counts),
      cmocka_unit_test(idles_quietly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
