// Layout and scales of packed weights, and what is loaded once per kernel.
#include "codegen/cpu/kernels/weight.h"

#include "quant/grid.h"

static weight_t layout(kernel_t *k) {
  const hone_kernel_spec_t *spec = k->spec;
  hone_format_t format = spec->weight;
  weight_t w = {.info = hone_format_info(format.storage),
                .groups = (int64_t)hone_padded(spec->K) / HONE_GROUP,
                .tiles = (int64_t)hone_padded(spec->N) / HONE_TILE_ROWS,
                .width = format.group,
                .parts = 1,
                .planes = 1,
                .halves = HONE_TILE_ROWS / k->lanes,
                .unit = 1.0};
  w.row_groups = (int64_t)hone_packed_group_count(format, spec->K);
  w.tile_bytes = (int64_t)hone_packed_tile_code_bytes(format, spec->K);
  w.scale_tile_bytes = (int64_t)hone_packed_tile_scale_bytes(format, spec->K);
  w.group_bytes = w.tile_bytes / w.groups;
  w.is_plain = w.info->grid == HONE_GRID_FLOAT;
  if (w.is_plain) return w;
  w.planes = (int)w.info->planes;
  if (w.width < HONE_GROUP) w.parts = (int)(HONE_GROUP / w.width);
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

static ir_value_t parameter(kernel_t *k, ir_value_t pointer, ir_scalar_t scalar, size_t offset) {
  ir_value_t at = ir_advance(k->b, pointer, (int64_t)offset);
  ir_value_t value = ir_load(k->b, ir_type(k->b, scalar), at, 0);
  return ir_cast(k->b, broadcast, ir_vector(k->b, scalar, k->lanes), value);
}

static void open_second(kernel_t *k, weight_t *w, ir_value_t parameters) {
  for (size_t i = 0; i < HONE_PACKED_SOURCES; i++) {
    size_t at = i * sizeof(int32_t);
    w->offset[i] = parameter(k, parameters, IR_REAL32, offsetof(hone_packed_second_t, offset) + at);
    w->base[i] = parameter(k, parameters, IR_I32, offsetof(hone_packed_second_t, base) + at);
    w->begin[i] = parameter(k, parameters, IR_I32, offsetof(hone_packed_second_t, begin) + at);
  }
  w->mask = parameter(k, parameters, IR_I32, offsetof(hone_packed_second_t, mask));
  w->shift = parameter(k, parameters, IR_I32, offsetof(hone_packed_second_t, shift));
  w->second = ir_advance(k->b, parameters, HONE_PACKED_SECOND);
}

weight_t weight_open(kernel_t *k, ir_value_t pointer, bool integer) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  weight_t w = layout(k);
  w.codes = pointer;
  if (w.is_plain) return w;
  int64_t scales = (int64_t)hone_packed_scale_offset(spec->weight, spec->N, spec->K);
  int64_t parameters = (int64_t)hone_packed_parameter_offset(spec->weight, spec->N, spec->K);
  w.scales = ir_advance(b, pointer, scales);
  if (w.info->scale == HONE_SCALE_E4M3) {
    ir_value_t at = ir_advance(b, pointer, parameters + HONE_PACKED_FACTOR);
    w.factor = ir_load(b, k->real, at, 0);
  }
  if (w.info->scale == HONE_SCALE_DQ8) {
    ir_value_t at = ir_advance(b, pointer, parameters);
    open_second(k, &w, at);
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

weight_place_t weight_place(kernel_t *k, const weight_t *w, ir_value_t tile, ir_value_t group) {
  ir_builder_t *b = k->b;
  weight_place_t place = {.tile = tile};
  ir_value_t codes = kernel_at(k, w->codes, tile, w->tile_bytes);
  place.codes = kernel_at(k, codes, group, w->group_bytes);
  if (w->info->code_bits == 6) place.upper = ir_advance(b, place.codes, QUADS / 2 * LINE_BYTES);
  if (w->is_plain) return place;
  if (w->width > HONE_GROUP) {
    ir_value_t shared = ir_i64(b, w->width / HONE_GROUP);
    group = ir_op(b, divui, group, shared);
  }
  place.group = kernel_times(k, group, w->parts);
  ir_value_t scales = kernel_at(k, w->scales, tile, w->scale_tile_bytes);
  place.scales =
      kernel_at(k, scales, group, w->parts * w->planes * HONE_TILE_ROWS * scale_bytes(w));
  return place;
}

weight_place_t weight_step(kernel_t *k, const weight_t *w, const weight_place_t *place,
                           ir_value_t step) {
  weight_place_t next = *place;
  int64_t bits = w->info->grid == HONE_GRID_PLANES ? 1
                 : w->info->code_bits == 6         ? 4
                                                   : (int64_t)w->info->code_bits;
  next.codes = kernel_at(k, place->codes, step, STEP_COLUMNS * HONE_TILE_ROWS * bits / 8);
  if (place->upper.ptr)
    next.upper = kernel_at(k, place->upper, step, STEP_COLUMNS * HONE_TILE_ROWS * 2 / 8);
  return next;
}

// ---- the second level of nf4dq's scales

// Numbers of the rows of a half, a lane each.
static ir_value_t row_numbers(kernel_t *k, const weight_place_t *place, int half) {
  ir_builder_t *b = k->b;
  int32_t after[16];
  for (int i = 0; i < 16; i++) after[i] = half * k->lanes + i;
  ir_value_t first = kernel_times(k, place->tile, HONE_TILE_ROWS);
  ir_value_t narrow = ir_cast(b, trunci, k->i32, first);
  ir_value_t rows = ir_cast(b, broadcast, k->words, narrow);
  ir_value_t lanes = ir_words(b, (size_t)k->lanes, after);
  return ir_op(b, addi, rows, lanes);
}

// `table[index]` of a lane each, f32.
static ir_value_t gather(kernel_t *k, ir_value_t table, ir_value_t index) {
  ir_builder_t *b = k->b;
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  if (k->lanes == 16) {
    ir_value_t all = ir_int(b, ir_vector(b, IR_I1, 16), 1), stride = ir_int(b, k->i32, 4);
    return ir_intrinsic(b, "llvm.x86.avx512.mask.gather.dps.512", k->reals, nothing, table, index,
                        all, stride);
  }
  ir_value_t bits = ir_int(b, k->words, -1), stride = ir_int(b, k->i8, 4);
  ir_value_t all = ir_cast(b, recast, k->reals, bits);
  return ir_intrinsic(b, "llvm.x86.avx2.gather.d.ps.256", k->reals, nothing, table, index, all,
                      stride);
}

// hone_packed_second_number's scale, and the offset of the row's source.
static void second_scale(kernel_t *k, const weight_t *w, const weight_place_t *place,
                         ir_value_t rows, int part, ir_value_t *out_scale, ir_value_t *out_offset) {
  ir_builder_t *b = k->b;
  ir_value_t key = ir_op(b, andi, rows, w->mask);
  ir_value_t base = w->base[0], offset = w->offset[0];
  for (int i = 1; i < HONE_PACKED_SOURCES; i++) {
    ir_value_t is_later = ir_op(b, sge, key, w->begin[i]);
    base = ir_op(b, select, is_later, w->base[i], base);
    offset = ir_op(b, select, is_later, w->offset[i], offset);
  }
  ir_value_t groups = ir_int(b, k->words, w->row_groups);
  ir_value_t local = ir_op(b, shrui, rows, w->shift);
  ir_value_t before = ir_op(b, muli, local, groups);
  ir_value_t start = ir_op(b, addi, before, base);
  ir_value_t group = kernel_plus(k, place->group, part);
  ir_value_t narrow = ir_cast(b, trunci, k->i32, group);
  ir_value_t after = ir_cast(b, broadcast, k->words, narrow);
  ir_value_t number = ir_op(b, addi, start, after);
  ir_value_t places = ir_int(b, k->words, 8);
  _Static_assert(HONE_SCALE_BLOCK == 1 << 8, "shift");
  ir_value_t block = ir_op(b, shrui, number, places);
  *out_scale = gather(k, w->second, block);
  *out_offset = offset;
}

// 8 or 16 levels by index; the index's upper bits are ignored.
static ir_value_t look_up(kernel_t *k, int count, const float levels[16], ir_value_t index) {
  ir_type_t reals = ir_vector(k->b, IR_REAL32, count);
  ir_value_t table = ir_floats(k->b, (size_t)count, levels);
  const char *name = count == 16 ? "llvm.x86.avx512.permvar.sf.512" : "llvm.x86.avx2.permps";
  return ir_intrinsic(k->b, name, reals, table, index);
}

// quant/nested.h: with p = |code - 127| in [2^i, 2^(i + 1)), 10^(i - 6) (0.1 + 0.9 (p - 2^i + 1/2)
// / 2^i); 2^i is p as a float without its mantissa, and the low bits of its exponent are i - 1.
static ir_value_t nested_level(kernel_t *k, ir_value_t stored, int count) {
  ir_builder_t *b = k->b;
  static const double decade[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10};
  float start[16], step[16];
  for (int j = 0; j < 16; j++) {
    int i = (j + 1) % 8;
    start[j] = (float)(decade[i] * 0.1);
    step[j] = i == 7 ? 0.0f : (float)(decade[i] * 0.9 / (1 << i));  // p = 128 is 1
  }
  ir_type_t integers = ir_vector(b, IR_I32, count), reals = ir_vector(b, IR_REAL32, count);
  ir_value_t wide = ir_cast(b, extui, integers, stored);
  ir_value_t middle = ir_int(b, integers, 127);
  ir_value_t signed_code = ir_op(b, subi, wide, middle);
  ir_value_t size = ir_op(b, abs, signed_code);
  ir_value_t p = ir_cast(b, sitofp, reals, size);
  ir_value_t bits = ir_cast(b, recast, integers, p);
  ir_value_t places = ir_int(b, integers, 23);
  ir_value_t exponent = ir_op(b, shrui, bits, places);
  ir_value_t power_bits = ir_op(b, shli, exponent, places);
  ir_value_t power = ir_cast(b, recast, reals, power_bits);
  ir_value_t past = ir_op(b, subf, p, power);
  ir_value_t half = ir_real(b, reals, 0.5);
  ir_value_t middle_past = ir_op(b, addf, past, half);
  ir_value_t steps = look_up(k, count, step, exponent);
  ir_value_t starts = look_up(k, count, start, exponent);
  ir_value_t level = ir_op(b, fma, middle_past, steps, starts);
  ir_value_t minus = ir_op(b, negf, level);
  ir_value_t nothing = ir_int(b, integers, 0), zero = ir_real(b, reals, 0.0);
  ir_value_t is_minus = ir_op(b, slt, signed_code, nothing);
  ir_value_t is_zero = ir_op(b, eq, signed_code, nothing);
  level = ir_op(b, select, is_minus, minus, level);
  return ir_op(b, select, is_zero, zero, level);
}

// `count` stored scales as f32. E4M3 is decoded as a half with the same bits, which is 2^8 too
// small, subnormals included; E8M0 is the exponent of an f32, and 0 means zero.
// Those of dq8 come with their second-level ones and offsets.
static ir_value_t decode(kernel_t *k, const weight_t *w, ir_value_t stored, ir_value_t second,
                         ir_value_t offset, int count) {
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
  if (w->info->scale == HONE_SCALE_DQ8) {
    ir_value_t level = nested_level(k, stored, count);
    return ir_op(b, fma, level, second, offset);
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

ir_value_t weight_scale(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                        int part, int plane) {
  ir_builder_t *b = k->b;
  int64_t first = (int64_t)(part * w->planes + plane) * HONE_TILE_ROWS + half * k->lanes;
  ir_value_t at = ir_advance(b, place->scales, first * scale_bytes(w));
  ir_value_t stored = ir_load(b, ir_vector(b, scale_type(w), k->lanes), at, 0);
  ir_value_t second = {0}, offset = {0};
  if (!w->second.ptr) return decode(k, w, stored, second, offset, k->lanes);
  ir_value_t rows = row_numbers(k, place, half);
  second_scale(k, w, place, rows, part, &second, &offset);
  ir_value_t scale = decode(k, w, stored, second, offset, k->lanes);
  if (hone_padded(k->spec->N) == k->spec->N) return scale;
  ir_value_t end = ir_int(b, k->words, (int64_t)k->spec->N);
  ir_value_t is_row = ir_op(b, slt, rows, end);
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  return ir_op(b, select, is_row, scale, nothing);
}
