// gemv and gemm: out = epilogue(x W^T), for every packed weight format, with f32, q8 or b1
// activation rows.
//
// A unit is a tile of 4 weight rows. For a block of T tokens it keeps 4 T vector accumulators; the
// lanes of accumulator (r, t) are partial sums over k, added up by a fixed tree at the end.
// Whatever T is, an output sees the same operations in the same order, so gemv, gemm and any split
// of tiles or tokens give the same bits.
//
// f32 rows: acc += (code -> f32, times scale) * x.
// q8 rows:  acc += f32(integer dot product) * (weight scale * row scale), per group of 64 columns
//           and plane. Weights come as code + bias, unsigned, and the dot product starts from
//           -bias * (sum of the row's group), which the row brings along. With scales for fewer
//           than 64 columns each lane (4 columns) has its own scale and takes off its own part of
//           the bias. Where 8-bit codes stay signed (AVX2), |w| is multiplied with x carrying w's
//           sign; |w| <= 127 keeps 16-bit sums exact.
// b1 rows:  signs.h; a token has one accumulator, whose lanes are the rows of the tile.
#include "codegen/cpu/kernels/signs.h"

enum {
  ROWS = HONE_TILE_ROWS,
  HALVES_LIMIT = 2,  // vectors of 64 int8
  CHUNK_BYTES = 192 * 1024,
  CHUNK_LIMIT = 64
};

typedef struct linear {
  kernel_t *k;
  weight_t weight;
  ir_value_t x, bias, residual, out;
  int64_t x_bytes, out_bytes;  // row strides
  int64_t x_group_bytes;       // 64 columns of a row of x
} linear_t;

// The operands of one group of a tile and a block of tokens.
typedef struct group {
  ir_value_t codes;  // the tile's
  weight_place_t scales;
  ir_value_t row[TOKENS_LIMIT];                               // the rows' elements, codes or bits
  ir_value_t row_scale[TOKENS_LIMIT], row_sum[TOKENS_LIMIT];  // q8: pointers
} group_t;

// ---- f32 rows
static weight_row_t open_row(linear_t *l, const group_t *g, ir_value_t scales, int r) {
  kernel_t *k = l->k;
  const weight_t *w = &l->weight;
  ir_value_t scale[SPLITS_LIMIT];
  for (int i = 0; i < w->parts * w->planes; i++) {
    int part[16];
    for (int lane = 0; lane < k->lanes; lane++) part[lane] = i / w->planes;
    scale[i] = weight_scale_lanes(k, w, scales, part, i % w->planes, r);
  }
  ir_value_t codes = ir_advance(k->b, g->codes, r * w->row_bytes);
  return weight_row(k, w, codes, scale);
}

// acc[t] += the vector'th vector of a row's group times x's.
static void multiply(linear_t *l, const group_t *g, const weight_row_t *row, int vector,
                     ir_value_t *acc, int tokens) {
  kernel_t *k = l->k;
  ir_value_t weights = weight_reals(k, &l->weight, row, vector);
  for (int t = 0; t < tokens; t++) {
    ir_value_t at = ir_advance(k->b, g->row[t], (int64_t)vector * k->lanes * 4);
    ir_value_t x = ir_load(k->b, k->reals, at, 0);
    acc[t] = ir_op(k->b, fma, weights, x, acc[t]);
  }
}

// All rows at each vector, which loads x once; row by row where machines have few registers, since
// there the tables and scales of one row are enough. An accumulator sees the same order either way.
static void accumulate_reals(linear_t *l, const group_t *g, ir_value_t *acc, int tokens) {
  kernel_t *k = l->k;
  const weight_t *w = &l->weight;
  int vectors = HONE_GROUP / k->lanes;
  bool by_row = k->lanes < 16 && w->planes > 0;
  ir_value_t scales = w->planes ? weight_scales(k, w, &g->scales) : (ir_value_t){0};
  weight_row_t rows[ROWS];
  for (int r = 0; r < ROWS; r++) {
    rows[r] = open_row(l, g, scales, r);
    for (int v = 0; by_row && v < vectors; v++)
      multiply(l, g, &rows[r], v, &acc[r * tokens], tokens);
  }
  for (int i = 0; !by_row && i < vectors * ROWS; i++)
    multiply(l, g, &rows[i % ROWS], i / ROWS, &acc[i % ROWS * tokens], tokens);
}

