// gemv, flat and gemm: weight formats x activations x epilogues x shapes x levels against sums in
// double; all families and register blocks must agree bit for bit; pads of the output are zero. A
// few formats meet every shape and epilogue, every format and group a ragged shape and two blocks.
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

typedef struct shape {
  uint32_t N, K;
} shape_t;

static const struct {
  hone_format_t weight;
  hone_storage_t input;
} formats[] = {{{HONE_F32, 0}, HONE_F32}, {{HONE_F16, 0}, HONE_F32},  {{HONE_BF16, 0}, HONE_F32},
               {{HONE_Q8, 64}, HONE_F32}, {{HONE_NF4, 64}, HONE_F32}, {{HONE_Q8, 64}, HONE_Q8},
               {{HONE_NF4, 64}, HONE_Q8}};
// Rows of signs have whole groups.
static const shape_t whole[] = {{59, 192}, {6, 320}, {66, 64}, {172, 128}};
// The last shapes have an odd number of 64-row blocks, so that half of the padded rows is not a
// padded width.
static const shape_t shapes[] = {{4, 64},    {172, 172}, {512, 48}, {1000, 200}, {4, 172},
                                 {1000, 64}, {172, 200}, {344, 64}, {192, 128}};
// Of all other formats: an odd number of 64-column groups, rows that end within a tile.
static const shape_t ragged[] = {{59, 172}, {6, 300}, {66, 72}, {59, 244}};
static const struct {
  uint8_t bias, glu, residual, activation;
} epilogues[] = {{0, 0, 0, 0},
                 {1, 0, 0, 0},
                 {0, 0, 1, 0},
                 {1, 0, 1, 0},
                 {0, 1, 0, HONE_ACTIVATION_SILU},
                 {1, 1, 0, HONE_ACTIVATION_GELU_TANH},
                 {1, 1, 1, HONE_ACTIVATION_SILU},
                 {0, 1, 0, HONE_ACTIVATION_RELU2}};
// Of a case; the first is what the others must equal.
static const struct {
  hone_family_t family;
  hone_schedule_t schedule;
} variants[] = {
    {HONE_FAMILY_GEMV, {0}},
    {HONE_FAMILY_FLAT, {.tokens = 2}},
    {HONE_FAMILY_GEMM, {.tokens = 3, .chunk = 2}},
    {HONE_FAMILY_FLAT, {0}},
    {HONE_FAMILY_GEMV, {.rows = 64, .unroll = 2, .prefetch = 8}},
    {HONE_FAMILY_GEMM, {.rows = 32}},
    {HONE_FAMILY_FLAT, {.rows = 8, .tokens = 4, .chunk = 64}},
};
static const uint32_t rows_of[] = {1, 2, 3, 5, 17};

enum {
  FORMATS = sizeof formats / sizeof *formats,
  SHAPES = sizeof shapes / sizeof *shapes,
  EPILOGUES = sizeof epilogues / sizeof *epilogues,
  VARIANTS = sizeof variants / sizeof *variants,
  FEW = 3,  // of them, where every one would take long
  ROWS = sizeof rows_of / sizeof *rows_of,
  RAGGED = sizeof ragged / sizeof *ragged,
};

typedef struct linear_case {
  hone_kernel_spec_t spec;
  size_t kernel[VARIANTS];
  size_t variants;
} linear_case_t;

static void add_variants(bench_t *bench, linear_case_t *c, size_t count) {
  for (size_t v = 0; v < count; v++) {
    hone_kernel_spec_t spec = c->spec;
    spec.family = variants[v].family;
    spec.schedule = variants[v].schedule;
    // Signs have nothing to decode.
    if (spec.input == HONE_B1 && spec.family == HONE_FAMILY_GEMM) continue;
    c->kernel[c->variants++] = bench_add(bench, &spec);
  }
}

