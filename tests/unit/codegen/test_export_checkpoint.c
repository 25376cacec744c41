// Exported folders: the safetensors file by the frontend's strict parser, its tensors as
// bitsandbytes reads them, config.json, and what must not be left behind.
#include <dirent.h>

#include "frontend/safetensors.h"
#include "tests/unit/codegen/export_fixture.h"

typedef struct file {
  const uint8_t *data;
  hone_safetensors_t header;
} file_t;

static file_t open_file(fixture_t *f, const char *folder) {
  file_t file;
  size_t bytes;
  file.data = read_file(f, hone_path_join(f->arena, folder, "model.safetensors"), &bytes);
  assert_ok(&f->status,
            hone_safetensors_parse("out", file.data, bytes, f->arena, &file.header, &f->status));
  return file;
}

static const hone_safetensors_entry_t *find_entry(const file_t *file, const char *name) {
  for (size_t i = 0; i < file->header.count; i++)
    if (!strcmp(file->header.entries[i].name, name)) return &file->header.entries[i];
  return NULL;
}

static const hone_safetensors_entry_t *entry(fixture_t *f, const file_t *file, const char *name,
                                             const char *suffix, const char *dtype) {
  const char *full = hone_arena_format(f->arena, "%s%s", name, suffix);
  const hone_safetensors_entry_t *found = find_entry(file, full);
  if (!found) fail_msg("no tensor %s", full);
  assert_string_equal(found->dtype->name, dtype);
  assert_int_equal(found->begin % (found->dtype->bits / 8), 0);  // readers map them
  return found;
}

static void check_float(fixture_t *f, const file_t *file, const char *name) {
  const source_t *source = find_source(name);
  const hone_safetensors_entry_t *found = entry(f, file, name, "", "F32");
  assert_int_equal(found->rank, source->K ? 2 : 1);
  assert_floats(name, (const float *)(const void *)(file->data + found->begin), source->values,
                count_of(source));
}

// nested_quant_map[absmax] * nested_absmax + nested_offset
static float nested_scale(fixture_t *f, const file_t *file, const char *name,
                          const hone_safetensors_entry_t *absmax, const char *text, size_t block) {
  static const char key[] = "\"nested_offset\":";
  const hone_safetensors_entry_t *map = entry(f, file, name, ".nested_quant_map", "F32"),
                                 *second = entry(f, file, name, ".nested_absmax", "F32");
  uint64_t blocks = absmax->end - absmax->begin;
  float level, factor;
  assert_int_equal(map->shape[0], 256);
  assert_int_equal(second->shape[0], (blocks + 255) / 256);
  assert_contains(text, "\"nested_blocksize\":256");
  assert_contains(text, key);
  memcpy(&level, file->data + map->begin + file->data[absmax->begin + block] * 4, 4);
  memcpy(&factor, file->data + second->begin + block / 256 * 4, 4);
  return level * factor + strtof(strstr(text, key) + sizeof key - 1, NULL);
}

// table[code] * absmax, blocks over the flattened tensor, first code in the high nibble.
static void check_quantized(fixture_t *f, const file_t *file, const char *name,
                            hone_format_t format) {
  const source_t *source = find_source(name);
  bool nested = format.storage == HONE_NF4DQ, nf4 = format.storage == HONE_NF4 || nested;
  const hone_safetensors_entry_t *codes = entry(f, file, name, "", "U8"),
                                 *absmax = entry(f, file, name, ".absmax", nested ? "U8" : "F32"),
                                 *map = entry(f, file, name, ".quant_map", "F32"),
                                 *json = entry(f, file, name,
                                               nf4 ? ".quant_state.bitsandbytes__nf4"
                                                   : ".quant_state.bitsandbytes__fp4",
                                               "U8");
  size_t count = count_of(source);
  assert_int_equal(codes->rank, 2);
  assert_int_equal(codes->shape[0], count / 2);
  assert_int_equal(codes->shape[1], 1);
  assert_int_equal(absmax->shape[0], count / format.group);
  assert_int_equal(map->shape[0], 16);
  const char *text =
      hone_arena_strndup(f->arena, (const char *)file->data + json->begin, json->end - json->begin);
  float *values = HONE_NEW_ARRAY(f->arena, float, count), scale, level;
  for (size_t i = 0; i < count; i++) {
    uint8_t byte = file->data[codes->begin + i / 2], code = i % 2 ? byte & 15 : byte >> 4;
    if (nested)
      scale = nested_scale(f, file, name, absmax, text, i / format.group);
    else
      memcpy(&scale, file->data + absmax->begin + i / format.group * 4, 4);
    memcpy(&level, file->data + map->begin + code * 4, 4);
    values[i] = level * scale;
  }
  assert_floats(name, values, expected(f, source, format), count);
  assert_contains(text, nf4 ? "\"quant_type\":\"nf4\"" : "\"quant_type\":\"fp4\"");
  assert_contains(text, hone_arena_format(f->arena, "\"blocksize\":%u", format.group));
  assert_contains(text,
                  hone_arena_format(f->arena, "\"shape\":[%d,%d]", (int)source->N, (int)source->K));
  assert_contains(text, "\"dtype\":\"float32\"");
}

