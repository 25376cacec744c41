// See support.h.
#include "tests/tokenizer/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "base/file.h"
#include "frontend/tokenizer.h"

enum { VOCAB = 100000 };

hone_slice_t fixture_read(hone_arena_t *arena, const char *name) {
  const char *root = getenv("HONE_SOURCE_DIR");
  assert_non_null(root);
  hone_status_t status = {0};
  char *data;
  size_t bytes;
  char *path = hone_arena_format(arena, "%s/tests/tokenizer/%s", root, name);
  if (!hone_file_read(path, 1 << 24, arena, &data, &bytes, &status)) fail_msg("%s", status.message);
  return (hone_slice_t){data, bytes};
}

static int hex(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

static hone_slice_t unescape(hone_arena_t *arena, hone_slice_t line) {
  char *out = hone_arena_alloc(arena, line.bytes);
  size_t used = 0;
  for (size_t i = 0; i < line.bytes; i++) {
    char c = line.data[i];
    if (c == '\\') {
      c = line.data[++i];
      if (c == 'n') c = '\n';
      if (c == 'r') c = '\r';
      if (c == 't') c = '\t';
      if (c == 'x') {
        c = (char)(hex(line.data[i + 1]) * 16 + hex(line.data[i + 2]));
        i += 2;
      }
    }
    out[used++] = c;
  }
  return (hone_slice_t){out, used};
}

corpus_t corpus_read(hone_arena_t *arena) {
  HONE_LIST(hone_slice_t) lines = {0};
  hone_slice_t rest = fixture_read(arena, "corpus.txt");
  while (rest.bytes > 0) {
    hone_slice_t line = hone_slice_cut(&rest, '\n');
    hone_list_push(arena, &lines, unescape(arena, line));
  }
  return (corpus_t){lines.items, lines.count};
}

static void open_blob(loaded_t *loaded, hone_status_t *status) {
  if (status->code != HONE_OK) fail_msg("%s", status->message);
  if (!hone_tokenizer_create(loaded->blob.data, loaded->blob.bytes, &loaded->tokenizer, status)) {
    fail_msg("%s", status->message);
  }
}

loaded_t fixture_load(hone_arena_t *arena, const char *name) {
  hone_slice_t file = fixture_read(arena, hone_arena_format(arena, "fixtures/%s", name));
  hone_status_t status = {0};
  loaded_t loaded = {0};
  bool fine =
      hone_text_ends(name, ".model")
          ? hone_tokenizer_import_model(name, file.data, file.bytes, VOCAB, &loaded.blob, &status)
          : hone_tokenizer_import_json(name, file.data, file.bytes, VOCAB, &loaded.blob, &status);
  assert_int_equal(fine, status.code == HONE_OK);
  open_blob(&loaded, &status);
  return loaded;
}

loaded_t json_load(const char *json) {
  hone_status_t status = {0};
  loaded_t loaded = {0};
  bool fine =
      hone_tokenizer_import_json("t.json", json, strlen(json), VOCAB, &loaded.blob, &status);
  assert_int_equal(fine, status.code == HONE_OK);
  open_blob(&loaded, &status);
  return loaded;
}

void loaded_deinit(loaded_t *loaded) {
  hone_tokenizer_destroy(loaded->tokenizer);
  hone_buffer_deinit(&loaded->blob);
}

hone_token_ids_t encode(const loaded_t *loaded, hone_slice_t text, bool add_bos,
                        bool parse_special) {
  hone_status_t status = {0};
  hone_token_ids_t ids = {0};
  hone_encode_options_t options = {add_bos, parse_special};
  // A copy of exactly this size, so that a sanitizer sees a read past the end.
  char *copy = malloc(text.bytes ? text.bytes : 1);
  assert_non_null(copy);
  if (text.bytes) memcpy(copy, text.data, text.bytes);
  bool fine = hone_tokenizer_encode(loaded->tokenizer, copy, text.bytes, &options, &ids, &status);
  free(copy);
  if (!fine) fail_msg("%s", status.message);
  return ids;
}

static void check_utf8(const char *text, size_t bytes) {
  uint32_t code;
  for (size_t at = 0; at < bytes;) {
    size_t length = hone_utf8_decode(text + at, bytes - at, &code);
    assert_true(length > 0);
    at += length;
  }
}

hone_buffer_t decode(const loaded_t *loaded, const int32_t *ids, size_t count) {
  hone_status_t status = {0};
  hone_token_decoder_t *decoder;
  assert_true(hone_token_decoder_create(loaded->tokenizer, &decoder, &status));
  hone_buffer_t out = {0};
  for (size_t i = 0; i <= count; i++) {
    size_t bytes;
    const char *text = i < count ? hone_token_decoder_add(decoder, ids[i], &bytes)
                                 : hone_token_decoder_flush(decoder, &bytes);
    check_utf8(text, bytes);
    hone_buffer_add(&out, text, bytes);
  }
  hone_token_decoder_destroy(decoder);
  return out;
}
