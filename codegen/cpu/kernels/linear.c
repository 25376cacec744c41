// gemv and gemm: out = epilogue(x W^T), for every packed weight format, with f32 or q8 activation
// rows.
//
// A unit is a tile of 4 weight rows. For a block of T tokens it keeps 4 T vector accumulators; the
// lanes of accumulator (r, t) are partial sums over k, added up by a fixed tree at the end.
// Whatever T is, an output sees the same operations in the same order, so gemv, gemm and any split
// of tiles or tokens give the same bits.
//
// f32 rows:  acc += (code -> f32, times scale) * x, 64 elements of k per group.
// q8 rows:   acc += f32(integer dot product of the group) * (weight scale * row scale). AVX2
// multiplies |w| with x
//            carrying w's sign (vpmaddubsw wants one unsigned factor; |w| <= 127 keeps its 16-bit
//            sums exact). VNNI multiplies w + 128 with x and starts from -128 * (sum of the row's
//            group), which the row brings along.
#include "codegen/cpu/kernels/kernels.h"

enum { ROWS = HONE_TILE_ROWS, CHUNK_BYTES = 192 * 1024, CHUNK_LIMIT = 64 };

typedef struct linear {
  kernel_t *k;
  weight_layout_t layout;
  weight_tables_t tables;
  ir_value_t x, weight, bias, residual, out;
  int64_t x_bytes, out_bytes;  // row strides
  int64_t Kp;
} linear_t;

// The operands of one group of a tile and a block of tokens.
typedef struct group {
  ir_value_t codes, scales;      // the tile's
  ir_value_t row[TOKENS_LIMIT];  // f32: the rows' elements; q8: the rows' codes
  ir_value_t row_scale[TOKENS_LIMIT], row_sum[TOKENS_LIMIT];  // q8: pointers
} group_t;

static void accumulate_reals(linear_t *l, const group_t *g, ir_value_t *acc, int tokens) {
  kernel_t *k = l->k;
  ir_value_t scale[ROWS] = {0}, row[ROWS];
  weight_tables_t tables[ROWS];
  ir_value_t scales = l->layout.scaled ? weight_scales(k, g->scales) : (ir_value_t){0};
  for (int r = 0; r < ROWS; r++) {
    row[r] = ir_advance(k->b, g->codes, r * l->layout.row_bytes);
    if (l->layout.scaled) scale[r] = math_lane_splat(k, scales, r);
    tables[r] = weight_tables_scale(k, &l->tables, scale[r]);
  }
  for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
    ir_value_t x[TOKENS_LIMIT];
    for (int t = 0; t < tokens; t++) {
      ir_value_t at = ir_advance(k->b, g->row[t], (int64_t)v * k->lanes * 4);
      x[t] = ir_load(k->b, k->reals, at, 0);
    }
    for (int r = 0; r < ROWS; r++) {
      ir_value_t w = weight_reals(k, &l->layout, &tables[r], row[r], v, scale[r]);
      for (int t = 0; t < tokens; t++)
        acc[r * tokens + t] = ir_op(k->b, fma, w, x[t], acc[r * tokens + t]);
    }
  }
}

// int8 weights of a row's group on VNNI: 64 bytes, each code + 128.
static ir_value_t codes_vnni(linear_t *l, ir_value_t row) {
  ir_builder_t *b = l->k->b;
  ir_type_t bytes = ir_vector(b, IR_I8, 64);
  if (l->layout.storage == HONE_Q8) {
    ir_value_t codes = ir_load(b, bytes, row, 0);
    ir_value_t sign = ir_int(b, bytes, -128);
    return ir_op(b, xori, codes, sign);
  }
  int64_t twice[64];
  int16_t places[32];
  for (int i = 0; i < 64; i++) twice[i] = i % 32;
  for (int i = 0; i < 32; i++) places[i] = i < 16 ? 0 : 4;
  ir_value_t packed = ir_load(b, ir_vector(b, IR_I8, 32), row, 0);
  ir_value_t both = ir_shuffle(b, packed, packed, 64, twice);
  ir_value_t shorts = ir_cast(b, bitcast, ir_vector(b, IR_I16, 32), both);
  ir_value_t by = ir_shorts(b, 32, places);
  ir_value_t shifted = ir_op(b, shrui, shorts, by);
  ir_value_t nibbles = ir_cast(b, bitcast, bytes, shifted);
  ir_value_t index = ir_op(b, andi, nibbles, l->tables.nibble);
  return ir_intrinsic(b, "llvm.x86.avx512.pshuf.b.512", bytes, l->tables.codes, index);
}

