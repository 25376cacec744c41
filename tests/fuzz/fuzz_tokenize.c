// Any bytes as text, with a byte-level tokenizer and one of pieces with byte fallback: ids are in
// range, every decoded chunk is UTF-8, and the text comes back with nothing but its invalid bytes
// replaced.
#include <stdlib.h>
#include <string.h>

#include "frontend/tokenizer.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { KINDS = 3 };

static void add_token(hone_buffer_t *json, const char *text, size_t bytes, int id) {
  hone_buffer_text(json, id == 0 ? "\"" : ",\"");
  if (bytes == 1 && (*text == '"' || *text == '\\')) hone_buffer_text(json, "\\");
  hone_buffer_add(json, text, bytes);
  hone_buffer_format(json, "\":%d", id);
}

// 256 characters of the byte-level alphabet, or byte tokens and some letters; then a few joined
// ones.
static void write_json(hone_buffer_t *json, int kind) {
  static const char *const pairs[][2] = {{"a", "b"}, {"ab", "ab"}, {" ", " "}, {"  ", "  "},
                                         {"a", "a"}, {"aa", "aa"}, {" ", "a"}, {"b", " "},
                                         {"1", "1"}, {"'", "s"}};
  static const char *const rules[KINDS] = {
      "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
      "\"decoder\":{\"type\":\"ByteLevel\"}",
      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
      "{\"Regex\":"
      "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
      "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
      "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":"
      "false,"
      "\"use_regex\":false}]},\"decoder\":{\"type\":\"ByteLevel\"}",
      "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
      "\"String\":"
      "\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}"};
  int id = 0;
  hone_buffer_format(json, "{%s,\"model\":{\"type\":\"BPE\",\"byte_fallback\":%s,\"vocab\":{",
                     rules[kind], kind == 2 ? "true" : "false");
  for (int byte = 0, moved = 256; byte < 256; byte++, id++) {
    char text[8];
    if (kind == 2) {
      hone_buffer_format(json, "%s\"<0x%02X>\":%d", id ? "," : "", (unsigned)byte, id);
      continue;
    }
    int stays = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    add_token(json, text, hone_utf8_encode((uint32_t)(stays ? byte : moved++), text), id);
  }
  for (const char *c = "ab1's "; kind == 2 && *c; c++) add_token(json, c, 1, id++);
  hone_buffer_t merges = {0};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char left[32] = "", right[32] = "", joined[64];
    for (int side = 0; side < 2; side++) {
      char *out = side ? right : left;
      for (const char *c = pairs[i][side]; *c; c++) {
        char one[2] = {*c, 0};
        strcat(out, *c == ' ' && kind != 2 ? "\xC4\xA0" : one);
      }
    }
    strcat(strcpy(joined, left), right);
    add_token(json, joined, strlen(joined), id++);
    hone_buffer_format(&merges, "%s[\"%s\",\"%s\"]", i ? "," : "", left, right);
  }
  hone_buffer_format(json, "},\"merges\":[%s]}}", hone_buffer_cstr(&merges));
  hone_buffer_deinit(&merges);
}

static hone_tokenizer_t *tokenizer_get(int kind) {
  static hone_buffer_t blobs[KINDS];
  static hone_tokenizer_t *tokenizers[KINDS];
  if (tokenizers[kind]) return tokenizers[kind];
  hone_status_t status = {0};
  hone_buffer_t json = {0};
  write_json(&json, kind);
  if (!hone_tokenizer_import_json("fuzz", json.data, json.bytes, 4096, &blobs[kind], &status))
    abort();
  if (!hone_tokenizer_create(blobs[kind].data, blobs[kind].bytes, &tokenizers[kind], &status))
    abort();
  hone_buffer_deinit(&json);
  return tokenizers[kind];
}

static void add_decoded(hone_buffer_t *out, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    hone_utf8_step_t step = hone_utf8_step(text + at, bytes - at);
    if (!step.valid) abort();
    at += step.bytes;
  }
  hone_buffer_add(out, text, bytes);
}

// The text with U+FFFD for what is invalid.
static void add_expected(hone_buffer_t *out, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    hone_utf8_step_t step = hone_utf8_step(text + at, bytes - at);
    if (!step.valid) {
      hone_buffer_text(out, HONE_UTF8_REPLACEMENT);
    } else {
      hone_buffer_add(out, text + at, step.bytes);
    }
    at += step.bytes;
  }
}

static void check(int kind, const char *text, size_t bytes) {
  const hone_tokenizer_t *tokenizer = tokenizer_get(kind);
  hone_status_t status = {0};
  hone_token_ids_t ids = {0};
  hone_encode_options_t options = {true, true};
  hone_token_decoder_t *decoder;
  if (!hone_tokenizer_encode(tokenizer, text, bytes, &options, &ids, &status)) abort();
  if (!hone_token_decoder_create(tokenizer, &decoder, &status)) abort();
  hone_buffer_t got = {0}, expected = {0};
  size_t out;
  for (size_t i = 0; i < ids.count; i++) {
    if (ids.items[i] < 0 || (uint32_t)ids.items[i] >= hone_tokenizer_get_count(tokenizer)) abort();
    const char *part = hone_token_decoder_add(decoder, ids.items[i], &out);
    add_decoded(&got, part, out);
  }
  hone_token_decoder_flush(decoder, &out);
  if (out != 0) abort();
  add_expected(&expected, text, bytes);
  if (got.bytes != expected.bytes || (got.bytes && memcmp(got.data, expected.data, got.bytes)))
    abort();
  hone_buffer_deinit(&got);
  hone_buffer_deinit(&expected);
  hone_token_decoder_destroy(decoder);
  hone_token_ids_deinit(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  for (int kind = 0; kind < KINDS; kind++) check(kind, (const char *)data, bytes);
  return 0;
}
