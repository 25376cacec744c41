// Quantized checkpoints: values bit for bit, what is listed, and what is refused.
#include "tests/unit/frontend/quantized.h"

static sample_t sample;

static hone_checkpoint_t *open_folder(fixture_t *f) {
  hone_checkpoint_t *checkpoint;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  return checkpoint;
}

// The folder holds "plain" and the sample as m.weight, and nothing else shows.
static void check_sample(fixture_t *f, const char *format, float factor) {
  hone_checkpoint_t *checkpoint = open_folder(f);
  hone_checkpoint_tensor_t tensor;
  hone_native_t native;
  hone_storage_t storage;
  int64_t N, K, rows = (int64_t)sample.N;
  float *out = hone_arena_array(f->arena, sample.N * sample.K, sizeof *out);
  char text[24];
  assert_int_equal(hone_checkpoint_count(checkpoint), 2);
  assert_true(hone_checkpoint_find(checkpoint, "plain", &tensor));
  assert_true(hone_checkpoint_find(checkpoint, "m.weight", &tensor));
  assert_string_equal(tensor.name, "m.weight");
  assert_int_equal(tensor.rank, 2);
  assert_true(tensor.shape[0] == sample.N && tensor.shape[1] == sample.K);
  assert_ok(f, hone_checkpoint_shape(checkpoint, "m.weight", &N, &K, &storage, &f->status));
  assert_true(N == rows && K == (int64_t)sample.K);
  assert_int_equal(storage, sample.storage ? sample.storage : HONE_BF16);
  assert_true(hone_checkpoint_native(checkpoint, "m.weight", &native));
  assert_string_equal(hone_format_text(native.format, text), format);
  assert_true(native.factor == factor);
  assert_int_equal(hone_checkpoint_remark(checkpoint) != NULL, native.format.group == 0);
  for (int64_t step = 1; step <= rows; step = step < rows && step * 3 > rows ? rows : step * 3) {
    memset(out, 0xFF, sample.N * sample.K * sizeof *out);
    for (int64_t row = 0; row < rows; row += step) {
      int64_t count = rows - row < step ? rows - row : step;
      assert_ok(f, hone_checkpoint_read_rows(checkpoint, "m.weight", row, count, out + row * K,
                                             &f->status));
    }
    assert_memory_equal(out, sample.value, sample.N * sample.K * sizeof *out);
  }
  assert_refuses(f, hone_checkpoint_read_rows(checkpoint, "m.weight", 1, rows, out, &f->status),
                 HONE_INTERNAL, "rows");
  assert_false(hone_checkpoint_equal(checkpoint, "m.weight", "m.weight"));
  hone_checkpoint_close(checkpoint);
}

static void add_plain(builder_t *b) { builder_add(b, "plain", "F32", "[1]", "\0\0\0", 4); }

