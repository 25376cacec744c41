// Packing: bytes in the file against the layout comment of base/artefact.h, element by element;
// hashes; the same bytes for any number of threads and any chunk size; errors that name tensor and
// row.
#include "tests/unit/codegen/test.h"

#include <math.h>
#include "base/hash.h"
#include "codegen/pack/pack.h"

#include "quant/real.h"

// ---- a checkpoint in memory: element (row, k) of tensor s is a fixed function of both
typedef struct tensor {
  const char *name;
  int64_t N, K;
  int64_t bad_row;  // this row holds a value no f16 can hold; -1: none
} tensor_t;

static const tensor_t tensors[] = {
    {"square", 128, 128, -1}, {"ragged", 172, 64, -1}, {"wide", 64, 172, -1},
    {"q", 20, 72, -1},        {"k", 12, 72, -1},       {"v", 7, 72, -1},
    {"gate", 30, 100, -1},    {"up", 30, 100, -1},     {"gain", 172, 1, -1},
    {"large", 96, 64, 77},    {"short", 29, 100, -1},  {"columns", 100, 1, -1},
};

static const tensor_t *find(const char *name) {
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  return NULL;
}

static float element(const tensor_t *tensor, int64_t row, int64_t k) {
  uint64_t seed = (uint64_t)(tensor - tensors + 1) * 0x9e3779b97f4a7c15ull +
                  (uint64_t)(row * 1000 + k) * 0xda942042e4dd58b5ull;
  if (row == tensor->bad_row && k == 3) return 1e6f;
  return (float)(test_random(&seed) + test_random(&seed) - 1);
}

static bool shape(void *source, const char *name, int64_t *out_N, int64_t *out_K,
                  hone_storage_t *out_storage, hone_status_t *status) {
  (void)source;
  const tensor_t *tensor = find(name);
  if (!tensor) return hone_fail(status, HONE_NOT_FOUND, "no tensor %s", name);
  *out_N = tensor->N;
  *out_K = tensor->K;
  *out_storage = HONE_F32;
  return true;
}

static bool read_rows(void *source, const char *name, int64_t row, int64_t count, float *out,
                      hone_status_t *status) {
  const tensor_t *tensor = find(name);
  if (row < 0 || count < 1 || row + count > tensor->N)
    return hone_fail(status, HONE_INTERNAL, "rows %d..%d of %s", (int)row, (int)(row + count),
                     name);
  if (source && row <= *(int64_t *)source && *(int64_t *)source < row + count)
    return hone_fail(status, HONE_INVALID, "%s: NaN at row %d", name, (int)*(int64_t *)source);
  for (int64_t i = 0; i < count * tensor->K; i++)
    out[i] = element(tensor, row + i / tensor->K, i % tensor->K);
  return true;
}

static const hone_tensor_reader_t reader = {.shape = shape, .read_rows = read_rows};

// ---- recipes of every combination and format
enum { ITEM_LIMIT = 256 };
typedef struct set {
  hone_pack_item_t items[ITEM_LIMIT];
  size_t count;
  uint64_t bytes;
} set_t;

static void add(set_t *set, ir_recipe_t recipe, hone_format_t format) {
  hone_status_t status = {0};
  hone_pack_item_t item = {.recipe = recipe, .offset = set->bytes};
  item.recipe.format = format;
  assert_ok(&status, hone_pack_measure(&item.recipe, &item.format, &item.bytes, &status));
  assert_true(set->count < ITEM_LIMIT);
  set->items[set->count++] = item;
  set->bytes += item.bytes;
}

static void add_all(set_t *set) {
  *set = (set_t){0};
  for (size_t i = 0; i < hone_format_count(); i++) {
    hone_format_t s = hone_format_default(hone_format_at(i)->storage);
    add(set, (ir_recipe_t){"square", {"square"}, 1, IR_SINGLE, {0}, 128, 128}, s);
    add(set, (ir_recipe_t){"ragged", {"ragged"}, 1, IR_SINGLE, {0}, 172, 64}, s);
    add(set, (ir_recipe_t){"wide", {"wide"}, 1, IR_SINGLE, {0}, 64, 172}, s);
    add(set, (ir_recipe_t){"qkv", {"q", "k", "v"}, 3, IR_CONCAT, {0}, 39, 72}, s);
    add(set, (ir_recipe_t){"gate_up", {"gate", "up"}, 2, IR_INTERLEAVE, {0}, 60, 100}, s);
    add(set, (ir_recipe_t){"scaled", {"gate", "up"}, 2, IR_CONCAT, {0}, 60, 100, NULL, "columns"},
        s);
    add(set, (ir_recipe_t){"nothing", {0}, 0, IR_SINGLE, {0}, 172, 1, "ragged"}, s);
    add(set, (ir_recipe_t){"gain", {"gain"}, 1, IR_SINGLE, {0}, 172, 1}, s);
  }
}

