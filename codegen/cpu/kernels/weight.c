// Layout and scales of packed weights, and what is loaded once per kernel.
#include "codegen/cpu/kernels/weight.h"

#include "base/packed.h"
#include "quant/grid.h"

static weight_t layout(const hone_kernel_spec_t *spec) {
  hone_format_t format = spec->weight;
  weight_t w = {.info = hone_format_info(format.storage),
                .groups = (int64_t)hone_padded(spec->K) / HONE_GROUP,
                .tiles = (int64_t)hone_padded(spec->N) / HONE_TILE_ROWS,
                .width = format.group,
                .unit = 1.0};
  w.tile_bytes = (int64_t)hone_packed_tile_code_bytes(format, spec->K);
  w.scale_tile_bytes = (int64_t)hone_packed_tile_scale_bytes(format, spec->K);
  w.group_bytes = w.tile_bytes / w.groups;
  w.row_bytes = (int64_t)hone_packed_row_bytes(format.storage);
  if (w.info->grid == HONE_GRID_FLOAT) {  // blocks of 16 columns
    w.row_bytes /= HONE_GROUP / 16;
    return w;
  }
  w.planes = (int)w.info->planes;
  w.parts = w.width < HONE_GROUP ? (int)(HONE_GROUP / w.width) : 1;
  return w;
}

static void open_integer(kernel_t *k, weight_t *w, ir_value_t levels) {
  const hone_grid_t *grid = hone_grid_get(w->info->storage);
  w->bias = weight_bias(k, w);
  w->bytes = weight_table(k, w, levels);
  if (grid) w->unit = (double)grid->unit;
  if (w->info->grid == HONE_GRID_LEARNED) w->unit = 1.0 / 127.0;
}

static void open_real(kernel_t *k, weight_t *w, ir_value_t levels) {
  static const float ternary[] = {-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0};
  ir_builder_t *b = k->b;
  const hone_grid_t *grid = hone_grid_get(w->info->storage);
  size_t lanes = (size_t)k->lanes;
  if (w->info->storage == HONE_TERNARY) {
    w->low = ir_floats(b, lanes, ternary);
  } else if (grid) {
    w->low = ir_floats(b, lanes, grid->level);
    if (lanes < HONE_GRID_LEVELS) w->high = ir_floats(b, lanes, grid->level + lanes);
  } else if (w->info->grid == HONE_GRID_LEARNED) {
    ir_value_t *half[] = {&w->low, &w->high};
    for (int h = 0; h < HONE_GRID_LEVELS / k->lanes; h++) {
      ir_value_t at = ir_advance(b, levels, (int64_t)h * k->lanes);
      ir_value_t codes = ir_load(b, ir_vector(b, IR_I8, k->lanes), at, 0);
      ir_value_t words = ir_cast(b, extsi, k->words, codes);
      ir_value_t reals = ir_cast(b, sitofp, k->reals, words);
      ir_value_t unit = ir_real(b, k->reals, 127.0);
      *half[h] = ir_op(b, divf, reals, unit);
    }
  }
}

weight_t weight_open(kernel_t *k, ir_value_t pointer, bool integer) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  weight_t w = layout(spec);
  w.codes = pointer;
  if (w.planes == 0) return w;
  int64_t scales = (int64_t)hone_packed_scale_offset(spec->weight, spec->N, spec->K);
  int64_t parameters = (int64_t)hone_packed_parameter_offset(spec->weight, spec->N, spec->K);
  w.scales = ir_advance(b, pointer, scales);
  if (w.info->scale == HONE_SCALE_E4M3) {
    ir_value_t at = ir_advance(b, pointer, parameters + HONE_PACKED_FACTOR);
    w.factor = ir_load(b, k->real, at, 0);
  }
  ir_value_t levels = ir_advance(b, pointer, parameters + HONE_PACKED_LEVELS);
  if (integer)
    open_integer(k, &w, levels);
  else
    open_real(k, &w, levels);
  return w;
}

// ---- scales
static int64_t scale_bytes(const weight_t *w) { return hone_scale_bits(w->info->scale) / 8; }

