// Every line of the corpus with every fixture: the ids and the decoded text are the reference's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "tests/tokenizer/support.h"

typedef struct reader {
  const uint8_t *data;
  size_t bytes, at;
} reader_t;

static uint32_t read_number(reader_t *reader) {
  uint32_t value = 0;
  for (int shift = 0;; shift += 7) {
    assert_true(reader->at < reader->bytes);
    uint8_t byte = reader->data[reader->at++];
    value |= (uint32_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

// Compares ids with the next `count` of the reader.
static void check_ids(reader_t *reader, uint32_t count, const hone_token_ids_t *ids,
                      const char *what, size_t line) {
  for (size_t i = 0; i < count; i++) {
    int32_t expected = (int32_t)read_number(reader), got = i < ids->count ? ids->items[i] : -1;
    if (got == expected) continue;
    fail_msg("corpus.txt:%zu (%s): id %zu is %d, expected %d", line + 1, what, i, got, expected);
  }
  if (ids->count != count) {
    fail_msg("corpus.txt:%zu (%s): %zu ids, expected %u", line + 1, what, ids->count, count);
  }
}

static void check_text(reader_t *reader, hone_slice_t line, const hone_buffer_t *text,
                       size_t number) {
  uint32_t size = read_number(reader);
  hone_slice_t expected = line;
  if (size > 0) {
    expected = (hone_slice_t){(const char *)reader->data + reader->at, size - 1};
    reader->at += size - 1;
    assert_true(reader->at <= reader->bytes);
  }
  if (!hone_slice_equal(expected, (hone_slice_t){text->data, text->bytes})) {
    fail_msg("corpus.txt:%zu: decoded \"%s\", expected \"%.*s\"", number + 1,
             hone_buffer_cstr(text), (int)expected.bytes, expected.data);
  }
}

static void check_fixture(void **state) {
  const char *name = *state;
  hone_arena_t *arena = hone_arena_create();
  corpus_t corpus = corpus_read(arena);
  assert_true(corpus.count >= 2000);
  hone_slice_t file = fixture_read(arena, hone_arena_format(arena, "fixtures/%s.ids", name));
  reader_t reader = {(const uint8_t *)file.data, file.bytes, 0};
  loaded_t loaded = fixture_load(arena, name);
  // sentencepiece itself never reads special tokens in a text.
  bool parses = !hone_text_ends(name, ".model");
  for (size_t i = 0; i < corpus.count; i++) {
    hone_token_ids_t ids = encode(&loaded, corpus.lines[i], false, parses);
    check_ids(&reader, read_number(&reader), &ids, "special tokens parsed", i);
    hone_token_ids_t plain = encode(&loaded, corpus.lines[i], false, false);
    uint32_t plain_count = read_number(&reader);
    if (plain_count > 0) {
      check_ids(&reader, plain_count - 1, &plain, "special tokens as text", i);
    } else {
      assert_int_equal(plain.count, ids.count);
      if (ids.count) assert_memory_equal(plain.items, ids.items, ids.count * sizeof *ids.items);
    }
    hone_buffer_t text = decode(&loaded, ids.items, ids.count);
    check_text(&reader, corpus.lines[i], &text, i);
    hone_buffer_deinit(&text);
    hone_token_ids_deinit(&plain);
    hone_token_ids_deinit(&ids);
  }
  assert_int_equal(reader.at, reader.bytes);
  loaded_deinit(&loaded);
  hone_arena_destroy(arena);
}

int main(void) {
#define FIXTURE(name) \
  { name, check_fixture, NULL, NULL, (void *)(uintptr_t)name }
  const struct CMUnitTest tests[] = {
      FIXTURE("stories260k.model"), FIXTURE("gutenberg3m.model"), FIXTURE("nfkc.model"),
      FIXTURE("llama3.json"),       FIXTURE("gpt2.json"),         FIXTURE("gpt2-prefix.json"),
      FIXTURE("llama2.json"),       FIXTURE("mistral.json"),      FIXTURE("metaspace.json"),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
