// The row families (norm, quantize, embed, glu, add, argmax, softmax) against plain C in double.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above first.
#include <cmocka.h>

#include "tests/conformance/pack.h"

static const uint32_t widths[] = {4, 48, 64, 96, 172, 200, 512, 1000};
static const uint32_t rows_of[] = {1, 2, 3, 5, 17};

enum {
  WIDTHS = sizeof widths / sizeof *widths,
  ROWS = sizeof rows_of / sizeof *rows_of,
  KINDS = 22,   // per width: the specifications of kind_spec
  VOCAB = 259,  // rows of the embedding
};

// Kinds of a width, in this order; those that rotate or make signs are for whole blocks only.
static hone_kernel_spec_t kind_spec(size_t kind, uint32_t K) {
  hone_kernel_spec_t spec = {.K = K};
  switch (kind) {
    case 0:
    case 20:
      spec.family = HONE_FAMILY_NORM, spec.output = HONE_F32, spec.epsilon = 1e-5f;
      spec.gain = kind == 0;
      break;
    case 1:
    case 21:
      spec.family = HONE_FAMILY_NORM, spec.output = HONE_Q8, spec.epsilon = 1e-6f;
      spec.gain = kind == 1;
      break;
    case 2: spec.family = HONE_FAMILY_QUANTIZE, spec.output = HONE_Q8; break;
    case 3: spec.family = HONE_FAMILY_GLU, spec.activation = HONE_ACTIVATION_SILU; break;
    case 4: spec.family = HONE_FAMILY_GLU, spec.activation = HONE_ACTIVATION_GELU_TANH; break;
    case 5: spec.family = HONE_FAMILY_ADD; break;
    case 6: spec.family = HONE_FAMILY_ARGMAX; break;
    case 7: spec.family = HONE_FAMILY_SOFTMAX; break;
    case 8: spec.family = HONE_FAMILY_GLU, spec.activation = HONE_ACTIVATION_NONE; break;
    case 9: spec.family = HONE_FAMILY_GLU, spec.activation = HONE_ACTIVATION_RELU2; break;
    case 10: spec.family = HONE_FAMILY_QUANTIZE, spec.output = HONE_B1; break;
    case 11:
      spec.family = HONE_FAMILY_NORM, spec.output = HONE_B1, spec.epsilon = 1e-6f;
      spec.gain = 1;
      break;
    default:  // 12 to 19: rotated by 32, 64, 128 to q8, by 128 to b1; quantize and norm of each
      spec.family = kind % 2 ? HONE_FAMILY_NORM : HONE_FAMILY_QUANTIZE;
      spec.output = kind < 18 ? HONE_Q8 : HONE_B1, spec.epsilon = kind % 2 ? 1e-6f : 0;
      spec.gain = kind % 4 == 1;
      spec.rotate = (uint8_t)(kind < 18 ? 32 << (kind - 12) / 2 : 128);
  }
  return spec;
}

// A q8 row against the f32 row it stands for: codes, scales, sums, and zero bytes to its end.
static void check_quantized(const uint8_t *row, const double *want, uint32_t K, const char *name,
                            size_t m) {
  uint64_t Kp = hone_padded(K), G = Kp / 64, used = Kp + G * 24;
  for (uint64_t g = 0; g < G; g++) {
    double largest = 0;
    int32_t total = 0, sum;
    float scale;
    memcpy(&scale, row + Kp + g * 4, 4);
    memcpy(&sum, row + Kp + G * 4 + g * 4, 4);
    int32_t parts[4], part = 0;
    memcpy(parts, row + Kp + G * 8 + g * 16, 16);
    for (uint64_t k = g * 64; k < g * 64 + 64; k++) {
      double value = k < K ? want[k] : 0;
      int8_t code = (int8_t)row[k];
      largest = fmax(largest, fabs(value));
      total += code, part -= code;
      if (k % 16 == 15) assert_int_equal(parts[k % 64 / 16], part), part = 0;
      // Half a step, and a little for rounding in f32.
      check_close((double)code * scale, value, fabs((double)scale) * 0.5005 + 1e-35, name, m, k);
      if (k >= K) assert_int_equal(code, 0);
    }
    check_close(scale, largest / 127, largest * 2e-8 + largest * 2e-6, name, m, g);
    assert_int_equal(sum, -total);
  }
  for (uint64_t i = used; i < hone_row_bytes(HONE_Q8, K); i++) assert_int_equal(row[i], 0);
}

