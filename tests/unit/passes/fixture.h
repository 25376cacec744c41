// What the tests of passes/ share: samples/tiny.mlir (two layers) opened in a session of its own,
// run through a pipeline of passes. Not a test.
#ifndef TESTS_UNIT_PASSES_FIXTURE_H
#define TESTS_UNIT_PASSES_FIXTURE_H

// cmocka wants these first.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "passes/pipeline.h"

typedef struct fixture {
  hone_arena_t *arena;
  hone_diagnostics_t diagnostics;
  ir_session_t *session;
  ir_model_t model;
  hone_status_t status;
} fixture_t;

static inline char *fixture_text(fixture_t *f) {
  char *text = NULL;
  size_t bytes;
  const char *path = hone_path_join(f->arena, getenv("HONE_SOURCE_DIR"), "samples/tiny.mlir");
  if (!hone_file_read(path, 1 << 24, f->arena, &text, &bytes, &f->status))
    fail_msg("%s", f->status.message);
  return hone_arena_strdup(f->arena, text);
}

static inline void fixture_parse(fixture_t *f, const char *text) {
  bool ok = ir_session_create(&f->diagnostics, &f->session, &f->status) &&
            ir_model_parse(f->session, text, "tiny.mlir", &f->model, &f->status);
  if (!ok) fail_msg("%s", f->status.message);
}

static inline void fixture_begin(fixture_t *f) {
  *f = (fixture_t){.arena = hone_arena_create()};
  f->diagnostics.arena = f->arena;
}

static inline void fixture_open(fixture_t *f, const char *passes) {
  fixture_begin(f);
  fixture_parse(f, fixture_text(f));
  if (!hone_passes_run(&f->model, passes, &f->status)) fail_msg("%s", f->status.message);
}

static inline void fixture_close(fixture_t *f) {
  ir_model_destroy(&f->model);
  ir_session_destroy(f->session);
  hone_arena_destroy(f->arena);
}

static inline void assert_contains(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

#endif
