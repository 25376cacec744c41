// What a tile of attention keeps: queries on the stack, and of a chunk of keys, or of all of them,
// the largest score, the sum of weights and the sums of weighted values of each row. How it begins,
// how chunks fold together, and how it ends as rows of the output.
#include "codegen/cpu/kernels/attend.h"

ir_value_t attend_row(attend_t *a, ir_value_t base, ir_value_t row, int64_t floats) {
  return kernel_at(a->k, base, row, floats * 4);
}

ir_value_t attend_load(attend_t *a, ir_value_t base, int64_t vector) {
  ir_value_t at = ir_advance(a->k->b, base, vector * a->k->lanes * 4);
  return ir_load(a->k->b, a->k->reals, at, 4);
}

void attend_put(attend_t *a, ir_value_t value, ir_value_t base, int64_t vector) {
  ir_value_t at = ir_advance(a->k->b, base, vector * a->k->lanes * 4);
  ir_store(a->k->b, value, at, 4);
}

ir_value_t attend_splat(attend_t *a, ir_value_t base, int64_t bytes) {
  ir_value_t at = ir_advance(a->k->b, base, bytes);
  ir_value_t item = ir_load(a->k->b, a->k->real, at, 0);
  return math_splat(a->k, item);
}

// The query of a token's head, times the score scale.
static void load_query(attend_t *a, ir_value_t from, ir_value_t to) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  for (int i = 0; i < a->D;) {
    int width = piece_width(k, a->D - i);
    ir_value_t at = ir_advance(b, from, i * 4);
    ir_value_t q = ir_load(b, piece_type(k, width), at, 0);
    ir_value_t scale = ir_real(b, piece_type(k, width), (double)k->spec->scale);
    ir_value_t scaled = ir_op(b, mulf, q, scale);
    ir_value_t into = ir_advance(b, to, i * 4);
    ir_store(b, scaled, into, 0);
    i += width;
  }
}

void attend_queries(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t heads = ir_i64(b, a->heads);
  ir_value_t last_head = kernel_plus(k, tile->head_count, -1);
  ir_value_t last_token = kernel_plus(k, tile->count, -1);
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    // Rows that pad a block, and heads past the last one, repeat others; nobody stores them.
    ir_value_t token = ir_op(b, divui, row, heads);
    ir_value_t head = ir_op(b, remui, row, heads);
    ir_value_t some_token = ir_op(b, minsi, token, last_token);
    ir_value_t some_head = ir_op(b, minsi, head, last_head);
    ir_value_t m = ir_op(b, addi, tile->from, some_token);
    ir_value_t h = ir_op(b, addi, tile->first_head, some_head);
    ir_value_t qkv = kernel_at(k, a->qkv, m, a->qkv_bytes);
    ir_value_t from = kernel_at(k, qkv, h, a->D * 4);
    ir_value_t to = attend_row(a, a->queries, row, a->D);
    load_query(a, from, to);
  }
}

// ---- states

void attend_enter(attend_t *a, ir_value_t state) {
  ir_builder_t *b = a->k->b;
  a->sums = state;
  a->peaks = ir_advance(b, state, (int64_t)a->rows * a->columns * 4);
  a->totals = ir_advance(b, a->peaks, (int64_t)a->rows * a->k->lanes * 4);
}

void attend_clear(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t lowest = ir_real(b, k->reals, attend_lowest_peak);
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    ir_value_t peak_at = attend_row(a, a->peaks, row, k->lanes);
    ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
    ir_value_t sums = attend_row(a, a->sums, row, a->columns);
    attend_put(a, lowest, peak_at, 0);
    attend_put(a, nothing, total_at, 0);
    for (int v = 0; v < a->columns / k->lanes; v++) attend_put(a, nothing, sums, v);
  }
}

// x x_part + y y_part, as every kernel computes it.
static ir_value_t blend(attend_t *a, ir_value_t x, ir_value_t x_part, ir_value_t y,
                        ir_value_t y_part) {
  ir_value_t product = ir_op(a->k->b, mulf, x, x_part);
  return ir_op(a->k->b, fma, y, y_part, product);
}

void attend_fold(attend_t *a, const tile_t *tile, ir_value_t later) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  attend_t from = *a;
  attend_enter(&from, later);
  ir_value_t vectors = ir_i64(b, a->columns / k->lanes);
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    ir_value_t peak_at = attend_row(a, a->peaks, row, k->lanes);
    ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
    ir_value_t sums = attend_row(a, a->sums, row, a->columns);
    ir_value_t later_peak_at = attend_row(a, from.peaks, row, k->lanes);
    ir_value_t later_total_at = attend_row(a, from.totals, row, k->lanes);
    ir_value_t later_sums = attend_row(a, from.sums, row, a->columns);
    ir_value_t peak = attend_load(a, peak_at, 0), later_peak = attend_load(a, later_peak_at, 0);
    ir_value_t largest = math_max(k, later_peak, peak);
    ir_value_t drop = ir_op(b, subf, peak, largest);
    ir_value_t later_drop = ir_op(b, subf, later_peak, largest);
    ir_value_t part = math_exp(k, drop), later_part = math_exp(k, later_drop);
    ir_value_t total = attend_load(a, total_at, 0);
    ir_value_t later_total = attend_load(a, later_total_at, 0);
    ir_value_t both = blend(a, total, part, later_total, later_part);
    attend_put(a, largest, peak_at, 0);
    attend_put(a, both, total_at, 0);
    IR_FOR (b, v, k->zero, vectors, k->one) {
      ir_value_t at = kernel_at(k, sums, v, (int64_t)k->lanes * 4);
      ir_value_t later_at = kernel_at(k, later_sums, v, (int64_t)k->lanes * 4);
      ir_value_t sum = attend_load(a, at, 0), later_sum = attend_load(a, later_at, 0);
      ir_value_t blended = blend(a, sum, part, later_sum, later_part);
      attend_put(a, blended, at, 0);
    }
  }
}

