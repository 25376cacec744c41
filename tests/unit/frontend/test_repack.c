// From a quantized checkpoint to our codes and back: packing in the native format keeps every
// value.
#include "codegen/pack/encode.h"
#include "frontend/safetensors.h"
#include "tests/unit/frontend/quantized.h"

static const hone_tensor_reader_t reader = {hone_checkpoint_shape, hone_checkpoint_read_rows,
                                            hone_checkpoint_native};
static sample_t sample;

// Encodes m.weight in its native format. Decoded values differ from the sample's by `tolerance` at
// most, relatively; 0: they are equal.
static void check_repacked(fixture_t *f, float tolerance) {
  hone_checkpoint_t *checkpoint;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  ir_recipe_t recipe = {.name = "m",
                        .sources = {"m.weight", "m.weight"},
                        .source_count = 2,
                        .combine = IR_CONCAT,
                        .N = (int64_t)sample.N * 2,
                        .K = (int64_t)sample.K};
  hone_native_t native;
  assert_true(hone_checkpoint_native(checkpoint, "m.weight", &native));
  recipe.format = native.format;
  hone_rows_t rows;
  hone_encoder_t encoder;
  assert_ok(f, hone_rows_open(&reader, checkpoint, &recipe, &rows, &f->status));
  assert_ok(f, hone_encoder_prepare(&rows, recipe.format, NULL, &encoder, &f->status));
  const hone_quantizer_t *q = &encoder.quantizer;
  float *row = hone_arena_array(f->arena, q->Kp, 4), *out = hone_arena_array(f->arena, q->Kp, 4);
  uint8_t *codes = hone_arena_array(f->arena, q->Kp, 1);
  uint16_t *scales = hone_arena_array(f->arena, q->scale_count, 2);
  hone_quant_error_t error = {0};
  for (size_t n = 0; n < sample.N * 2; n++) {
    const float *wanted = sample.value + n % sample.N * sample.K;
    assert_ok(f, hone_rows_read(&rows, (int64_t)n, 1, row, &f->status));
    assert_int_equal(hone_encoder_rows(&encoder, (int64_t)n, row, 1, codes, scales, &error), -1);
    hone_quantizer_decode(q, n, codes, scales, out);
    for (size_t k = 0; k < sample.K; k++) {
      if (!(fabsf(out[k] - wanted[k]) <= tolerance * fabsf(wanted[k])))
        fail_msg("row %zu, column %zu: %.9g, not %.9g", n, k, (double)out[k], (double)wanted[k]);
    }
  }
  hone_encoder_deinit(&encoder);
  hone_checkpoint_close(checkpoint);
}

static void test_bitsandbytes(void **state) {
  fixture_t *f = *state;
  static const struct {
    bnb_options_t options;
    float tolerance;
  } rows[] = {
      {{.type = "nf4", .block = 64}, 0x1p-11f},
      {{.type = "fp4", .block = 64}, 0x1p-11f},
      {{.type = "nf4", .block = 32, .is_nested = true}, 0},
      {{.type = "nf4", .block = 128, .is_nested = true}, 0},
      {{.type = "nf4", .block = 64, .is_nested = true, .no_top = true}, 0},
      {{.type = "nf4", .block = 64, .is_nested = true, .own_map = true}, 0x1p-11f},
      {{.type = "fp4", .block = 128, .is_nested = true}, 0x1p-11f},
      {{.type = "nf4", .block = 1024},
       0x1p-11f},  // most groups have no weight at the largest level
      {{.type = "fp4", .block = 4096}, 0x1p-11f},
      {{.type = "nf4", .block = 64, .no_top = true}, 0x1p-11f},
      {{.type = "fp4", .block = 64, .no_top = true}, 0x1p-11f},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    add_bitsandbytes(&b, &sample, 48, 256, &rows[i].options);
    builder_write(&b, f);
    check_repacked(f, rows[i].tolerance);
  }
}

// ---- double-quantized by bitsandbytes itself

static const char *const names[] = {"self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate",
                                    "mlp.up"};

static const uint8_t *file_bytes(const hone_mapping_t *file, const hone_safetensors_t *header,
                                 const char *name) {
  for (size_t i = 0; i < header->count; i++)
    if (!strcmp(header->entries[i].name, name)) return file->data + header->entries[i].begin;
  fail_msg("no %s", name);
  return NULL;
}

