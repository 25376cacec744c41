// Objects of kernels: equal bytes for any number of threads, cached or not; a damaged entry is
// built again; the first failure is told, whatever the threads; a cache that cannot be used is a
// remark.
#include "tests/unit/codegen/test.h"

#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "codegen/cpu/build.h"

enum { KERNELS = 6, ITEMS = 2 * KERNELS };

typedef struct fixture {
  hone_arena_t *arena;
  hone_diagnostics_t diagnostics;
  ir_session_t *session;
  char *scratch;
  const char *cache;
  hone_status_t status;
} fixture_t;

static int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  *state = f;
  f->arena = hone_arena_create();
  f->diagnostics.arena = f->arena;
  if (!hone_scratch_create(f->arena, &f->scratch, &f->status)) return -1;
  f->cache = hone_path_join(f->arena, f->scratch, "cache");
  return ir_session_create(&f->diagnostics, &f->session, &f->status) ? 0 : -1;
}

static int teardown(void **state) {
  fixture_t *f = *state;
  ir_session_destroy(f->session);
  hone_scratch_remove(f->scratch);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

// Small kernels of several families for every instruction set level.
static void describe(fixture_t *f, hone_cpu_build_t *items) {
  for (size_t i = 0; i < ITEMS; i++) {
    hone_kernel_spec_t spec = {.family = HONE_FAMILY_ADD, .K = 64 * (uint32_t)(i % KERNELS + 1)};
    if (i % KERNELS == 2) spec.family = HONE_FAMILY_ARGMAX;
    if (i % KERNELS == 3)
      spec = (hone_kernel_spec_t){.family = HONE_FAMILY_NORM, .gain = 1, .K = 64, .epsilon = 1e-5f};
    const hone_cpu_isa_t *isa = hone_cpu_isa_at(i / KERNELS);
    const char *name = hone_kernel_spec_name(&spec, f->arena);
    items[i] = (hone_cpu_build_t){.isa = isa, .spec = spec, .name = name};
    items[i].symbol = hone_cpu_symbol(isa, spec.family, name, f->arena);
  }
}

static bool build(fixture_t *f, hone_cpu_build_t *items, const char *cache, int threads) {
  const hone_cpu_build_job_t job = {.session = f->session,
                                    .items = items,
                                    .count = ITEMS,
                                    .threads = threads,
                                    .cache = cache,
                                    .cache_bytes = 1 << 24,
                                    .diagnostics = &f->diagnostics};
  return hone_cpu_build_run(&job, &f->status);
}

static void check_equal(const hone_cpu_build_t *a, const hone_cpu_build_t *b) {
  for (size_t i = 0; i < ITEMS; i++) {
    assert_int_equal(a[i].object.bytes, b[i].object.bytes);
    assert_memory_equal(a[i].object.data, b[i].object.data, a[i].object.bytes);
  }
}

static void deinit(hone_cpu_build_t *items) {
  for (size_t i = 0; i < ITEMS; i++) hone_buffer_deinit(&items[i].object);
}

static size_t damage_all(fixture_t *f) {
  DIR *folder = opendir(f->cache);
  size_t count = 0;
  assert_non_null(folder);
  for (struct dirent *item; (item = readdir(folder));) {
    if (*item->d_name == '.') continue;
    const char *path = hone_path_join(f->arena, f->cache, item->d_name);
    assert_int_equal(truncate(path, (off_t)(10 * count)), 0);
    count++;
  }
  closedir(folder);
  return count;
}

static void equal_bytes_cached_or_not(void **state) {
  fixture_t *f = *state;
  hone_cpu_build_t plain[ITEMS], other[ITEMS];
  describe(f, plain);
  assert_ok(&f->status, build(f, plain, NULL, 1));
  for (int round = 0; round < 4; round++) {  // no cache, cold, warm, damaged
    describe(f, other);
    assert_ok(&f->status, build(f, other, round ? f->cache : NULL, 3));
    check_equal(plain, other);
    deinit(other);
    if (round == 2) assert_int_equal(damage_all(f), ITEMS);
  }
  assert_int_equal(f->diagnostics.list.count, 0);
  deinit(plain);
}

// A warm cache builds nothing: told by a kernel that could not be built.
static void what_is_cached_is_not_built(void **state) {
  fixture_t *f = *state;
  hone_cpu_build_t items[ITEMS];
  describe(f, items);
  assert_ok(&f->status, build(f, items, f->cache, 2));
  deinit(items);
  describe(f, items);
  items[7].spec.family = HONE_FAMILY_GEMV;  // N = 0
  assert_ok(&f->status, build(f, items, f->cache, 2));
  deinit(items);
  describe(f, items);
  items[7].spec.family = HONE_FAMILY_GEMV;
  assert_false(build(f, items, NULL, 2));
  deinit(items);
}

static void the_first_failure_is_told(void **state) {
  fixture_t *f = *state;
  for (int threads = 1; threads <= 4; threads++) {
    hone_cpu_build_t items[ITEMS];
    describe(f, items);
    items[5].spec = (hone_kernel_spec_t){.family = HONE_FAMILY_EMBED, .K = 64};
    items[5].name = "the first";
    items[6].spec = items[5].spec;
    items[6].name = "the second";
    assert_fails(build(f, items, NULL, threads), &f->status, HONE_UNSUPPORTED, "the first");
    deinit(items);
  }
}

static void equal_symbols_are_a_bug(void **state) {
  fixture_t *f = *state;
  hone_cpu_build_t items[ITEMS];
  describe(f, items);
  items[3].symbol = items[1].symbol;
  assert_fails(build(f, items, NULL, 1), &f->status, HONE_INTERNAL, items[1].symbol);
}

static void an_unusable_cache_is_one_remark(void **state) {
  fixture_t *f = *state;
  const char *file = hone_path_join(f->arena, f->scratch, "file");
  fclose(fopen(file, "wb"));
  for (int round = 0; round < 2; round++) {
    hone_cpu_build_t items[ITEMS];
    describe(f, items);
    assert_ok(&f->status, build(f, items, hone_path_join(f->arena, file, "x"), 2));
    assert_int_equal(f->diagnostics.list.count, 1);
    assert_int_equal(f->diagnostics.list.items[0].severity, HONE_REMARK);
    assert_contains(f->diagnostics.list.items[0].message, "file/x");
    deinit(items);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(equal_bytes_cached_or_not, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_cached_is_not_built, setup, teardown),
      cmocka_unit_test_setup_teardown(the_first_failure_is_told, setup, teardown),
      cmocka_unit_test_setup_teardown(equal_symbols_are_a_bug, setup, teardown),
      cmocka_unit_test_setup_teardown(an_unusable_cache_is_one_remark, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