// A b1 row against the f32 row it stands for; numbers within rounding of zero have either sign, but
// a row of zeros is all minus.
static void check_signs(const uint8_t *row, const double *want, uint32_t K, const char *name,
                        size_t m) {
  double squares = 0;
  float scale;
  for (uint32_t k = 0; k < K; k++) squares += want[k] * want[k];
  memcpy(&scale, row + K / 8, 4);
  double size = sqrt(squares / K);
  check_close(scale, size * sqrt(2 / acos(-1.0)), size * 1e-6 + 1e-22, name, m, 0);
  for (uint32_t k = 0; k < K; k++) {
    bool plus = row[k / 8] >> k % 8 & 1;
    if (plus != (want[k] > 0) && (squares == 0 || fabs(want[k]) > 2e-6 * size))
      fail_msg("%s: row %zu column %u: %g has the wrong sign", name, m, k, want[k]);
  }
  for (uint64_t i = K / 8 + 4; i < hone_row_bytes(HONE_B1, K); i++) assert_int_equal(row[i], 0);
}

static void check_codes(const hone_kernel_spec_t *spec, const uint8_t *row, const double *want,
                        const char *name, size_t m) {
  if (spec->output == HONE_Q8) check_quantized(row, want, spec->K, name, m);
  if (spec->output == HONE_B1) check_signs(row, want, spec->K, name, m);
}

// Each block times H / sqrt(block), by the definition of H.
static void rotate(double *row, uint32_t K, uint32_t block) {
  for (uint32_t first = 0; first < K; first += block) {
    double sums[128] = {0};
    for (uint32_t j = 0; j < block; j++)
      for (uint32_t i = 0; i < block; i++)
        sums[j] += __builtin_popcount(i & j) % 2 ? -row[first + i] : row[first + i];
    for (uint32_t j = 0; j < block; j++) row[first + j] = sums[j] / sqrt(block);
  }
}

static void check_reals(const region_t *out, const double *want, uint32_t M, uint32_t K,
                        double tolerance, const char *name) {
  uint64_t stride = hone_row_bytes(HONE_F32, K);
  for (uint32_t m = 0; m < M; m++) {
    const float *row = (const float *)(out->data + stride * m);
    for (uint64_t k = 0; k < stride / 4; k++) {
      double value = k < K ? want[(size_t)m * K + k] : 0;
      check_close((double)row[k], value, k < K ? tolerance * (fabs(value) + 0.01) : 0, name, m, k);
    }
  }
}

static double activate(uint8_t activation, double x) {
  if (activation == HONE_ACTIVATION_RELU2) return x > 0 ? x * x : 0;
  if (activation == HONE_ACTIVATION_NONE) return x;
  if (activation == HONE_ACTIVATION_SILU) return x / (1 + exp(-x));
  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static void run_norm(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                     uint64_t *random) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  uint32_t K = spec->K;
  rows_t x = pack_rows(HONE_F32, M, K, random);
  region_t gain = pack_vector(K, random);
  region_t out = region_create(hone_row_bytes(spec->output, K) * M);
  hone_kernel_args_t args = {.ptr = {x.region.data, spec->gain ? gain.data : NULL, out.data},
                             .M = M};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {2}, {&out}});
  const char *name = bench_name(bench, isa, kernel);
  for (uint32_t m = 0; m < M; m++) {
    double *row = x.values + (size_t)m * K, squares = 0;
    for (uint32_t k = 0; k < K; k++) squares += row[k] * row[k];
    for (uint32_t k = 0; k < K; k++) {
      row[k] /= sqrt(squares / K + (double)spec->epsilon);
      if (spec->gain) row[k] *= (double)((const float *)gain.data)[k];
    }
    if (spec->rotate) rotate(row, K, spec->rotate);
    check_codes(spec, out.data + hone_row_bytes(spec->output, K) * m, row, name, m);
  }
  if (spec->output == HONE_F32) check_reals(&out, x.values, M, K, 2e-6, name);
  region_destroy(&out);
  region_destroy(&gain);
  rows_destroy(&x);
}