// ---- q8 rows
// A row's group in registers. Its 64 columns are one dot product or, where lanes of two vectors
// belong to different scales, one per vector: a section.
typedef struct activation {
  ir_value_t codes[HALVES_LIMIT];
  ir_value_t start[HALVES_LIMIT];  // of a section's dot product; null: zero
  ir_value_t scales;               // the weights' scales times the row's
} activation_t;

static int halves(const kernel_t *k) { return HONE_GROUP / (int)k->isa->bytes; }

static int sections(const linear_t *l) { return l->weight.parts > 1 ? halves(l->k) : 1; }

// Sums of 4 products, the first factor unsigned, in each lane.
static ir_value_t quads(kernel_t *k, ir_value_t start, ir_value_t u, ir_value_t x) {
  return ir_intrinsic(k->b, "llvm.x86.avx512.vpdpbusd.512", k->words, start, u, x);
}

static ir_value_t byte_pairs(kernel_t *k, ir_value_t u, ir_value_t x) {
  ir_type_t shorts = ir_vector(k->b, IR_I16, 16);
  return ir_intrinsic(k->b, "llvm.x86.avx2.pmadd.ub.sw", shorts, u, x);
}

static ir_value_t short_pairs(kernel_t *k, ir_value_t shorts, int factor) {
  ir_value_t factors = ir_int(k->b, ir_vector(k->b, IR_I16, 16), factor);
  return ir_intrinsic(k->b, "llvm.x86.avx2.pmadd.wd", k->words, shorts, factors);
}

// -bias * sum in lane 0: what the bias adds to the dot product of a group.
static ir_value_t group_correction(linear_t *l, ir_value_t pointer) {
  kernel_t *k = l->k;
  ir_value_t sum = ir_load(k->b, k->i32, pointer, 0);
  ir_value_t factor = ir_int(k->b, k->i32, -l->weight.bias);
  ir_value_t minus = ir_op(k->b, muli, sum, factor);
  ir_value_t nothing = ir_int(k->b, k->words, 0);
  return ir_lane_set(k->b, nothing, minus, 0);
}

// The same for every lane, from its own 4 codes.
static ir_value_t lane_correction(linear_t *l, ir_value_t x) {
  kernel_t *k = l->k;
  ir_type_t bytes = ir_vector(k->b, IR_I8, k->isa->bytes);
  if (!k->isa->vnni) {
    ir_value_t unit = ir_int(k->b, bytes, 1);
    ir_value_t sums = byte_pairs(k, unit, x);
    return short_pairs(k, sums, -l->weight.bias);
  }
  ir_value_t bias = ir_int(k->b, bytes, (int8_t)(uint8_t)l->weight.bias);
  ir_value_t nothing = ir_int(k->b, k->words, 0);
  ir_value_t product = quads(k, nothing, bias, x);
  return ir_op(k->b, subi, nothing, product);
}

static activation_t load_activation(linear_t *l, const group_t *g, int t, ir_value_t scales) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  int count = weight_scales_count(k, &l->weight);
  activation_t a = {0};
  ir_value_t row_scale = ir_load(b, k->real, g->row_scale[t], 0);
  ir_value_t spread = ir_cast(b, broadcast, ir_vector(b, IR_REAL32, count), row_scale);
  a.scales = ir_op(b, mulf, scales, spread);
  for (int h = 0; h < halves(k); h++) {
    ir_value_t at = ir_advance(b, g->row[t], (int64_t)h * k->isa->bytes);
    a.codes[h] = ir_load(b, ir_vector(b, IR_I8, k->isa->bytes), at, 0);
  }
  if (l->weight.bias == 0) return a;
  if (l->weight.parts == 1) {
    a.start[0] = group_correction(l, g->row_sum[t]);
  } else {
    for (int s = 0; s < sections(l); s++) a.start[s] = lane_correction(l, a.codes[s]);
  }
  return a;
}