ir_value_t weight_scales_at(kernel_t *k, const weight_t *w, ir_value_t tile, ir_value_t group) {
  if (w->width > HONE_GROUP) {
    ir_value_t shared = ir_i64(k->b, w->width / HONE_GROUP);
    group = ir_op(k->b, divui, group, shared);
  }
  return kernel_at(k, tile, group, w->parts * w->planes * HONE_TILE_ROWS * scale_bytes(w));
}

// `count` stored scales as f32. E4M3 is decoded as a half with the same bits, which is 2^8 too
// small, subnormals included; E8M0 is the exponent of an f32, and 0 means zero.
static ir_value_t decode(kernel_t *k, const weight_t *w, ir_value_t stored, int count) {
  ir_builder_t *b = k->b;
  ir_type_t reals = ir_vector(b, IR_REAL32, count);
  if (w->info->scale == HONE_SCALE_F16) return math_half(k, stored);
  if (w->info->scale == HONE_SCALE_E8M0) {
    ir_type_t integers = ir_vector(b, IR_I32, count);
    ir_value_t wide = ir_cast(b, extui, integers, stored);
    ir_value_t places = ir_int(b, integers, 23);
    ir_value_t bits = ir_op(b, shli, wide, places);
    return ir_cast(b, recast, reals, bits);
  }
  ir_type_t shorts = ir_vector(b, IR_I16, count);
  ir_value_t wide = ir_cast(b, extui, shorts, stored);
  ir_value_t places = ir_int(b, shorts, 7);
  ir_value_t bits = ir_op(b, shli, wide, places);
  ir_value_t halves = ir_cast(b, recast, ir_vector(b, IR_F16, count), bits);
  ir_value_t small = math_half(k, halves);
  ir_value_t lift = ir_real(b, k->real, 256.0);
  ir_value_t factor = ir_op(b, mulf, w->factor, lift);
  ir_value_t factors = ir_cast(b, broadcast, reals, factor);
  return ir_op(b, mulf, small, factors);
}

static ir_scalar_t scale_type(const weight_t *w) {
  return w->info->scale == HONE_SCALE_F16 ? IR_F16 : IR_I8;
}

// With one part the four scales of a plane are repeated to a whole vector, by the load, so that
// spreading one of them to all lanes stays within 16 bytes.
int weight_scales_count(const kernel_t *k, const weight_t *w) {
  return w->planes * (w->parts == 1 ? k->lanes : w->parts * HONE_TILE_ROWS);
}

ir_value_t weight_scales(kernel_t *k, const weight_t *w, ir_value_t at) {
  int stored = w->parts * w->planes * HONE_TILE_ROWS, count = weight_scales_count(k, w);
  ir_value_t scales = ir_load(k->b, ir_vector(k->b, scale_type(w), stored), at, 0);
  if (count > stored) {
    int64_t lanes[SCALES_LIMIT];
    for (int i = 0; i < count; i++) lanes[i] = i / k->lanes * HONE_TILE_ROWS + i % HONE_TILE_ROWS;
    scales = ir_shuffle(k->b, scales, scales, (size_t)count, lanes);
  }
  return decode(k, w, scales, count);
}

ir_value_t weight_scale_lanes(kernel_t *k, const weight_t *w, ir_value_t scales, const int *part,
                              int plane, int row) {
  int64_t lanes[16];
  for (int i = 0; i < k->lanes; i++) {
    lanes[i] = w->parts == 1 ? plane * k->lanes + i / HONE_TILE_ROWS * HONE_TILE_ROWS + row
                             : (part[i] * w->planes + plane) * HONE_TILE_ROWS + row;
  }
  return ir_shuffle(k->b, scales, scales, (size_t)k->lanes, lanes);
}

ir_value_t weight_scale(kernel_t *k, const weight_t *w, ir_value_t at, int part, int plane) {
  ir_value_t place =
      ir_advance(k->b, at, (part * w->planes + plane) * HONE_TILE_ROWS * scale_bytes(w));
  ir_value_t stored = ir_load(k->b, ir_type(k->b, scale_type(w)), place, 0);
  ir_value_t spread = ir_cast(k->b, broadcast, ir_vector(k->b, scale_type(w), k->lanes), stored);
  return decode(k, w, spread, k->lanes);
}
