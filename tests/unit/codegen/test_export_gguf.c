// GGUF files against a reader of their own: metadata, every tensor type, and the values the
// quantizer stands for.
#include <math.h>

#include "tests/unit/codegen/export_fixture.h"

typedef struct tensor {
  const uint8_t *data;
  uint32_t type, rank;
  uint64_t shape[2];
} tensor_t;

typedef struct reader {
  fixture_t *f;
  const uint8_t *begin, *at, *end, *data;
  uint64_t tensors, pairs;
  const uint8_t *first_pair, *first_tensor;
} reader_t;

static uint64_t number(reader_t *r, int bytes) {
  uint64_t value = 0;
  assert_true(r->end - r->at >= bytes);
  for (int i = 0; i < bytes; i++) value |= (uint64_t)*r->at++ << (8 * i);
  return value;
}

static hone_slice_t string(reader_t *r) {
  uint64_t bytes = number(r, 8);
  assert_true(bytes <= (uint64_t)(r->end - r->at));
  hone_slice_t text = {(const char *)r->at, bytes};
  r->at += bytes;
  return text;
}

static void skip_value(reader_t *r, uint32_t type) {
  static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  assert_true(type < sizeof sizes);
  if (type == 8) {
    string(r);
  } else if (type == 9) {
    uint32_t inner = (uint32_t)number(r, 4);
    for (uint64_t left = number(r, 8); left > 0; left--) skip_value(r, inner);
  } else {
    number(r, sizes[type]);
  }
}

static reader_t open_gguf(fixture_t *f, const char *name) {
  size_t bytes;
  reader_t r = {.f = f};
  r.begin = r.at = read_file(f, name, &bytes);
  r.end = r.begin + bytes;
  assert_int_equal(number(&r, 4), 0x46554747);
  assert_int_equal(number(&r, 4), 3);
  r.tensors = number(&r, 8);
  r.pairs = number(&r, 8);
  r.first_pair = r.at;
  for (uint64_t i = 0; i < r.pairs; i++) {
    string(&r);
    skip_value(&r, (uint32_t)number(&r, 4));
  }
  r.first_tensor = r.at;
  for (uint64_t i = 0; i < r.tensors; i++) {
    string(&r);
    for (uint64_t left = number(&r, 4); left > 0; left--) number(&r, 8);
    number(&r, 4);
    number(&r, 8);
  }
  r.data = r.begin + (r.at - r.begin + 31) / 32 * 32;
  return r;
}

// The reader stands at the value of `key`, whose type is `type`.
static void find_pair(reader_t *r, const char *key, uint32_t type) {
  r->at = r->first_pair;
  for (uint64_t i = 0; i < r->pairs; i++) {
    bool found = hone_slice_is(string(r), key);
    uint32_t got = (uint32_t)number(r, 4);
    if (found) {
      assert_int_equal(got, type);
      return;
    }
    skip_value(r, got);
  }
  fail_msg("no key %s", key);
}

static uint32_t u32(reader_t *r, const char *key) {
  find_pair(r, key, 4);
  return (uint32_t)number(r, 4);
}

static float f32_bits(uint64_t bits) {
  uint32_t low = (uint32_t)bits;
  float value;
  memcpy(&value, &low, sizeof value);
  return value;
}

static float f32(reader_t *r, const char *key) {
  find_pair(r, key, 6);
  return f32_bits(number(r, 4));
}

// Offsets must be the running sum of padded sizes, or llama.cpp refuses the file.
static bool find_tensor(reader_t *r, const char *name, tensor_t *out) {
  r->at = r->first_tensor;
  for (uint64_t i = 0; i < r->tensors; i++) {
    bool found = hone_slice_is(string(r), name);
    *out = (tensor_t){.rank = (uint32_t)number(r, 4), .shape = {1, 1}};
    for (uint32_t d = 0; d < out->rank; d++) out->shape[d] = number(r, 8);
    out->type = (uint32_t)number(r, 4);
    uint64_t offset = number(r, 8);
    assert_int_equal(offset % 32, 0);
    out->data = r->data + offset;
    assert_true(out->data < r->end);
    if (found) return true;
  }
  return false;
}

static float half(const uint8_t *p) { return hone_f32_from_f16((uint16_t)(p[0] | p[1] << 8)); }

