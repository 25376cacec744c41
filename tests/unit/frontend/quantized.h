// Small quantized checkpoints for the tests of frontend/: a builder of safetensors files with any
// number of tensors, and encoders written from the layouts' descriptions, independent of the
// readers under test. Not a test.
#ifndef TESTS_UNIT_FRONTEND_QUANTIZED_H
#define TESTS_UNIT_FRONTEND_QUANTIZED_H

#include <inttypes.h>
#include <math.h>

#include "frontend/checkpoint.h"
#include "quant/nested.h"
#include "tests/unit/frontend/fixture.h"

typedef struct builder {  // zero it, add tensors, write
  hone_buffer_t header, data;
} builder_t;

static inline void builder_add(builder_t *b, const char *name, const char *dtype, const char *shape,
                               const void *data, size_t bytes) {
  hone_buffer_format(
      &b->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
      b->header.bytes ? "," : "{", name, dtype, shape, b->data.bytes, b->data.bytes + bytes);
  hone_buffer_add(&b->data, data, bytes);
}

static inline void builder_write(builder_t *b, fixture_t *f) {
  hone_buffer_text(&b->header, "}");
  fixture_safetensors(f, "model.safetensors", hone_buffer_cstr(&b->header), b->data.data,
                      b->data.bytes);
  hone_buffer_deinit(&b->header);
  hone_buffer_deinit(&b->data);
}

static inline unsigned random_below(uint64_t *seed, unsigned limit) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(*seed >> 40) % limit;
}

// The tables, typed in from bitsandbytes' functional.py and the OCP specification.
static const float levels_nf4[16] = {-1.0f,        -0.69619280f, -0.52507305f,  -0.39491749f,
                                     -0.28444138f, -0.18477343f, -0.091050036f, 0.0f,
                                     0.079580300f, 0.16093020f,  0.24611230f,   0.33791524f,
                                     0.44070983f,  0.56261700f,  0.72295684f,   1.0f};
