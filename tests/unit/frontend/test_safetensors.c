// Headers of safetensors files: what is accepted, and every kind of damage that is not.
#include "frontend/safetensors.h"

#include "tests/unit/frontend/fixture.h"

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}"

static bool parse(fixture_t *f, const char *header, size_t data_bytes, hone_safetensors_t *out) {
  hone_buffer_t file = safetensors_bytes(header, NULL, data_bytes);
  bool ok = hone_safetensors_parse("x.safetensors", (const uint8_t *)file.data, file.bytes,
                                   f->arena, out, &f->status);
  hone_buffer_deinit(&file);
  return ok;
}

static void test_accepts(void **state) {
  fixture_t *f = *state;
  hone_safetensors_t out;
  const char *header = "{\"__metadata__\":{\"format\":\"pt\"}," B "," A "}  \n ";
  assert_ok(f, parse(f, header, 32, &out));
  assert_int_equal(out.count, 2);
  assert_int_equal(out.header_bytes, 8 + strlen(header));
  const hone_safetensors_entry_t *a = &out.entries[0], *b = &out.entries[1];
  assert_string_equal(a->name, "a");  // by position in the file, not in the header
  assert_string_equal(a->dtype->name, "F32");
  assert_int_equal(a->rank, 2);
  assert_int_equal(a->shape[1], 3);
  assert_int_equal(a->begin, out.header_bytes);
  assert_int_equal(a->end, out.header_bytes + 24);
  assert_string_equal(b->name, "b");
  assert_int_equal(b->dtype->storage, HONE_BF16);
  assert_int_equal(b->end, out.header_bytes + 32);
  assert_int_equal(b->place, 8 + (strstr(header, "\"b\"") - header));

  assert_ok(f, parse(f, "{}", 0, &out));
  assert_int_equal(out.count, 0);
  // Scalars, empty tensors that share an offset, escapes, keys in any order, white space.
  assert_ok(f, parse(f,
                     "{ \"s\" : { \"shape\" : [ ] , \"data_offsets\" : [ 0 , 4 ] , \"dtype\" : "
                     "\"F32\" } ,\t\"\\u0065\\u00e9\\ud83d\\ude00\\\"\":{\"dtype\":\"F32\","
                     "\"shape\":[0,9223372036854775807,9],\"data_offsets\":[4,4]},"
                     "\"f\":{\"dtype\":\"F4\",\"shape\":[0],\"data_offsets\":[4,4]}}",
                     4, &out));
  assert_int_equal(out.count, 3);
  assert_int_equal(out.entries[0].rank, 0);
  assert_string_equal(out.entries[1].name, "e\u00e9\U0001F600\"");
  // Sub-byte types that fill whole bytes are recognised.
  assert_ok(
      f, parse(f, "{\"f\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3, &out));
  assert_int_equal(out.entries[0].dtype->storage, HONE_STORAGE_COUNT);
}

#define ENTRY(dtype, shape, offsets) \
  "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
  const char *header;
  size_t data_bytes;
  const char *message;  // a part of it
} bad_headers[] = {
    // grammar
    {"", 0, "byte 8: the header does not start with '{'"},
    {" {}", 0, "byte 8: the header does not start with '{'"},
    {"[]", 0, "byte 8: the header does not start with '{'"},
    {"{", 0, "byte 9: the header ends where a string is expected"},
    {"{" A, 24, "the header ends where ',' or '}' after an entry is expected"},
    {"{" A ",}", 24, "expected a string"},
    {"{" A "}}", 24, "text after the header's end"},
    {"{" A "} x", 24, "text after the header's end"},
    {"{" A " " B "}", 32, "expected ',' or '}' after an entry"},
    {"{\"a\"}", 0, "tensor 'a': expected ':'"},
    {"{\"a\":3}", 0, "tensor 'a': expected '{' of a tensor's entry"},
    {"{\"a\":{}}", 0, "tensor 'a': expected a string"},
    {"{\"a", 0, "string without an end"},
    {"{\"a\\", 0, "string without an end"},
    {"{\"a\\\"", 0, "string without an end"},
    {"{\"a\\x\":1}", 0, "byte 11: bad escape"},
    {"{\"\\u12\":1}", 0, "bad escape"},
    {"{\"\\u12", 0, "string without an end"},
    {"{\"\\ud800\":1}", 0, "bad escape"},
    {"{\"\\ud800\\u0041\":1}", 0, "bad escape"},
    {"{\"\\udc00\":1}", 0, "bad escape"},
    {"{\"a\tb\":1}", 0, "control character in a string"},
    // names
    {"{\"\":1}", 0, "tensor without a name"},
    {"{\"a\\u0000b\":1}", 0, "control character in a tensor name"},
    {"{\"\\u001b[2J\":1}", 0, "control character in a tensor name"},
    {"{\"\\u009b2J\":1}", 0, "control character in a tensor name"},
    {"{" A "," A "}", 24, "tensor 'a': it is in the header twice"},
    {"{" A ",\"\\u0061\":1}", 24, "tensor 'a': it is in the header twice"},
    // entries
    {ENTRY("F32", "[2]", "[0,8],\"extra\":1"), 8, "tensor 'a': unknown key"},
    {ENTRY("F32", "[2]", "[0,8],\"dtype\":\"F32\""), 8, "duplicate key 'dtype'"},
    {ENTRY("F32", "[2],\"shape\":[2]", "[0,8]"), 8, "duplicate key 'shape'"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "byte 9: tensor 'a': missing key 'dtype'"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "missing key 'shape'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "missing key 'data_offsets'"},
    {ENTRY("F33", "[2]", "[0,8]"), 8, "tensor 'a': unknown dtype"},
    {ENTRY("f32", "[2]", "[0,8]"), 8, "unknown dtype"},
    {"{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "expected a string"},
    // numbers
    {ENTRY("F32", "[-2]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[+2]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[2.0]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[2e0]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[02]", "[0,8]"), 8, "leading zero"},
    {ENTRY("F32", "[\"2\"]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[[2]]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[2,]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[null]", "[0,8]"), 8, "expected a whole number"},
    {ENTRY("F32", "[9223372036854775808]", "[0,8]"), 8, "above 2^63 - 1"},
    {ENTRY("F32", "[99999999999999999999999]", "[0,8]"), 8, "above 2^63 - 1"},
    {ENTRY("F32", "2", "[0,8]"), 8, "expected '[' of a shape"},
    {ENTRY("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "more than 16 dimensions"},
    {ENTRY("F32", "[2]", "[0]"), 8, "expected ',' between the two data_offsets"},
    {ENTRY("F32", "[2]", "[0,8,9]"), 8, "expected ']' after the two data_offsets"},
    {ENTRY("F32", "[2]", "8"), 8, "expected '[' of data_offsets"},
    // sizes
    {ENTRY("F32", "[4294967296,4294967296]", "[0,8]"), 8,
     "tensor 'a': the product of its shape overflows"},
    {ENTRY("F64", "[2305843009213693952]", "[0,0]"), 0, "the product of its shape overflows"},
    {ENTRY("F32", "[2]", "[0,4]"), 4, "span 4 bytes, but its dtype and shape need 8"},
    {ENTRY("F32", "[]", "[0,0]"), 0, "span 0 bytes, but its dtype and shape need 4"},
    {ENTRY("F32", "[2]", "[8,0]"), 8, "end before they begin"},
    {ENTRY("F4", "[3]", "[0,2]"), 2, "3 elements of F4 do not fill whole bytes"},
    // layout
    {ENTRY("F32", "[2]", "[4,12]"), 12, "tensor 'a': 4 unused bytes before its data"},
    {ENTRY("F32", "[2]", "[0,8]"), 7, "the file is cut off or damaged"},
    {ENTRY("F32", "[2]", "[0,8]"), 0, "ends at 8, but the file holds 0 bytes"},
    {ENTRY("F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8, "unused bytes"},
    {ENTRY("F32", "[2]", "[0,8]"), 9, "1 bytes after the last tensor"},
    {"{}", 1, "1 bytes after the last tensor"},
    {"{" A ",\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[20,28]}}", 28,
     "tensor 'b': its data overlaps that of tensor 'a'"},
    {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24,
     "tensor 'b': its data overlaps that of tensor 'a'"},
    {"{" A ",\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[26,34]}}", 34,
     "tensor 'b': 2 unused bytes before its data"},
    {"{" A ",\"b\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[12,12]}}", 24, "overlaps"},
    // metadata
    {"{\"__metadata__\":[]}", 0, "__metadata__: expected '{' (a map of strings)"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: expected a string"},
    {"{\"__metadata__\":{\"a\":{}}}", 0, "__metadata__: expected a string"},
    {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "__metadata__: duplicate key"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate key '__metadata__'"},
};

static void test_bad_headers(void **state) {
  fixture_t *f = *state;
  for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
    hone_safetensors_t out;
    assert_refuses(f, parse(f, bad_headers[i].header, bad_headers[i].data_bytes, &out),
                   HONE_INVALID, bad_headers[i].message);
    assert_int_equal(out.count, 0);
  }
}

static bool parse_raw(fixture_t *f, const void *data, size_t bytes) {
  hone_safetensors_t out;
  return hone_safetensors_parse("x.safetensors", data, bytes, f->arena, &out, &f->status);
}

static void test_lengths(void **state) {
  fixture_t *f = *state;
  assert_refuses(f, parse_raw(f, "", 0), HONE_INVALID, "0 bytes are too few");
  assert_refuses(f, parse_raw(f, "\2\0\0\0\0\0\0", 7), HONE_INVALID, "7 bytes are too few");
  assert_refuses(f, parse_raw(f, "\0\0\0\0\0\0\0\0", 8), HONE_INVALID, "does not start with '{'");
  assert_refuses(f, parse_raw(f, "\3\0\0\0\0\0\0\0{}", 10), HONE_INVALID, "only 2 bytes follow");
  assert_refuses(f, parse_raw(f, "\1\xE1\xF5\5\0\0\0\0{}", 10), HONE_INVALID, "above the limit");
  assert_refuses(f, parse_raw(f, "\377\377\377\377\377\377\377\377{}", 10), HONE_INVALID,
                 "above the limit");
  assert_refuses(f, parse_raw(f, "\xF8\377\377\377\377\377\377\377{}", 10), HONE_INVALID,
                 "above the limit");
  assert_true(parse_raw(f, "\2\0\0\0\0\0\0\0{}", 10));
}

static void test_utf8(void **state) {
  fixture_t *f = *state;
  static const char *const bad[] = {
      "{\"aaaaaaaa\x80\":1}",     "{\"\xC0\x80\":1}",     "{\"\xED\xA0\x80\":1}",
      "{\"\xF4\x90\x80\x80\":1}", "{\"aaaaaaaaa\xE2\x82", "{\"\xFF\":1}",
  };
  hone_safetensors_t out;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_refuses(f, parse(f, bad[i], 0, &out), HONE_INVALID, "not valid UTF-8");
}

// Whatever parses, its entries tile the data; whatever does not names the file.
static void check_invariants(fixture_t *f, const hone_buffer_t *file) {
  hone_arena_t *arena = hone_arena_create();
  hone_safetensors_t out;
  if (hone_safetensors_parse("x.safetensors", (const uint8_t *)file->data, file->bytes, arena, &out,
                             &f->status)) {
    uint64_t at = out.header_bytes;
    for (size_t i = 0; i < out.count; i++) {
      assert_int_equal(out.entries[i].begin, at);
      at = out.entries[i].end;
    }
    assert_int_equal(at, file->bytes);
  } else {
    assert_int_equal(f->status.code, HONE_INVALID);
    assert_int_equal(strncmp(f->status.message, "x.safetensors: byte ", 20), 0);
  }
  f->status = (hone_status_t){0};
  hone_arena_destroy(arena);
}

static void test_every_byte(void **state) {
  fixture_t *f = *state;
  static const char values[] = {'\0', ' ',  '"', ',', '0', '9',    ':',
                                '[',  '\\', ']', '{', '}', '\x7F', '\xFF'};
  const char *header = "{\"__metadata__\":{\"format\":\"pt\"}," B "," A "}";
  hone_buffer_t file = safetensors_bytes(header, NULL, 32);
  size_t bytes = file.bytes;
  for (size_t at = 0; at < 8 + strlen(header); at++) {
    char old = file.data[at];
    for (size_t i = 0; i < sizeof values; i++) {
      file.data[at] = values[i];
      check_invariants(f, &file);
    }
    file.data[at] = old;
  }
  for (file.bytes = 0; file.bytes < bytes; file.bytes++) {
    assert_false(parse_raw(f, file.data, file.bytes));
    f->status = (hone_status_t){0};
  }
  check_invariants(f, &file);
  hone_buffer_deinit(&file);
}

static void test_many_tensors(void **state) {
  fixture_t *f = *state;
  enum { COUNT = 100000 };
  hone_buffer_t header = {0};
  for (int i = 0; i < COUNT; i++)
    hone_buffer_format(&header,
                       "%s\"model.layers.%d.mlp.experts.%d.down_proj.weight\":{\"dtype\":\"BF16\","
                       "\"shape\":[2,2],\"data_offsets\":[%d,%d]}",
                       i ? "," : "{", i / 1000, i, i * 8, i * 8 + 8);
  hone_buffer_text(&header, "}");
  hone_safetensors_t out;
  assert_ok(f, parse(f, hone_buffer_cstr(&header), (size_t)COUNT * 8, &out));
  assert_int_equal(out.count, COUNT);
  assert_string_equal(out.entries[99999].name,
                      "model.layers.99.mlp.experts.99999.down_proj.weight");
  hone_buffer_deinit(&header);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_accepts, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bad_headers, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_lengths, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_utf8, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_every_byte, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_many_tensors, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
