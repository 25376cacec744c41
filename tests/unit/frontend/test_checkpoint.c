// Reading of an opened checkpoint: listing, shapes, rows as f32, values that are not finite,
// sources.
#include "frontend/checkpoint.h"

#include <math.h>
#include <pthread.h>

#include "tests/unit/frontend/fixture.h"

// a: f32 (3, 2) 0..5; b: bf16 (4) 1, 2, 4, 8; h: f16 (2, 2) 1, 1.5, -2, 2^-24; i: i64; d: three
// dimensions; s: scalar; e: no rows.
static hone_checkpoint_t *open_small(fixture_t *f) {
  const float a[] = {0, 1, 2, 3, 4, 5, 7};
  const uint16_t halves[] = {0x3F80, 0x4000, 0x4080, 0x4100, 0x3C00, 0x3E00, 0xC000, 0x0001};
  char data[24 + 4 + 8 + 8 + 8 + 8];
  memset(data, 0, sizeof data);
  memcpy(data, a, 28);
  memcpy(data + 28, halves, 16);
  fixture_safetensors(f, "model.safetensors",
                      "{\"a\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                      "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
                      "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[28,36]},"
                      "\"h\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[36,44]},"
                      "\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[44,52]},"
                      "\"d\":{\"dtype\":\"F32\",\"shape\":[1,2,1],\"data_offsets\":[52,60]},"
                      "\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[60,60]}}",
                      data, sizeof data);
  hone_checkpoint_t *checkpoint;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  return checkpoint;
}

static void test_listing(void **state) {
  fixture_t *f = *state;
  hone_checkpoint_t *checkpoint = open_small(f);
  hone_checkpoint_tensor_t tensor;
  char shape[96];
  assert_int_equal(hone_checkpoint_count(checkpoint), 7);
  hone_checkpoint_at(checkpoint, 4, &tensor);
  assert_string_equal(tensor.name, "i");
  assert_string_equal(tensor.dtype, "I64");
  assert_string_equal(tensor.file, "model.safetensors");
  assert_int_equal(tensor.storage, HONE_STORAGE_COUNT);
  assert_int_equal(tensor.bytes, 8);
  assert_true(hone_checkpoint_find(checkpoint, "d", &tensor));
  assert_string_equal(hone_checkpoint_shape_text(tensor.rank, tensor.shape, shape), "[1, 2, 1]");
  assert_string_equal(hone_checkpoint_shape_text(0, NULL, shape), "[]");
  const uint64_t large[16] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  assert_string_equal(hone_checkpoint_shape_text(16, large, shape),
                      "[9223372036854775807, 9223372036854775807, 9223372036854775807, ...]");
  assert_false(hone_checkpoint_find(checkpoint, "x", &tensor));
  hone_checkpoint_close(checkpoint);
  hone_checkpoint_close(NULL);
}

static void check_shape(fixture_t *f, hone_checkpoint_t *checkpoint, const char *name, int64_t N,
                        int64_t K, hone_storage_t storage) {
  int64_t got_N, got_K;
  hone_storage_t got;
  assert_ok(f, hone_checkpoint_shape(checkpoint, name, &got_N, &got_K, &got, &f->status));
  assert_true(got_N == N && got_K == K && got == storage);
}

static void test_shapes_and_rows(void **state) {
  fixture_t *f = *state;
  hone_checkpoint_t *checkpoint = open_small(f);
  float out[8] = {0};
  check_shape(f, checkpoint, "a", 3, 2, HONE_F32);
  check_shape(f, checkpoint, "s", 1, 1, HONE_F32);
  check_shape(f, checkpoint, "b", 4, 1, HONE_BF16);
  check_shape(f, checkpoint, "h", 2, 2, HONE_F16);
  check_shape(f, checkpoint, "e", 0, 4, HONE_F32);
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "a", 1, 2, out, &f->status));
  assert_memory_equal(out, ((float[]){2, 3, 4, 5}), 16);
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "a", 3, 0, out, &f->status));
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "e", 0, 0, out, &f->status));
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "b", 1, 3, out, &f->status));
  assert_memory_equal(out, ((float[]){2, 4, 8}), 12);
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "h", 0, 2, out, &f->status));
  assert_memory_equal(out, ((float[]){1, 1.5f, -2, 0x1p-24f}), 16);
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "s", 0, 1, out, &f->status));
  assert_true(out[0] == 7);
  hone_checkpoint_close(checkpoint);
}

