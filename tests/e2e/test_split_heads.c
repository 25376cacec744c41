// Attention that splits heads among threads, end to end: a model of one kv head and a context of
// several chunks gives the same logits, bit for bit, on 1 to 4 threads, as the same model whose
// heads stay whole; and inspect says that heads are split.
#include "tests/e2e/program.h"

#include "tests/edit.h"

enum { TOKENS = 700, PIECE = 37, SINGLES = 40, VOCAB = 128, CONTEXT = 1024, THREADS = 4 };

// The file `from` with every `old` replaced, as `to`. Returns how many there were.
static int edit(const char *from, const char *old, const char *new, const char *to) {
  char *text;
  size_t bytes;
  int count;
  hone_status_t status = {0};
  check(hone_file_read(from, 1 << 24, arena, &text, &bytes, &status), &status);
  text = edit_text(arena, text, old, new, 0, &count);
  FILE *file = fopen(to, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  assert_int_equal(fclose(file), 0);
  return count;
}

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
  feed(client, ids, TOKENS - SINGLES, PIECE, NULL, VOCAB);
  feed(client, ids + TOKENS - SINGLES, SINGLES, 1, logits, VOCAB);
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_and_parts_do_not_matter)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
