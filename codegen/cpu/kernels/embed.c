// embed: rows of a packed (V, K) weight, as f32, by token id.
#include "codegen/cpu/kernels/weight.h"

typedef struct place {  // of a token's row
  ir_value_t number, codes, scales, out;
} place_t;

static place_t find_row(kernel_t *k, const weight_t *w, ir_value_t id, ir_value_t out) {
  ir_builder_t *b = k->b;
  ir_value_t rows = ir_i64(b, HONE_TILE_ROWS);
  ir_value_t n = ir_cast(b, extui, k->i64, id);
  place_t place = {.number = n, .out = out};
  ir_value_t tile = ir_op(b, divui, n, rows);
  ir_value_t lane = ir_op(b, remui, n, rows);
  ir_value_t codes = kernel_at(k, w->codes, tile, w->tile_bytes);
  place.codes = kernel_at(k, codes, lane, w->row_bytes);
  if (w->planes == 0) return place;
  ir_value_t scales = kernel_at(k, w->scales, tile, w->scale_tile_bytes);
  place.scales = kernel_at(k, scales, lane, hone_scale_bits(w->info->scale) / 8);
  return place;
}

static void copy_group(kernel_t *k, const weight_t *w, const place_t *place, ir_value_t group) {
  ir_builder_t *b = k->b;
  ir_value_t scale[SPLITS_LIMIT];
  if (w->planes > 0) {
    weight_place_t scales = weight_scales_at(k, w, place->scales, place->number, group);
    for (int i = 0; i < w->parts * w->planes; i++)
      scale[i] = weight_scale(k, w, &scales, i / w->planes, i % w->planes);
  }
  ir_value_t codes = kernel_at(k, place->codes, group, w->group_bytes);
  weight_row_t row = weight_row(k, w, codes, scale);
  ir_value_t out = kernel_at(k, place->out, group, HONE_GROUP * 4);
  for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
    ir_value_t reals = weight_reals(k, w, &row, v);
    ir_value_t at = ir_advance(b, out, (int64_t)v * k->lanes * 4);
    ir_store(b, reals, at, 0);
  }
}

void emit_embed(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  ir_value_t ids = kernel_pointer(k, 0), weight = kernel_pointer(k, 1), out = kernel_pointer(k, 2);
  weight_t w = weight_open(k, weight, false);
  ir_value_t groups = ir_i64(b, w.groups);
  int64_t out_bytes = (int64_t)hone_row_bytes(HONE_F32, spec->K);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t id_at = kernel_at(k, ids, m, 4);
    ir_value_t id = ir_load(b, k->i32, id_at, 0);
    ir_value_t row = kernel_at(k, out, m, out_bytes);
    place_t place = find_row(k, &w, id, row);
    IR_FOR (b, g, k->zero, groups, k->one) {
      copy_group(k, &w, &place, g);
    }
    if (w.info->grid != HONE_GRID_FLOAT && w.info->grid != HONE_GRID_LINEAR) {
      // Levels need not have a zero to pad with.
      ir_value_t pad = ir_advance(b, row, (int64_t)spec->K * 4);
      zero_bytes(k, pad, out_bytes - (int64_t)spec->K * 4);
    }
  }
}