static void test_unreadable(void **state) {
  fixture_t *f = *state;
  hone_checkpoint_t *checkpoint = open_small(f);
  int64_t N, K;
  hone_storage_t storage;
  float out[8];
  assert_refuses(f, hone_checkpoint_shape(checkpoint, "x", &N, &K, &storage, &f->status),
                 HONE_NOT_FOUND, "no tensor 'x'");
  assert_refuses(f, hone_checkpoint_shape(checkpoint, "i", &N, &K, &storage, &f->status),
                 HONE_UNSUPPORTED, "tensor 'i': dtype I64 cannot be read");
  assert_refuses(f, hone_checkpoint_read_rows(checkpoint, "i", 0, 1, out, &f->status),
                 HONE_UNSUPPORTED, "dtype I64");
  assert_refuses(f, hone_checkpoint_read_rows(checkpoint, "d", 0, 1, out, &f->status),
                 HONE_UNSUPPORTED, "tensor 'd': shape [1, 2, 1] has more than two dimensions");
  const int64_t ranges[][2] = {{-1, 1}, {0, 4},         {3, 1},        {4, 0},
                               {1, -1}, {2, INT64_MAX}, {INT64_MAX, 1}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    assert_refuses(
        f, hone_checkpoint_read_rows(checkpoint, "a", ranges[i][0], ranges[i][1], out, &f->status),
        HONE_INTERNAL, "tensor 'a': rows");
  hone_checkpoint_close(checkpoint);
}

static void test_not_finite(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *dtype, *message;
    size_t bytes;
    unsigned char bad[4];
  } rows[] = {
      {"F32", "NaN at row 2, column 3 (byte ", 4, {0, 0, 0xC0, 0x7F}},
      {"F32", "infinity at row 2, column 3 (byte ", 4, {0, 0, 0x80, 0xFF}},
      {"BF16", "NaN at row 2, column 3 (byte ", 2, {0x81, 0x7F}},
      {"BF16", "infinity at row 2, column 3 (byte ", 2, {0x80, 0x7F}},
      {"F16", "tensor 'w': ", 2, {0, 0x7C}},
      {"F16", "tensor 'w': ", 2, {1, 0xFE}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char data[4 * 5 * 4] = {0};
    size_t bytes = 4 * 5 * rows[i].bytes;
    memcpy(data + (2 * 5 + 3) * rows[i].bytes, rows[i].bad, rows[i].bytes);
    fixture_safetensors(
        f, "model.safetensors",
        hone_arena_format(f->arena,
                          "{\"w\":{\"dtype\":\"%s\",\"shape\":[4,5],\"data_offsets\":[0,%zu]}}",
                          rows[i].dtype, bytes),
        data, bytes);
    hone_checkpoint_t *checkpoint;
    float out[20];
    assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
    assert_ok(f, hone_checkpoint_read_rows(checkpoint, "w", 0, 2, out, &f->status));
    assert_ok(f, hone_checkpoint_read_rows(checkpoint, "w", 3, 1, out, &f->status));
    assert_refuses(f, hone_checkpoint_read_rows(checkpoint, "w", 1, 3, out, &f->status),
                   HONE_INVALID, rows[i].message);
    hone_checkpoint_close(checkpoint);
  }
}

typedef struct reader {
  hone_checkpoint_t *checkpoint;
  int64_t rows, stride;
  bool ok;
} reader_t;

static void *read_all(void *argument) {
  reader_t *reader = argument;
  float *out = malloc((size_t)reader->stride * 64 * sizeof *out);
  hone_status_t status = {0};
  reader->ok = out != NULL;
  for (int64_t row = 0; reader->ok && row < reader->rows; row += reader->stride) {
    int64_t count = reader->rows - row < reader->stride ? reader->rows - row : reader->stride;
    reader->ok = hone_checkpoint_read_rows(reader->checkpoint, "w", row, count, out, &status);
    for (int64_t i = 0; reader->ok && i < count * 64; i++)
      reader->ok = out[i] == (float)(row * 64 + i);
  }
  free(out);
  return NULL;
}

// Threads read a file of several pages with different strides, each releasing pages under the
// others.
static void test_threads(void **state) {
  fixture_t *f = *state;
  enum { ROWS = 5000, THREADS = 4 };
  float *data = malloc(ROWS * 64 * sizeof *data);
  assert_non_null(data);
  for (int i = 0; i < ROWS * 64; i++) data[i] = (float)i;
  fixture_safetensors(
      f, "model.safetensors",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[5000,64],\"data_offsets\":[0,1280000]}}", data,
      1280000);
  free(data);
  reader_t readers[THREADS];
  pthread_t threads[THREADS];
  hone_checkpoint_t *checkpoint;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  for (int i = 0; i < THREADS; i++) {
    readers[i] = (reader_t){checkpoint, ROWS, 1 + 37 * i, false};
    assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_true(readers[i].ok);
  }
  hone_checkpoint_close(checkpoint);
}

static void test_equal(void **state) {
  fixture_t *f = *state;
  fixture_safetensors(f, "model.safetensors",
                      "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                      "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,8]},"
                      "\"c\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]},"
                      "\"d\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[12,16]},"
                      "\"e\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[16,20]}}",
                      "abcdabcdabcxabcdabcd", 20);
  hone_checkpoint_t *checkpoint;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  assert_true(hone_checkpoint_equal(checkpoint, "a", "b"));
  assert_false(hone_checkpoint_equal(checkpoint, "a", "c"));
  assert_false(hone_checkpoint_equal(checkpoint, "a", "d"));
  assert_false(hone_checkpoint_equal(checkpoint, "a", "e"));
  assert_false(hone_checkpoint_equal(checkpoint, "a", "x"));
  hone_checkpoint_close(checkpoint);
}

// The same text wherever the folder lies; another header or configuration gives another text.
static void test_sources(void **state) {
  fixture_t *f = *state;
  const char *folders[] = {checkpoint_folder(f, "llama-sharded"),
                           copy_checkpoint(f, "llama-sharded", "copy"),
                           copy_checkpoint(f, "llama-sharded", "changed")};
  edit_file(f, "changed/config.json", "\"vocab_size\"", "\"vocab_size\" ");
  hone_buffer_t texts[3] = {{0}};
  for (int i = 0; i < 3; i++) {
    hone_checkpoint_t *checkpoint;
    assert_ok(f, hone_checkpoint_open(folders[i], &checkpoint, &f->status));
    hone_checkpoint_sources_json(checkpoint, &texts[i]);
    hone_checkpoint_close(checkpoint);
  }
  assert_string_equal(texts[0].data, texts[1].data);
  assert_string_not_equal(texts[0].data, texts[2].data);
  assert_non_null(strstr(texts[0].data, "\"file\": \"model-00005-of-00005.safetensors\""));
  assert_null(strstr(texts[0].data, "fixtures"));
  for (int i = 0; i < 3; i++) hone_buffer_deinit(&texts[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_listing, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_shapes_and_rows, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_unreadable, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_not_finite, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_equal, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_sources, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
