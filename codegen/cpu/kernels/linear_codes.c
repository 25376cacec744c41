// q8 rows: acc += f32(integer dot product) * row scale * weight scale, for every scale of the
// weights. A vector holds four columns of many rows, and is multiplied with the same four codes of
// a token in every lane.
//
// Products want one unsigned factor. Weights come as code + bias; the dot product starts from
// -bias * (sum of the token's codes), which the token's row brings along. Where 8-bit codes have to
// stay signed (AVX2 has 16-bit sums only), |w| is multiplied with x carrying w's sign; |w| <= 127
// keeps a sum of two exact. Integer sums are exact in any order, so all register blocks agree.
#include "codegen/cpu/kernels/linear.h"

static ir_type_t byte_vector(kernel_t *k) { return ir_vector(k->b, IR_I8, k->isa->bytes); }

// Four codes of a token in every lane.
static ir_value_t spread(linear_t *l, const linear_group_t *g, int t, int quad) {
  kernel_t *k = l->k;
  ir_value_t at = ir_advance(k->b, g->x, t * l->x_bytes + quad * 4);
  ir_value_t word = ir_load(k->b, k->i32, at, 1);
  ir_value_t words = ir_cast(k->b, broadcast, k->words, word);
  return ir_cast(k->b, bitcast, byte_vector(k), words);
}

static ir_value_t minus_sum(linear_t *l, ir_value_t pointer, int t, int index) {
  ir_value_t at = ir_advance(l->k->b, pointer, t * l->x_bytes + index * 4);
  return ir_load(l->k->b, l->k->i32, at, 0);
}

// What the bias takes off the dot product of a part.
static ir_value_t start(linear_t *l, const linear_group_t *g, int t, int part) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  if (l->weight.bias < 0) return ir_int(b, k->words, 0);
  int blocks = 4 / l->weight.parts;  // of 16 columns
  ir_value_t sum;
  if (l->weight.parts == 1) {
    sum = minus_sum(l, g->sum, t, 0);
  } else {
    sum = minus_sum(l, g->parts, t, part * blocks);
    for (int i = 1; i < blocks; i++) {
      ir_value_t more = minus_sum(l, g->parts, t, part * blocks + i);
      sum = ir_op(b, addi, sum, more);
    }
  }
  ir_value_t sums = ir_cast(b, broadcast, k->words, sum);
  if (l->weight.bias == 0) return sums;
  ir_value_t places = ir_int(b, k->words, l->weight.bias);
  return ir_op(b, shli, sums, places);
}

// ---- VNNI
static ir_value_t quads(kernel_t *k, ir_value_t sum, ir_value_t u, ir_value_t x) {
  return ir_intrinsic(k->b, "llvm.x86.avx512.vpdpbusd.512", k->words, sum, u, x);
}

// Few accumulators are chains of dependent products: `sum` holds two of each then.
static bool is_double(const linear_t *l, const linear_group_t *g) {
  return l->vectors * g->tokens <= 2;
}

static void step_vnni(linear_t *l, const linear_group_t *step, int plane, ir_value_t *sum) {
  kernel_t *k = l->k;
  int count = l->vectors * step->tokens;
  for (int q = 0; q < STEP_QUADS; q++) {
    ir_value_t w[VECTORS_LIMIT];
    for (int v = 0; v < l->vectors; v++) w[v] = linear_weight(l, step, v, plane, q);
    for (int t = 0; t < step->tokens; t++) {
      ir_value_t x = spread(l, step, t, q);
      for (int v = 0; v < l->vectors; v++) {
        int i = v * step->tokens + t;
        if (is_double(l, step) && q % 2) i += count;
        sum[i] = quads(k, sum[i], w[v], x);
      }
    }
  }
}

// ---- AVX2
static ir_value_t byte_pairs(kernel_t *k, ir_value_t u, ir_value_t x) {
  ir_type_t shorts = ir_vector(k->b, IR_I16, 16);
  return ir_intrinsic(k->b, "llvm.x86.avx2.pmadd.ub.sw", shorts, u, x);
}

static ir_value_t widen(kernel_t *k, ir_value_t shorts) {
  ir_value_t ones = ir_int(k->b, ir_vector(k->b, IR_I16, 16), 1);
  return ir_intrinsic(k->b, "llvm.x86.avx2.pmadd.wd", k->words, shorts, ones);
}

