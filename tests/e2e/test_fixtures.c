// Every family variant, end to end: compile a random-weight checkpoint that the public transformers
// library answered for, run the program, and compare all logits (tests/fixtures, made by
// tests/oracle/make_fixtures.py and make_trained.py). The bound is the project's promise: largest
// absolute difference below 2e-4 of the range of the logits.
#include "tests/e2e/program.h"

#include <jansson.h>
#include <math.h>

#include "runtime/cpu.h"

typedef struct expected {
  int32_t *ids;
  size_t count, vocab;
  float *logits;  // (count, vocab)
  double range;
} expected_t;

static expected_t load_expected(const char *folder, const char *answer) {
  json_error_t error;
  json_t *root = json_load_file(hone_path_join(arena, folder, "expected.json"), 0, &error);
  assert_non_null(root);
  json_t *ids = json_object_get(root, "ids");
  expected_t expected = {.count = json_array_size(ids),
                         .vocab = (size_t)json_integer_value(json_object_get(root, "vocab"))};
  expected.ids = HONE_NEW_ARRAY(arena, int32_t, expected.count);
  for (size_t i = 0; i < expected.count; i++)
    expected.ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
  json_decref(root);
  hone_status_t status = {0};
  char *data;
  size_t bytes;
  check(hone_file_read(hone_path_join(arena, folder, answer ? answer : "logits.f32"), 1 << 28,
                       arena, &data, &bytes, &status),
        &status);
  assert_int_equal(bytes, expected.count * expected.vocab * sizeof(float));
  expected.logits = HONE_NEW_ARRAY(arena, float, expected.count *expected.vocab);
  memcpy(expected.logits, data, bytes);
  float low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < expected.count * expected.vocab; i++) {
    low = fminf(low, expected.logits[i]);
    high = fmaxf(high, expected.logits[i]);
  }
  expected.range = high - low;
  return expected;
}

// Logits (count, vocab) of the ids, fed in pieces of `step` tokens.
static float *ask(const char *program, const expected_t *expected, const char *isa, int64_t threads,
                  size_t step) {
  hone_status_t status = {0};
  hone_client_t *client;
  hone_client_options_t options = {.threads = threads, .isa = isa};
  check(hone_client_start(program, &options, &client, &status), &status);
  float *logits = HONE_NEW_ARRAY(arena, float, expected->count * expected->vocab);
  feed(client, expected->ids, expected->count, step, logits, expected->vocab);
  hone_client_stop(client);
  return logits;
}

// Largest |difference| over the range, feeding in pieces of `step` tokens (prefill, decode and the
// seam between).
static double compare(const char *program, const expected_t *expected, const char *isa,
                      int64_t threads, size_t step) {
  const float *logits = ask(program, expected, isa, threads, step);
  double worst = 0;
  for (size_t i = 0; i < expected->count * expected->vocab; i++) {
    double difference = fabs((double)logits[i] - expected->logits[i]);
    if (!(difference <= worst)) worst = difference;  // NaN sticks
  }
  return worst / expected->range;
}

typedef struct fixture {
  const char *name;     // folder in tests/fixtures
  const char *options;  // of compile
  double bound;         // of the largest difference over the range; 0: the promise
  const char *answer;   // file with the logits; NULL: logits.f32
} fixture_t;

static void check_fixture(void **state) {
  const fixture_t *fixture = *state;
  const char *name = fixture->name;
  double bound = fixture->bound > 0 ? fixture->bound : 2e-4;
  const char *folder =
      hone_arena_format(arena, "%s/tests/fixtures/%s", getenv("HONE_SOURCE_DIR"), name);
  const char *program = at(name);
  expected_t expected = load_expected(folder, fixture->answer);
  const char *command =
      hone_arena_format(arena, "'%s' compile '%s' -o '%s' --kv f32 %s", getenv("HONE_BINARY"),
                        folder, program, fixture->options ? fixture->options : "");
  run(command);
  static const char *const isas[] = {"avx2", "avx512", "amx"};
  for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
    char missing[128];
    if (!hone_cpu_has(isas[i], missing, sizeof missing)) {
      printf("%s: %s kernels not run: this CPU lacks %s\n", name, isas[i], missing);
      continue;
    }
    double whole = compare(program, &expected, isas[i], 2, expected.count);
    double single = compare(program, &expected, isas[i], 1, 1),
           mixed = compare(program, &expected, isas[i], 2, 5);
    printf("%-24s %-7s max |difference| / range: prefill %.2e decode %.2e mixed %.2e\n", name,
           isas[i], whole, single, mixed);
    assert_true(whole < bound);
    assert_true(single < bound);
    assert_true(mixed < bound);
  }
}