static void nibbles(const uint8_t *block, int header, const float *levels, float scale,
                    float *out) {
  for (int j = 0; j < 16; j++) {
    out[j] = levels[block[header + j] & 15] * scale;
    out[j + 16] = levels[block[header + j] >> 4] * scale;
  }
}

// ggml's dequantize_row_tq1_0, element by element.
static float trit(const uint8_t *block, int k) {
  static const int powers[] = {1, 3, 9, 27, 81};
  uint8_t byte = k < 160   ? block[k % 32]
                 : k < 240 ? block[32 + (k - 160) % 16]
                           : block[48 + (k - 240) % 4];
  int n = k < 160 ? k / 32 : k < 240 ? (k - 160) / 16 : (k - 240) / 4;
  uint8_t shifted = (uint8_t)(byte * powers[n]);
  return (float)((shifted * 3 >> 8) - 1);
}

// One block of `type` -> its elements; returns their number, *bytes its size.
static int block_values(uint32_t type, const uint8_t *p, int *bytes, float *out) {
  static const float q4[] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
  static const float iq4[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};
  static const float e2m1[] = {0, .5f, 1, 1.5f, 2, 3, 4, 6, 0, -.5f, -1, -1.5f, -2, -3, -4, -6};
  switch (type) {
    case 0: *bytes = 4; return memcpy(out, p, 4), 1;
    case 1: *bytes = 2; return *out = half(p), 1;
    case 2: *bytes = 18; return nibbles(p, 2, q4, half(p), out), 32;
    case 8:
      *bytes = 34;
      for (int j = 0; j < 32; j++) out[j] = (float)(int8_t)p[2 + j] * half(p);
      return 32;
    case 20: *bytes = 18; return nibbles(p, 2, iq4, half(p), out), 32;
    case 34:
      *bytes = 54;
      for (int k = 0; k < 256; k++) out[k] = trit(p, k) * half(p + 52);
      return 256;
    case 35:
      *bytes = 66;
      for (int k = 0; k < 256; k++)
        out[k] = (float)((p[k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2) & 3) - 1) * half(p + 64);
      return 256;
    case 39: *bytes = 17; return nibbles(p, 1, e2m1, ldexpf(1, p[0] - 127), out), 32;
    default: fail_msg("type %u", type); return 0;
  }
}

static float *values_of(fixture_t *f, const tensor_t *tensor) {
  uint64_t count = tensor->shape[0] * tensor->shape[1];
  float *out = HONE_NEW_ARRAY(f->arena, float, count + 256);
  const uint8_t *p = tensor->data;
  int bytes = 0;
  for (uint64_t k = 0; k < count; p += bytes)
    k += (uint64_t)block_values(tensor->type, p, &bytes, out + k);
  return out;
}

// Rows of queries and keys: (head, half, i) -> (head, i, half).
static float *permuted(fixture_t *f, const source_t *source, const float *rows) {
  if (!strstr(source->name, "q_proj") && !strstr(source->name, "k_proj")) return (float *)rows;
  int64_t K = source->K ? source->K : 1;
  float *out = HONE_NEW_ARRAY(f->arena, float, count_of(source));
  for (int64_t head = 0; head < source->N / HEAD_DIM; head++)
    for (int64_t part = 0; part < 2; part++)
      for (int64_t i = 0; i < HEAD_DIM / 2; i++)
        memcpy(out + (head * HEAD_DIM + i * 2 + part) * K,
               rows + (head * HEAD_DIM + part * (HEAD_DIM / 2) + i) * K, (size_t)K * sizeof *out);
  return out;
}

static void check_tensor(reader_t *r, const char *theirs, const char *ours, uint32_t type,
                         hone_format_t format) {
  const source_t *source = find_source(ours);
  tensor_t tensor;
  if (!find_tensor(r, theirs, &tensor)) fail_msg("no tensor %s", theirs);
  assert_int_equal(tensor.type, type);
  assert_int_equal(tensor.rank, source->K ? 2 : 1);
  assert_int_equal(tensor.shape[0], source->K ? source->K : source->N);
  if (source->K) assert_int_equal(tensor.shape[1], source->N);
  const float *want = permuted(r->f, source, expected(r->f, source, format));
  assert_floats(theirs, values_of(r->f, &tensor), want, count_of(source));
}