// Rows of a merged tensor: codes and 8-bit scales are those of the file, values those that
// bitsandbytes makes of them (values[source], (rows, K)).
static void check_merged(fixture_t *f, hone_checkpoint_t *checkpoint, const hone_mapping_t *file,
                         const hone_safetensors_t *header, const ir_recipe_t *recipe,
                         const float *const *values, const int64_t *source_rows) {
  hone_rows_t rows;
  hone_encoder_t encoder;
  hone_quant_error_t error = {0};
  float row[64], out[64];
  uint8_t codes[64];
  uint16_t scales[1];
  assert_ok(f, hone_rows_open(&reader, checkpoint, recipe, &rows, &f->status));
  assert_ok(f, hone_encoder_prepare(&rows, recipe->format, NULL, &encoder, &f->status));
  for (int64_t n = 0; n < recipe->N; n++) {
    const char *source;
    int64_t at, s = 0;
    hone_rows_source(&rows, n, &source, &at);
    while (strcmp(source, recipe->sources[s])) s++;
    assert_true(at < source_rows[s]);
    assert_ok(f, hone_checkpoint_read_rows(checkpoint, source, at, 1, row, &f->status));
    assert_memory_equal(row, values[s] + at * 64, sizeof row);
    assert_int_equal(hone_encoder_rows(&encoder, n, row, 1, codes, scales, &error), -1);
    hone_quantizer_decode(&encoder.quantizer, (uint64_t)n, codes, scales, out);
    assert_memory_equal(out, values[s] + at * 64, sizeof out);
    const uint8_t *packed = file_bytes(file, header, source) + at * 32;
    for (int k = 0; k < 64; k++) assert_int_equal(codes[k], packed[k / 2] >> (k % 2 ? 0 : 4) & 15);
    const char *absmax = hone_arena_format(f->arena, "%s.absmax", source);
    assert_int_equal(scales[0], file_bytes(file, header, absmax)[at]);
  }
  assert_true(error.noise == 0);
  hone_encoder_deinit(&encoder);
}

static void test_made_by_bitsandbytes(void **state) {
  fixture_t *f = *state;
  const char *folder = checkpoint_folder(f, "llama-bnb-nf4");
  static const int64_t counts[] = {64, 32, 32, 112, 112};
  hone_checkpoint_t *checkpoint;
  hone_mapping_t values, file;
  hone_safetensors_t header;
  const float *value[5];
  const char *source[5];
  assert_ok(f, hone_checkpoint_open(folder, &checkpoint, &f->status));
  const char *path = hone_path_join(f->arena, folder, "dequantized.f32");
  assert_ok(f, hone_mapping_open(path, &values, &f->status));
  path = hone_path_join(f->arena, folder, "model.safetensors");
  assert_ok(f, hone_mapping_open(path, &file, &f->status));
  assert_ok(f, hone_safetensors_parse(path, file.data, file.bytes, f->arena, &header, &f->status));
  int64_t at = 0;
  for (int i = 0; i < 5; i++) {
    value[i] = (const float *)(const void *)values.data + at * 64;
    source[i] = hone_arena_format(f->arena, "model.layers.0.%s_proj.weight", names[i]);
    at += counts[i];
  }
  assert_int_equal(values.bytes, at * 64 * 4);
  hone_format_t format = {HONE_NF4DQ, 64};
  ir_recipe_t qkv = {"qkv", {source[0], source[1], source[2]}, 3, IR_CONCAT, format, 128, 64};
  ir_recipe_t gate_up = {"gate_up", {source[3], source[4]}, 2, IR_INTERLEAVE, format, 224, 64};
  check_merged(f, checkpoint, &file, &header, &qkv, value, counts);
  check_merged(f, checkpoint, &file, &header, &gate_up, value + 3, counts + 3);
  hone_mapping_close(&values);
  hone_mapping_close(&file);
  hone_checkpoint_close(checkpoint);
}

static void test_e2m1(void **state) {
  fixture_t *f = *state;
  for (e2m1_kind_t kind = CT_NVFP4; kind <= BLOCKS; kind++) {
    float factor = kind == CT_NVFP4 ? 1.0f / (1.0f / 0.00117f) : 0.00117f;
    builder_t b = {0};
    add_e2m1(&b, &sample, 48, 256, kind, factor, -1);
    builder_write(&b, f);
    check_repacked(f, 0);
  }
}

static void test_ternary(void **state) {
  fixture_t *f = *state;
  builder_t b = {0};
  quantization_config(f, "\"quant_method\": \"bitnet\", \"linear_class\": \"autobitlinear\"");
  add_bitnet(&b, &sample, 48, 200, 0.0234375f, 0.0234375f);
  builder_write(&b, f);
  check_repacked(f, 0);
  quantization_config(f, "\"quant_method\": \"bitnet\"");
  add_bitnet(&b, &sample, 48, 200, 1.0f / 37.3f, 37.3f);
  builder_write(&b, f);
  check_repacked(f, 0x1p-11f);
}

static void test_int4(void **state) {
  fixture_t *f = *state;
  static const char *const configs[] = {
      [CT_INT4] = "\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"",
      [GPTQ] = "\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64",
      [GPTQ_V2] =
          "\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64, "
          "\"checkpoint_format\": \"gptq_v2\"",
      [AWQ] = "\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 64"};
  const int4_options_t options = {.group = 64};
  for (int4_kind_t kind = CT_INT4; kind <= AWQ; kind++) {
    builder_t b = {0};
    quantization_config(f, configs[kind]);
    add_int4(&b, &sample, 48, 192, kind, &options);
    builder_write(&b, f);
    check_repacked(f, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_bitsandbytes, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_made_by_bitsandbytes, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_e2m1, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_int4, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_ternary, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