static const float levels_e2m1[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                      -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

static inline float level_fp4(unsigned code) {
  static const float raw[8] = {0, 0.0625f, 8, 12, 4, 6, 2, 3};
  float value = raw[code & 7] / 12;
  return code & 8 ? -value : value;
}

// E4M3 without sign, from its definition.
static inline float value_e4m3(unsigned code) {
  unsigned exponent = code >> 3, mantissa = code & 7;
  return exponent ? ldexpf(1 + (float)mantissa / 8, (int)exponent - 7)
                  : ldexpf((float)mantissa / 8, -6);
}

enum { WEIGHT_LIMIT = 64 * 1024 };
typedef struct sample {  // a tensor in codes, and what it stands for
  size_t N, K;
  int storage;  // of the floats it was made from; 0: bf16
  uint8_t code[WEIGHT_LIMIT];
  uint8_t packed[WEIGHT_LIMIT];
  float value[WEIGHT_LIMIT];
} sample_t;

static inline void pack_nibbles(sample_t *s, bool high_first) {
  memset(s->packed, 0, sizeof s->packed);
  for (size_t i = 0; i < s->N * s->K; i++)
    s->packed[i / 2] |= (uint8_t)(s->code[i] << ((i % 2 == 0) == high_first ? 4 : 0));
}

typedef struct bnb_options {
  const char *type;  // "nf4", "fp4"
  size_t block;
  bool is_nested;
  const char *dtype;      // of the codes in the file; NULL: U8
  const char *state;      // instead of the right quant_state
  const char *leave_out;  // suffix of the companion that is left out
  bool no_top;            // no code at the largest level
  float bad;              // not 0: replaces the third absmax
  bool own_map;           // nested scales by a map that is not that of bitsandbytes
  float negative;         // not 0: replaces the first nested absmax
} bnb_options_t;

static inline void add_part(builder_t *b, const bnb_options_t *o, const char *suffix,
                            const char *dtype, size_t count, const void *data, size_t bytes) {
  char name[128], shape[32];
  if (o->leave_out && !strcmp(o->leave_out, suffix)) return;
  snprintf(name, sizeof name, "m.weight%s", suffix);
  snprintf(shape, sizeof shape, "[%zu]", count);
  builder_add(b, name, dtype, shape, data, bytes);
}

// Adds the bitsandbytes tensor m.weight of (N, K), and fills the sample.
static inline void add_bitsandbytes(builder_t *b, sample_t *s, size_t N, size_t K,
                                    const bnb_options_t *o) {
  static float absmax[WEIGHT_LIMIT], map[256], nested[WEIGHT_LIMIT / 256];
  static uint8_t quantized[WEIGHT_LIMIT];
  uint64_t seed = N * 1000 + K;
  size_t blocks = (N * K + o->block - 1) / o->block, groups = (blocks + 255) / 256;
  bool is_nf4 = !strcmp(o->type, "nf4");
  float offset = 0.0371f, table[16];
  for (unsigned i = 0; i < 16; i++) table[i] = is_nf4 ? levels_nf4[i] : level_fp4(i);
  for (size_t i = 0; i < 256; i++)
    map[i] = o->own_map ? ((float)i - 127) / 128.5f : hone_nested_level((uint8_t)i);
  for (size_t i = 0; i < groups; i++) nested[i] = 0.01f + 0.001f * (float)i;
  if (o->negative != 0) nested[0] = o->negative;
  for (size_t i = 0; i < blocks; i++) {
    quantized[i] = (uint8_t)(i == 2 ? 200 : random_below(&seed, 256));
    absmax[i] = 0.01f + (float)random_below(&seed, 100000) * 1.37e-6f;
    if (o->is_nested) absmax[i] = map[quantized[i]] * nested[i / 256] + offset;
    if (i == 2 && o->bad != 0) absmax[i] = o->bad;
  }
  s->N = N;
  s->K = K;
  for (size_t i = 0; i < N * K; i++) {
    s->code[i] = (uint8_t)random_below(&seed, 16);
    unsigned top = is_nf4 ? 15 : 3;
    if (i % o->block == 7) s->code[i] = (uint8_t)top;
    if (o->no_top && fabsf(table[s->code[i]]) > 0.6f) s->code[i] = is_nf4 ? 12 : 4;
    s->value[i] = table[s->code[i]] * absmax[i / o->block];
  }
  pack_nibbles(s, true);
  size_t bytes = (N * K + 1) / 2;
  char state[256], suffix[64], shape[32];
  snprintf(state, sizeof state,
           "{\"quant_type\": \"%s\", \"blocksize\": %zu, \"dtype\": \"bfloat16\", \"shape\": [%zu, "
           "%zu]%s}",
           o->type, o->block, N, K,
           o->is_nested ? ", \"nested_blocksize\": 256, \"nested_dtype\": \"float32\", "
                          "\"nested_offset\": 0.037099998444318771"
                        : "");
  snprintf(suffix, sizeof suffix, ".quant_state.bitsandbytes__%s", o->type);
  snprintf(shape, sizeof shape, "[%zu, 1]", o->dtype ? bytes / 2 : bytes);
  builder_add(b, "m.weight", o->dtype ? o->dtype : "U8", shape, s->packed, bytes);
  if (o->is_nested) {
    add_part(b, o, ".absmax", "U8", blocks, quantized, blocks);
    add_part(b, o, ".nested_absmax", "F32", groups, nested, groups * 4);
    add_part(b, o, ".nested_quant_map", "F32", 256, map, sizeof map);
  } else {
    add_part(b, o, ".absmax", "F32", blocks, absmax, blocks * 4);
  }
  add_part(b, o, ".quant_map", "F32", 16, table, sizeof table);
  const char *text = o->state ? o->state : state;
  add_part(b, o, suffix, "U8", strlen(text), text, strlen(text));
}

typedef enum e2m1_kind { CT_NVFP4, CT_MXFP4, MODELOPT, BLOCKS } e2m1_kind_t;

// Adds the E2M1 tensor m of (N, K), and fills the sample. `bad` >= 0 replaces the scale at (1, 1).
static inline void add_e2m1(builder_t *b, sample_t *s, size_t N, size_t K, e2m1_kind_t kind,
                            float factor, int bad) {
  static uint8_t scales[WEIGHT_LIMIT];
  bool is_nvfp4 = kind == CT_NVFP4 || kind == MODELOPT;
  size_t block = is_nvfp4 ? 16 : 32, groups = K / block;
  uint64_t seed = N * 1000 + K;
  for (size_t i = 0; i < N * groups; i++)
    scales[i] = (uint8_t)(is_nvfp4 ? 1 + random_below(&seed, 0x7e) : 100 + random_below(&seed, 30));
  if (bad >= 0) scales[groups + 1] = (uint8_t)bad;
  s->N = N;
  s->K = K;
  for (size_t i = 0; i < N * K; i++) {
    unsigned code = scales[i / block];
    float scale = is_nvfp4 ? value_e4m3(code & 0x7F) * factor : ldexpf(1, (int)code - 127);
    // Every third block has no code above 3, every fifth none above 1.
    unsigned limit = i / block % 3 == 0 ? 6 : i / block % 5 == 0 ? 3 : 8;
    s->code[i] = (uint8_t)(random_below(&seed, limit) | random_below(&seed, 2) << 3);
    s->value[i] = levels_e2m1[s->code[i]] * scale;
  }
  pack_nibbles(s, false);
  char packed_shape[48], scale_shape[48];
  snprintf(packed_shape, sizeof packed_shape, kind == BLOCKS ? "[%zu, %zu, 16]" : "[%zu, %zu]", N,
           kind == BLOCKS ? K / 32 : K / 2);
  snprintf(scale_shape, sizeof scale_shape, "[%zu, %zu]", N, groups);
  static const char *const names[][2] = {{"m.weight_packed", "m.weight_scale"},
                                         {"m.weight_packed", "m.weight_scale"},
                                         {"m.weight", "m.weight_scale"},
                                         {"m_blocks", "m_scales"}};
  builder_add(b, names[kind][0], "U8", packed_shape, s->packed, N * K / 2);
  builder_add(b, names[kind][1], is_nvfp4 ? "F8_E4M3" : "U8", scale_shape, scales, N * groups);
  float inverse = 1.0f / factor;
  if (kind == CT_NVFP4) builder_add(b, "m.weight_global_scale", "F32", "[1]", &inverse, 4);
  if (kind == CT_NVFP4) builder_add(b, "m.input_global_scale", "F32", "[1]", &inverse, 4);
  if (kind == MODELOPT) builder_add(b, "m.weight_scale_2", "F32", "[]", &factor, 4);
  if (kind == MODELOPT) builder_add(b, "m.input_scale", "F32", "[]", &factor, 4);
}

// Adds BitNet's m.weight of (N, K), N a multiple of 4, whose codes are multiplied by `scale`;
// `stored` is what the file says about it.
static inline void add_bitnet(builder_t *b, sample_t *s, size_t N, size_t K, float scale,
                              float stored) {
  uint64_t seed = N * 1000 + K;
  char shape[32];
  s->N = N;
  s->K = K;
  memset(s->packed, 0, sizeof s->packed);
  for (size_t i = 0; i < N * K; i++) {
    s->code[i] = (uint8_t)random_below(&seed, 3);
    s->value[i] = ((float)s->code[i] - 1) * scale;
    size_t row = i / K, column = i % K;
    s->packed[row % (N / 4) * K + column] |= (uint8_t)(s->code[i] << (2 * (row / (N / 4))));
  }
  snprintf(shape, sizeof shape, "[%zu, %zu]", N / 4, K);
  builder_add(b, "m.weight", "U8", shape, s->packed, N / 4 * K);
  builder_add(b, "m.weight_scale", "F32", "[1]", &stored, 4);
}

typedef enum int4_kind { CT_INT4, GPTQ, GPTQ_V2, AWQ } int4_kind_t;

typedef struct int4_options {
  size_t group;
  bool asymmetric, reordered;
  int zero;        // not 0: the zero point of row 1, group 0
  uint16_t scale;  // not 0: the bits of the scale of row 1, group 0
} int4_options_t;

// Words of eight nibbles: which word and which nibble of it are (n, k) of an (N, K) matrix that is
// packed along k, along n, or along n in AWQ's order.
static inline void put_nibble(uint32_t *words, size_t word, unsigned nibble, unsigned code) {
  words[word] |= (uint32_t)code << 4 * nibble;
}

static inline unsigned awq_place(size_t column) {
  static const unsigned order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (unsigned i = 0; i < 8; i++)
    if (order[i] == column % 8) return i;
  return 8;
}

// Adds the int4 tensor m of (N, K), and fills the sample. Scales are F16: 0x2000 and up, 2^-7 * (1
// + i / 1024).
static inline void add_int4(builder_t *b, sample_t *s, size_t N, size_t K, int4_kind_t kind,
                            const int4_options_t *o) {
  static uint32_t words[WEIGHT_LIMIT], zeros[WEIGHT_LIMIT];
  static int32_t order[WEIGHT_LIMIT];
  static uint16_t scales[WEIGHT_LIMIT];
  size_t G = o->group, groups = (K + G - 1) / G, packed_K = (K + 7) / 8, packed_N = (N + 7) / 8;
  bool by_rows = kind == CT_INT4;
  uint64_t seed = N * 1000 + K;
  s->N = N;
  s->K = K;
  memset(words, 0, sizeof words);
  memset(zeros, 0, sizeof zeros);
  for (size_t k = 0; k < K; k++) order[k] = (int32_t)((o->reordered ? K - 1 - k : k) / G);
  for (size_t n = 0; n < N; n++) {
    for (size_t g = 0; g < groups; g++) {
      bool is_first = n == 1 && g == 0;
      uint16_t bits = (uint16_t)(0x2000 + random_below(&seed, 1024));
      if (is_first && o->scale) bits = o->scale;
      scales[by_rows ? n * groups + g : g * N + n] = bits;
      unsigned zero = o->asymmetric ? 1 + random_below(&seed, 15) : 8;
      if (is_first && o->zero) zero = (unsigned)o->zero;
      unsigned stored = kind == GPTQ ? zero - 1 : zero;
      if (by_rows) put_nibble(zeros, n / 8 * groups + g, n % 8, stored);
      if (!by_rows)
        put_nibble(zeros, g * packed_N + n / 8, kind == AWQ ? awq_place(n) : n % 8, stored);
      float scale = ldexpf(1 + (float)(bits & 1023) / 1024, (bits >> 10) - 15);
      for (size_t k = 0; k < K; k++) {
        if (order[k] != (int32_t)g) continue;
        unsigned code = random_below(&seed, 16);
        if (by_rows) put_nibble(words, n * packed_K + k / 8, k % 8, code);
        if (kind == AWQ) put_nibble(words, k * packed_N + n / 8, awq_place(n), code);
        if (kind == GPTQ || kind == GPTQ_V2) put_nibble(words, k / 8 * N + n, k % 8, code);
        s->value[n * K + k] = (float)((int)code - (int)zero) * scale;
      }
    }
  }
  size_t rows = by_rows ? N : kind == AWQ ? K : packed_K;
  size_t columns = by_rows ? packed_K : kind == AWQ ? packed_N : N;
  int64_t shape[2] = {(int64_t)N, (int64_t)K};
  char text[3][48];
  snprintf(text[0], sizeof text[0], "[%zu,%zu]", rows, columns);
  snprintf(text[1], sizeof text[1], "[%zu,%zu]", by_rows ? N : groups, by_rows ? groups : N);
  snprintf(text[2], sizeof text[2], "[%zu,%zu]", by_rows ? packed_N : groups,
           by_rows ? groups : packed_N);
  builder_add(b, by_rows ? "m.weight_packed" : "m.qweight", "I32", text[0], words,
              rows * columns * 4);
  builder_add(b, by_rows ? "m.weight_scale" : "m.scales", "F16", text[1], scales, N * groups * 2);
  if (by_rows) builder_add(b, "m.weight_shape", "I64", "[2]", shape, sizeof shape);
  if (!by_rows || o->asymmetric)
    builder_add(b, by_rows ? "m.weight_zero_point" : "m.qzeros", "I32", text[2], zeros,
                packed_N * groups * 4);
  if (kind == AWQ || (by_rows && !o->reordered)) return;
  snprintf(text[0], sizeof text[0], "[%zu]", K);
  builder_add(b, by_rows ? "m.weight_g_idx" : "m.g_idx", "I32", text[0], order, K * 4);
}

static inline void quantization_config(fixture_t *f, const char *text) {
  fixture_text(f, "config.json",
               hone_arena_format(f->arena, "{\"quantization_config\": {%s}}", text));
}

#endif