// The same on AVX2: two vectors of 32 signed codes.
static void codes_avx2(linear_t *l, ir_value_t row, ir_value_t out[2]) {
  ir_builder_t *b = l->k->b;
  ir_type_t bytes = ir_vector(b, IR_I8, 32);
  out[0] = ir_load(b, bytes, row, 0);
  if (l->layout.storage == HONE_Q8) {
    ir_value_t next = ir_advance(b, row, 32);
    out[1] = ir_load(b, bytes, next, 0);
    return;
  }
  ir_type_t shorts = ir_vector(b, IR_I16, 16);
  ir_value_t words = ir_cast(b, bitcast, shorts, out[0]);
  ir_value_t four = ir_int(b, shorts, 4);
  ir_value_t shifted = ir_op(b, shrui, words, four);
  ir_value_t upper = ir_cast(b, bitcast, bytes, shifted);
  ir_value_t index[2];
  index[0] = ir_op(b, andi, out[0], l->tables.nibble);
  index[1] = ir_op(b, andi, upper, l->tables.nibble);
  for (int h = 0; h < 2; h++) {
    out[h] = ir_intrinsic(b, "llvm.x86.avx2.pshuf.b", bytes, l->tables.codes, index[h]);
  }
}

// Integer dot product of signed codes w with x, as 8 lanes of i32.
static ir_value_t dot_avx2(kernel_t *k, const ir_value_t w[2], const ir_value_t size[2],
                           const ir_value_t x[2]) {
  ir_builder_t *b = k->b;
  ir_type_t bytes = ir_vector(b, IR_I8, 32), shorts = ir_vector(b, IR_I16, 16);
  ir_value_t unit = ir_int(b, shorts, 1), part[2];
  for (int h = 0; h < 2; h++) {
    ir_value_t carried = ir_intrinsic(b, "llvm.x86.avx2.psign.b", bytes, x[h], w[h]);
    ir_value_t pairs = ir_intrinsic(b, "llvm.x86.avx2.pmadd.ub.sw", shorts, size[h], carried);
    part[h] = ir_intrinsic(b, "llvm.x86.avx2.pmadd.wd", k->words, pairs, unit);
  }
  return ir_op(b, addi, part[0], part[1]);
}

// -128 * sum in lane 0: what w + 128 adds to the dot product.
static ir_value_t correction(kernel_t *k, ir_value_t pointer) {
  ir_value_t sum = ir_load(k->b, k->i32, pointer, 0);
  ir_value_t factor = ir_int(k->b, k->i32, -128);
  ir_value_t minus = ir_op(k->b, muli, sum, factor);
  ir_value_t nothing = ir_int(k->b, k->words, 0);
  return ir_lane_set(k->b, nothing, minus, 0);
}

static void accumulate_codes(linear_t *l, const group_t *g, ir_value_t *acc, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  bool vnni = k->isa->vnni;
  ir_type_t four = ir_vector(b, IR_REAL32, ROWS), bytes = ir_vector(b, IR_I8, k->isa->bytes);
  ir_value_t scales = weight_scales(k, g->scales);
  ir_value_t x[TOKENS_LIMIT][2], scale[TOKENS_LIMIT], start[TOKENS_LIMIT];
  for (int t = 0; t < tokens; t++) {
    ir_value_t row_scale = ir_load(b, k->real, g->row_scale[t], 0);
    ir_value_t spread = ir_cast(b, broadcast, four, row_scale);
    scale[t] = ir_op(b, mulf, scales, spread);
    x[t][0] = ir_load(b, bytes, g->row[t], 0);
    if (vnni) {
      start[t] = correction(k, g->row_sum[t]);
    } else {
      ir_value_t next = ir_advance(b, g->row[t], 32);
      x[t][1] = ir_load(b, bytes, next, 0);
    }
  }
  for (int r = 0; r < ROWS; r++) {
    ir_value_t row = ir_advance(b, g->codes, r * l->layout.row_bytes), w[2], size[2];
    if (vnni) {
      w[0] = codes_vnni(l, row);
    } else {
      codes_avx2(l, row, w);
      for (int h = 0; h < 2; h++) size[h] = ir_op(b, abs, w[h]);
    }
    for (int t = 0; t < tokens; t++) {
      ir_value_t dot =
          vnni ? ir_intrinsic(b, "llvm.x86.avx512.vpdpbusd.512", k->words, start[t], w[0], x[t][0])
               : dot_avx2(k, w, size, x[t]);
      ir_value_t real = ir_cast(b, sitofp, k->reals, dot);
      ir_value_t factor = math_lane_splat(k, scale[t], r);
      acc[r * tokens + t] = ir_op(b, fma, real, factor, acc[r * tokens + t]);
    }
  }
}

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
  int64_t written = l->layout.tiles * width * 4;
  if (written < l->out_bytes) {
    ir_value_t last = ir_i64(b, l->layout.tiles - 1);
    ir_value_t is_last = ir_op(b, eq, tile, last);
    IR_IF (b, is_last) {
      ir_value_t pad = ir_advance(b, row, written);
      zero_bytes(k, pad, l->out_bytes - written);
    }
  }
}

