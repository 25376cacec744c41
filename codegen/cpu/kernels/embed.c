// embed: rows of a packed (V, K) weight, as f32, by token id. A tile's rows lie side by side, so a
// group of all of them is decoded, and the wanted one taken out.
#include "codegen/cpu/kernels/weight.h"

typedef struct embed {
  weight_t weight;
  ir_value_t group;  // of all rows: (64, rows of a tile) f32 on the stack
} embed_t;

// Columns of a step whose scales are those of part `part`.
static void decode_step(kernel_t *k, const embed_t *e, const weight_place_t *place,
                        const ir_value_t *scale, int half, ir_value_t to) {
  ir_builder_t *b = k->b;
  const weight_t *w = &e->weight;
  for (int j = 0; j < STEP_COLUMNS; j++) {
    ir_value_t total = {0};
    for (int p = 0; p < w->planes; p++) {
      ir_value_t level = weight_real(k, w, place, half, p, j);
      ir_value_t term = w->is_plain ? level : ir_op(b, mulf, level, scale[p]);
      total = p == 0 ? term : ir_op(b, addf, total, term);
    }
    ir_value_t at = ir_advance(b, to, ((int64_t)j * HONE_TILE_ROWS + half * k->lanes) * 4);
    ir_store(b, total, at, k->lanes * 4);
  }
}

static void decode_group(kernel_t *k, const embed_t *e, const weight_place_t *place) {
  ir_builder_t *b = k->b;
  const weight_t *w = &e->weight;
  int64_t steps = STEPS / w->parts;
  for (int i = 0; i < w->parts * w->halves; i++) {
    int half = i % w->halves, part = i / w->halves;
    ir_value_t scale[3];  // planes
    for (int p = 0; p < w->planes && !w->is_plain; p++)
      scale[p] = weight_scale(k, w, place, half, part, p);
    ir_value_t first = ir_i64(b, part * steps), end = ir_i64(b, (part + 1) * steps);
    IR_FOR (b, step, first, end, k->one) {
      weight_place_t at = weight_step(k, w, place, step);
      ir_value_t to = kernel_at(k, e->group, step, STEP_COLUMNS * HONE_TILE_ROWS * 4);
      decode_step(k, e, &at, scale, half, to);
    }
  }
}

static void copy_group(kernel_t *k, const embed_t *e, ir_value_t lane, ir_value_t out) {
  ir_builder_t *b = k->b;
  ir_value_t from = kernel_at(k, e->group, lane, 4);
  ir_value_t count = ir_i64(b, HONE_GROUP);
  IR_FOR (b, j, k->zero, count, k->one) {
    ir_value_t at = kernel_at(k, from, j, HONE_TILE_ROWS * 4);
    ir_value_t value = ir_load(b, k->real, at, 0);
    ir_value_t to = kernel_at(k, out, j, 4);
    ir_store(b, value, to, 0);
  }
}

void emit_embed(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  ir_value_t ids = kernel_pointer(k, 0), weight = kernel_pointer(k, 1), out = kernel_pointer(k, 2);
  embed_t e = {.weight = weight_open(k, weight, false)};
  const weight_t *w = &e.weight;
  e.group = ir_stack(b, HONE_GROUP * HONE_TILE_ROWS * 4, 64);
  ir_value_t groups = ir_i64(b, w->groups), rows = ir_i64(b, HONE_TILE_ROWS);
  int64_t out_bytes = (int64_t)hone_row_bytes(HONE_F32, spec->K);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t id_at = kernel_at(k, ids, m, 4);
    ir_value_t id = ir_load(b, k->i32, id_at, 0);
    ir_value_t row = kernel_at(k, out, m, out_bytes);
    ir_value_t n = ir_cast(b, extui, k->i64, id);
    ir_value_t tile = ir_op(b, divui, n, rows);
    ir_value_t lane = ir_op(b, remui, n, rows);
    IR_FOR (b, g, k->zero, groups, k->one) {
      weight_place_t place = weight_place(k, w, tile, g);
      decode_group(k, &e, &place);
      ir_value_t to = kernel_at(k, row, g, HONE_GROUP * 4);
      copy_group(k, &e, lane, to);
    }
    if (w->info->grid != HONE_GRID_FLOAT && w->info->grid != HONE_GRID_LINEAR) {
      // Levels need not have a zero to pad with.
      ir_value_t pad = ir_advance(b, row, (int64_t)spec->K * 4);
      zero_bytes(k, pad, out_bytes - (int64_t)spec->K * 4);
    }
  }
}