// Every variant on one shape per format, a few elsewhere.
static linear_case_t make_case(bench_t *bench, size_t format, shape_t shape, size_t epilogue) {
  linear_case_t c = {0};
  c.spec = (hone_kernel_spec_t){.weight = formats[format].weight,
                                .input = formats[format].input,
                                .N = shape.N,
                                .K = shape.K,
                                .bias = epilogues[epilogue].bias,
                                .glu = epilogues[epilogue].glu,
                                .residual = epilogues[epilogue].residual,
                                .activation = epilogues[epilogue].activation};
  add_variants(bench, &c, epilogue == 0 && shape.K == 200 ? VARIANTS : FEW);
  return c;
}

// A format on rows of `input`.
static linear_case_t make_ragged(bench_t *bench, hone_format_t weight, hone_storage_t input,
                                 size_t number) {
  shape_t shape = input == HONE_B1 ? whole[number % RAGGED] : ragged[number % RAGGED];
  linear_case_t c = {.spec = {.weight = weight, .input = input, .N = shape.N, .K = shape.K}};
  add_variants(bench, &c, FEW);
  return c;
}

typedef struct problem {
  uint32_t M, columns;  // columns of out
  packed_t weight;
  rows_t x, residual;
  region_t bias;
} problem_t;

static double activate(uint8_t activation, double x) {
  if (activation == HONE_ACTIVATION_RELU2) return x > 0 ? x * x : 0;
  if (activation == HONE_ACTIVATION_SILU) return x / (1 + exp(-x));
  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

// Row n of W times row m of x, plus bias; *out_size gets the sum of absolute values, the scale of
// rounding.
static double dot(const linear_case_t *c, const problem_t *p, uint32_t m, uint32_t n,
                  double *out_size) {
  const double *w =
      (c->spec.input == HONE_Q8 ? p->weight.values_int8 : p->weight.values) + (size_t)n * c->spec.K;
  const double *x = p->x.values + (size_t)m * c->spec.K;
  double sum = 0, size = 0;
  for (uint32_t k = 0; k < c->spec.K; k++) sum += w[k] * x[k], size += fabs(w[k] * x[k]);
  if (c->spec.bias) {
    float bias;
    memcpy(&bias, p->bias.data + (size_t)n * 4, 4);
    sum += bias, size += fabs((double)bias);
  }
  *out_size += size;
  return sum;
}

static double expected(const linear_case_t *c, const problem_t *p, uint32_t m, uint32_t column,
                       double *out_size) {
  double size = 0, y;
  if (c->spec.glu) {
    double up_size = 0;
    double gate = dot(c, p, m, 2 * column, &size), up = dot(c, p, m, 2 * column + 1, &up_size);
    y = activate(c->spec.activation, gate) * up;
    double slope = c->spec.activation == HONE_ACTIVATION_RELU2 ? 2 * fabs(gate) : 2;
    size = slope * size * (fabs(up) + 1) + (fabs(y / up) + fabs(gate) + 1) * up_size;
  } else {
    y = dot(c, p, m, column, &size);
  }
  if (c->spec.residual) {
    double residual = p->residual.values[(size_t)m * p->columns + column];
    y += residual, size += fabs(residual);
  }
  *out_size = size;
  return y;
}

static void check_output(const linear_case_t *c, const problem_t *p, const region_t *out,
                         const char *name) {
  uint64_t stride = hone_row_bytes(HONE_F32, p->columns);
  for (uint32_t m = 0; m < p->M; m++) {
    const float *row = (const float *)(out->data + stride * m);  // (columns padded)
    for (uint32_t n = 0; n < stride / 4; n++) {
      double size = 0, want = n < p->columns ? expected(c, p, m, n, &size) : 0;
      check_close((double)row[n], want, 2e-6 * size + (n < p->columns ? 1e-6 : 0), name, m, n);
    }
  }
}

static problem_t make_problem(const linear_case_t *c, uint32_t M, uint64_t *random) {
  problem_t p = {.M = M, .columns = c->spec.glu ? c->spec.N / 2 : c->spec.N};
  p.weight = pack_weight(c->spec.weight, c->spec.N, c->spec.K, random);
  p.x = pack_rows(c->spec.input, M, c->spec.K, random);
  p.bias = pack_vector(c->spec.N, random);
  p.residual = pack_rows(HONE_F32, M, p.columns, random);
  return p;
}

static void run_case(const bench_t *bench, size_t isa, const linear_case_t *c, uint32_t M) {
  uint64_t random = M + c->spec.N * 31 + c->spec.K * 7 + c->spec.weight.group;
  problem_t p = make_problem(c, M, &random);
  region_t first = {0};
  for (size_t v = 0; v < c->variants; v++) {
    region_t out = region_create(hone_row_bytes(HONE_F32, p.columns) * M);
    hone_kernel_args_t args = {.M = M};
    args.ptr[0] = p.x.region.data, args.ptr[1] = p.weight.region.data;
    args.ptr[2] = c->spec.bias ? p.bias.data : NULL;
    args.ptr[3] = c->spec.residual ? p.residual.region.data : NULL;
    args.ptr[4] = out.data;
    bench_run(bench, isa, c->kernel[v], &args, &(outputs_t){1, {4}, {&out}});
    const char *name = bench_name(bench, isa, c->kernel[v]);
    if (v == 0) {
      check_output(c, &p, &out, name);
      first = out;
      continue;
    }
    if (memcmp(first.data, out.data, out.bytes) != 0)
      fail_msg("%s, M = %u: differs from gemv", name, M);
    region_destroy(&out);
  }
  region_destroy(&first);
  packed_destroy(&p.weight);
  rows_destroy(&p.x);
  rows_destroy(&p.residual);
  region_destroy(&p.bias);
}

static void test_linear(void **state) {
  (void)state;
  enum { CASES = FORMATS * (SHAPES + EPILOGUES - 1) + 3 * FORMAT_LIMIT };
  bench_t *bench = bench_create();
  linear_case_t *cases = HONE_NEW_ARRAY(bench->arena, linear_case_t, CASES);
  size_t count = 0;
  for (size_t f = 0; f < FORMATS; f++) {
    for (size_t s = f % 2; s < SHAPES;
         s += 2, count++) {  // neighbouring formats take the odd and the even shapes
      cases[count] = make_case(bench, f, shapes[s], 0);
    }
    for (size_t e = 1; e < EPILOGUES; e++, count++) {
      cases[count] = make_case(bench, f, shapes[(f + 3 * e) % SHAPES], e);
    }
  }
  hone_format_t all[FORMAT_LIMIT];
  size_t all_count = list_formats(all);
  for (size_t i = 0; i < all_count; i++) {
    if (!hone_format_is_quantized(all[i].storage)) continue;
    cases[count] = make_ragged(bench, all[i], HONE_F32, count), count++;
    cases[count] = make_ragged(bench, all[i], HONE_Q8, count), count++;
    if (hone_format_info(all[i].storage)->grid != HONE_GRID_PLANES) continue;
    cases[count] = make_ragged(bench, all[i], HONE_B1, count), count++;
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < count; i++) {
      run_case(bench, isa, &cases[i], rows_of[i % ROWS]);
      run_case(bench, isa, &cases[i], rows_of[(i + 2) % ROWS]);
    }
  }
  bench_destroy(bench);
}