static void test_bitsandbytes(void **state) {
  fixture_t *f = *state;
  static const struct {
    size_t N, K;
    bnb_options_t options;
    const char *config, *format;
  } rows[] = {
      {24, 128, {.type = "nf4", .block = 64}, "\"load_in_4bit\": true", "nf4<64>"},
      {24, 128, {.type = "fp4", .block = 64}, "\"bnb_4bit_quant_type\": \"fp4\"", "fp4<64>"},
      {24, 96, {.type = "nf4", .block = 32}, NULL, "nf4<32>"},
      {24, 96, {.type = "nf4", .block = 64}, NULL, "nf4<32>"},  // a block and a half in a row
      {16, 256, {.type = "nf4", .block = 128}, NULL, "nf4<128>"},
      {30, 256, {.type = "nf4", .block = 4096}, NULL, "nf4<128>"},  // a short block at the end
      {64, 512, {.type = "nf4", .block = 64, .is_nested = true}, NULL, "nf4dq<64>"},
      {20, 96, {.type = "nf4", .block = 32, .is_nested = true}, NULL, "nf4dq<32>"},
      {20, 96, {.type = "nf4", .block = 64, .is_nested = true}, NULL, "nf4<32>"},
      {20, 512, {.type = "nf4", .block = 256, .is_nested = true}, NULL, "nf4<128>"},
      {20, 128, {.type = "nf4", .block = 64, .is_nested = true, .own_map = true}, NULL, "nf4<64>"},
      {20,
       128,
       {.type = "nf4", .block = 64, .is_nested = true, .negative = -0.01f},
       NULL,
       "nf4<64>"},
      {64, 256, {.type = "fp4", .block = 32, .is_nested = true}, NULL, "fp4<32>"},
      {16, 128, {.type = "nf4", .block = 64, .dtype = "BF16"}, NULL, "nf4<64>"},
      {10, 172, {.type = "nf4", .block = 64}, NULL, "bf16"},
      {7, 33, {.type = "fp4", .block = 64, .is_nested = true}, NULL, "bf16"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    add_plain(&b);
    add_bitsandbytes(&b, &sample, rows[i].N, rows[i].K, &rows[i].options);
    builder_write(&b, f);
    quantization_config(
        f, hone_arena_format(f->arena, "\"quant_method\": \"bitsandbytes\"%s%s",
                             rows[i].config ? ", " : "", rows[i].config ? rows[i].config : ""));
    check_sample(f, rows[i].format, 0);
    fixture_text(f, "config.json", "{}");  // the tensors say enough
    check_sample(f, rows[i].format, 0);
  }
}

static const char *const e2m1_configs[] = {
    [CT_NVFP4] = "\"quant_method\": \"compressed-tensors\", \"format\": \"nvfp4-pack-quantized\"",
    [CT_MXFP4] = "\"quant_method\": \"compressed-tensors\", \"format\": \"mxfp4-pack-quantized\"",
    [MODELOPT] = "\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\"",
    [BLOCKS] = "\"quant_method\": \"mxfp4\""};

static void test_e2m1(void **state) {
  fixture_t *f = *state;
  for (e2m1_kind_t kind = CT_NVFP4; kind <= BLOCKS; kind++) {
    bool is_nvfp4 = kind == CT_NVFP4 || kind == MODELOPT;
    // 1 / (1 / factor) is the factor again: the file says 1 / factor where it divides.
    float factor = kind == CT_NVFP4 ? 1.0f / (1.0f / 0.00117f) : 0.00117f;
    for (int with_config = 0; with_config < 2; with_config++) {
      builder_t b = {0};
      add_plain(&b);
      add_e2m1(&b, &sample, 20, 160, kind, factor, -1);
      builder_write(&b, f);
      quantization_config(f, e2m1_configs[kind]);
      if (!with_config) fixture_text(f, "config.json", "{}");
      check_sample(f, is_nvfp4 ? "nvfp4<16>" : "mxfp4<32>", is_nvfp4 ? factor : 0);
    }
  }
}

static void test_bitnet(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *config;
    float stored;
  } rows[] = {{"\"quant_method\": \"bitnet\"", 32.0f},
              {"\"quant_method\": \"bitnet\", \"linear_class\": \"bitlinear\"", 32.0f},
              {"\"quant_method\": \"bitnet\", \"linear_class\": \"autobitlinear\"", 0.03125f}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    add_plain(&b);
    add_bitnet(&b, &sample, 24, 100, 0.03125f, rows[i].stored);
    builder_write(&b, f);
    quantization_config(f, rows[i].config);
    check_sample(f, "ternary<128>", 0);
  }
}

// ---- floats that weights follow from

#define ONLINE                                                          \
  "\"quant_method\": \"bitnet\", \"linear_class\": \"autobitlinear\", " \
  "\"quantization_mode\": \"online\""
#define QUEST(a_bits, size)                                         \
  "\"quant_method\": \"quest\", \"w_bits\": 1, \"a_bits\": " a_bits \
  ", \"hadamard_group_size\": " size

// m.weight of (N, K) numbers of the sample, and a matrix of the embedding, which stays.
static void add_floats(builder_t *b, fixture_t *f, size_t N, size_t K) {
  char shape[32];
  snprintf(shape, sizeof shape, "[%zu, %zu]", N, K);
  builder_add(b, "m.weight", "F32", shape, sample.value, N * K * sizeof(float));
  builder_add(b, "embed_tokens.weight", "F32", "[1, 2]", sample.value, 8);
  sample.N = N, sample.K = K;
  builder_write(b, f);
}

// The rows of m.weight, one by one from the last, and in one piece.
static float *read_floats(fixture_t *f, const char *format, hone_storage_t inputs,
                          uint32_t rotate) {
  hone_checkpoint_t *checkpoint = open_folder(f);
  hone_native_t native;
  float *out = hone_arena_array(f->arena, sample.N * sample.K, sizeof *out),
        *whole = hone_arena_array(f->arena, sample.N * sample.K, sizeof *out);
  char text[24];
  hone_checkpoint_inputs_t found = hone_checkpoint_inputs(checkpoint, "m.weight");
  assert_true(found.storage == inputs && found.rotate == rotate);
  assert_true(hone_checkpoint_native(checkpoint, "m.weight", &native));
  assert_string_equal(hone_format_text(native.format, text), format);
  assert_true(hone_checkpoint_native(checkpoint, "embed_tokens.weight", &native));
  assert_int_equal(native.format.storage, HONE_F32);
  assert_int_equal(hone_checkpoint_inputs(checkpoint, "embed_tokens.weight").storage, HONE_F32);
  for (size_t row = sample.N; row-- > 0;)
    assert_ok(f, hone_checkpoint_read_rows(checkpoint, "m.weight", (int64_t)row, 1,
                                           out + row * sample.K, &f->status));
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "m.weight", 0, (int64_t)sample.N, whole,
                                         &f->status));
  assert_memory_equal(out, whole, sample.N * sample.K * sizeof *out);
  hone_checkpoint_close(checkpoint);
  return out;
}

static void fill_normal(size_t count) {
  uint64_t seed = count;
  for (size_t i = 0; i < count; i++) {
    float sum = 0;
    for (int j = 0; j < 12; j++) sum += (float)random_below(&seed, 1 << 16) / (1 << 16);
    sample.value[i] = (sum - 6) * 0.02f;
  }
}