// Integer dot product of a section of the weights w with x; |w| if w is signed. AVX2 adds the
// halves of a section before widening when four products of unsigned codes fit 16 bits.
static ir_value_t dot(linear_t *l, const ir_value_t *w, const ir_value_t *size,
                      const activation_t *a, int section) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t start = a->start[section];
  if (k->isa->vnni) return quads(k, start, w[0], a->codes[0]);
  bool whole = sections(l) == 1;
  ir_value_t part[HALVES_LIMIT], total;
  for (int h = 0; h < HALVES_LIMIT; h++) {
    if (!whole && h != section) continue;
    if (l->weight.bias) {
      part[h] = byte_pairs(k, w[h], a->codes[h]);
      continue;
    }
    ir_type_t bytes = ir_vector(b, IR_I8, 32);
    ir_value_t carried = ir_intrinsic(b, "llvm.x86.avx2.psign.b", bytes, a->codes[h], w[h]);
    ir_value_t products = byte_pairs(k, size[h], carried);
    part[h] = short_pairs(k, products, 1);
  }
  total = whole ? ir_op(b, addi, part[0], part[1]) : part[section];
  if (!l->weight.bias) return total;
  ir_value_t sum = short_pairs(k, total, 1);
  return ir_op(b, addi, sum, start);
}

// The scale of each lane of a section: of the part that its 4 columns lie in.
static ir_value_t lane_scales(linear_t *l, ir_value_t scales, int section, int plane, int r) {
  kernel_t *k = l->k;
  int part[16];
  for (int i = 0; i < k->lanes; i++) {
    int column = section * (int)k->isa->bytes + 4 * i;
    part[i] = column * l->weight.parts / HONE_GROUP;
  }
  return weight_scale_lanes(k, &l->weight, scales, part, plane, r);
}

static void accumulate_codes(linear_t *l, const group_t *g, ir_value_t *acc, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *weight = &l->weight;
  ir_value_t scales = weight_scales(k, weight, &g->scales);
  activation_t x[TOKENS_LIMIT];
  for (int t = 0; t < tokens; t++) x[t] = load_activation(l, g, t, scales);
  for (int i = 0; i < ROWS * weight->planes; i++) {
    int r = i / weight->planes, plane = i % weight->planes;
    ir_value_t row = ir_advance(b, g->codes, r * weight->row_bytes);
    ir_value_t w[HALVES_LIMIT], size[HALVES_LIMIT] = {0};
    weight_codes(k, weight, row, plane, w);
    for (int h = 0; h < halves(k) && !weight->bias; h++) size[h] = ir_op(b, abs, w[h]);
    for (int t = 0; t < tokens; t++) {
      ir_value_t *sum = &acc[r * tokens + t];
      for (int s = 0; s < sections(l); s++) {
        ir_value_t product = dot(l, w, size, &x[t], s);
        ir_value_t real = ir_cast(b, sitofp, k->reals, product);
        ir_value_t factor = lane_scales(l, x[t].scales, s, plane, r);
        *sum = ir_op(b, fma, real, factor, *sum);
      }
    }
  }
}

// ---- tiles
// Bias, gated activation and residual on the four outputs of a tile (two with glu), then the store.
static void finish(linear_t *l, ir_value_t y, ir_value_t tile, ir_value_t m) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  if (spec->bias) {
    ir_value_t at = kernel_at(k, l->bias, tile, ROWS * 4);
    ir_value_t bias = ir_load(b, ir_vector(b, IR_REAL32, ROWS), at, 0);
    y = ir_op(b, addf, y, bias);
  }
  int64_t width = ROWS;
  if (spec->glu) {
    const int64_t even[] = {0, 2}, odd[] = {1, 3};
    width = ROWS / 2;
    ir_value_t gate = ir_shuffle(b, y, y, 2, even);
    ir_value_t up = ir_shuffle(b, y, y, 2, odd);
    ir_value_t active = math_activation(k, (hone_activation_t)spec->activation, gate);
    y = ir_op(b, mulf, active, up);
  }
  if (spec->residual) {
    ir_value_t row = kernel_at(k, l->residual, m, l->out_bytes);
    ir_value_t at = kernel_at(k, row, tile, width * 4);
    ir_value_t residual = ir_load(b, ir_vector(b, IR_REAL32, width), at, 0);
    y = ir_op(b, addf, y, residual);
  }
  ir_value_t row = kernel_at(k, l->out, m, l->out_bytes);
  ir_value_t at = kernel_at(k, row, tile, width * 4);
  ir_store(b, y, at, 0);
  // With glu the padded width of out can be larger than half the padded N: the last tile's unit
  // writes those pads.
  int64_t written = l->weight.tiles * width * 4;
  if (written < l->out_bytes) {
    ir_value_t last = ir_i64(b, l->weight.tiles - 1);
    ir_value_t is_last = ir_op(b, eq, tile, last);
    IR_IF (b, is_last) {
      ir_value_t pad = ir_advance(b, row, written);
      zero_bytes(k, pad, l->out_bytes - written);
    }
  }
}

