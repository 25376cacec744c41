// Diagnostics: order, counting, layout with and without colour.
#include <stdio.h>
#include <stdlib.h>

#include "base/diagnostic.h"
#include "tests/unit/unit.h"

static void check_print(const hone_diagnostics_t *sink, bool color, const char *expected) {
  char *text = NULL;
  size_t bytes;
  FILE *out = open_memstream(&text, &bytes);
  hone_diagnostics_print(sink, out, color);
  fclose(out);
  assert_string_equal(text, expected);
  free(text);
}

static void test_print(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_diagnostics_t sink = {.arena = arena};
  check_print(&sink, false, "");
  char place[] = "model.safetensors:1042: w";
  hone_diagnose(&sink, HONE_ERROR, place, "shape is %dx%d", 2, 3);
  place[0] = '?';  // copied
  hone_diagnose(&sink, HONE_WARNING, NULL, "no end token");
  hone_diagnose(&sink, HONE_REMARK, "x.mlir:3:8", "100%% done");
  assert_int_equal(sink.error_count, 1);
  assert_int_equal(sink.list.count, 3);
  check_print(&sink, false,
              "error: model.safetensors:1042: w: shape is 2x3\nwarning: no end token\n"
              "remark: x.mlir:3:8: 100% done\n");
  sink.list.count = 1;
  check_print(&sink, true, "\033[1;31merror:\033[0m model.safetensors:1042: w: shape is 2x3\n");
  hone_arena_destroy(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_print)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