// ---- gated outputs that are quantized at once: the bytes that the kernel `quantize` makes of them
static void run_quantized(const bench_t *bench, size_t isa, const hone_kernel_spec_t *spec,
                          const size_t *kernel, uint32_t M) {
  uint64_t random = M + spec->N;
  uint32_t columns = spec->N / 2;
  packed_t weight = pack_weight(spec->weight, spec->N, spec->K, &random);
  rows_t x = pack_rows(spec->input, M, spec->K, &random);
  region_t plain = region_create(hone_row_bytes(HONE_F32, columns) * M);
  region_t want = region_create(hone_row_bytes(HONE_Q8, columns) * M);
  hone_kernel_args_t args = {.ptr = {x.region.data, weight.region.data, 0, 0, plain.data}, .M = M};
  bench_run(bench, isa, kernel[0], &args, &(outputs_t){1, {4}, {&plain}});
  hone_kernel_args_t second = {.ptr = {plain.data, want.data}, .M = M};
  bench_run(bench, isa, kernel[1], &second, &(outputs_t){1, {1}, {&want}});
  for (int v = 0; v < 3; v++) {
    region_t out = region_create(want.bytes);
    args.ptr[4] = out.data;
    bench_run(bench, isa, kernel[2 + v], &args, &(outputs_t){1, {4}, {&out}});
    if (memcmp(want.data, out.data, out.bytes) != 0)
      fail_msg("%s, M = %u: differs from quantize", bench_name(bench, isa, kernel[2 + v]), M);
    region_destroy(&out);
  }
  region_destroy(&plain);
  region_destroy(&want);
  packed_destroy(&weight);
  rows_destroy(&x);
}

