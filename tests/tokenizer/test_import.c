// Import: which file of a folder counts, what the configuration adds, and that whatever is wrong or
// unsupported in a file is an error that names it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "base/file.h"
#include "frontend/tokenizer.h"
#include "tests/tokenizer/support.h"

typedef struct folder {
  hone_arena_t *arena;
  char *path;
} folder_t;

static int set_up(void **state) {
  hone_status_t status = {0};
  folder_t *folder = malloc(sizeof *folder);
  folder->arena = hone_arena_create();
  if (!hone_scratch_create(folder->arena, &folder->path, &status)) return 1;
  *state = folder;
  return 0;
}

static int tear_down(void **state) {
  folder_t *folder = *state;
  hone_scratch_remove(folder->path);
  hone_arena_destroy(folder->arena);
  free(folder);
  return 0;
}

static void put_file(folder_t *folder, const char *name, hone_slice_t content) {
  FILE *file = fopen(hone_path_join(folder->arena, folder->path, name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(content.data, 1, content.bytes, file), content.bytes);
  assert_int_equal(fclose(file), 0);
}

// A small llama-2 style tokenizer; MODEL and REST are spliced in.
#define VOCAB "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"a\":3,\"b\":4,\"ab\":5,\"\xE2\x96\x81\":6"
#define DECODER \
  "\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"}"
#define MODEL                                     \
  "\"model\":{\"type\":\"BPE\",\"vocab\":{" VOCAB \
  "},\"merges\":[\"a "                            \
  "b\"],\"unk_token\":\"<unk>\"}"
#define SMALL "{" DECODER "," MODEL "}"

static void a_folder_without_tokenizer_gives_no_blob(void **state) {
  folder_t *folder = *state;
  hone_status_t status = {0};
  hone_buffer_t blob = {0};
  assert_true(hone_tokenizer_import(folder->path, 100, &blob, &status));
  assert_int_equal(blob.bytes, 0);
}

static void json_is_preferred_and_the_config_counts(void **state) {
  folder_t *folder = *state;
  hone_status_t status = {0};
  loaded_t loaded = {0};
  put_file(folder, "tokenizer.json", hone_slice(SMALL));
  put_file(folder, "tokenizer.model", fixture_read(folder->arena, "fixtures/stories260k.model"));
  put_file(
      folder, "tokenizer_config.json",
      hone_slice("{\"bos_token\":{\"content\":\"<s>\",\"lstrip\":false},\"eos_token\":\"</s>\","
                 "\"add_bos_token\":true}"));
  assert_true(hone_tokenizer_import(folder->path, 7, &loaded.blob, &status));
  assert_true(
      hone_tokenizer_create(loaded.blob.data, loaded.blob.bytes, &loaded.tokenizer, &status));
  assert_int_equal(hone_tokenizer_get_count(loaded.tokenizer), 7);
  assert_int_equal(hone_tokenizer_get_bos(loaded.tokenizer), 1);
  assert_int_equal(hone_tokenizer_get_eos(loaded.tokenizer), 2);
  hone_token_ids_t ids = encode(&loaded, HONE_SLICE("abz"), true, true);
  assert_int_equal(ids.count, 3);
  assert_memory_equal(ids.items, ((int32_t[]){1, 5, 0}), 3 * sizeof(int32_t));
  hone_token_ids_deinit(&ids);
  loaded_deinit(&loaded);
}