// The recipe's element, pads included.
static float wanted(const ir_recipe_t *recipe, int64_t n, int64_t k) {
  if (n >= recipe->N || k >= recipe->K || recipe->source_count == 0) return 0;
  size_t source = 0;
  float gain = recipe->gain ? element(find(recipe->gain), k, 0) : 1;
  if (recipe->combine == IR_INTERLEAVE)
    return element(find(recipe->sources[n % 2]), n / 2, k) * gain;
  while (n >= find(recipe->sources[source])->N) n -= find(recipe->sources[source++])->N;
  return element(find(recipe->sources[source]), n, k) * gain;
}

// Packs into a file of a fresh folder; NULL on failure. The caller frees.
static uint8_t *pack(const set_t *set, int64_t threads, int64_t chunk, void *source,
                     uint64_t *hashes, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_output_t *output = NULL;
  char *folder = NULL, *data = NULL;
  uint8_t *copy = NULL;
  size_t bytes = 0;
  assert_ok(status, hone_scratch_create(arena, &folder, status));
  const char *path = hone_path_join(arena, folder, "packed");
  assert_ok(status, hone_output_create(path, 0600, &output, status));
  hone_pack_job_t job = {.reader = &reader,
                         .source = source,
                         .output = output,
                         .base = 4096,
                         .items = set->items,
                         .count = set->count,
                         .threads = threads,
                         .chunk_values = chunk};
  if (hone_pack_run(&job, hashes, NULL, status)) {
    hone_status_t reading = {0};
    assert_ok(&reading, hone_output_commit(output, &reading));
    assert_ok(&reading, hone_file_read(path, 1 << 26, arena, &data, &bytes, &reading));
    assert_int_equal(bytes, 4096 + set->bytes);
    copy = malloc(set->bytes);
    memcpy(copy, data + 4096, set->bytes);
  }
  hone_output_destroy(output);
  hone_scratch_remove(folder);
  hone_arena_destroy(arena);
  return copy;
}

// ---- the layout comment, as code
static uint16_t u16_at(const uint8_t *data, uint64_t index) {
  return (uint16_t)(data[2 * index] | data[2 * index + 1] << 8);
}