static void test_quantized(void **state) {
  (void)state;
  static const struct {
    uint32_t N, rotate, rows;
    hone_storage_t input;
  } cases[] = {
      {344, 0, 0, HONE_Q8}, {192, 0, 64, HONE_F32}, {256, 64, 32, HONE_Q8}, {64, 32, 8, HONE_Q8}};
  enum { CASES = sizeof cases / sizeof *cases };
  hone_kernel_spec_t specs[CASES];
  size_t kernels[CASES][5];
  bench_t *bench = bench_create();
  for (size_t i = 0; i < CASES; i++) {
    specs[i] = (hone_kernel_spec_t){.family = HONE_FAMILY_GEMV,
                                    .weight = {HONE_NF4, 64},
                                    .input = cases[i].input,
                                    .N = cases[i].N,
                                    .K = 128,
                                    .glu = 1,
                                    .activation = HONE_ACTIVATION_SILU};
    hone_kernel_spec_t quantize = {.family = HONE_FAMILY_QUANTIZE,
                                   .output = HONE_Q8,
                                   .K = cases[i].N / 2,
                                   .rotate = (uint8_t)cases[i].rotate};
    kernels[i][0] = bench_add(bench, &specs[i]);
    kernels[i][1] = bench_add(bench, &quantize);
    hone_kernel_spec_t fused = specs[i];
    fused.output = HONE_Q8, fused.rotate = quantize.rotate, fused.schedule.rows = cases[i].rows;
    for (size_t v = 0; v < 3; v++) {
      fused.family = HONE_FAMILY_GEMV + v;
      kernels[i][2 + v] = bench_add(bench, &fused);
    }
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    for (size_t i = 0; i < CASES && bench->isa[isa].present; i++) {
      run_quantized(bench, isa, &specs[i], kernels[i], 1);
      run_quantized(bench, isa, &specs[i], kernels[i], 23);
    }
  }
  bench_destroy(bench);
}

// ---- split columns: the bytes of unsplit kernels, whatever the epilogue, and counters at zero
static const struct {
  uint32_t N, K;
  hone_storage_t weight, input;
  uint8_t bias, glu, residual, rope;
} splits[] = {{80, 2112, HONE_NF4, HONE_Q8, 1, 0, 1, 0},     // folds: 2 whole ones and a group
              {64, 8192, HONE_NF4, HONE_Q8, 0, 0, 0, 0},     //
              {172, 4100, HONE_Q8, HONE_F32, 0, 0, 0, 0},    //
              {344, 2048, HONE_NF4, HONE_Q8, 0, 1, 0, 0},    // gated, to q8 rows
              {80, 3072, HONE_NF4, HONE_Q8, 0, 0, 0, 1},     // heads
              {100, 2560, HONE_BCQ2, HONE_B1, 0, 0, 1, 0}};  //
