// The runtime's tokenizer beyond the corpus: BOS and special tokens, streaming, very long texts,
// damaged blobs.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "base/tokenizer.h"
#include "tests/tokenizer/support.h"

static const char *const fixtures[] = {
    "stories260k.model", "nfkc.model",  "llama3.json",  "gpt2.json",
    "gpt2-prefix.json",  "llama2.json", "mistral.json", "metaspace.json",
};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

static hone_arena_t *arena;

static int set_up(void **state) {
  (void)state;
  arena = hone_arena_create();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  hone_arena_destroy(arena);
  return 0;
}

static void check_ids(const loaded_t *loaded, const char *text, bool add_bos, bool parse_special,
                      const int32_t *expected, size_t count) {
  hone_token_ids_t ids = encode(loaded, hone_slice(text), add_bos, parse_special);
  assert_int_equal(ids.count, count);
  assert_memory_equal(ids.items, expected, count * sizeof *expected);
  hone_token_ids_deinit(&ids);
}

static void bos_is_added_where_wanted(void **state) {
  (void)state;
  loaded_t loaded = fixture_load(arena, "stories260k.model");
  check_ids(&loaded, "Once upon a time", true, true, (int32_t[]){1, 403, 407, 261, 378}, 5);
  check_ids(&loaded, "Once upon a time", false, true, (int32_t[]){403, 407, 261, 378}, 4);
  check_ids(&loaded, "", true, true, (int32_t[]){1}, 1);
  assert_int_equal(hone_tokenizer_get_bos(loaded.tokenizer), 1);
  assert_int_equal(hone_tokenizer_get_eos(loaded.tokenizer), 2);
  assert_int_equal(hone_tokenizer_get_count(loaded.tokenizer), 512);
  loaded_deinit(&loaded);
  loaded = fixture_load(arena, "gpt2.json");
  hone_token_ids_t ids = encode(&loaded, HONE_SLICE("a"), true, true);
  assert_int_equal(ids.count, 1);
  hone_token_ids_deinit(&ids);
  loaded_deinit(&loaded);
  loaded = fixture_load(arena, "llama3.json");
  int32_t bos = hone_tokenizer_get_bos(loaded.tokenizer);
  assert_true(bos > 0 && hone_tokenizer_is_special(loaded.tokenizer, bos));
  check_ids(&loaded, "", true, true, &bos, 1);
  check_ids(&loaded, "<|begin_of_text|>", false, true, &bos, 1);
  loaded_deinit(&loaded);
}

static void special_tokens_in_a_sentencepiece_text(void **state) {
  (void)state;
  loaded_t loaded = fixture_load(arena, "stories260k.model");
  check_ids(&loaded, "</s>", false, true, (int32_t[]){2}, 1);
  check_ids(&loaded, "<s></s>", false, true, (int32_t[]){1, 2}, 2);
  hone_token_ids_t plain = encode(&loaded, HONE_SLICE("</s>"), false, false);
  assert_true(plain.count > 1);
  hone_buffer_t text = decode(&loaded, plain.items, plain.count);
  assert_string_equal(hone_buffer_cstr(&text), "</s>");
  hone_buffer_deinit(&text);
  hone_token_ids_deinit(&plain);
  loaded_deinit(&loaded);
}

static void decoder_holds_back_half_characters(void **state) {
  (void)state;
  loaded_t loaded = fixture_load(arena, "stories260k.model");
  hone_status_t status = {0};
  hone_token_decoder_t *decoder;
  assert_true(hone_token_decoder_create(loaded.tokenizer, &decoder, &status));
  size_t bytes;
  // ids 3..258 are the bytes
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0xF0, &bytes), bytes), 0);
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0x9F, &bytes), bytes), 0);
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0x98, &bytes), bytes), 0);
  const char *text = hone_token_decoder_add(decoder, 3 + 0x80, &bytes);
  assert_int_equal(bytes, 4);
  assert_memory_equal(text, "\xF0\x9F\x98\x80", 4);
  // An incomplete character: a replacement per byte, as sentencepiece has it, then the next token.
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0xE2, &bytes), bytes), 0);
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0x82, &bytes), bytes), 0);
  text = hone_token_decoder_add(decoder, 3 + 'x', &bytes);
  assert_int_equal(bytes, 7);
  assert_memory_equal(text, "\xEF\xBF\xBD\xEF\xBF\xBDx", 7);
  assert_int_equal((hone_token_decoder_add(decoder, 3 + 0xC3, &bytes), bytes), 0);
  text = hone_token_decoder_flush(decoder, &bytes);
  assert_int_equal(bytes, 3);
  assert_memory_equal(text, "\xEF\xBF\xBD", 3);
  assert_int_equal((hone_token_decoder_flush(decoder, &bytes), bytes), 0);
  // Ids that are none print nothing.
  assert_int_equal((hone_token_decoder_add(decoder, -1, &bytes), bytes), 0);
  assert_int_equal((hone_token_decoder_add(decoder, 512, &bytes), bytes), 0);
  assert_int_equal((hone_token_decoder_add(decoder, INT32_MAX, &bytes), bytes), 0);
  hone_token_decoder_destroy(decoder);
  loaded_deinit(&loaded);
}