static void check_plain(const hone_pack_item_t *item, const uint8_t *data) {
  uint64_t Np = hone_padded((uint64_t)item->recipe.N), Kp = hone_padded((uint64_t)item->recipe.K),
           R = HONE_TILE_ROWS;
  for (uint64_t n = 0; n < Np; n++) {
    for (uint64_t k = 0; k < Kp; k++) {
      uint64_t t = n / R, r = n % R, at = (t * Kp + k) * R + r;
      float value = wanted(&item->recipe, (int64_t)n, (int64_t)k), got;
      uint32_t bits;
      bool overflow = false;
      memcpy(&bits, &value, sizeof bits);
      if (item->format.storage == HONE_F32) {
        memcpy(&got, data + 4 * at, sizeof got);
        assert_true(got == value);
      } else if (item->format.storage == HONE_F16) {
        assert_int_equal(u16_at(data, at), hone_f16_from_f32(value, &overflow));
      } else {
        assert_int_equal(u16_at(data, at), (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      }
    }
  }
}

// One code of a group of a tile, read as base/packed.h says.
static uint8_t code_at(hone_storage_t storage, const uint8_t *group, uint64_t r, uint64_t j) {
  uint64_t quad = j / 4, byte = 4 * r + j % 4;
  uint32_t bits = hone_format_info(storage)->code_bits;
  const uint8_t *upper = bits == 6 ? group + 512 : group;
  uint8_t nibble = group[quad / 2 * 64 + byte] >> quad % 2 * 4 & 15;
  uint8_t pair = upper[quad / 4 * 64 + byte] >> quad % 4 * 2 & 3;
  switch (bits) {
    case 8: return group[quad * 64 + byte];
    case 6: return (uint8_t)(nibble | pair << 4);
    case 4: return nibble;
    default: break;
  }
  if (storage == HONE_TERNARY) return pair;
  uint8_t code = 0;
  for (uint32_t p = 0; p < hone_format_info(storage)->planes; p++)
    code |= (uint8_t)((group[p * 128 + quad * 8 + byte / 8] >> byte % 8 & 1) << p);
  return code;
}

static void check_row(const hone_pack_item_t *item, const hone_quantizer_t *q, uint64_t n,
                      const float *row, const uint8_t *data) {
  uint64_t N = (uint64_t)item->recipe.N, K = (uint64_t)item->recipe.K, R = HONE_TILE_ROWS;
  uint64_t G = hone_padded(K) / 64, row_bytes = hone_packed_row_bytes(item->format.storage);
  const uint8_t *plane = data + hone_packed_scale_offset(item->format, N, K);
  uint8_t codes[192];
  uint16_t scales[64];
  assert_true(hone_quantizer_row(q, n, row, codes, scales));
  for (uint64_t k = 0; k < hone_padded(K); k++) {
    const uint8_t *group = data + (n / R * G + k / 64) * R * row_bytes;
    assert_int_equal(code_at(item->format.storage, group, n % R, k % 64), codes[k]);
  }
  uint64_t count = (uint64_t)q->scale_count * q->planes;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = (n / R * count + i) * R + n % R;
    bool is_byte = hone_format_info(item->format.storage)->scale != HONE_SCALE_F16;
    assert_int_equal(is_byte ? plane[at] : u16_at(plane, at), scales[i]);
  }
}

static void check_quantized(const hone_pack_item_t *item, const uint8_t *data) {
  uint64_t N = (uint64_t)item->recipe.N, K = (uint64_t)item->recipe.K, Kp = hone_padded(K);
  float importance[192], row[192], largest = 0;
  hone_quantizer_t q;
  hone_importance_fill(NULL, K, importance);
  hone_quantizer_init(&q, item->format, K, importance);
  for (uint64_t n = 0; n < N; n++)
    for (uint64_t k = 0; k < K; k++)
      largest = fmaxf(largest, fabsf(wanted(&item->recipe, (int64_t)n, (int64_t)k)));
  if (item->format.storage == HONE_NVFP4) {
    const uint8_t *parameters = data + hone_packed_parameter_offset(item->format, N, K);
    hone_quantizer_set_factor(&q, largest);
    assert_memory_equal(parameters + HONE_PACKED_FACTOR, &q.factor, sizeof q.factor);
  }
  if (item->format.storage == HONE_NF4X) {  // the levels are the packer's; they ascend
    const uint8_t *parameters = data + hone_packed_parameter_offset(item->format, N, K);
    hone_quantizer_set_levels(&q, (const int8_t *)parameters + HONE_PACKED_LEVELS);
    for (int i = 0; i < 15; i++) assert_true(q.learned[i] < q.learned[i + 1]);
  }
  if (item->format.storage == HONE_NF4DQ) {  // as base/packed.h says, to the last pad
    const uint8_t *parameters = data + hone_packed_parameter_offset(item->format, N, K);
    uint64_t count = hone_packed_second_count(item->format, N, K), used = 0;
    const float *second = (const float *)(const void *)(parameters + HONE_PACKED_SECOND);
    hone_packed_second_t places;
    memcpy(&places, parameters, sizeof places);
    hone_quantizer_set_second(&q, second, &places);
    for (size_t i = 0; i < item->recipe.source_count; i++) {
      assert_true(places.offset[i] != (i ? places.offset[0] : 0));  // each has its own
      used += ((uint64_t)find(item->recipe.sources[i])->N * q.group_count + HONE_SCALE_BLOCK - 1) /
              HONE_SCALE_BLOCK;
    }
    for (uint64_t i = 0; i < count; i++) assert_true(i < used ? second[i] > 0 : second[i] == 0);
    assert_true(count * 4 + HONE_PACKED_SECOND <= hone_packed_parameter_bytes(item->format, N, K));
  }
  for (uint64_t n = 0; n < hone_padded(N); n++) {
    for (uint64_t k = 0; k < Kp; k++) row[k] = wanted(&item->recipe, (int64_t)n, (int64_t)k);
    check_row(item, &q, n, row, data);
  }
}

static void check_vector(const hone_pack_item_t *item, const uint8_t *data) {
  assert_int_equal(item->format.storage, HONE_F32);
  assert_int_equal(item->bytes, 192 * 4);
  for (int64_t i = 0; i < 192; i++) {
    float got;
    memcpy(&got, data + 4 * i, sizeof got);
    assert_true(got == wanted(&item->recipe, i, 0));
  }
}

static void bytes_follow_the_layout(void **state) {
  (void)state;
  set_t set;
  uint64_t hashes[ITEM_LIMIT];
  hone_status_t status = {0};
  add_all(&set);
  uint8_t *data = pack(&set, 1, 0, NULL, hashes, &status);
  assert_ok(&status, data != NULL);
  for (size_t i = 0; i < set.count; i++) {
    const hone_pack_item_t *item = &set.items[i];
    assert_int_equal(item->offset % 64, 0);
    assert_true(hone_hash64(data + item->offset, item->bytes) == hashes[i]);
    if (item->recipe.K == 1)
      check_vector(item, data + item->offset);
    else if (hone_format_is_quantized(item->format.storage))
      check_quantized(item, data + item->offset);
    else
      check_plain(item, data + item->offset);
  }
  free(data);
}

static void threads_and_chunks_change_nothing(void **state) {
  (void)state;
  set_t set;
  uint64_t first_hashes[ITEM_LIMIT], hashes[ITEM_LIMIT];
  hone_status_t status = {0};
  add_all(&set);
  uint8_t *first = pack(&set, 1, 0, NULL, first_hashes, &status);
  assert_ok(&status, first != NULL);
  for (int64_t threads = 1; threads <= 7; threads += 2) {
    for (int64_t chunk = 1; chunk < 20000; chunk *= 9) {
      uint8_t *data = pack(&set, threads, chunk, NULL, hashes, &status);
      assert_ok(&status, data != NULL);
      assert_memory_equal(data, first, set.bytes);
      assert_memory_equal(hashes, first_hashes, set.count * sizeof *hashes);
      free(data);
    }
  }
  free(first);
}

static void check_error(ir_recipe_t recipe, hone_format_t format, void *source, const char *a,
                        const char *b) {
  for (int64_t threads = 1; threads < 5; threads++) {
    set_t set = {0};
    uint64_t hashes[ITEM_LIMIT];
    hone_status_t status = {0};
    add(&set, (ir_recipe_t){"square", {"square"}, 1, IR_SINGLE, {0}, 128, 128},
        (hone_format_t){HONE_F32, 0});
    add(&set, recipe, format);
    add(&set, recipe, format);
    assert_null(pack(&set, threads, 300, source, hashes, &status));
    assert_int_not_equal(status.code, HONE_OK);
    assert_contains(status.message, a);
    assert_contains(status.message, b);
  }
}

static void errors_name_tensor_and_row(void **state) {
  (void)state;
  int64_t nan_row = 90;
  const hone_format_t f16 = {HONE_F16, 0}, nf4 = {HONE_NF4, 64}, q8 = {HONE_Q8, 64};
  const ir_recipe_t large = {"big", {"large"}, 1, IR_SINGLE, {0}, 96, 64};
  check_error(large, f16, NULL, "large", "row 77");
  check_error(large, nf4, NULL, "large", "row 77");
  check_error((ir_recipe_t){"r", {"ragged"}, 1, IR_SINGLE, {0}, 172, 64}, q8, &nan_row, "square",
              "row 90");
  check_error((ir_recipe_t){"r", {"nothing"}, 1, IR_SINGLE, {0}, 172, 64}, q8, NULL, "recipe r",
              "nothing");
  check_error((ir_recipe_t){"r", {"ragged"}, 1, IR_SINGLE, {0}, 170, 64}, q8, NULL, "170", "172");
  check_error((ir_recipe_t){"r", {"ragged"}, 1, IR_SINGLE, {0}, 172, 63}, q8, NULL, "ragged", "63");
  check_error((ir_recipe_t){"r", {"up"}, 1, IR_SINGLE, {0}, 30, 100, NULL, "gain"}, q8, NULL,
              "gain gain", "172");
  check_error((ir_recipe_t){"r", {"up"}, 1, IR_SINGLE, {0}, 30, 100, NULL, "nobody"}, q8, NULL,
              "recipe r", "nobody");
  check_error((ir_recipe_t){"r", {"gate", "short"}, 2, IR_INTERLEAVE, {0}, 59, 100}, q8, NULL,
              "gate", "short");
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  const int64_t sizes[][2] = {
      {0, 4}, {4, 0}, {-1, 4}, {INT64_MAX, 4}, {UINT32_MAX - 64ll, UINT32_MAX - 64ll}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    ir_recipe_t recipe = {.name = "huge", .N = sizes[i][0], .K = sizes[i][1]};
    hone_format_t format;
    uint64_t bytes;
    hone_status_t status = {0};
    assert_false(hone_pack_measure(&recipe, &format, &bytes, &status));
    assert_contains(status.message, "huge");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_follow_the_layout),
      cmocka_unit_test(threads_and_chunks_change_nothing),
      cmocka_unit_test(errors_name_tensor_and_row),
      cmocka_unit_test(impossible_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