static void test_bitnet_floats(void **state) {
  fixture_t *f = *state;
  const float half = 0.5f;
  for (size_t i = 0; i < 24 * 100; i++) sample.value[i] = (float)(i * 7 % 3) - 1;
  builder_t b = {0};
  builder_add(&b, "m.weight_scale", "F32", "[1]", &half, 4);
  add_floats(&b, f, 24, 100);
  quantization_config(f, "\"quant_method\": \"bitnet\", \"linear_class\": \"autobitlinear\"");
  float *got = read_floats(f, "ternary<128>", HONE_F32, 0);
  for (size_t i = 0; i < 24 * 100; i++) assert_true(got[i] == sample.value[i] * 0.5f);
  quantization_config(f, "\"quant_method\": \"bitnet\"");
  got = read_floats(f, "ternary<128>", HONE_F32, 0);
  for (size_t i = 0; i < 24 * 100; i++) assert_true(got[i] == sample.value[i] * 2);

  double total = 0;
  fill_normal(60 * 172);
  for (size_t i = 0; i < 60 * 172; i++) total += fabs((double)sample.value[i]);
  add_floats(&b, f, 60, 172);
  quantization_config(f, ONLINE);
  got = read_floats(f, "ternary<128>", HONE_F32, 0);
  double mean = total / (60 * 172);
  for (size_t i = 0; i < 60 * 172; i++) {
    double units = fmin(fmax(rint((double)sample.value[i] / mean), -1), 1);
    assert_true(fabs((double)got[i] - units * mean) < 1e-6 * mean);
  }
  memset(sample.value, 0, 8 * 64 * sizeof(float));
  add_floats(&b, f, 8, 64);
  got = read_floats(f, "ternary<128>", HONE_F32, 0);
  for (size_t i = 0; i < 8 * 64; i++) assert_true(got[i] == 0);
}

// Rotated by the definition of R, the rows that are read are signs of the rotated rows of the file
// times one scale each.
static void check_quest(fixture_t *f, size_t K, uint32_t block, hone_storage_t inputs) {
  builder_t b = {0};
  const size_t N = 6;
  fill_normal(N * K);
  add_floats(&b, f, N, K);
  float *got = read_floats(f, "b1<128>", inputs, block);
  for (size_t n = 0; n < N; n++) {
    double squares = 0;
    for (size_t k = 0; k < K; k++)
      squares += (double)sample.value[n * K + k] * (double)sample.value[n * K + k];
    double scale = 0.7978845608 * sqrt(squares / (double)K);
    for (size_t j = 0; j < K; j++) {
      double before = 0, after = 0;
      size_t first = j / block * block;
      for (size_t i = first; i < first + block; i++) {
        double sign = __builtin_popcountll((i - first) & (j - first)) % 2 ? -1 : 1;
        before += sign * (double)sample.value[n * K + i];
        after += sign * (double)got[n * K + i];
      }
      after /= sqrt((double)block);
      assert_true(fabs(after - (before > 0 ? scale : -scale)) < 1e-5 * scale);
    }
  }
}

static void test_quest(void **state) {
  fixture_t *f = *state;
  quantization_config(f, QUEST("1", "128"));
  check_quest(f, 256, 128, HONE_B1);
  quantization_config(f, "\"quant_method\": \"quest\", \"w_bits\": 1, \"a_bits\": 8");
  check_quest(f, 384, 128, HONE_Q8);
  quantization_config(f, QUEST("8", "32"));
  check_quest(f, 96, 32, HONE_Q8);
  builder_t b = {0};
  memset(sample.value, 0, 4 * 128 * sizeof(float));
  add_floats(&b, f, 4, 128);
  float *got = read_floats(f, "b1<128>", HONE_Q8, 32);
  for (size_t i = 0; i < 4 * 128; i++) assert_true(got[i] == 0);
}

static const char *int4_config(fixture_t *f, int4_kind_t kind, size_t group, size_t K) {
  static const char *const texts[] = {
      [CT_INT4] = "\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"",
      [GPTQ] = "\"quant_method\": \"gptq\", \"bits\": 4",
      [GPTQ_V2] = "\"quant_method\": \"gptq\", \"bits\": 4, \"checkpoint_format\": \"gptq_v2\"",
      [AWQ] = "\"quant_method\": \"awq\", \"bits\": 4, \"version\": \"gemm\""};
  return hone_arena_format(f->arena, "%s, \"group_size\": %d", texts[kind],
                           group == K ? -1 : (int)group);
}