static void spaces_at_the_start_are_stripped_once(void **state) {
  (void)state;
  loaded_t loaded = fixture_load(arena, "stories260k.model");
  hone_token_ids_t ids = encode(&loaded, HONE_SLICE("  two spaces"), true, true);
  hone_buffer_t text = decode(&loaded, ids.items, ids.count);
  assert_string_equal(hone_buffer_cstr(&text), "  two spaces");
  hone_buffer_deinit(&text);
  hone_token_ids_deinit(&ids);
  loaded_deinit(&loaded);
}

// One thing over and over, up to a megabyte of it, must neither take quadratic time nor
// recurse: it would run into the suite's time limit.
static void long_texts(void **state) {
  (void)state;
  static const char *const units[] = {
      "a",         " ", "\n",  "\xFF", "ab", "a ", "'", "\xE2\x96\x81", "\xF0\x9F\x98\x80",
      "<|eot_id|", "0", " \n", "!"};
  enum { BYTES = 1 << 20 };
  char *text = malloc(BYTES);
  assert_non_null(text);
  for (size_t f = 0; f < FIXTURES; f++) {
    loaded_t loaded = fixture_load(arena, fixtures[f]);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
      size_t unit = strlen(units[i]), bytes = (i < 2 && f < 4 ? BYTES : BYTES / 16) / unit * unit;
      for (size_t at = 0; at < bytes; at += unit) memcpy(text + at, units[i], unit);
      hone_token_ids_t ids = encode(&loaded, (hone_slice_t){text, bytes}, false, true);
      // nfkc.model drops spaces at the ends, so of nothing but spaces nothing is left.
      assert_true(ids.count > 0 || strcmp(fixtures[f], "nfkc.model") == 0);
      if (strcmp(fixtures[f], "gpt2.json") == 0 && units[i][0] != '\xFF') {
        hone_buffer_t out = decode(&loaded, ids.items, ids.count);
        assert_int_equal(out.bytes, bytes);
        assert_memory_equal(out.data, text, bytes);
        hone_buffer_deinit(&out);
      }
      hone_token_ids_deinit(&ids);
    }
    loaded_deinit(&loaded);
  }
  free(text);
}

static void no_tokenizer(void **state) {
  (void)state;
  hone_status_t status = {0};
  hone_tokenizer_t *tokenizer;
  assert_false(hone_tokenizer_create("", 0, &tokenizer, &status));
  assert_int_equal(status.code, HONE_NOT_FOUND);
  assert_null(tokenizer);
}

// Opens a damaged blob; where that works, uses it.
static void try_blob(const void *blob, size_t bytes) {
  hone_status_t status = {0};
  loaded_t loaded = {0};
  if (!hone_tokenizer_create(blob, bytes, &loaded.tokenizer, &status)) {
    assert_true(status.code == HONE_INVALID || status.code == HONE_UNSUPPORTED);
    return;
  }
  hone_token_ids_t ids =
      encode(&loaded, HONE_SLICE("ab <s>\xFF\xE2\x96\x81 12\n<|eot_id|>\xC3\xA9"), true, true);
  hone_buffer_t text = decode(&loaded, ids.items, ids.count);
  hone_buffer_deinit(&text);
  hone_token_ids_deinit(&ids);
  hone_tokenizer_destroy(loaded.tokenizer);
}

static void damaged_blobs(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (size_t f = 0; f < FIXTURES; f++) {
    loaded_t loaded = fixture_load(arena, fixtures[f]);
    size_t bytes = loaded.blob.bytes;
    hone_tokenizer_destroy(loaded.tokenizer);
    hone_status_t status = {0};
    for (size_t cut = 1; cut < bytes; cut += 1 + bytes / 97) {  // any shorter blob is refused
      assert_false(hone_tokenizer_create(loaded.blob.data, cut, &loaded.tokenizer, &status));
    }
    for (size_t i = 0; i < 4000; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      size_t at = i < 1500 ? i % sizeof(hone_tokenizer_blob_t) : (seed >> 20) % bytes;
      char before = loaded.blob.data[at];
      loaded.blob.data[at] = (char)(before ^ (1 << (seed >> 60 & 7)));
      if (i % 3 == 0) loaded.blob.data[at] = (char)(seed >> 50);
      try_blob(loaded.blob.data, bytes);
      loaded.blob.data[at] = before;
    }
    hone_buffer_deinit(&loaded.blob);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(bos_is_added_where_wanted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(special_tokens_in_a_sentencepiece_text, set_up, tear_down),
      cmocka_unit_test_setup_teardown(decoder_holds_back_half_characters, set_up, tear_down),
      cmocka_unit_test_setup_teardown(spaces_at_the_start_are_stripped_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(long_texts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(no_tokenizer, set_up, tear_down),
      cmocka_unit_test_setup_teardown(damaged_blobs, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
