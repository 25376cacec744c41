// What end-to-end tests in C share: an arena and a scratch folder for the whole test, and feeding
// a program. Thread rule: one thread.
#ifndef HONE_TESTS_E2E_PROGRAM_H
#define HONE_TESTS_E2E_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "tools/client.h"

static hone_arena_t *arena;
static char *scratch;

static inline void check(bool ok, const hone_status_t *status) {
  if (!ok) fail_msg("%s", status->message);
}

static inline void run(const char *command) {
  if (system(command) != 0) fail_msg("failed: %s", command);
}

// A file of the scratch folder.
static inline const char *at(const char *name) { return hone_path_join(arena, scratch, name); }

// Feeds ids in pieces of `step` tokens; logits (count, vocab), or NULL: nobody wants them.
static inline void feed(hone_client_t *client, const int32_t *ids, size_t count, size_t step,
                        float *logits, size_t vocab) {
  hone_status_t status = {0};
  for (size_t fed = 0, piece; fed < count; fed += piece) {
    piece = count - fed < step ? count - fed : step;
    check(hone_client_feed(client, ids + fed, piece, logits ? piece : 0,
                           logits ? logits + fed * vocab : NULL, vocab, NULL, &status),
          &status);
  }
}

static inline int set_up(void **state) {
  (void)state;
  hone_status_t status = {0};
  arena = hone_arena_create();
  return hone_scratch_create(arena, &scratch, &status) ? 0 : -1;
}

static inline int tear_down(void **state) {
  (void)state;
  hone_scratch_remove(scratch);
  hone_arena_destroy(arena);
  return 0;
}

#endif