// The operands of group `index` of a tile.
static group_t open_group(linear_t *l, ir_value_t codes, ir_value_t scales, ir_value_t row,
                          const ir_value_t *rows, ir_value_t index, int tokens) {
  kernel_t *k = l->k;
  const weight_t *w = &l->weight;
  group_t g = {.codes = kernel_at(k, codes, index, w->group_bytes)};
  if (w->planes) g.scales = weight_scales_at(k, w, scales, row, index);
  for (int t = 0; t < tokens; t++) {
    g.row[t] = kernel_at(k, rows[t], index, l->x_group_bytes);
    if (k->spec->input != HONE_Q8) continue;
    quantized_row_t at = quantized_row_at(k, rows[t], index);
    g.row_scale[t] = at.scales;
    g.row_sum[t] = at.sums;
  }
  return g;
}

// Weights are read once, in order, through tiles: without help a core waits at every page of them.
static void ask_ahead(linear_t *l, const group_t *g) {
  ir_builder_t *b = l->k->b;
  const weight_t *w = &l->weight;
  int64_t ahead = (int64_t)l->k->spec->schedule.prefetch * 64;
  if (!ahead) return;
  for (int64_t line = 0; line < w->group_bytes; line += 64) {
    ir_value_t at = ir_advance(b, g->codes, ahead + line);
    ir_prefetch(b, at, 3);
  }
  if (!w->planes) return;
  ir_value_t at = ir_advance(b, g->scales.at, ahead * w->scale_tile_bytes / w->tile_bytes);
  ir_prefetch(b, at, 3);
}

static void accumulate(linear_t *l, const group_t *g, ir_value_t *acc, int tokens) {
  switch (l->k->spec->input) {
    case HONE_Q8: accumulate_codes(l, g, acc, tokens); break;
    case HONE_B1:
      signs_accumulate(l->k, &l->weight, g->codes, &g->scales, g->row, acc, tokens);
      break;
    default: accumulate_reals(l, g, acc, tokens); break;
  }
}

// The four outputs of token t from its accumulators.
static ir_value_t add_up(linear_t *l, const ir_value_t *acc, ir_value_t row, int t, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_type_t outputs = ir_vector(b, IR_REAL32, ROWS);
  if (k->spec->input == HONE_B1) {
    ir_value_t at = ir_advance(b, row, (int64_t)hone_padded(k->spec->K) / 8);
    ir_value_t scale = ir_load(b, k->real, at, 0);
    ir_value_t factor = ir_cast(b, broadcast, outputs, scale);
    return ir_op(b, mulf, acc[t], factor);
  }
  ir_value_t part[ROWS];
  for (int r = 0; r < ROWS; r++) part[r] = acc[r * tokens + t];
  ir_value_t y = math_sums(k, part, ROWS);
  if (l->weight.unit == 1.0) return y;
  ir_value_t unit = ir_real(b, outputs, l->weight.unit);
  return ir_op(b, mulf, y, unit);
}