static void run_quantize(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                         uint64_t *random) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  uint32_t K = spec->K;
  rows_t x = pack_rows(HONE_F32, M, K, random);
  if (M > 1) {  // a row of zeros, and one of numbers whose inverse overflows
    for (uint32_t k = 0; k < K; k++) {
      float tiny = 1e-40f;
      x.values[k] = 0, x.values[K + k] = (double)tiny;
      memset(x.region.data + (size_t)k * 4, 0, 4);
      memcpy(x.region.data + hone_row_bytes(HONE_F32, K) + (size_t)k * 4, &tiny, 4);
    }
  }
  region_t out = region_create(hone_row_bytes(spec->output, K) * M);
  hone_kernel_args_t args = {.ptr = {x.region.data, out.data}, .M = M};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {1}, {&out}});
  for (uint32_t m = 0; m < M; m++) {
    double *row = x.values + (size_t)m * K;
    if (spec->rotate) rotate(row, K, spec->rotate);
    check_codes(spec, out.data + hone_row_bytes(spec->output, K) * m, row,
                bench_name(bench, isa, kernel), m);
  }
  region_destroy(&out);
  rows_destroy(&x);
}

static void run_pair(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                     uint64_t *random) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  rows_t a = pack_rows(HONE_F32, M, spec->K, random), c = pack_rows(HONE_F32, M, spec->K, random);
  if (spec->K >= 48) {  // far ends of the activations, where exp over- and underflows
    const float ends[] = {-200, -88, -20, 0, 20, 88, 200};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
      memcpy(a.region.data + i * 4, &ends[i], 4);
      a.values[i] = (double)ends[i];
    }
  }
  region_t out = region_create(hone_row_bytes(HONE_F32, spec->K) * M);
  hone_kernel_args_t args = {.ptr = {a.region.data, c.region.data, out.data}, .M = M};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {2}, {&out}});
  for (size_t i = 0; i < (size_t)M * spec->K; i++) {
    if (spec->family == HONE_FAMILY_ADD)
      a.values[i] += c.values[i];
    else
      a.values[i] = activate(spec->activation, a.values[i]) * c.values[i];
  }
  check_reals(&out, a.values, M, spec->K, 1e-6, bench_name(bench, isa, kernel));
  region_destroy(&out);
  rows_destroy(&a);
  rows_destroy(&c);
}

// Pads of logits hold a value that must not be taken for one.
static rows_t make_logits(uint32_t M, uint32_t K, uint64_t *random) {
  rows_t logits = pack_rows(HONE_F32, M, K, random);
  uint64_t stride = hone_row_bytes(HONE_F32, K);
  for (uint32_t m = 0; m < M; m++) {
    float *row = (float *)(logits.region.data + stride * m);
    for (uint32_t k = 0; k < K; k++) {
      row[k] = m % 2 ? row[k] - 100 : rintf(row[k] * 4);  // below zero everywhere; many ties
      logits.values[(size_t)m * K + k] = (double)row[k];
    }
    for (uint64_t k = K; k < stride / 4; k++) row[k] = 50;
  }
  return logits;
}

static void run_argmax(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                       uint64_t *random) {
  uint32_t K = bench->specs.items[kernel].K;
  rows_t logits = make_logits(M, K, random);
  region_t out = region_create((size_t)M * 4);
  hone_kernel_args_t args = {.ptr = {logits.region.data, out.data}, .M = M};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {1}, {&out}});
  for (uint32_t m = 0; m < M; m++) {
    const double *row = logits.values + (size_t)m * K;
    int32_t best = 0, got;
    for (uint32_t k = 1; k < K; k++) best = row[k] > row[best] ? (int32_t)k : best;
    memcpy(&got, out.data + (size_t)m * 4, 4);
    assert_int_equal(got, best);
  }
  region_destroy(&out);
  rows_destroy(&logits);
}