enum { SPLITS = sizeof splits / sizeof *splits, SPLIT_KERNELS = 10, CAPACITY = 64 };
// The first is what the others must equal; a split that the folds do not allow is left out.
static const struct {
  hone_family_t family;
  hone_schedule_t schedule;
} split_forms[SPLIT_KERNELS] = {
    {HONE_FAMILY_GEMV, {0}},
    {HONE_FAMILY_GEMM, {.tokens = 4, .rows = 32}},
    {HONE_FAMILY_GEMV, {.unroll = 4}},  // 33 groups: not three at a time, which folds do not allow
    {HONE_FAMILY_FLAT, {.tokens = 3}},
    {HONE_FAMILY_GEMV, {.split = 2}},
    {HONE_FAMILY_GEMV, {.split = 8, .rows = 32, .unroll = 2, .prefetch = 16}},
    {HONE_FAMILY_GEMV, {.split = 3, .rows = 64}},
    {HONE_FAMILY_FLAT, {.split = 2, .tokens = 4}},
    {HONE_FAMILY_FLAT, {.split = 4, .rows = 8}},
    {HONE_FAMILY_FLAT, {.split = 8, .rows = 32, .tokens = 2}},
};

typedef struct split_problem {
  hone_kernel_args_t args;
  region_t out, keys, values, parts;
} split_problem_t;

static hone_kernel_spec_t split_spec(size_t i) {
  hone_kernel_spec_t spec = {.weight = hone_format_default(splits[i].weight),
                             .input = splits[i].input,
                             .N = splits[i].N,
                             .K = splits[i].K,
                             .bias = splits[i].bias,
                             .glu = splits[i].glu,
                             .residual = splits[i].residual,
                             .rope = splits[i].rope};
  if (spec.glu) spec.activation = HONE_ACTIVATION_SILU, spec.output = HONE_Q8;
  if (spec.rope) spec.heads = 3, spec.kv_heads = 1, spec.head_dim = 16, spec.cache = HONE_F16;
  return spec;
}

// Runs one kernel on memory of its own.
static split_problem_t run_split(const bench_t *bench, size_t isa, size_t kernel,
                                 const hone_kernel_args_t *inputs) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  uint32_t M = (uint32_t)inputs->M, columns = spec->glu ? spec->N / 2 : spec->N;
  uint64_t counters = hone_parts_counters_bytes(spec->N);
  split_problem_t p = {.args = *inputs};
  p.out = region_create(hone_row_bytes(spec->output, columns) * M);
  p.keys = region_create(hone_cache_block_bytes(HONE_F16, 16) * CAPACITY / HONE_CACHE_BLOCK);
  p.values = region_copy(&p.keys);
  p.parts = region_create(hone_parts_bytes(spec->N, spec->K, M));
  memset(p.parts.data, 0, counters);
  p.args.capacity = CAPACITY;
  p.args.ptr[4] = p.out.data, p.args.ptr[8] = p.parts.data;
  p.args.ptr[6] = p.keys.data, p.args.ptr[7] = p.values.data;
  bench_run(bench, isa, kernel, &p.args,
            &(outputs_t){4, {4, 6, 7, 8}, {&p.out, &p.keys, &p.values, &p.parts}});
  for (uint64_t i = 0; i < counters; i++) assert_int_equal(p.parts.data[i], 0);
  return p;
}

static void check_split(const split_problem_t *got, const split_problem_t *want, const char *name) {
  bool equal = !memcmp(got->out.data, want->out.data, want->out.bytes) &&
               !memcmp(got->keys.data, want->keys.data, want->keys.bytes) &&
               !memcmp(got->values.data, want->values.data, want->values.bytes);
  if (!equal) fail_msg("%s, M = %ld: differs from gemv", name, (long)got->args.M);
}

static void destroy_split(split_problem_t *p) {
  region_t *regions[] = {&p->out, &p->keys, &p->values, &p->parts};
  for (size_t i = 0; i < 4; i++) region_destroy(regions[i]);
}