static void test_int4(void **state) {
  fixture_t *f = *state;
  static const struct {
    size_t N, K;
    int4_options_t options;
    const char *format;
  } rows[] = {
      {16, 256, {.group = 128}, "int4<128>"},
      {24, 192, {.group = 64}, "int4<64>"},
      {8, 96, {.group = 32}, "int4<32>"},
      {8, 384, {.group = 384}, "int4<128>"},                // a scale for each row
      {8, 192, {.group = 96}, "int4<32>"},                  // three groups of ours in one
      {16, 128, {.group = 64, .asymmetric = true}, "f16"},  // exact, but not int4
      {16, 128, {.group = 32, .reordered = true}, "f16"},
      {8, 256, {.group = 128, .asymmetric = true, .reordered = true}, "f16"},
      {8, 80, {.group = 16}, "f16"},
  };
  sample.storage = HONE_F16;
  for (int4_kind_t kind = CT_INT4; kind <= AWQ; kind++) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      if (kind == AWQ && rows[i].options.reordered) continue;  // it has no such thing
      builder_t b = {0};
      add_plain(&b);
      add_int4(&b, &sample, rows[i].N, rows[i].K, kind, &rows[i].options);
      builder_write(&b, f);
      quantization_config(f, int4_config(f, kind, rows[i].options.group, rows[i].K));
      check_sample(f, rows[i].format, 0);
      if (kind == CT_INT4) {  // the tensors say enough
        fixture_text(f, "config.json", "{}");
        check_sample(f, rows[i].format, 0);
      }
    }
  }
  // Widths that fill no word, rows that fill no word of zero points, a last group that is short.
  static const struct {
    int4_kind_t kind;
    size_t N, K;
    int4_options_t options;
  } odd[] = {{CT_INT4, 11, 172, {.group = 43, .asymmetric = true}},
             {CT_INT4, 11, 172, {.group = 4, .reordered = true}},
             {CT_INT4, 3, 10, {.group = 10, .asymmetric = true}},
             {GPTQ, 16, 192, {.group = 128, .asymmetric = true}},
             {AWQ, 8, 172, {.group = 128}}};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    builder_t b = {0};
    add_plain(&b);
    add_int4(&b, &sample, odd[i].N, odd[i].K, odd[i].kind, &odd[i].options);
    builder_write(&b, f);
    quantization_config(f, int4_config(f, odd[i].kind, odd[i].options.group, odd[i].K));
    check_sample(f, "f16", 0);
  }
  sample.storage = 0;
}

// ---- refusals

static void refuse(fixture_t *f, builder_t *b, const char *config, hone_code_t code,
                   const char *part) {
  hone_checkpoint_t *checkpoint = NULL;
  builder_write(b, f);
  fixture_text(f, "config.json", "{}");
  if (config) quantization_config(f, config);
  assert_refuses(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status), code, part);
  assert_null(checkpoint);
}

