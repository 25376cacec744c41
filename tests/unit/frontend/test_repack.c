// From a quantized checkpoint to our codes and back: packing in the native format keeps every
// value.
#include "codegen/pack/encode.h"
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
  float factor;
  assert_true(hone_checkpoint_native(checkpoint, "m.weight", &recipe.format, &factor));
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
    assert_int_equal(hone_encoder_rows(&encoder, 0, row, 1, codes, scales, &error), -1);
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
  static const bnb_options_t rows[] = {
      {.type = "nf4", .block = 64},
      {.type = "fp4", .block = 64},
      {.type = "nf4", .block = 32, .is_nested = true},
      {.type = "fp4", .block = 128, .is_nested = true},
      {.type = "nf4", .block = 1024},  // most groups have no weight at the largest level
      {.type = "fp4", .block = 4096},
      {.type = "nf4", .block = 64, .no_top = true},
      {.type = "fp4", .block = 64, .no_top = true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    add_bitsandbytes(&b, &sample, 48, 256, &rows[i]);
    builder_write(&b, f);
    check_repacked(f, 0x1p-11f);
  }
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_bitsandbytes, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_e2m1, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_ternary, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