static void run_splits(const bench_t *bench, size_t isa, size_t first, size_t count, uint32_t M) {
  const hone_kernel_spec_t *spec = &bench->specs.items[first];
  uint64_t random = M + spec->N;
  packed_t weight = pack_weight(spec->weight, spec->N, spec->K, &random);
  rows_t x = pack_rows(spec->input, M, spec->K, &random);
  rows_t residual = pack_rows(HONE_F32, M, spec->N, &random);
  rows_t angles = pack_rows(HONE_F32, 1, M * 16, &random);
  region_t bias = pack_vector(spec->N, &random);
  hone_kernel_args_t args = {.M = M};
  args.ptr[0] = x.region.data, args.ptr[1] = weight.region.data;
  args.ptr[2] = spec->bias ? bias.data : NULL, args.ptr[5] = angles.region.data;
  args.ptr[3] = spec->residual ? residual.region.data : NULL;
  split_problem_t want = run_split(bench, isa, first, &args);
  for (size_t v = 1; v < count; v++) {
    split_problem_t got = run_split(bench, isa, first + v, &args);
    check_split(&got, &want, bench_name(bench, isa, first + v));
    destroy_split(&got);
  }
  destroy_split(&want);
  packed_destroy(&weight);
  rows_destroy(&x);
  rows_destroy(&residual);
  rows_destroy(&angles);
  region_destroy(&bias);
}

static void test_split(void **state) {
  (void)state;
  size_t first[SPLITS], count[SPLITS] = {0};
  bench_t *bench = bench_create();
  for (size_t i = 0; i < SPLITS; i++) {
    first[i] = bench->specs.count;
    for (size_t v = 0; v < SPLIT_KERNELS; v++) {
      hone_kernel_spec_t spec = split_spec(i);
      spec.family = split_forms[v].family, spec.schedule = split_forms[v].schedule;
      if (spec.input == HONE_B1 && spec.family == HONE_FAMILY_GEMM) continue;
      if (spec.schedule.split > hone_fold_count(spec.K)) continue;
      bench_add(bench, &spec);
      count[i]++;
    }
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    for (size_t i = 0; i < SPLITS && bench->isa[isa].present; i++) {
      run_splits(bench, isa, first[i], count[i], 1);
      run_splits(bench, isa, first[i], count[i], 7);
      run_splits(bench, isa, first[i], count[i], 35);
    }
  }
  bench_destroy(bench);
}

// ---- every number of rows that fills blocks of tokens, tiles and passes or leaves some over
static void run_rows(const bench_t *bench, size_t isa, const linear_case_t *c) {
  enum { WHOLE = 40, LAST = 129 };
  for (uint32_t M = 1; M <= LAST; M = M == WHOLE ? 127 : M + 1) run_case(bench, isa, c, M);
}

static void test_rows(void **state) {
  (void)state;
  static const struct {
    hone_format_t weight;
    shape_t shape;
    uint8_t residual;
  } of[] = {{{HONE_NF4, 64}, {66, 300}, 1},    // runs that are not full
            {{HONE_Q8, 128}, {59, 64}, 0},     // of one group
            {{HONE_NVFP4, 16}, {66, 172}, 0},  // several products a group, all of an activation
            {{HONE_BCQ3, 32}, {59, 172}, 1},
            {{HONE_INT4, 64}, {20, 2112}, 0}};  // folds: 2 whole ones and a group
  static const hone_schedule_t gemms[] = {
      {0}, {.rows = 64, .chunk = 8}, {.rows = 32, .chunk = 2}, {.rows = 64}};
  enum { CASES = sizeof of / sizeof *of, GEMMS = sizeof gemms / sizeof *gemms };
  linear_case_t cases[CASES];
  bench_t *bench = bench_create();
  for (size_t i = 0; i < CASES; i++) {
    cases[i] = (linear_case_t){.spec = {.weight = of[i].weight,
                                        .input = HONE_Q8,
                                        .N = of[i].shape.N,
                                        .K = of[i].shape.K,
                                        .residual = of[i].residual}};
    for (size_t v = 0; v <= GEMMS; v++) {
      hone_kernel_spec_t spec = cases[i].spec;
      spec.family = v ? HONE_FAMILY_GEMM : HONE_FAMILY_GEMV;
      if (v) spec.schedule = gemms[v - 1];
      cases[i].kernel[cases[i].variants++] = bench_add(bench, &spec);
    }
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    for (size_t i = 0; i < CASES && bench->isa[isa].present; i++) run_rows(bench, isa, &cases[i]);
  }
  bench_destroy(bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_rows),
                                     cmocka_unit_test(test_quantized),
                                     cmocka_unit_test(test_split)};
  return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