static void test_bitsandbytes_refused(void **state) {
  fixture_t *f = *state;
#define STATE(type, block, dtype, shape, more)                              \
  "{\"quant_type\":\"" type "\",\"blocksize\":" block ",\"dtype\":\"" dtype \
  "\",\"shape\":" shape more "}"
  static const struct {
    const char *state, *leave_out, *part;
  } rows[] = {
      {NULL, ".absmax", "tensor 'm.weight': companion 'm.weight.absmax' is missing"},
      {NULL, ".quant_map", "companion 'm.weight.quant_map' is missing"},
      {NULL, ".quant_state.bitsandbytes__nf4", "'.absmax' belongs to a quantized tensor"},
      {"{", NULL, "tensor 'm.weight.quant_state.bitsandbytes__nf4': line 1"},
      {"[]", NULL, "expected an object"},
      {STATE("nf4", "64", "bfloat16", "[8,64]", ",\"shape\":[1,1]"), NULL, "duplicate"},
      {STATE("fp4", "64", "bfloat16", "[8,64]", ""), NULL, "its name says nf4"},
      {STATE("nf4", "96", "bfloat16", "[8,64]", ""), NULL, "key 'blocksize': 96 is not a power"},
      {STATE("nf4", "8192", "bfloat16", "[8,64]", ""), NULL, "key 'blocksize': 8192 is outside"},
      {STATE("nf4", "16", "bfloat16", "[8,64]", ""), NULL, "key 'blocksize': 16 is not a power"},
      {STATE("nf4", "64", "float64", "[8,64]", ""), NULL, "key 'dtype': 'float64'"},
      {STATE("nf4", "64", "bfloat16", "[8,0]", ""), NULL, "key 'shape': expected"},
      {STATE("nf4", "64", "bfloat16", "[8,64,1]", ""), NULL, "key 'shape': expected"},
      {STATE("nf4", "64", "bfloat16", "[8,99999999999]", ""), NULL, "key 'shape': expected"},
      {STATE("nf4", "64", "bfloat16", "[16,64]", ""), NULL,
       "tensor 'm.weight': 256 bytes of codes, but shape [16, 64] of its quant_state needs 512"},
      {STATE("nf4", "64", "bfloat16", "[8,32]", ""), NULL, "256 bytes of codes, but shape"},
      {STATE("nf4", "32", "bfloat16", "[8,64]", ""), NULL,
       "companion 'm.weight.absmax' has shape [8]; expected 16 elements"},
      {STATE("nf4", "64", "bfloat16", "[8,64]", ",\"nested_blocksize\":256,\"nested_offset\":0.5"),
       NULL, "companion 'm.weight.absmax' has dtype F32; expected U8"},
      {STATE("nf4", "64", "bfloat16", "[8,64]", ",\"nested_blocksize\":256"), NULL,
       "key 'nested_offset' is missing"},
      {STATE("nf4", "64", "bfloat16", "[8,64]", ",\"nested_blocksize\":3,\"nested_offset\":0.5"),
       NULL, "key 'nested_blocksize': 3 is not a power"},
      {STATE("nf4", "64", "bfloat16", "[8,64]",
             ",\"nested_blocksize\":256,\"nested_offset\":0.5,\"nested_dtype\":\"float16\""),
       NULL, "key 'nested_dtype': 'float16'"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    bnb_options_t options = {
        .type = "nf4", .block = 64, .state = rows[i].state, .leave_out = rows[i].leave_out};
    hone_code_t code = strstr(rows[i].part, "nested_dtype") ? HONE_UNSUPPORTED : HONE_INVALID;
    add_bitsandbytes(&b, &sample, 8, 64, &options);
    refuse(f, &b, NULL, code, rows[i].part);
  }
}

static void test_companions_refused(void **state) {
  fixture_t *f = *state;
  const float nan = NAN, zero = 0, one = 1;
  static const char bytes[4096];
  static const char *const nvfp4 =
      "\"quant_method\": \"compressed-tensors\", \"format\": \"nvfp4-pack-quantized\"";
  builder_t b = {0};
  builder_add(&b, "m.weight_packed", "U8", "[4, 32]", bytes, 128);
  refuse(f, &b, nvfp4, HONE_INVALID,
         "tensor 'm.weight_packed': companion 'm.weight_scale' is missing");
  builder_add(&b, "m.weight_packed", "U8", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F8_E4M3", "[4, 4]", bytes, 16);
  refuse(f, &b, nvfp4, HONE_INVALID, "companion 'm.weight_global_scale' is missing");
  builder_add(&b, "m.weight_packed", "U8", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F8_E4M3", "[4, 2]", bytes, 8);
  refuse(f, &b, nvfp4, HONE_INVALID,
         "companion 'm.weight_scale' has shape [4, 2]; expected [4, 4]");
  builder_add(&b, "m.weight_packed", "U8", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F8_E4M3", "[4, 4]", bytes, 16);
  refuse(f, &b, NULL, HONE_INVALID, "has dtype F8_E4M3; expected U8 F8_E8M0");
  builder_add(&b, "m.weight_packed", "I32", "[4, 8]", bytes, 128);
  refuse(f, &b, nvfp4, HONE_INVALID, "codes of dtype I32; expected U8");
  builder_add(&b, "m.weight_packed", "U8", "[4, 4, 8]", bytes, 128);
  refuse(f, &b, nvfp4, HONE_UNSUPPORTED, "codes of shape [4, 4, 8]");
  builder_add(&b, "m.weight_packed", "U8", "[4, 12]", bytes, 48);
  refuse(f, &b, nvfp4, HONE_INVALID, "rows of 24 weights; expected a multiple of 16");
  const float bad[] = {nan, zero, -1, INFINITY};
  for (size_t i = 0; i < 4; i++) {
    builder_add(&b, "m.weight_packed", "U8", "[4, 32]", bytes, 128);
    builder_add(&b, "m.weight_scale", "F8_E4M3", "[4, 4]", bytes, 16);
    builder_add(&b, "m.weight_global_scale", "F32", "[1]", &bad[i], 4);
    refuse(f, &b, nvfp4, HONE_INVALID, "companion 'm.weight_global_scale' is");
  }
  builder_add(&b, "m.weight", "U8", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F32", "[1]", &one, 4);
  refuse(f, &b, NULL, HONE_INVALID, "looks like BitNet's packed ternary, but no");
  builder_add(&b, "m.weight", "U8", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F32", "[2]", bytes, 8);
  refuse(f, &b, "\"quant_method\": \"bitnet\"", HONE_INVALID,
         "companion 'm.weight_scale' has shape [2]; expected 1 elements");
  builder_add(&b, "m.weight", "F8_E4M3", "[4, 32]", bytes, 128);
  builder_add(&b, "m.weight_scale", "F32", "[1]", &one, 4);
  refuse(f, &b, NULL, HONE_INVALID, "'.weight_scale' belongs to a quantized tensor");
  builder_add(&b, "m_blocks", "U8", "[4, 2, 8]", bytes, 64);
  builder_add(&b, "m_scales", "U8", "[4, 2]", bytes, 8);
  refuse(f, &b, NULL, HONE_INVALID, "blocks of 8 bytes; expected 16");
  builder_add(&b, "m_blocks", "U8", "[4, 2, 16]", bytes, 128);
  builder_add(&b, "m_scales", "U8", "[4, 2]", bytes, 8);
  builder_add(&b, "m.weight", "F32", "[4, 2]", bytes, 32);
  refuse(f, &b, NULL, HONE_INVALID, "the checkpoint holds 'm.weight' too");
}

static void test_int4_refused(void **state) {
  fixture_t *f = *state;
  static const int32_t groups[64] = {[5] = 2}, shape[2] = {4, 64}, big[2] = {4, 128},
                       none[2] = {0, 64};
  static const char bytes[4096];
  const char *ct = int4_config(f, CT_INT4, 32, 64), *gptq = int4_config(f, GPTQ, 32, 64);
  builder_t b = {0};
#define PACKED(dtype, shape_text, size) \
  builder_add(&b, "m.weight_packed", dtype, shape_text, bytes, size)
#define SCALE(shape_text, size) builder_add(&b, "m.weight_scale", "F16", shape_text, bytes, size)
#define SHAPE(values)           builder_add(&b, "m.weight_shape", "I32", "[2]", values, 8)
  PACKED("I32", "[4,8]", 128);
  refuse(f, &b, ct, HONE_INVALID, "companion 'm.weight_shape' is missing");
  PACKED("I32", "[4,8]", 128), SHAPE(shape);
  refuse(f, &b, NULL, HONE_INVALID, "companion 'm.weight_scale' is missing");
  PACKED("U8", "[4,8]", 32), SHAPE(shape);
  refuse(f, &b, ct, HONE_INVALID, "codes of dtype U8; expected I32");
  PACKED("I32", "[4,2,4]", 128), SHAPE(shape);
  refuse(f, &b, ct, HONE_INVALID, "codes of shape [4, 2, 4]");
  PACKED("I32", "[4,16]", 256), SHAPE(shape), SCALE("[4,2]", 16);  // eight bits
  refuse(f, &b, ct, HONE_UNSUPPORTED, "shape [4, 16], but with 4 bits [4, 64] of its weight_shape");
  PACKED("I32", "[4,8]", 128), SHAPE(big), SCALE("[4,2]", 16);
  refuse(f, &b, ct, HONE_UNSUPPORTED, "shape [4, 8], but with 4 bits");
  PACKED("I32", "[4,8]", 128), SHAPE(none), SCALE("[4,2]", 16);
  refuse(f, &b, ct, HONE_INVALID, "companion 'm.weight_shape' says 0");
  PACKED("I32", "[4,8]", 128), SHAPE(shape), SCALE("[4,3]", 24);
  refuse(f, &b, ct, HONE_INVALID, "has 3 scales for a row of 64 weights");
  PACKED("I32", "[4,8]", 128), SHAPE(shape), SCALE("[5,2]", 20);
  refuse(f, &b, ct, HONE_INVALID, "has shape [5, 2]; expected [4, 2]");
  PACKED("I32", "[4,8]", 128), SHAPE(shape), SCALE("[8]", 16);
  refuse(f, &b, ct, HONE_INVALID, "has shape [8]; expected two dimensions");
  PACKED("I32", "[4,8]", 128), SHAPE(shape), SCALE("[4,2]", 16);
  builder_add(&b, "m.weight_g_idx", "I32", "[64]", groups, 256);
  refuse(f, &b, ct, HONE_INVALID, "group 2 of column 5; there are 2");
  PACKED("I32", "[4,8]", 128), SHAPE(shape), SCALE("[4,2]", 16);
  builder_add(&b, "m.weight_zero_point", "I32", "[4,2]", bytes, 32);
  refuse(f, &b, ct, HONE_INVALID, "has shape [4, 2]; expected [1, 2]");
  builder_add(&b, "m.qweight", "I32", "[8,8]", bytes, 256);
  refuse(f, &b, NULL, HONE_INVALID, "it looks like GPTQ or AWQ, but no quantization_config");
  builder_add(&b, "m.qweight", "I32", "[8,8]", bytes, 256);
  refuse(f, &b, gptq, HONE_INVALID, "companion 'm.scales' is missing");
  builder_add(&b, "m.qweight", "I32", "[8,8]", bytes, 256);
  builder_add(&b, "m.scales", "F16", "[2,8]", bytes, 32);
  refuse(f, &b, gptq, HONE_INVALID, "companion 'm.qzeros' is missing");
  builder_add(&b, "m.qweight", "I32", "[8,9]", bytes, 288);
  refuse(f, &b, gptq, HONE_INVALID, "9 rows of weights; their zero points need a multiple of 8");
  builder_add(&b, "m.qweight", "I32", "[8,8]", bytes, 256);
  builder_add(&b, "m.scales", "F16", "[1,8]", bytes, 16);
  refuse(f, &b, gptq, HONE_INVALID, "has shape [1, 8]; expected [2, 8]");
  builder_add(&b, "m.qweight", "I32", "[8,8]", bytes, 256);
  builder_add(&b, "m.scales", "F16", "[2,8]", bytes, 32);
  builder_add(&b, "m.qzeros", "I32", "[2,1]", bytes, 8);
  builder_add(&b, "m.g_idx", "I32", "[32]", bytes, 128);
  refuse(f, &b, gptq, HONE_INVALID, "companion 'm.g_idx' has shape [32]; expected 64 elements");
  builder_add(&b, "m.qzeros", "I32", "[2,1]", bytes, 8);
  refuse(f, &b, NULL, HONE_INVALID, "'.qzeros' belongs to a quantized tensor");
}

static void test_configs_refused(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *config;
    hone_code_t code;
    const char *part;
  } rows[] = {
      {"\"quant_method\": \"hqq\"", HONE_UNSUPPORTED, "quant_method 'hqq'"},
      {"\"quant_method\": \"hqq\"", HONE_UNSUPPORTED, "it reads bitsandbytes nf4 and fp4"},
      {"\"quant_method\": \"gptq\"", HONE_INVALID, "key 'quantization_config.bits' is missing"},
      {"\"quant_method\": \"gptq\", \"bits\": 8, \"group_size\": 128", HONE_UNSUPPORTED,
       "bits '8'"},
      {"\"quant_method\": \"gptq\", \"bits\": 4", HONE_INVALID,
       "key 'quantization_config.group_size' is missing"},
      {"\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 128, \"checkpoint_format\": "
       "\"marlin\"",
       HONE_UNSUPPORTED, "checkpoint_format 'marlin'"},
      {"\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 128, \"version\": \"gemv\"",
       HONE_UNSUPPORTED, "version 'gemv'"},
      {"\"bits\": 4", HONE_UNSUPPORTED, "quant_method 'unknown'"},
      {"\"quant_method\": 4", HONE_INVALID, "key 'quantization_config.quant_method': expected"},
      {"\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true", HONE_UNSUPPORTED,
       "not in 4 bits"},
      {"\"quant_method\": \"bitsandbytes\", \"bnb_4bit_quant_type\": \"fp4\"", HONE_INVALID,
       "tensor 'm.weight': it is stored as nf4, but"},
      {"\"quant_method\": \"bitsandbytes\", \"bnb_4bit_quant_type\": \"int4\"", HONE_UNSUPPORTED,
       "bnb_4bit_quant_type 'int4'"},
      {"\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\"", HONE_UNSUPPORTED,
       "'int-quantized'"},
      {"\"quant_method\": \"modelopt\", \"quant_algo\": \"FP8\"", HONE_UNSUPPORTED, "'FP8'"},
      {"\"quant_method\": \"bitnet\", \"linear_class\": \"other\"", HONE_UNSUPPORTED, "'other'"},
      {"\"quant_method\": \"bitnet\", \"use_rms_norm\": true", HONE_UNSUPPORTED, "use_rms_norm"},
      {"\"quant_method\": \"bitnet\", \"linear_class\": \"autobitlinear\", "
       "\"quantization_mode\": "
       "\"other\"",
       HONE_UNSUPPORTED, "quantization_mode 'other'"},
      {"\"quant_method\": \"quest\", \"a_bits\": 1", HONE_INVALID,
       "key 'quantization_config.w_bits' is missing"},
      {"\"quant_method\": \"quest\", \"w_bits\": 1", HONE_INVALID,
       "key 'quantization_config.a_bits' is missing"},
      {"\"quant_method\": \"quest\", \"w_bits\": 4, \"a_bits\": 4", HONE_UNSUPPORTED,
       "key 'quantization_config.w_bits': 4 is not supported"},
      {"\"quant_method\": \"quest\", \"w_bits\": 1, \"a_bits\": 16", HONE_UNSUPPORTED,
       "key 'quantization_config.a_bits': 16 is not supported; activations have 1 bit or 8"},
      {QUEST("1", "256"), HONE_UNSUPPORTED,
       "key 'quantization_config.hadamard_group_size': 256 is not supported; 32, 64 and 128 are"},
      {"\"quant_method\": \"mxfp4\"", HONE_INVALID,
       "tensor 'm.weight': it is stored as bitsandbytes' 4 bits, but"},
  };
  const bnb_options_t options = {.type = "nf4", .block = 64};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    builder_t b = {0};
    add_bitsandbytes(&b, &sample, 8, 64, &options);
    refuse(f, &b, rows[i].config, rows[i].code, rows[i].part);
  }
  builder_t b = {0};
  add_plain(&b);
  refuse(f, &b, "\"quant_method\": \"mxfp4\"", HONE_INVALID, "but no tensor is stored so");
}

static void test_quest_refused(void **state) {
  fixture_t *f = *state;
  static const char zeros[4 * 192 * 4];
  builder_t b = {0};
  builder_add(&b, "m.weight", "F32", "[4, 192]", zeros, 4 * 192 * 4);
  refuse(f, &b, QUEST("1", "128"), HONE_UNSUPPORTED,
         "tensor 'm.weight': it has 192 columns, which hadamard_group_size (128) does not divide");
  builder_add(&b, "m.weight", "F32", "[4, 96]", zeros, 4 * 96 * 4);
  refuse(f, &b, QUEST("1", "32"), HONE_UNSUPPORTED,
         "tensor 'm.weight': it has 96 columns; activations of one bit (a_bits 1) take a multiple");
  builder_add(&b, "m.weight", "U8", "[4, 128]", zeros, 4 * 128);
  refuse(f, &b, QUEST("1", "32"), HONE_INVALID, "QuEST's latent weights");
}

// Scales are looked at when rows are read.
static void check_bad_row(fixture_t *f, builder_t *b, int64_t bad_row, const char *part) {
  float out[512];
  builder_write(b, f);
  hone_checkpoint_t *checkpoint = open_folder(f);
  for (int64_t row = 0; row < 4; row++) {
    if (row == bad_row) {
      assert_refuses(f, hone_checkpoint_read_rows(checkpoint, "m.weight", row, 1, out, &f->status),
                     HONE_INVALID, part);
    } else {
      assert_ok(f, hone_checkpoint_read_rows(checkpoint, "m.weight", row, 1, out, &f->status));
    }
  }
  hone_checkpoint_close(checkpoint);
}

static void test_bad_scales(void **state) {
  fixture_t *f = *state;
  builder_t b = {0};
  bnb_options_t options = {.type = "nf4", .block = 64, .bad = NAN};
  add_bitsandbytes(&b, &sample, 4, 128, &options);
  check_bad_row(f, &b, 1,
                "tensor 'm.weight': companion 'm.weight.absmax': NaN scale at row 1, column 0");
  options.bad = INFINITY;
  add_bitsandbytes(&b, &sample, 4, 128, &options);
  check_bad_row(f, &b, 1, "a scale that makes weights infinite at row 1, column 0");
  add_e2m1(&b, &sample, 4, 64, CT_NVFP4, 0.5f, 0x7F);
  check_bad_row(f, &b, 1, "companion 'm.weight_scale': NaN scale at row 1, column 16");
  add_e2m1(&b, &sample, 4, 64, MODELOPT, 0.5f, 0xFF);
  check_bad_row(f, &b, 1, "companion 'm.weight_scale': NaN scale at row 1, column 16");
  add_e2m1(&b, &sample, 4, 64, MODELOPT, 0.5f, 0x85);
  check_bad_row(f, &b, 1, "negative scale at row 1, column 16");
  add_e2m1(&b, &sample, 4, 64, CT_MXFP4, 0, 0xFF);
  check_bad_row(f, &b, 1, "companion 'm.weight_scale': NaN scale at row 1, column 32");
  add_e2m1(&b, &sample, 4, 64, BLOCKS, 0, 0xFE);
  check_bad_row(f, &b, 1, "companion 'm_scales': a scale that makes weights infinite at row 1");
  int4_options_t int4 = {.group = 32, .scale = 0x7E00};
  add_int4(&b, &sample, 8, 64, CT_INT4, &int4);
  check_bad_row(f, &b, 1, "companion 'm.weight_scale': NaN or infinite scale at row 1, column 0");
  quantization_config(f, int4_config(f, GPTQ, 32, 64));
  int4.scale = 0x7C00;
  add_int4(&b, &sample, 8, 64, GPTQ, &int4);
  check_bad_row(f, &b, 1, "companion 'm.scales': NaN or infinite scale at row 1, column 0");
  int4 = (int4_options_t){.group = 32, .zero = 16};
  add_int4(&b, &sample, 8, 64, GPTQ, &int4);
  check_bad_row(f, &b, 1, "companion 'm.qzeros': a zero point of 16");
  quantization_config(f, "\"quant_method\": \"bitnet\"");
  add_bitnet(&b, &sample, 4, 64, 1, 1);
  ((uint8_t *)b.data.data)[5] |= 3 << 4;
  check_bad_row(f, &b, 2, "tensor 'm.weight': 3 is no ternary code, at row 2, column 5");
}

static void test_bad_floats(void **state) {
  fixture_t *f = *state;
  builder_t b = {0};
  const float one = 1;
  fill_normal(4 * 64);
  sample.value[2 * 64 + 7] = NAN;
  quantization_config(f, QUEST("1", "64"));
  builder_add(&b, "m.weight", "F32", "[4, 64]", sample.value, 4 * 64 * 4);
  check_bad_row(f, &b, 2, "tensor 'm.weight': NaN at row 2, column 7");
  sample.value[2 * 64 + 7] = 3e38f, sample.value[2 * 64 + 8] = 3e38f;
  builder_add(&b, "m.weight", "F32", "[4, 64]", sample.value, 4 * 64 * 4);
  check_bad_row(f, &b, 2, "tensor 'm.weight': weights whose sums are infinite at row 2, column 0");
  quantization_config(f, "\"quant_method\": \"bitnet\"");
  for (size_t i = 0; i < 4 * 64; i++) sample.value[i] = i == 130 ? 0.5f : 1;
  builder_add(&b, "m.weight", "F32", "[4, 64]", sample.value, 4 * 64 * 4);
  builder_add(&b, "m.weight_scale", "F32", "[1]", &one, 4);
  check_bad_row(f, &b, 2, "tensor 'm.weight': a weight that is not -1, 0 or 1 at row 2, column 2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_bitsandbytes, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_e2m1, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bitnet, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bitnet_floats, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_quest, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_quest_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bad_floats, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_int4, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_int4_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bitsandbytes_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_companions_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_configs_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bad_scales, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