static void holds_what_the_quantizer_gives(void **state) {
  static const struct {
    const char *weights, *output;
    hone_format_t format;
  } cases[] = {{"nf4", "nf4", {HONE_NF4, 64}},
               {"nf4:32", "nf4-32", {HONE_NF4, 32}},
               {"fp4", "fp4", {HONE_FP4, 64}},
               {"nf4dq", "nf4dq", {HONE_NF4DQ, 64}}};
  fixture_t *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_compile_options_t options = {.weights = cases[i].weights, .threads = (int64_t)i + 1};
    assert_ok(&f->status, compile(f, "checkpoint", cases[i].output, options, NULL));
    file_t file = open_file(f, cases[i].output);
    for (size_t s = 0; s < SOURCE_COUNT; s++) {
      const char *name = sources[s].name;
      if (strstr(name, "_proj.weight")) {
        check_quantized(f, &file, name, cases[i].format);
      } else {
        check_float(f, &file, name);  // norms, biases, embedding, head
      }
    }
    size_t bytes;
    const char *config = (const char *)read_file(
        f, hone_path_join(f->arena, cases[i].output, "config.json"), &bytes);
    assert_contains(config, "\"load_in_4bit\": true");
    assert_contains(config, i == 3 ? "use_double_quant\": true" : "use_double_quant\": false");
    assert_contains(
        config, i == 2 ? "\"bnb_4bit_quant_type\": \"fp4\"" : "\"bnb_4bit_quant_type\": \"nf4\"");
    assert_contains(config, "\"rms_norm_eps\": 1e-05");
  }
}

static void floats_come_back(void **state) {
  fixture_t *f = *state;
  assert_ok(&f->status, compile(f, "checkpoint", "floats", (hone_compile_options_t){0}, NULL));
  file_t file = open_file(f, "floats");
  assert_int_equal(file.header.count, SOURCE_COUNT);
  for (size_t i = 0; i < SOURCE_COUNT; i++) check_float(f, &file, sources[i].name);
  size_t bytes;
  const char *config = (const char *)read_file(f, "floats/config.json", &bytes);
  assert_null(strstr(config, "quantization_config"));
  hone_compile_options_t options = {.weights = "bf16"};
  assert_ok(&f->status, compile(f, "checkpoint", "bf16", options, NULL));
  file = open_file(f, "bf16");
  entry(f, &file, "lm_head.weight", "", "BF16");
  entry(f, &file, "model.norm.weight", "", "F32");
  assert_contains((const char *)read_file(f, "bf16/config.json", &bytes),
                  "\"torch_dtype\": \"bfloat16\"");
}

static size_t entries_in(const char *folder) {
  DIR *open = opendir(folder);
  size_t count = 0;
  assert_non_null(open);
  while (readdir(open)) count++;
  closedir(open);
  return count - 2;
}

static void refuses_and_leaves_nothing(void **state) {
  static const struct {
    const char *weights, *head, *output, *part;
    hone_code_t code;
  } cases[] = {
      {"int4", NULL, "new", "only f32, f16, bf16, and nf4, nf4dq and fp4", HONE_UNSUPPORTED},
      {"nf4:128", NULL, "new", "use --weights nf4:32", HONE_UNSUPPORTED},
      {"nf4", "q8", "new", "leave --head out", HONE_UNSUPPORTED},
      {"nf4", NULL, "floats", "is not empty", HONE_INVALID},
      {"nf4", NULL, "no/such/folder", "no/such", HONE_IO}};
  fixture_t *f = *state;
  size_t before = entries_in(f->folder);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_compile_options_t options = {.weights = cases[i].weights, .head = cases[i].head};
    assert_fails(compile(f, "checkpoint", cases[i].output, options, NULL), &f->status,
                 cases[i].code, cases[i].part);
    assert_int_equal(entries_in(f->folder), before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(holds_what_the_quantizer_gives),
                                     cmocka_unit_test(floats_come_back),
                                     cmocka_unit_test(refuses_and_leaves_nothing)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