static void a_model_folder_without_json(void **state) {
  folder_t *folder = *state;
  hone_status_t status = {0};
  loaded_t loaded = {0};
  put_file(folder, "tokenizer.model", fixture_read(folder->arena, "fixtures/stories260k.model"));
  put_file(
      folder, "tokenizer_config.json",
      hone_slice(
          "{\"bos_token\":\"<s>\",\"add_bos_token\":false,\"added_tokens_decoder\":{"
          "\"1\":{\"content\":\"<s>\",\"special\":true},"
          "\"512\":{\"content\":\"<|im_end|>\",\"special\":true}},\"eos_token\":\"<|im_end|>\"}"));
  assert_true(hone_tokenizer_import(folder->path, 513, &loaded.blob, &status));
  assert_true(
      hone_tokenizer_create(loaded.blob.data, loaded.blob.bytes, &loaded.tokenizer, &status));
  assert_int_equal(hone_tokenizer_get_eos(loaded.tokenizer), 512);
  hone_token_ids_t ids = encode(&loaded, HONE_SLICE("a<|im_end|>"), true, true);
  assert_int_equal(ids.count, 2);
  assert_int_equal(ids.items[1], 512);
  hone_token_ids_deinit(&ids);
  loaded_deinit(&loaded);
  hone_buffer_t blob = {0};
  assert_false(hone_tokenizer_import(folder->path, 512, &blob, &status));  // one id too few
  assert_int_equal(status.code, HONE_INVALID);
  assert_non_null(strstr(status.message, "<|im_end|>"));
  hone_buffer_deinit(&blob);
}

static void errors_of_the_config(void **state) {
  static const struct {
    const char *json, *message;
    hone_code_t code;
  } cases[] = {
      {"{\"bos_token\":\"<x>\"}", "\"<x>\" is not a token", HONE_INVALID},
      {"{\"bos_token\":7}", "bos_token is neither", HONE_INVALID},
      {"{\"add_bos_token\":true}", "without a bos_token", HONE_INVALID},
      {"{\"add_eos_token\":true}", "add_eos_token", HONE_UNSUPPORTED},
      {"{\"a\":1,\"a\":2}", "duplicate", HONE_INVALID},
      {"[]", "not a JSON object", HONE_INVALID},
      {"{", "line 1", HONE_INVALID},
  };
  folder_t *folder = *state;
  put_file(folder, "tokenizer.json", hone_slice(SMALL));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_status_t status = {0};
    hone_buffer_t blob = {0};
    put_file(folder, "tokenizer_config.json", hone_slice(cases[i].json));
    assert_false(hone_tokenizer_import(folder->path, 7, &blob, &status));
    if (status.code != cases[i].code || strstr(status.message, cases[i].message) == NULL ||
        strstr(status.message, "tokenizer_config.json") == NULL) {
      fail_msg("%s: code %d, \"%s\"", cases[i].json, (int)status.code, status.message);
    }
    hone_buffer_deinit(&blob);
  }
}

typedef struct wrong_json {
  const char *json, *message;
  hone_code_t code;
} wrong_json_t;

#define WITH(rest)        "{" DECODER "," MODEL "," rest "}"
#define WITH_MODEL(model) "{" DECODER ",\"model\":{" model "}}"