static void run_softmax(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                        uint64_t *random) {
  uint32_t K = bench->specs.items[kernel].K;
  rows_t logits = make_logits(M, K, random);
  region_t out = region_copy(&logits.region);  // in place
  const double factor = 1 / 0.7;
  hone_kernel_args_t args = {.ptr = {out.data, out.data}, .M = M, .scalar = factor};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {1}, {&out}});
  for (uint32_t m = 0; m < M; m++) {
    double *row = logits.values + (size_t)m * K, sum = 0, largest = row[0];
    for (uint32_t k = 0; k < K; k++) largest = fmax(largest, row[k]);
    for (uint32_t k = 0; k < K; k++) sum += row[k] = exp((row[k] - largest) * factor);
    for (uint32_t k = 0; k < K; k++) row[k] /= sum;
  }
  check_reals(&out, logits.values, M, K, 2e-5, bench_name(bench, isa, kernel));
  region_destroy(&out);
  rows_destroy(&logits);
}

static void run_embed(const bench_t *bench, size_t isa, size_t kernel, uint32_t M,
                      uint64_t *random) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  packed_t weight = pack_weight(spec->weight, spec->N, spec->K, random);
  region_t ids = region_create((size_t)M * 4);
  region_t out = region_create(hone_row_bytes(HONE_F32, spec->K) * M);
  double *want = calloc((size_t)M * spec->K, sizeof(double));
  assert_non_null(want);
  for (uint32_t m = 0; m < M; m++) {
    int32_t id = m == 0 ? (int32_t)spec->N - 1 : (int32_t)(random_bits(random) % spec->N);
    memcpy(ids.data + (size_t)m * 4, &id, 4);
    memcpy(want + (size_t)m * spec->K, weight.values + (size_t)id * spec->K,
           spec->K * sizeof(double));
  }
  hone_kernel_args_t args = {.ptr = {ids.data, weight.region.data, out.data}, .M = M};
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {2}, {&out}});
  check_reals(&out, want, M, spec->K, 2e-7, bench_name(bench, isa, kernel));
  free(want);
  region_destroy(&out);
  region_destroy(&ids);
  packed_destroy(&weight);
}

static void run_kernel(const bench_t *bench, size_t isa, size_t kernel, uint32_t M) {
  uint64_t random = kernel * 100 + M;
  switch (bench->specs.items[kernel].family) {
    case HONE_FAMILY_NORM: run_norm(bench, isa, kernel, M, &random); break;
    case HONE_FAMILY_QUANTIZE: run_quantize(bench, isa, kernel, M, &random); break;
    case HONE_FAMILY_EMBED: run_embed(bench, isa, kernel, M, &random); break;
    case HONE_FAMILY_ARGMAX: run_argmax(bench, isa, kernel, M, &random); break;
    case HONE_FAMILY_SOFTMAX: run_softmax(bench, isa, kernel, M, &random); break;
    default: run_pair(bench, isa, kernel, M, &random); break;
  }
}

static void test_rows(void **state) {
  (void)state;
  bench_t *bench = bench_create();
  for (size_t w = 0; w < WIDTHS; w++) {
    for (size_t kind = 0; kind < KINDS; kind++) {
      hone_kernel_spec_t spec = kind_spec(kind, widths[w]);
      if (spec.rotate && widths[w] % spec.rotate) continue;
      if (spec.output == HONE_B1 && widths[w] % 64) continue;
      bench_add(bench, &spec);
    }
  }
  hone_format_t formats[FORMAT_LIMIT];
  size_t count = list_formats(formats);
  for (size_t i = 0; i < 2 * count; i++) {  // two widths each
    hone_kernel_spec_t spec = {.family = HONE_FAMILY_EMBED,
                               .weight = formats[i / 2],
                               .N = VOCAB,
                               .K = widths[(i / 2 + i % 2 * 3) % WIDTHS]};
    bench_add(bench, &spec);
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < bench->specs.count; i++) {
      for (size_t r = 0; r < ROWS; r++) run_kernel(bench, isa, i, rows_of[r]);
    }
  }
  bench_destroy(bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
  return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