// How many products of two fit a 16-bit sum: the largest unsigned factor is 2^(bias + 1), or 28.
static int run_length(const weight_t *w) {
  int largest = w->bias < 0 ? 127 : w->bias == 0 ? 2 : w->bias == 3 ? 15 : w->bias == 4 ? 28 : 63;
  int length = 32767 / (2 * 127 * largest), whole = 1;
  while (2 * whole <= length && 2 * whole <= STEP_QUADS) whole *= 2;
  return whole;
}

static ir_value_t product_avx2(linear_t *l, ir_value_t w, ir_value_t size, ir_value_t x) {
  kernel_t *k = l->k;
  if (l->weight.bias >= 0) return byte_pairs(k, w, x);
  ir_value_t carried = ir_intrinsic(k->b, "llvm.x86.avx2.psign.b", byte_vector(k), x, w);
  return byte_pairs(k, size, carried);
}

static void step_avx2(linear_t *l, const linear_group_t *step, int plane, ir_value_t *sum) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  int length = run_length(&l->weight);
  ir_value_t run[ACCUMULATORS_LIMIT];
  for (int q = 0; q < STEP_QUADS; q++) {
    ir_value_t w[VECTORS_LIMIT], size[VECTORS_LIMIT] = {{0}};
    for (int v = 0; v < l->vectors; v++) {
      w[v] = linear_weight(l, step, v, plane, q);
      if (l->weight.bias < 0) size[v] = ir_op(b, abs, w[v]);
    }
    for (int t = 0; t < step->tokens; t++) {
      ir_value_t x = spread(l, step, t, q);
      for (int v = 0; v < l->vectors; v++) {
        int i = v * step->tokens + t;
        ir_value_t product = product_avx2(l, w[v], size[v], x);
        run[i] = q % length ? ir_op(b, addi, run[i], product) : product;
        if (q % length != length - 1) continue;
        ir_value_t wide = widen(k, run[i]);
        sum[i] = ir_op(b, addi, sum[i], wide);
      }
    }
  }
}

// The integer dot products of a part.
static void dots(linear_t *l, const linear_group_t *g, int part, int plane, ir_value_t *sum) {
  kernel_t *k = l->k;
  int count = l->vectors * g->tokens, steps = STEPS / l->weight.parts;
  bool twice = k->isa->vnni && is_double(l, g);
  for (int t = 0; t < g->tokens; t++) {
    ir_value_t first = start(l, g, t, part);
    for (int v = 0; v < l->vectors; v++) sum[v * g->tokens + t] = first;
  }
  for (int i = 0; i < count && twice; i++) sum[count + i] = ir_int(k->b, k->words, 0);
  linear_steps(l, g, part * steps, steps, plane, k->isa->vnni ? step_vnni : step_avx2, sum,
               (size_t)count * (twice ? 2 : 1));
  for (int i = 0; i < count && twice; i++) sum[i] = ir_op(k->b, addi, sum[i], sum[count + i]);
}

void linear_codes(linear_t *l, const linear_group_t *g, ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  for (int i = 0; i < w->parts * w->planes; i++) {
    int part = i / w->planes, plane = i % w->planes;
    ir_value_t sum[ACCUMULATORS_LIMIT];
    dots(l, g, part, plane, sum);
    for (int v = 0; v < l->vectors; v++) {
      int row = g->first + v;
      ir_value_t scale =
          weight_scale(k, w, &g->place[row / w->halves], row % w->halves, part, plane);
      for (int t = 0; t < g->tokens; t++) {
        ir_value_t *to = &acc[v * g->tokens + t];
        ir_value_t at = ir_advance(b, g->scale, t * l->x_bytes);
        ir_value_t row_scale = ir_load(b, k->real, at, 0);
        ir_value_t row_scales = math_splat(k, row_scale);
        ir_value_t real = ir_cast(b, sitofp, k->reals, sum[v * g->tokens + t]);
        ir_value_t scaled = ir_op(b, mulf, real, row_scales);
        *to = ir_op(b, fma, scaled, scale, *to);
      }
    }
  }
}