// The trained sample: ids and logits of the five likeliest tokens after "Once upon a time", as a
// float64 reference gives them (tests/golden/stories260k/top5.txt).
static void check_golden_logits(void **state) {
  (void)state;
  const char *root = getenv("HONE_SOURCE_DIR"), *program = at("story");
  const char *command = hone_arena_format(arena, "'%s' compile -q '%s/samples/stories260k' -o '%s'",
                                          getenv("HONE_BINARY"), root, program);
  run(command);
  hone_status_t status = {0};
  hone_client_t *client;
  hone_client_info_t info;
  hone_client_options_t options = {0};
  int32_t *ids;
  size_t count;
  check(hone_client_start(program, &options, &client, &status), &status);
  check(hone_client_info(client, &info, &status), &status);
  check(hone_client_tokenize(client, "Once upon a time", 16, true, arena, &ids, &count, &status),
        &status);
  float *logits = HONE_NEW_ARRAY(arena, float, info.vocab);
  check(hone_client_feed(client, ids, count, 1, logits, info.vocab, NULL, &status), &status);
  hone_client_stop(client);
  FILE *file = fopen(hone_arena_format(arena, "%s/tests/golden/stories260k/top5.txt", root), "r");
  assert_non_null(file);
  double last = INFINITY;
  for (int rank = 0; rank < 5; rank++) {
    int id;
    double expected;
    assert_int_equal(fscanf(file, "%d %lf", &id, &expected), 2);
    assert_true(fabs(logits[id] - expected) < 2e-5 * 18);
    assert_true(logits[id] < last);
    last = logits[id];
  }
  fclose(file);
  for (uint32_t i = 0, above = 0; i < info.vocab; i++) {
    above += logits[i] >= last;
    assert_true(above <= 5);
  }
}

// Levels: an artefact with kernels of one gives what one with all of them gives on that level, and
// tiles give what AVX-512 gives, bit for bit.
static void check_levels(void **state) {
  (void)state;
  enum { TOKENS = 150, VOCAB = 512 };
  static const char *const levels[] = {"avx2", "avx512", "amx"};
  const char *root = getenv("HONE_SOURCE_DIR"), *all = at("all");
  const char *compile =
      hone_arena_format(arena, "'%s' compile -q '%s/samples/stories260k' --weights nf4 -o",
                        getenv("HONE_BINARY"), root);
  expected_t input = {.count = TOKENS, .vocab = VOCAB};
  size_t bytes = sizeof(float) * TOKENS * VOCAB;
  float *wide = NULL;
  input.ids = HONE_NEW_ARRAY(arena, int32_t, TOKENS);
  for (int i = 0; i < TOKENS; i++) input.ids[i] = (i * 37 + 11) % VOCAB;
  run(hone_arena_format(arena, "%s '%s'", compile, all));
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    const char *one = at(levels[i]);
    run(hone_arena_format(arena, "%s '%s' --target cpu:%s", compile, one, levels[i]));
    if (!hone_cpu_has(levels[i], NULL, 0)) {
      printf("%s kernels not run: this CPU lacks them\n", levels[i]);
      continue;
    }
    float *own = ask(one, &input, NULL, 2, TOKENS), *shared = ask(all, &input, levels[i], 1, 23);
    assert_memory_equal(own, shared, bytes);
    if (wide) assert_memory_equal(own, wide, bytes);
    if (i > 0) wide = own;
  }
}

int main(void) {
#define FLOATS "--weights f32 --acts f32"
  // Quantized ones: the values as bitsandbytes has them, then our formats: nf4dq's are the same,
  // fp4's scales are rounded to f16.
  static const fixture_t fixtures[] = {
      {.name = "llama-bias"},
      {.name = "llama-f16"},
      {.name = "llama-gelu"},
      {.name = "llama-gqa-tied-bf16"},
      {.name = "llama-headdim"},
      {.name = "llama-mha-untied-f32"},
      {.name = "llama-rope-linear"},
      {.name = "llama-rope-llama3"},
      {.name = "llama-sharded"},
      {.name = "mistral-window"},
      {.name = "llama-bnb-nf4", .options = "--weights f32"},
      {.name = "llama-bnb-fp4", .options = "--weights f32"},
      {.name = "llama-bnb-nf4", .options = "--acts f32"},
      {.name = "llama-bnb-fp4", .options = "--acts f32", .bound = 2e-3},
      {.name = "llama-f16", .options = "--weights q8 --rotate", .bound = 6e-2},
      // Trained quantized. Activations of BitNet have one scale per token, ours one per 64 columns:
      // the exact answers are those for activations that are not quantized.
      {.name = "bitnet-float"},
      {.name = "bitnet-bitlinear", .options = FLOATS, .answer = "logits_floats.f32"},
      {.name = "bitnet-autobitlinear", .options = FLOATS, .answer = "logits_floats.f32"},
      {.name = "bitnet-unpacked", .options = FLOATS, .answer = "logits_floats.f32"},
      {.name = "bitnet-online", .options = FLOATS, .answer = "logits_floats.f32"},
      {.name = "bitnet-bitlinear", .bound = 2e-2},
      {.name = "bitnet-online", .bound = 2e-2},
      // Of QuEST signs are exact; its 8 bits are 256 levels for the whole token.
      {.name = "quest-w1a1"},
      {.name = "quest-w1a8", .bound = 2e-2},
  };
#undef FLOATS
  enum { COUNT = sizeof fixtures / sizeof *fixtures };
  struct CMUnitTest tests[COUNT + 2];
  for (size_t i = 0; i < COUNT; i++)
    tests[i] = (struct CMUnitTest){.name = fixtures[i].name,
                                   .test_func = check_fixture,
                                   .initial_state = (void *)(uintptr_t)&fixtures[i]};
  tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(check_golden_logits);
  tests[COUNT + 1] = (struct CMUnitTest)cmocka_unit_test(check_levels);
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