// Outputs of tile `tile` for tokens [m, m + tokens).
static void emit_tile(linear_t *l, ir_value_t tile, ir_value_t m, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_layout_t *layout = &l->layout;
  bool q8 = k->spec->input == HONE_Q8;
  ir_value_t codes = kernel_at(k, l->weight, tile, layout->tile_bytes);
  ir_value_t plane = ir_advance(b, l->weight, layout->scaled ? layout->scale_offset : 0);
  ir_value_t scales = kernel_at(k, plane, tile, layout->scale_tile_bytes);
  ir_value_t rows[TOKENS_LIMIT], token[TOKENS_LIMIT], acc[ROWS * TOKENS_LIMIT];
  for (int t = 0; t < tokens; t++) {
    token[t] = kernel_plus(k, m, t);
    rows[t] = kernel_at(k, l->x, token[t], l->x_bytes);
  }
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  for (int i = 0; i < ROWS * tokens; i++) acc[i] = nothing;

  int64_t unroll = k->spec->unroll ? k->spec->unroll : 1;
  while (layout->groups % unroll != 0) unroll--;
  ir_value_t groups = ir_i64(b, layout->groups), step = ir_i64(b, unroll);
  IR_FOR_CARRY (b, first, k->zero, groups, step, acc, (size_t)(ROWS * tokens)) {
    for (int64_t u = 0; u < unroll; u++) {
      group_t g = {0};
      ir_value_t index = kernel_plus(k, first, u);
      g.codes = kernel_at(k, codes, index, layout->group_bytes);
      g.scales = kernel_at(k, scales, index, ROWS * 2);
      for (int t = 0; t < tokens; t++) {
        g.row[t] = kernel_at(k, rows[t], index, q8 ? HONE_GROUP : HONE_GROUP * 4);
        if (!q8) continue;
        quantized_row_t at = quantized_row_at(k, rows[t], index);
        g.row_scale[t] = at.scales;
        g.row_sum[t] = at.sums;
      }
      if (q8)
        accumulate_codes(l, &g, acc, tokens);
      else
        accumulate_reals(l, &g, acc, tokens);
    }
  }
  for (int t = 0; t < tokens; t++) {
    ir_value_t part[ROWS];
    for (int r = 0; r < ROWS; r++) part[r] = acc[r * tokens + t];
    ir_value_t y = math_sums(k, part, ROWS);
    if (q8 && layout->storage == HONE_NF4) {  // the int8 table is 127 times the real one
      ir_value_t unit = ir_real(b, ir_vector(b, IR_REAL32, ROWS), 1.0 / 127.0);
      y = ir_op(b, mulf, y, unit);
    }
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
  linear_t l = {.k = k, .layout = weight_layout(spec), .Kp = (int64_t)hone_padded(spec->K)};
  bool q8 = spec->input == HONE_Q8;
  l.x = kernel_pointer(k, 0);
  l.weight = kernel_pointer(k, 1);
  if (spec->bias) l.bias = kernel_pointer(k, 2);
  if (spec->residual) l.residual = kernel_pointer(k, 3);
  l.out = kernel_pointer(k, 4);
  l.x_bytes = (int64_t)hone_row_bytes(spec->input, spec->K);
  l.out_bytes = (int64_t)hone_row_bytes(HONE_F32, spec->glu ? spec->N / 2 : spec->N);
  l.tables = q8 ? weight_tables_code(k, spec->weight.storage) : weight_tables_real(k, spec->weight.storage);

  if (spec->family == HONE_FAMILY_GEMV) {
    ir_value_t M = kernel_M(k);
    IR_FOR (b, tile, k->begin, k->end, k->one) {
      IR_FOR (b, m, k->zero, M, k->one) {
        emit_tile(&l, tile, m, 1);
      }
    }
    return;
  }
  int limit = (int)(q8 ? k->isa->tokens_q8 : k->isa->tokens_f32);
  int tokens = spec->tokens && (int)spec->tokens < limit ? (int)spec->tokens : limit;
  int64_t chunk =
      CHUNK_BYTES / (l.layout.tile_bytes + (l.layout.scaled ? l.layout.scale_tile_bytes : 0));
  if (chunk < 1) chunk = 1;
  if (chunk > CHUNK_LIMIT) chunk = CHUNK_LIMIT;
  ir_value_t step = ir_i64(b, chunk);
  IR_FOR (b, first, k->begin, k->end, step) {
    ir_value_t next = ir_op(b, addi, first, step);
    ir_value_t last = ir_op(b, minsi, next, k->end);
    emit_chunk(&l, first, last, tokens);
  }
}
