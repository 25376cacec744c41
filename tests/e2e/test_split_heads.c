// Attention that splits heads among threads, end to end: a model of one kv head and a context of
// several chunks gives the same logits, bit for bit, on 1 to 4 threads, as the same model whose
// heads stay whole; and inspect says that heads are split.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "tools/client.h"

enum { TOKENS = 700, PIECE = 37, SINGLES = 40, VOCAB = 128, CONTEXT = 1024, THREADS = 4 };

static hone_arena_t *arena;
static char *scratch;

static void check(bool ok, const hone_status_t *status) {
  if (!ok) fail_msg("%s", status->message);
}

static void run(const char *command) {
  if (system(command) != 0) fail_msg("failed: %s", command);
}

// The file `from` with every `old` replaced, as `to`. Returns how many there were.
static int edit(const char *from, const char *old, const char *new, const char *to) {
  char *text;
  size_t bytes;
  int count = 0;
  hone_status_t status = {0};
  hone_buffer_t out = {0};
  check(hone_file_read(from, 1 << 24, arena, &text, &bytes, &status), &status);
  for (const char *at = text, *hit; at; at = hit ? hit + strlen(old) : NULL) {
    hit = strstr(at, old);
    hone_buffer_add(&out, at, hit ? (size_t)(hit - at) : strlen(at));
    if (hit) hone_buffer_text(&out, new);
    count += hit != NULL;
  }
  FILE *file = fopen(to, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(out.data, 1, out.bytes, file), out.bytes);
  assert_int_equal(fclose(file), 0);
  hone_buffer_deinit(&out);
  return count;
}

static const char *at(const char *name) { return hone_path_join(arena, scratch, name); }

static void compile(const char *model, const char *options, const char *program) {
  run(hone_arena_format(arena, "'%s' compile -q '%s' -o '%s' --weights nf4 --kv q8 --tuned off %s",
                        getenv("HONE_BINARY"), at(model), at(program), options));
}

// Logits of the last SINGLES tokens, which are fed one by one after pieces of several.
static const float *ask(const char *program, int64_t threads) {
  hone_status_t status = {0};
  hone_client_t *client;
  hone_client_options_t options = {.threads = threads};
  int32_t ids[TOKENS];
  float *logits = HONE_NEW_ARRAY(arena, float, SINGLES *VOCAB);
  for (int i = 0; i < TOKENS; i++) ids[i] = (i * i + 7 * i) % VOCAB;
  check(hone_client_start(at(program), &options, &client, &status), &status);
  int fed = 0;
  for (int count; fed < TOKENS - SINGLES; fed += count) {
    count = TOKENS - SINGLES - fed < PIECE ? TOKENS - SINGLES - fed : PIECE;
    check(hone_client_feed(client, ids + fed, (size_t)count, 0, NULL, VOCAB, NULL, &status),
          &status);
  }
  for (int i = 0; i < SINGLES; i++)
    check(hone_client_feed(client, ids + fed + i, 1, 1, logits + (size_t)i * VOCAB, VOCAB, NULL,
                           &status),
          &status);
  hone_client_stop(client);
  return logits;
}

static void make_model(void) {
  const char *from =
      hone_arena_format(arena, "%s/tests/fixtures/llama-f16", getenv("HONE_SOURCE_DIR"));
  run(hone_arena_format(arena, "cp -r '%s' '%s'", from, at("model")));
  const char *config = hone_path_join(arena, at("model"), "config.json");
  assert_int_equal(
      edit(config, "\"max_position_embeddings\": 128",
           hone_arena_format(arena, "\"max_position_embeddings\": %d", CONTEXT), config),
      1);
}

static void threads_and_parts_do_not_matter(void **state) {
  (void)state;
  make_model();
  compile("model", "", "split");
  run(hone_arena_format(arena, "'%s' inspect '%s' --dataflow | grep -q 'attend_decode split=2'",
                        getenv("HONE_BINARY"), at("split")));
  compile("model", "--emit ir", "split.mlir");
  assert_true(edit(at("split.mlir"), "attend_decode split=2", "attend_decode", at("whole.mlir")));
  assert_true(
      edit(at("split.mlir"), "attend_decode split=2", "attend_decode split=8", at("eight.mlir")));
  compile("whole.mlir", "", "whole");
  compile("eight.mlir", "", "eight");
  const float *want = ask("whole", 1);
  for (int threads = 1; threads <= THREADS; threads++) {
    assert_memory_equal(ask("split", threads), want, sizeof(float) * SINGLES * VOCAB);
    assert_memory_equal(ask("eight", threads), want, sizeof(float) * SINGLES * VOCAB);
  }
}

static int set_up(void **state) {
  (void)state;
  hone_status_t status = {0};
  arena = hone_arena_create();
  return hone_scratch_create(arena, &scratch, &status) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  hone_scratch_remove(scratch);
  hone_arena_destroy(arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_and_parts_do_not_matter)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