static const wrong_json_t wrong_json[] = {
    {"{", "line 1", HONE_INVALID},
    {"{}", "model is not an object", HONE_INVALID},
    {"{\"model\":{},\"model\":{}}", "duplicate", HONE_INVALID},
    {WITH_MODEL("\"type\":\"Unigram\",\"vocab\":[]"), "Unigram", HONE_UNSUPPORTED},
    {WITH_MODEL("\"type\":\"WordPiece\",\"vocab\":{}"), "WordPiece", HONE_UNSUPPORTED},
    {WITH_MODEL("\"type\":\"BPE\",\"merges\":[]"), "model.vocab", HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":0}"), "model.merges", HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]"), "token \"a\"",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]"), "id -1", HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":99},\"merges\":[]"), "ids 0 to 9", HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":9223372036854775807},\"merges\":[]"), "\"a\"",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]"), "\"b\"",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"\":1},\"merges\":[]"), "empty", HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a a\"]"), "\"aa\"",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"aa\"]"), "merges[0]",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]"), "merges[0]",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[[1,2]]"), "merges[0]",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[],\"unk_token\":\"u\""), "\"u\"",
     HONE_INVALID},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[],\"byte_fallback\":true"),
     "<0x00>", HONE_UNSUPPORTED},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"dropout\":0.1"), "dropout",
     HONE_UNSUPPORTED},
    {WITH_MODEL("\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"end_of_word_suffix\":\"</w>\""),
     "</w>", HONE_UNSUPPORTED},
    {WITH("\"normalizer\":{\"type\":\"NFC\"}"), "NFC", HONE_UNSUPPORTED},
    {WITH("\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}]}"),
     "Lowercase", HONE_UNSUPPORTED},
    {WITH("\"pre_tokenizer\":{\"type\":\"Whitespace\"}"), "Whitespace", HONE_UNSUPPORTED},
    {WITH("\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
          "\"pattern\":"
          "{\"Regex\":\"my+regex\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":"
          "\"ByteLevel\"}]}"),
     "my+regex", HONE_UNSUPPORTED},
    {WITH("\"post_processor\":{\"type\":\"BertProcessing\"}"), "BertProcessing", HONE_UNSUPPORTED},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":"
          "\"A\"}},"
          "{\"SpecialToken\":{\"id\":\"</s>\"}}]}"),
     "TemplateProcessing", HONE_UNSUPPORTED},
    {WITH("\"added_tokens\":[{\"id\":7,\"content\":\"x\",\"single_word\":true}]"), "single_word",
     HONE_UNSUPPORTED},
    {WITH("\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]"), "another token", HONE_INVALID},
    {WITH("\"added_tokens\":[{\"id\":8,\"content\":\"a\"}]"), "added_tokens[0]", HONE_INVALID},
    {WITH("\"added_tokens\":[{\"id\":8,\"content\":\"x\"},{\"id\":8,\"content\":\"x\"}]"), "twice",
     HONE_INVALID},
    {WITH("\"added_tokens\":[{\"content\":\"x\"}]"), "id is not an integer", HONE_INVALID},
    {WITH("\"added_tokens\":[{\"id\":10,\"content\":\"<x>\"}]"), "\"<x>\"", HONE_INVALID},
    {"{\"decoder\":{\"type\":\"WordPiece\"}," MODEL "}", "WordPiece", HONE_UNSUPPORTED},
    {"{" MODEL "}", "decoder", HONE_UNSUPPORTED},
};

static void errors_of_tokenizer_json(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong_json / sizeof *wrong_json; i++) {
    const wrong_json_t *wrong = &wrong_json[i];
    hone_status_t status = {0};
    hone_buffer_t blob = {0};
    assert_false(
        hone_tokenizer_import_json("t.json", wrong->json, strlen(wrong->json), 10, &blob, &status));
    if (status.code != wrong->code || strstr(status.message, wrong->message) == NULL ||
        strncmp(status.message, "t.json: ", 8) != 0) {
      fail_msg("%s: code %d, \"%s\"", wrong->json, (int)status.code, status.message);
    }
    hone_buffer_deinit(&blob);
  }
}

// ---- sentencepiece files, written by hand

static void put_field(hone_buffer_t *out, int number, const void *data, size_t bytes) {
  assert_true(bytes < 128);
  hone_buffer_add(out, (char[]){(char)(number << 3 | 2), (char)bytes}, 2);
  hone_buffer_add(out, data, bytes);
}

static void put_piece(hone_buffer_t *out, const char *text, float score, int type) {
  hone_buffer_t piece = {0};
  put_field(&piece, 1, text, strlen(text));
  hone_buffer_add(&piece, "\x15", 1);
  hone_buffer_add(&piece, &score, 4);
  hone_buffer_add(&piece, (char[]){0x18, (char)type}, 2);
  put_field(out, 1, piece.data, piece.bytes);
  hone_buffer_deinit(&piece);
}

static void put_trainer(hone_buffer_t *out, int type) {
  put_field(out, 2, (char[]){0x18, (char)type}, 2);
}

static void check_model(hone_buffer_t *model, hone_code_t code, const char *message) {
  hone_status_t status = {0};
  hone_buffer_t blob = {0};
  bool fine =
      hone_tokenizer_import_model("t.model", model->data, model->bytes, 100, &blob, &status);
  if (fine != (code == HONE_OK) || status.code != code || strstr(status.message, message) == NULL) {
    fail_msg("code %d, \"%s\" instead of \"%s\"", (int)status.code, status.message, message);
  }
  hone_buffer_deinit(&blob);
  hone_buffer_deinit(model);
}