static void check_weights(reader_t *r, uint32_t type, hone_format_t format) {
  static const char *const pairs[][2] = {
      {"blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"},
      {"blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight"},
      {"blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"},
      {"blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight"},
      {"blk.0.ffn_gate.weight", "model.layers.0.mlp.gate_proj.weight"},
      {"blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight"},
      {"blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    check_tensor(r, pairs[i][0], pairs[i][1], type, format);
  const hone_format_t single = {HONE_F32, 0};
  check_tensor(r, "blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", 0, single);
  check_tensor(r, "blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight", 0,
               single);
  check_tensor(r, "blk.0.attn_q.bias", "model.layers.0.self_attn.q_proj.bias", 0, single);
  check_tensor(r, "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias", 0, single);
  check_tensor(r, "output_norm.weight", "model.norm.weight", 0, single);
}

static void holds_what_the_quantizer_gives(void **state) {
  static const struct {
    const char *weights;
    uint32_t type, file_type;
    hone_format_t format;
  } cases[] = {{"f32", 0, 0, {HONE_F32, 0}},        {"f16", 1, 1, {HONE_F16, 0}},
               {"q8:32", 8, 7, {HONE_Q8, 32}},      {"int4:32", 2, 2, {HONE_INT4, 32}},
               {"iq4nl", 20, 25, {HONE_IQ4NL, 32}}, {"mxfp4", 39, 38, {HONE_MXFP4, 32}}};
  fixture_t *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool quantized = hone_format_is_quantized(cases[i].format.storage);
    hone_compile_options_t options = {.weights = cases[i].weights, .threads = (int64_t)i};
    size_t remarks;
    assert_ok(&f->status, compile(f, "gguf", "out.gguf", options, &remarks));
    assert_int_equal(remarks, 0);
    reader_t r = open_gguf(f, "out.gguf");
    assert_int_equal(u32(&r, "general.file_type"), cases[i].file_type);
    check_weights(&r, cases[i].type, cases[i].format);
    const hone_format_t head = quantized ? (hone_format_t){HONE_Q8, 32} : cases[i].format;
    uint32_t head_type = quantized ? 8 : cases[i].type;
    check_tensor(&r, "token_embd.weight", "model.embed_tokens.weight", head_type, head);
    check_tensor(&r, "output.weight", "lm_head.weight", head_type, head);
  }
}

// Blocks of 256 have one scale: the groups' scales weighted by how many weights are not zero.
static void ternary_shares_a_scale(void **state) {
  fixture_t *f = *state;
  const hone_format_t format = {HONE_TERNARY, 64};
  const source_t *source = find_source("model.layers.0.mlp.down_proj.weight");
  const float *groups = expected(f, source, format);
  for (int dense = 0; dense < 2; dense++) {
    hone_compile_options_t options = {.weights = "ternary:64"};
    size_t remarks;
    assert_ok(&f->status,
              compile(f, dense ? "gguf-tq1" : "gguf", "ternary.gguf", options, &remarks));
    assert_int_equal(remarks, 6);  // all but ffn_down have rows of 64
    reader_t r = open_gguf(f, "ternary.gguf");
    tensor_t tensor;
    assert_true(find_tensor(&r, "blk.0.attn_q.weight", &tensor));
    assert_int_equal(tensor.type, 1);
    assert_true(find_tensor(&r, "blk.0.ffn_down.weight", &tensor));
    assert_int_equal(tensor.type, dense ? 34 : 35);
    const float *values = values_of(f, &tensor);
    for (int64_t row = 0; row < source->N; row++) {
      double sum = 0, scale = 0;
      int count = 0;
      for (int64_t k = row * FFN; k < (row + 1) * FFN; k++) {
        assert_true((values[k] > 0) == (groups[k] > 0) && (values[k] < 0) == (groups[k] < 0));
        if (groups[k] == 0) continue;
        sum += fabs((double)groups[k]);
        scale = fabs((double)values[k]);
        count++;
      }
      assert_true(count > 0 && fabs(scale - sum / count) <= scale * 0x1p-11);
    }
  }
}

static void says_what_the_model_is(void **state) {
  fixture_t *f = *state;
  assert_ok(&f->status, compile(f, "gguf", "out.gguf", (hone_compile_options_t){0}, NULL));
  reader_t r = open_gguf(f, "out.gguf");
  find_pair(&r, "general.architecture", 8);
  assert_true(hone_slice_is(string(&r), "llama"));
  assert_int_equal(u32(&r, "general.alignment"), 32);
  assert_int_equal(u32(&r, "llama.context_length"), 128);
  assert_int_equal(u32(&r, "llama.embedding_length"), WIDTH);
  assert_int_equal(u32(&r, "llama.feed_forward_length"), FFN);
  assert_int_equal(u32(&r, "llama.block_count"), 1);
  assert_int_equal(u32(&r, "llama.attention.head_count"), HEADS);
  assert_int_equal(u32(&r, "llama.attention.head_count_kv"), KV_HEADS);
  assert_int_equal(u32(&r, "llama.rope.dimension_count"), HEAD_DIM);
  assert_int_equal(u32(&r, "llama.vocab_size"), VOCAB);
  assert_true(f32(&r, "llama.rope.freq_base") == 500000.0f);
  assert_true(f32(&r, "llama.attention.layer_norm_rms_epsilon") == 1e-5f);
  tensor_t factors;
  assert_true(find_tensor(&r, "rope_freqs.weight", &factors));
  assert_int_equal(factors.shape[0], HEAD_DIM / 2);
  const float *values = values_of(f, &factors);
  assert_true(values[0] == 1);  // the fastest stays, the slowest is divided by the factor
  assert_true(fabsf(values[HEAD_DIM / 2 - 1] - 8) < 1e-5f);
}

static void carries_the_tokenizer(void **state) {
  fixture_t *f = *state;
  assert_ok(&f->status, compile(f, "gguf", "out.gguf", (hone_compile_options_t){0}, NULL));
  reader_t r = open_gguf(f, "out.gguf");
  find_pair(&r, "tokenizer.ggml.model", 8);
  assert_true(hone_slice_is(string(&r), "llama"));
  assert_int_equal(u32(&r, "tokenizer.ggml.bos_token_id"), 1);
  assert_int_equal(u32(&r, "tokenizer.ggml.eos_token_id"), 2);
  find_pair(&r, "tokenizer.ggml.add_bos_token", 7);
  assert_int_equal(number(&r, 1), 1);
  static const char *const first[] = {"<unk>", "<s>", "</s>", "<0x00>"};
  find_pair(&r, "tokenizer.ggml.tokens", 9);
  assert_int_equal(number(&r, 4), 8);
  assert_int_equal(number(&r, 8), VOCAB);
  for (size_t i = 0; i < 4; i++) assert_true(hone_slice_is(string(&r), first[i]));
  static const uint32_t types[] = {2, 3, 3, 6};
  find_pair(&r, "tokenizer.ggml.token_type", 9);
  assert_int_equal(number(&r, 4), 5);
  assert_int_equal(number(&r, 8), VOCAB);
  for (size_t i = 0; i < 4; i++) assert_int_equal(number(&r, 4), types[i]);
  find_pair(&r, "tokenizer.ggml.scores", 9);
  assert_int_equal(number(&r, 4), 6);
  assert_int_equal(number(&r, 8), VOCAB);
  float last = 1;  // of pieces that merges make, in the sample: every later one is rarer
  for (int id = 0; id < 259; id++) number(&r, 4);
  for (int id = 259; id < 300; id++) {
    float score = f32_bits(number(&r, 4));
    assert_true(score < last);
    last = score;
  }
}

static void refuses_what_it_cannot_hold(void **state) {
  static const struct {
    const char *weights, *head, *part;
  } cases[] = {{"nf4", NULL, "it holds f32, f16, bf16, q8<32>, int4<32>, iq4nl<32>, mxfp4<32>"},
               {"q8", NULL, "ask for q8:32"},
               {"int4:64", NULL, "ask for int4:32"},
               {"int4:32", "q6", "model.embed_tokens.weight"}};
  fixture_t *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_compile_options_t options = {.weights = cases[i].weights, .head = cases[i].head};
    assert_fails(compile(f, "gguf", "none.gguf", options, NULL), &f->status, HONE_UNSUPPORTED,
                 cases[i].part);
    assert_false(hone_file_exists(hone_path_join(f->arena, f->folder, "none.gguf")));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(holds_what_the_quantizer_gives), cmocka_unit_test(ternary_shares_a_scale),
      cmocka_unit_test(says_what_the_model_is), cmocka_unit_test(carries_the_tokenizer),
      cmocka_unit_test(refuses_what_it_cannot_hold)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
