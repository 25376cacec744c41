// What tests of outputs share: a folder, a path in it, and a disk that is full. Thread rule: one
// thread.
#ifndef HONE_TESTS_UNIT_BASE_OUTPUT_FIXTURE_H
#define HONE_TESTS_UNIT_BASE_OUTPUT_FIXTURE_H

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "tests/unit/unit.h"

typedef struct fixture {
  hone_arena_t *arena;
  char *folder, *path;
  struct rlimit room;
  hone_status_t status;
} fixture_t;

static inline int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  *state = f;
  f->arena = hone_arena_create();
  if (!hone_scratch_create(f->arena, &f->folder, &f->status)) return -1;
  f->path = hone_path_join(f->arena, f->folder, "out");
  return 0;
}

static inline int teardown(void **state) {
  fixture_t *f = *state;
  hone_scratch_remove(f->folder);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

// From here on files end at `bytes`, until restore_room.
static inline void limit_room(fixture_t *f, rlim_t bytes) {
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &f->room), 0);
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, f->room.rlim_max}), 0);
}

static inline void restore_room(fixture_t *f) {
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &f->room), 0);
  signal(SIGXFSZ, SIG_DFL);
}

#endif