static void errors_of_tokenizer_model(void **state) {
  (void)state;
  hone_buffer_t model = {0};
  put_piece(&model, "<unk>", 0, 2);
  put_trainer(&model, 1);
  check_model(&model, HONE_UNSUPPORTED, "unigram");
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "no pieces");
  put_piece(&model, "a", 0, 1);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "no unknown token");
  put_piece(&model, "<unk>", 0, 2);
  put_piece(&model, "x", 0, 1);
  put_piece(&model, "x", 0, 3);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "\"x\" is there twice");
  put_piece(&model, "<unk>", 0, 2);
  put_piece(&model, "y", 0, 5);
  put_trainer(&model, 2);
  check_model(&model, HONE_UNSUPPORTED, "unused");
  put_piece(&model, "<unk>", 0, 2);
  put_piece(&model, "<0x41>", 0, 6);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "byte fallback");
  put_piece(&model, "<unk>", 0, 2);
  put_piece(&model, "\xC3", 0, 1);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "not UTF-8");
  put_piece(&model, "<unk>", 0.0f / 0.0f, 2);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "not a number");
  put_piece(&model, "", 0, 1);
  put_trainer(&model, 2);
  check_model(&model, HONE_INVALID, "empty");
  hone_buffer_add(&model, "\x0A\x05zz", 4);
  check_model(&model, HONE_INVALID, "byte 2");
  hone_buffer_add(&model, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 11);
  check_model(&model, HONE_INVALID, "64 bits");
}

static void every_cut_of_a_model_is_an_error_or_fine(void **state) {
  folder_t *folder = *state;
  hone_slice_t file = fixture_read(folder->arena, "fixtures/stories260k.model");
  for (size_t bytes = 0; bytes < file.bytes; bytes += 13) {
    hone_status_t status = {0};
    hone_buffer_t blob = {0};
    char *copy = malloc(bytes ? bytes : 1);
    if (bytes) memcpy(copy, file.data, bytes);
    bool fine = hone_tokenizer_import_model("cut.model", copy, bytes, 512, &blob, &status);
    assert_true(fine || status.code != HONE_OK);
    free(copy);
    hone_buffer_deinit(&blob);
  }
}

// sentencepiece finds pairs by their joined text, so a character that is no piece can still be
// merged.
static void characters_that_are_no_pieces_merge(void **state) {
  (void)state;
  hone_buffer_t model = {0};
  hone_status_t status = {0};
  loaded_t loaded = {0};
  put_piece(&model, "<unk>", 0, 2);
  put_piece(&model, "\xE2\x96\x81", -9, 1);
  put_piece(&model, "xy", -1, 1);
  put_trainer(&model, 2);
  assert_true(hone_tokenizer_import_model("t", model.data, model.bytes, 3, &loaded.blob, &status));
  assert_true(
      hone_tokenizer_create(loaded.blob.data, loaded.blob.bytes, &loaded.tokenizer, &status));
  hone_token_ids_t ids = encode(&loaded, HONE_SLICE("xyxx zz"), false, false);
  assert_int_equal(ids.count, 5);
  assert_memory_equal(ids.items, ((int32_t[]){1, 2, 0, 1, 0}), 5 * sizeof(int32_t));
  hone_token_ids_deinit(&ids);
  loaded_deinit(&loaded);
  hone_buffer_deinit(&model);
}

static void import_is_deterministic(void **state) {
  folder_t *folder = *state;
  static const char *const names[] = {"stories260k.model", "llama3.json"};
  for (size_t i = 0; i < 2; i++) {
    loaded_t first = fixture_load(folder->arena, names[i]),
             second = fixture_load(folder->arena, names[i]);
    assert_int_equal(first.blob.bytes, second.blob.bytes);
    assert_memory_equal(first.blob.data, second.blob.data, first.blob.bytes);
    loaded_deinit(&first);
    loaded_deinit(&second);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_folder_without_tokenizer_gives_no_blob),
      TEST(json_is_preferred_and_the_config_counts),
      TEST(a_model_folder_without_json),
      TEST(errors_of_the_config),
      TEST(errors_of_tokenizer_json),
      TEST(errors_of_tokenizer_model),
      TEST(every_cut_of_a_model_is_an_error_or_fine),
      TEST(characters_that_are_no_pieces_merge),
      TEST(import_is_deterministic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