// ---- results

// sums / total. A zero comes out positive: its sign would tell how keys were folded.
static ir_value_t divide(attend_t *a, ir_value_t sum, ir_value_t total) {
  ir_builder_t *b = a->k->b;
  ir_type_t type = mlirValueGetType(sum);
  ir_value_t totals = ir_cast(b, broadcast, type, total);
  ir_value_t nothing = ir_real(b, type, 0.0);
  ir_value_t positive = ir_op(b, addf, sum, nothing);
  return ir_op(b, divf, positive, totals);
}

// Exactly head_dim floats, for the next head is another tile's.
static void store_reals(attend_t *a, ir_value_t sums, ir_value_t total, ir_value_t to) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  for (int i = 0; i < a->D;) {
    int width = piece_width(k, a->D - i);
    ir_value_t at = ir_advance(b, sums, i * 4);
    ir_value_t sum = ir_load(b, piece_type(k, width), at, 0);
    ir_value_t y = divide(a, sum, total);
    ir_value_t into = ir_advance(b, to, i * 4);
    ir_store(b, y, into, 0);
    i += width;
  }
}

// Head h of a q8 row: head_dim is whole groups.
static void store_codes(attend_t *a, ir_value_t sums, ir_value_t total, ir_value_t row,
                        ir_value_t h) {
  kernel_t *k = a->k;
  uint32_t K = k->spec->heads * k->spec->head_dim;
  int count = HONE_GROUP / k->lanes, groups = a->D / HONE_GROUP;
  ir_value_t first = kernel_times(k, h, groups), none = {0};
  for (int g = 0; g < groups; g++) {
    ir_value_t vectors[GROUP_VECTORS_LIMIT];
    for (int v = 0; v < count; v++) {
      ir_value_t sum = attend_load(a, sums, g * count + v);
      vectors[v] = divide(a, sum, total);
    }
    ir_value_t group = kernel_plus(k, first, g);
    quantize_span(k, K, row, group, vectors, &none);
  }
}

void attend_store(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t heads = ir_i64(b, a->heads);
  IR_FOR (b, token, k->zero, tile->count, k->one) {
    ir_value_t m = ir_op(b, addi, tile->from, token);
    ir_value_t out = kernel_at(k, a->out, m, a->out_bytes);
    ir_value_t first_row = ir_op(b, muli, token, heads);
    IR_FOR (b, head, k->zero, tile->head_count, k->one) {
      ir_value_t row = ir_op(b, addi, first_row, head);
      ir_value_t h = ir_op(b, addi, tile->first_head, head);
      ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
      ir_value_t lanes = attend_load(a, total_at, 0);
      ir_value_t total = math_sum(k, lanes);
      ir_value_t sums = attend_row(a, a->sums, row, a->columns);
      if (k->spec->output == HONE_Q8) {
        store_codes(a, sums, total, out, h);
      } else {
        ir_value_t to = kernel_at(k, out, h, a->D * 4);
        store_reals(a, sums, total, to);
      }
    }
  }
}

// ---- sizes

static void lay_out_stack(attend_t *a) {
  ir_builder_t *b = a->k->b;
  int64_t lanes = a->k->lanes, rows = a->rows;
  int64_t keys = (int64_t)a->D * attend_span(a),
          values = (int64_t)ATTEND_STEP * ATTEND_VECTORS * lanes;
  a->queries = ir_stack(b, rows * a->D * 4, 64);
  a->scores = ir_stack(b, rows * ATTEND_STEP * 4, 64);
  a->shrinks = ir_stack(b, rows * lanes * 4, 64);
  if (a->k->spec->unified) a->spare = ir_stack(b, a->state_bytes, 64);
  if (a->widens) a->wide = ir_stack(b, (keys > values ? keys : values) * 4, 64);
}

static int parts(int whole, int limit) { return (whole + limit - 1) / limit; }

attend_t attend_open(kernel_t *k, int tokens) {
  const hone_kernel_spec_t *spec = k->spec;
  attend_t a = {.k = k, .cache = cache_open(k), .D = (int)spec->head_dim, .tokens = tokens};
  int share = (int)(spec->heads / spec->kv_heads), most_rows = k->lanes == 16 ? 8 : 4;
  uint64_t all_heads = spec->heads + 2 * (uint64_t)spec->kv_heads;
  a.columns = (int)hone_head_padded(spec->head_dim);
  a.passes = parts(share, ATTEND_ROWS_LIMIT / tokens);
  a.heads = parts(share, a.passes);
  a.passes = parts(share, a.heads);
  int rows = tokens * a.heads;
  a.block = parts(rows, parts(rows, most_rows));
  a.rows = parts(rows, a.block) * a.block;
  a.state_bytes = (int64_t)a.rows * (a.columns + 2 * k->lanes) * 4;
  a.widens = spec->cache != HONE_F32 && a.rows > 2 * a.block;
  a.qkv_bytes = (int64_t)hone_row_bytes(HONE_F32, all_heads * spec->head_dim);
  a.out_bytes = (int64_t)hone_row_bytes(spec->output, (uint64_t)spec->heads * spec->head_dim);
  a.qkv = kernel_pointer(k, 0);
  a.keys = kernel_pointer(k, 1);
  a.values = kernel_pointer(k, 2);
  a.out = kernel_pointer(k, 3);
  a.position = kernel_position(k);
  a.capacity = kernel_capacity(k);
  a.M = kernel_M(k);
  lay_out_stack(&a);
  return a;
}