// Outputs of tile `tile` for tokens [m, m + tokens).
static void emit_tile(linear_t *l, ir_value_t tile, ir_value_t m, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  ir_value_t codes = kernel_at(k, w->codes, tile, w->tile_bytes), scales = {0};
  ir_value_t height = ir_i64(b, ROWS);
  ir_value_t row = ir_op(b, muli, tile, height);
  if (w->planes) scales = kernel_at(k, w->scales, tile, w->scale_tile_bytes);
  ir_value_t rows[TOKENS_LIMIT], token[TOKENS_LIMIT], acc[ROWS * TOKENS_LIMIT];
  for (int t = 0; t < tokens; t++) {
    token[t] = kernel_plus(k, m, t);
    rows[t] = kernel_at(k, l->x, token[t], l->x_bytes);
  }
  bool is_signs = k->spec->input == HONE_B1;  // one accumulator has a lane for each row
  ir_type_t sums = is_signs ? ir_vector(b, IR_REAL32, ROWS) : k->reals;
  ir_value_t nothing = ir_real(b, sums, 0.0);
  int count = is_signs ? tokens : ROWS * tokens;
  for (int i = 0; i < count; i++) acc[i] = nothing;

  int64_t unroll = k->spec->schedule.unroll ? k->spec->schedule.unroll : 1;
  while (w->groups % unroll != 0) unroll--;
  ir_value_t groups = ir_i64(b, w->groups), step = ir_i64(b, unroll);
  IR_FOR_CARRY (b, first, k->zero, groups, step, acc, (size_t)count) {
    for (int64_t u = 0; u < unroll; u++) {
      ir_value_t index = kernel_plus(k, first, u);
      group_t g = open_group(l, codes, scales, row, rows, index, tokens);
      ask_ahead(l, &g);
      accumulate(l, &g, acc, tokens);
    }
  }
  for (int t = 0; t < tokens; t++) {
    ir_value_t y = add_up(l, acc, rows[t], t, tokens);
    finish(l, y, tile, token[t]);
  }
}

// Tokens in blocks of `tokens`, then of smaller sizes, over a chunk of tiles that stays in the L2
// cache meanwhile.
static void emit_chunk(linear_t *l, ir_value_t first, ir_value_t last, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t M = kernel_M(k), from = k->zero;
  for (int block = tokens; block > 0; block = block > 2 ? 2 : block - 1) {
    ir_value_t size = ir_i64(b, block);
    ir_value_t rest = ir_op(b, subi, M, from);
    ir_value_t blocks = ir_op(b, divui, rest, size);
    ir_value_t covered = ir_op(b, muli, blocks, size);
    ir_value_t to = ir_op(b, addi, from, covered);
    IR_FOR (b, m, from, to, size) {
      IR_FOR (b, tile, first, last, k->one) {
        emit_tile(l, tile, m, block);
      }
    }
    from = to;
  }
}

void emit_linear(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  linear_t l = {.k = k};
  bool f32 = spec->input == HONE_F32, signs = spec->input == HONE_B1;
  l.x = kernel_pointer(k, 0);
  ir_value_t weight = kernel_pointer(k, 1);
  l.weight = weight_open(k, weight, !f32);
  if (spec->bias) l.bias = kernel_pointer(k, 2);
  if (spec->residual) l.residual = kernel_pointer(k, 3);
  l.out = kernel_pointer(k, 4);
  l.x_bytes = (int64_t)hone_row_bytes(spec->input, spec->K);
  l.x_group_bytes = signs ? HONE_GROUP / 8 : f32 ? HONE_GROUP * 4 : HONE_GROUP;
  l.out_bytes = (int64_t)hone_row_bytes(HONE_F32, spec->glu ? spec->N / 2 : spec->N);

  if (spec->family == HONE_FAMILY_GEMV) {
    ir_value_t M = kernel_M(k);
    IR_FOR (b, tile, k->begin, k->end, k->one) {
      IR_FOR (b, m, k->zero, M, k->one) {
        emit_tile(&l, tile, m, 1);
      }
    }
    return;
  }
  int limit = (int)(f32 ? k->isa->tokens_f32 : k->isa->tokens_q8);
  if (signs) limit = TOKENS_LIMIT;
  uint32_t asked = spec->schedule.tokens;
  int tokens = asked && (int)asked < limit ? (int)asked : limit;
  int64_t chunk = CHUNK_BYTES / (l.weight.tile_bytes + l.weight.scale_tile_bytes);
  if (chunk < 1) chunk = 1;
  if (chunk > CHUNK_LIMIT) chunk = CHUNK_LIMIT;
  ir_value_t step = ir_i64(b, chunk);
  IR_FOR (b, first, k->begin, k->end, step) {
    ir_value_t next = ir_op(b, addi, first, step);
    ir_value_t last = ir_op(b, minsi, next, k->end);
    emit_chunk(&l, first, last, tokens);
  }
}
