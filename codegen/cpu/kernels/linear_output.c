// What becomes of a linear's sums: bias, gated activation, residual and the store; or, a unit at a
// time, a group of columns that is quantized together, or whole heads that are turned and cached.
#include "codegen/cpu/kernels/linear.h"

static int64_t tile_columns(const linear_t *l) {
  return HONE_TILE_ROWS / (l->k->spec->glu ? 2 : 1);
}

// Where token m's outputs of the tile go.
static ir_value_t output_at(linear_t *l, ir_value_t tile, ir_value_t m) {
  kernel_t *k = l->k;
  int64_t tile_bytes = tile_columns(l) * 4;
  if (!l->wait.ptr) {
    ir_value_t row = kernel_at(k, l->out, m, l->out_bytes);
    return kernel_at(k, row, tile, tile_bytes);
  }
  ir_value_t after = ir_op(k->b, subi, m, l->wait_m);
  ir_value_t row = kernel_at(k, l->wait, after, HONE_GROUP * 4);
  ir_value_t later = ir_op(k->b, subi, tile, l->wait_tile);
  return kernel_at(k, row, later, tile_bytes);
}

// With glu the padded width of out can be larger than half the padded N: the last tile's unit
// writes those pads.
static void store_pads(linear_t *l, ir_value_t tile, ir_value_t m) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  int64_t written = l->weight.tiles * tile_columns(l) * 4;
  if (written == l->out_bytes) return;
  ir_value_t last = ir_i64(b, l->weight.tiles - 1);
  ir_value_t is_last = ir_op(b, eq, tile, last);
  IR_IF (b, is_last) {
    ir_value_t row = kernel_at(k, l->out, m, l->out_bytes);
    ir_value_t pad = ir_advance(b, row, written);
    zero_bytes(k, pad, l->out_bytes - written);
  }
}

void linear_output(linear_t *l, ir_value_t y, ir_value_t tile, int half, ir_value_t m) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  int64_t first = (int64_t)half * k->lanes;  // row of the tile
  int width = k->lanes;
  if (spec->bias) {
    ir_value_t tile_bias = kernel_at(k, l->bias, tile, HONE_TILE_ROWS * 4);
    ir_value_t at = ir_advance(b, tile_bias, first * 4);
    ir_value_t bias = ir_load(b, k->reals, at, 0);
    y = ir_op(b, addf, y, bias);
  }
  if (spec->glu) {
    int64_t even[8], odd[8];
    width = k->lanes / 2, first /= 2;
    for (int i = 0; i < width; i++) even[i] = 2 * i, odd[i] = 2 * i + 1;
    ir_value_t gate = ir_shuffle(b, y, y, (size_t)width, even);
    ir_value_t up = ir_shuffle(b, y, y, (size_t)width, odd);
    ir_value_t active = math_activation(k, (hone_activation_t)spec->activation, gate);
    y = ir_op(b, mulf, active, up);
  }
  if (spec->residual) {
    ir_value_t row = kernel_at(k, l->residual, m, l->out_bytes);
    ir_value_t tile_at = kernel_at(k, row, tile, tile_columns(l) * 4);
    ir_value_t at = ir_advance(b, tile_at, first * 4);
    ir_value_t residual = ir_load(b, piece_type(k, width), at, 0);
    y = ir_op(b, addf, y, residual);
  }
  ir_value_t tile_out = output_at(l, tile, m);
  ir_value_t at = ir_advance(b, tile_out, first * 4);
  ir_store(b, y, at, 0);
  if (half == 0 && !l->wait.ptr) store_pads(l, tile, m);
}

// ---- outputs that are quantized: a unit makes one group of columns
static ir_value_t wait_row(linear_t *l, ir_value_t m) {
  ir_value_t after = ir_op(l->k->b, subi, m, l->wait_m);
  return kernel_at(l->k, l->wait, after, HONE_GROUP * 4);
}

// The last unit may have fewer rows than a group of columns: the others are zeros.
static void wait_begin(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to) {
  kernel_t *k = l->k;
  if (!l->wait.ptr) return;
  l->wait_m = from;
  l->wait_tile = kernel_times(k, unit, l->unit_tiles);
  if (l->weight.tiles % l->unit_tiles == 0) return;
  IR_FOR (k->b, m, from, to, k->one) {
    ir_value_t row = wait_row(l, m);
    zero_bytes(k, row, HONE_GROUP * 4);
  }
}

static void wait_end(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  if (!l->wait.ptr) return;
  uint32_t columns = k->spec->N / 2;
  ir_value_t last = ir_i64(b, (int64_t)hone_padded(columns) / HONE_GROUP - 1);
  IR_FOR (b, m, from, to, k->one) {
    ir_value_t vectors[GROUP_VECTORS_LIMIT], none = {0};
    ir_value_t row = wait_row(l, m), out = kernel_at(k, l->out, m, l->out_bytes);
    for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
      ir_value_t at = ir_advance(b, row, (int64_t)v * k->lanes * 4);
      vectors[v] = ir_load(b, k->reals, at, 0);
    }
    quantize_span(k, columns, out, unit, vectors, &none);
    ir_value_t is_last = ir_op(b, eq, unit, last);
    IR_IF (b, is_last) {
      quantize_end(k, columns, out, none);
    }
  }
}

// ---- outputs that are heads of q, k and v: a unit makes whole heads
static void rope_end(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  if (!spec->rope) return;
  int64_t count = l->unit_tiles * HONE_TILE_ROWS / spec->head_dim;
  ir_value_t first = kernel_times(k, unit, count), past = kernel_plus(k, first, count);
  IR_FOR (b, m, from, to, k->one) {
    ir_value_t row = kernel_at(k, l->out, m, l->out_bytes);
    rope_heads(&l->rope, row, m, first, past);
  }
}

void linear_unit_begin(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to) {
  wait_begin(l, unit, from, to);
}

void linear_unit_end(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to) {
  wait_end(l, unit, from, to);
  rope_end(l, unit, from, to);
}
