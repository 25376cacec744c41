// The memory plan, checked by brute force: no two buffers that hold values at the same time share a byte, the total is what
// the furthest buffer needs, and it is not much above the largest sum alive at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "passes/pipeline.h"
#include "passes/plan_memory.h"

typedef struct fixture {
  hone_arena_t *arena;
  hone_diagnostics_t diagnostics;
  ir_session_t *session;
  ir_model_t model;
} fixture_t;

static void open_sample(fixture_t *f, const char *passes) {
  hone_status_t status = {0};
  char *text;
  size_t bytes;
  f->arena = hone_arena_create();
  f->diagnostics = (hone_diagnostics_t){.arena = f->arena};
  const char *path = hone_path_join(f->arena, getenv("HONE_SOURCE_DIR"), "samples/tiny.mlir");
  bool ok = hone_file_read(path, 1 << 24, f->arena, &text, &bytes, &status) &&
            ir_session_create(&f->diagnostics, &f->session, &status) &&
            ir_model_parse(f->session, text, "tiny.mlir", &f->model, &status) &&
            hone_passes_run(&f->model, passes, &status);
  if (!ok) fail_msg("%s", status.message);
}

static void close_sample(fixture_t *f) {
  ir_model_destroy(&f->model);
  ir_session_destroy(f->session);
  hone_arena_destroy(f->arena);
}

// In place: `later` continues the buffer `earlier`, which ends where it begins.
static bool in_place(const hone_memory_buffer_t *earlier, const hone_memory_buffer_t *later) {
  return earlier->offset == later->offset && earlier->bytes == later->bytes && earlier->first < later->first;
}

static void check_plan(const char *passes, int64_t batch) {
  fixture_t f = {0};
  hone_status_t status = {0};
  hone_memory_buffers_t buffers = {0};
  int64_t total, needed = 0, most = 0;
  open_sample(&f, passes);
  if (!hone_memory_plan(&f.model, batch, 4, f.arena, &buffers, &total, &status)) fail_msg("%s", status.message);
  assert_true(buffers.count > 10);
  for (size_t i = 0; i < buffers.count; i++) {
    const hone_memory_buffer_t *a = &buffers.items[i];
    int64_t alive = 0;
    if (a->offset < 0) continue;  // the logits
    assert_int_equal(a->offset % 64, 0);
    if (needed < a->offset + a->bytes) needed = a->offset + a->bytes;
    for (size_t j = 0; j < buffers.count; j++) {
      const hone_memory_buffer_t *b = &buffers.items[j];
      bool alive_at_first = b->offset >= 0 && b->alias < 0 && b->first <= a->first && a->first <= b->last;
      if (alive_at_first) alive += b->bytes;
      bool together = j > i && b->offset >= 0 && a->first <= b->last && b->first <= a->last;
      bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
      bool chained = b->alias >= 0 && in_place(a, b);
      if (together && !apart && !chained)
        fail_msg("%s of %s and %s of %s overlap", a->op, a->block, b->op, b->block);
    }
    if (most < alive) most = alive;
  }
  assert_int_equal(total, needed);
  assert_true(total <= most + most / 2);
  close_sample(&f);
}

static void unfused_and_fused_plans_hold(void **state) {
  (void)state;
  check_plan("canonical", 7);
  check_plan("canonical,fuse", 256);
  check_plan("canonical,quantize{weights=nf4},quantize-acts,fuse", 256);
}

static void the_plan_is_deterministic(void **state) {
  (void)state;
  hone_buffer_t first = {0}, second = {0};
  for (int i = 0; i < 2; i++) {
    fixture_t f = {0};
    open_sample(&f, "canonical,fuse,plan-memory");
    ir_model_print(&f.model, i ? &second : &first);
    close_sample(&f);
  }
  assert_string_equal(hone_buffer_cstr(&first), hone_buffer_cstr(&second));
  hone_buffer_deinit(&first);
  hone_buffer_deinit(&second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unfused_and_fused_plans_hold),
      cmocka_unit_test(the_plan_is_deterministic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
