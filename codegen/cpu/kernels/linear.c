// gemv, flat and gemm: out = epilogue(x W^T), for every packed weight format, with f32, q8 or b1
// activation rows.
//
// A lane is a row of weights. A unit is a block of `rows` rows (one to four tiles), or as many
// blocks as make a group of outputs that are quantized together, or whole heads; for T tokens a
// block keeps an accumulator for each vector of rows and token, to which one group of 64 columns
// after the other is added. Whatever family, block or split of units and tokens: an output sees the
// same operations in the same order, so all give the same bits.
//
//   gemv   one token at a time, each unit's weights read once: decode
//   flat   blocks of T tokens; weights are decoded in registers for each block, and a chunk of
//          units stays in the cache while all blocks pass: few tokens
//   gemm   weights of a unit are decoded once, a run of groups at a time, into a panel on the
//          stack, and as many tokens as stay in the cache pass over it: many tokens. With AMX, q8
//          rows do so 16 at a time (linear_tile.c)
#include "codegen/cpu/kernels/linear.h"

#include "codegen/cpu/linear_block.h"

enum {
  CHUNK_KIB = 192,  // flat
  CHUNK_LIMIT = 64
};

// ---- register blocks
static int count_of(const linear_t *l, const linear_block_t *block) {
  return l->vectors * block->tokens;
}

static void clear(linear_t *l, const linear_block_t *block, ir_value_t *acc) {
  ir_value_t nothing = ir_real(l->k->b, l->k->reals, 0.0);
  for (int i = 0; i < count_of(l, block); i++) acc[i] = nothing;
}

static ir_value_t tile_of(linear_t *l, const linear_block_t *block, int v) {
  return kernel_plus(l->k, block->tile, (block->first + v) / l->weight.halves);
}

static linear_group_t open_group(linear_t *l, const linear_block_t *block, ir_value_t index) {
  kernel_t *k = l->k;
  const weight_t *w = &l->weight;
  linear_group_t g = {.first = block->first, .tokens = block->tokens};
  for (int i = block->first / w->halves; i * w->halves < block->first + l->vectors; i++) {
    ir_value_t tile = kernel_plus(k, block->tile, i);
    g.place[i] = weight_place(k, w, tile, index);
  }
  ir_value_t row = kernel_at(k, l->x, block->m, l->x_bytes);
  switch (k->spec->input) {
    case HONE_Q8: {
      quantized_row_t at = quantized_row_at(k, k->spec->K, row, index);
      g.x = at.codes, g.scale = at.scales, g.sum = at.sums, g.parts = at.parts;
      break;
    }
    case HONE_B1: g.x = kernel_at(k, row, index, HONE_GROUP / 8); break;
    default: g.x = kernel_at(k, row, index, HONE_GROUP * 4); break;
  }
  return g;
}

// Weights are read once, in order, through tiles: without help a core waits at every page of them.
static void ask_ahead(linear_t *l, const linear_group_t *g) {
  ir_builder_t *b = l->k->b;
  const weight_t *w = &l->weight;
  int64_t ahead = (int64_t)l->k->spec->schedule.prefetch * LINE_BYTES;
  if (!ahead) return;
  for (int i = g->first / w->halves; i * w->halves < g->first + l->vectors; i++) {
    for (int64_t line = 0; line < w->group_bytes; line += LINE_BYTES) {
      ir_value_t at = ir_advance(b, g->place[i].codes, ahead + line);
      ir_prefetch(b, at, 3);
    }
    if (w->is_plain) continue;
    ir_value_t at = ir_advance(b, g->place[i].scales, ahead * w->scale_tile_bytes / w->tile_bytes);
    ir_prefetch(b, at, 3);
  }
}

static void accumulate(linear_t *l, const linear_group_t *g, ir_value_t *acc) {
  switch (l->k->spec->input) {
    case HONE_Q8: linear_codes(l, g, acc); break;
    case HONE_B1: linear_signs(l, g, acc); break;
    default: linear_reals(l, g, acc); break;
  }
}

// Adds groups [from, to), a multiple of `unroll`; `panel` holds them decoded if it is not null.
static void add_groups(linear_t *l, const linear_block_t *block, ir_value_t from, ir_value_t to,
                       int64_t unroll, ir_value_t panel, ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t step = ir_i64(b, unroll);
  IR_FOR_CARRY (b, first, from, to, step, acc, (size_t)count_of(l, block)) {
    for (int64_t u = 0; u < unroll; u++) {
      ir_value_t index = kernel_plus(k, first, u);
      linear_group_t g = open_group(l, block, index);
      if (panel.ptr) {
        ir_value_t after = ir_op(b, subi, index, from);
        g.panel = kernel_at(k, panel, after, linear_panel_bytes(l));
      } else {
        ask_ahead(l, &g);
      }
      accumulate(l, &g, acc);
    }
  }
}

// Times what all weights or the token share, then the epilogue.
void linear_finish(linear_t *l, const linear_block_t *block, const ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  for (int t = 0; t < block->tokens; t++) {
    ir_value_t m = kernel_plus(k, block->m, t), factor = {0};
    if (k->spec->input == HONE_B1) {
      ir_value_t row = kernel_at(k, l->x, m, l->x_bytes);
      ir_value_t at = ir_advance(b, row, (int64_t)hone_padded(k->spec->K) / 8);
      ir_value_t scale = ir_load(b, k->real, at, 0);
      factor = math_splat(k, scale);
    } else if (l->weight.unit != 1.0) {
      factor = ir_real(b, k->reals, l->weight.unit);
    }
    for (int v = 0; v < l->vectors; v++) {
      ir_value_t y = acc[v * block->tokens + t];
      if (factor.ptr) y = ir_op(b, mulf, y, factor);
      linear_output(l, y, tile_of(l, block, v), (block->first + v) % l->weight.halves, m);
    }
  }
}

// A divisor of the groups, and of those of a fold if there are several.
static int64_t unroll_of(const linear_t *l) {
  int64_t unroll = l->k->spec->schedule.unroll ? l->k->spec->schedule.unroll : 1;
  bool has_folds = l->weight.groups > HONE_FOLD;
  while (l->weight.groups % unroll != 0 || (has_folds && HONE_FOLD % unroll != 0)) unroll--;
  return unroll;
}

void linear_sum(linear_t *l, const linear_block_t *block, ir_value_t from, ir_value_t to,
                ir_value_t *acc) {
  ir_value_t none = {0};
  clear(l, block, acc);
  add_groups(l, block, from, to, unroll_of(l), none, acc);
}

// All rows of the block from tile `tile` on, for tokens [m, m + tokens).
static void emit_block(linear_t *l, ir_value_t tile, ir_value_t m, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t groups = ir_i64(b, l->weight.groups), step = ir_i64(b, HONE_FOLD);
  FOR_TURNS(l, first) {
    ir_value_t total[ACCUMULATORS_LIMIT];
    linear_block_t block = {tile, m, first, tokens};
    int count = count_of(l, &block);
    if (l->weight.groups <= HONE_FOLD) {
      linear_sum(l, &block, k->zero, groups, total);
    } else {
      clear(l, &block, total);
      IR_FOR_CARRY (b, from, k->zero, groups, step, total, (size_t)count) {
        ir_value_t acc[ACCUMULATORS_LIMIT], next = ir_op(b, addi, from, step);
        ir_value_t to = ir_op(b, minsi, next, groups);
        linear_sum(l, &block, from, to, acc);
        for (int i = 0; i < count; i++) total[i] = ir_op(b, addf, total[i], acc[i]);
      }
    }
    linear_finish(l, &block, total);
  }
}

static void emit_unit(linear_t *l, ir_value_t unit, ir_value_t m, int tokens) {
  kernel_t *k = l->k;
  if (l->split > 1) {
    linear_split_add(l, unit, m, tokens);
    return;
  }
  ir_value_t end = kernel_plus(k, m, tokens);
  ir_value_t low = kernel_times(k, unit, l->unit_tiles);
  linear_unit_begin(l, unit, m, end);
  if (l->unit_tiles == l->tiles) {
    emit_block(l, low, m, tokens);
  } else {
    ir_value_t all = ir_i64(k->b, l->weight.tiles), step = ir_i64(k->b, l->tiles);
    ir_value_t past = kernel_plus(k, low, l->unit_tiles);
    ir_value_t high = ir_op(k->b, minsi, past, all);
    IR_FOR (k->b, tile, low, high, step) {
      emit_block(l, tile, m, tokens);
    }
  }
  linear_unit_end(l, unit, m, end);
}

// ---- blocks of tokens: as many of `most` as there are, then the next smaller size
static int smaller_block(int tokens) { return tokens > 4 ? 4 : tokens > 2 ? 2 : tokens - 1; }

ir_value_t linear_cover(kernel_t *k, ir_value_t from, ir_value_t to, int tokens) {
  ir_value_t size = ir_i64(k->b, tokens);
  ir_value_t rest = ir_op(k->b, subi, to, from);
  ir_value_t blocks = ir_op(k->b, divui, rest, size);
  ir_value_t covered = ir_op(k->b, muli, blocks, size);
  return ir_op(k->b, addi, from, covered);
}

static void emit_gemv(linear_t *l) {
  kernel_t *k = l->k;
  ir_value_t M = kernel_M(k);
  IR_FOR (k->b, unit, k->begin, k->end, k->one) {
    IR_FOR (k->b, m, k->zero, M, k->one) {
      emit_unit(l, unit, m, 1);
    }
    linear_split_end(l, unit, M);
  }
}

static void emit_flat(linear_t *l, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  int64_t kib = k->spec->schedule.chunk ? k->spec->schedule.chunk : CHUNK_KIB;
  int64_t unit_bytes = (l->weight.tile_bytes + l->weight.scale_tile_bytes) * l->unit_tiles;
  int64_t chunk = kib * 1024 * (l->split > 1 ? l->split : 1) / unit_bytes;
  chunk = chunk < 1 ? 1 : chunk > CHUNK_LIMIT ? CHUNK_LIMIT : chunk;
  ir_value_t M = kernel_M(k), step = ir_i64(b, chunk);
  IR_FOR (b, first, k->begin, k->end, step) {
    ir_value_t next = ir_op(b, addi, first, step);
    ir_value_t last = ir_op(b, minsi, next, k->end), from = k->zero;
    for (int block = tokens; block > 0; block = smaller_block(block)) {
      ir_value_t size = ir_i64(b, block), to = linear_cover(k, from, M, block);
      IR_FOR (b, m, from, to, size) {
        IR_FOR (b, unit, first, last, k->one) {
          emit_unit(l, unit, m, block);
        }
      }
      from = to;
    }
    if (l->split <= 1) continue;
    IR_FOR (b, unit, first, last, k->one) {
      linear_split_end(l, unit, M);
    }
  }
}

// ---- gemm
static ir_value_t sum_at(linear_t *l, const linear_pass_t *pass, ir_value_t m) {
  ir_value_t after = ir_op(l->k->b, subi, m, pass->from);
  return kernel_at(l->k, pass->sums, after, (int64_t)l->vectors * l->k->lanes * 4);
}

static void move_sums(linear_t *l, const linear_pass_t *pass, const linear_block_t *block,
                      ir_value_t *acc, bool store) {
  kernel_t *k = l->k;
  ir_value_t sums = sum_at(l, pass, block->m);
  for (int i = 0; i < count_of(l, block); i++) {
    int v = i / block->tokens, t = i % block->tokens;
    ir_value_t at = ir_advance(k->b, sums, (int64_t)(t * l->vectors + v) * k->lanes * 4);
    if (store)
      ir_store(k->b, acc[i], at, k->lanes * 4);
    else
      acc[i] = ir_load(k->b, k->reals, at, k->lanes * 4);
  }
}

// Groups [from, to) of a panel that begins with group `begin` onto the sums of a block's tokens.
static void add_fold(linear_t *l, const linear_pass_t *pass, const linear_block_t *block,
                     ir_value_t begin, ir_value_t from, ir_value_t to) {
  kernel_t *k = l->k;
  ir_value_t acc[ACCUMULATORS_LIMIT], total[ACCUMULATORS_LIMIT];
  ir_value_t before = ir_op(k->b, subi, from, begin);
  ir_value_t panel = kernel_at(k, pass->panel, before, linear_panel_bytes(l));
  clear(l, block, acc);
  add_groups(l, block, from, to, 1, panel, acc);
  move_sums(l, pass, block, total, false);
  for (int i = 0; i < count_of(l, block); i++) acc[i] = ir_op(k->b, addf, total[i], acc[i]);
  move_sums(l, pass, block, acc, true);
}

// Groups [from, to) into the panel, then onto every token's sums.
static void add_run(linear_t *l, const linear_pass_t *pass, ir_value_t tile, int first,
                    ir_value_t from, ir_value_t to, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  IR_FOR (b, index, from, to, k->one) {
    linear_block_t block = {tile, pass->from, first, 1};
    linear_group_t g = open_group(l, &block, index);
    ir_value_t after = ir_op(b, subi, index, from);
    ir_value_t at = kernel_at(k, pass->panel, after, linear_panel_bytes(l));
    linear_decode(l, &g, at);
  }
  ir_value_t low = pass->from, fold = ir_i64(b, HONE_FOLD);
  for (int size = tokens; size > 0; size = smaller_block(size)) {
    ir_value_t step = ir_i64(b, size), high = linear_cover(k, low, pass->to, size);
    IR_FOR (b, m, low, high, step) {
      ir_value_t acc[ACCUMULATORS_LIMIT];
      linear_block_t block = {tile, m, first, size};
      if (l->weight.groups <= HONE_FOLD) {  // one run
        clear(l, &block, acc);
        add_groups(l, &block, from, to, 1, pass->panel, acc);
        move_sums(l, pass, &block, acc, true);
        continue;
      }
      IR_FOR (b, group, from, to, fold) {
        ir_value_t next = ir_op(b, addi, group, fold), past = ir_op(b, minsi, next, to);
        add_fold(l, pass, &block, from, group, past);
      }
    }
    low = high;
  }
}

// The sums of a fold that ends with group `to` onto the totals.
static void end_fold(linear_t *l, const linear_pass_t *pass, ir_value_t tile, ir_value_t to,
                     ir_value_t cleared) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  linear_pass_t totals = *pass;
  totals.sums = pass->totals;
  ir_value_t groups = ir_i64(b, l->weight.groups), fold = ir_i64(b, HONE_FOLD);
  ir_value_t whole = ir_op(b, divui, to, fold), before = ir_op(b, muli, whole, fold);
  ir_value_t is_whole = ir_op(b, eq, before, to), is_last = ir_op(b, eq, to, groups);
  ir_value_t is_end = ir_op(b, ori, is_whole, is_last);
  IR_IF (b, is_end) {
    IR_FOR (b, m, pass->from, cleared, k->one) {
      ir_value_t acc[ACCUMULATORS_LIMIT], total[ACCUMULATORS_LIMIT];
      linear_block_t block = {tile, m, 0, 1};
      move_sums(l, pass, &block, acc, false);
      move_sums(l, &totals, &block, total, false);
      for (int v = 0; v < l->vectors; v++) total[v] = ir_op(b, addf, total[v], acc[v]);
      move_sums(l, &totals, &block, total, true);
      clear(l, &block, acc);
      move_sums(l, pass, &block, acc, true);
    }
  }
}

static void emit_pass(linear_t *l, const linear_pass_t *pass, const linear_tiles_t *tiles,
                      ir_value_t tile, int64_t run, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t groups = ir_i64(b, l->weight.groups), step = ir_i64(b, run), cleared = pass->to;
  if (tiles) {  // whole tiles of tokens
    ir_value_t past = kernel_plus(k, pass->to, HONE_TILE_ROWS - 1);
    cleared = linear_cover(k, pass->from, past, HONE_TILE_ROWS);
  }
  bool has_folds = tiles && l->weight.groups > HONE_FOLD;
  linear_pass_t totals = *pass;
  totals.sums = pass->totals;
  FOR_TURNS(l, first) {
    IR_FOR (b, m, pass->from, cleared, k->one) {
      ir_value_t acc[ACCUMULATORS_LIMIT];
      linear_block_t block = {tile, m, first, 1};
      clear(l, &block, acc);
      move_sums(l, pass, &block, acc, true);
      if (has_folds) move_sums(l, &totals, &block, acc, true);
    }
    IR_FOR (b, from, k->zero, groups, step) {
      ir_value_t next = ir_op(b, addi, from, step);
      ir_value_t to = ir_op(b, minsi, next, groups);
      if (tiles)
        linear_tiles_run(l, tiles, pass, tile, from, to);
      else
        add_run(l, pass, tile, first, from, to, tokens);
      if (has_folds) end_fold(l, pass, tile, to, cleared);
    }
    IR_FOR (b, m, pass->from, pass->to, k->one) {
      ir_value_t acc[ACCUMULATORS_LIMIT];
      linear_block_t block = {tile, m, first, 1};
      move_sums(l, &totals, &block, acc, false);
      linear_finish(l, &block, acc);
    }
  }
}

static void emit_gemm(linear_t *l, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  int64_t run = hone_cpu_linear_run(k->spec, k->isa);
  linear_pass_t pass = {0};
  linear_tiles_t tiles;
  int64_t sums_bytes = (int64_t)l->pass_tokens * l->vectors * k->lanes * 4;
  if (k->isa->tiles)
    linear_tiles_open(l, run, &tiles);
  else
    pass.panel = ir_stack(b, run * linear_panel_bytes(l), 64);
  pass.sums = ir_stack(b, sums_bytes, 64);
  pass.totals = pass.sums;
  if (k->isa->tiles && l->weight.groups > HONE_FOLD) pass.totals = ir_stack(b, sums_bytes, 64);
  ir_value_t M = kernel_M(k), step = ir_i64(b, l->pass_tokens);
  IR_FOR (b, from, k->zero, M, step) {
    ir_value_t next = ir_op(b, addi, from, step);
    pass.from = from;
    pass.to = ir_op(b, minsi, next, M);
    IR_FOR (b, unit, k->begin, k->end, k->one) {
      ir_value_t low = kernel_times(k, unit, l->unit_tiles);
      ir_value_t past = kernel_plus(k, low, l->unit_tiles);
      ir_value_t all = ir_i64(b, l->weight.tiles), block = ir_i64(b, l->tiles);
      ir_value_t high = ir_op(b, minsi, past, all);
      linear_unit_begin(l, unit, pass.from, pass.to);
      IR_FOR (b, tile, low, high, block) {
        emit_pass(l, &pass, k->isa->tiles ? &tiles : NULL, tile, run, tokens);
      }
      linear_unit_end(l, unit, pass.from, pass.to);
    }
  }
  if (k->isa->tiles) linear_tiles_close(l);
}

void emit_linear(kernel_t *k) {
  const hone_kernel_spec_t *spec = k->spec;
  linear_t l = {.k = k};
  l.x = kernel_pointer(k, 0);
  ir_value_t weight = kernel_pointer(k, 1);
  l.weight = weight_open(k, weight, spec->input != HONE_F32);
  if (spec->bias) l.bias = kernel_pointer(k, 2);
  if (spec->residual) l.residual = kernel_pointer(k, 3);
  l.out = kernel_pointer(k, 4);
  l.x_bytes = (int64_t)hone_row_bytes(spec->input, spec->K);
  l.out_bytes = (int64_t)hone_row_bytes(spec->output, spec->glu ? spec->N / 2 : spec->N);
  l.unit_tiles = (int)(hone_kernel_spec_rows(spec) / HONE_TILE_ROWS);
  l.tiles = (int)(hone_cpu_linear_rows(spec) / HONE_TILE_ROWS);
  l.vectors = (int)hone_cpu_linear_vectors(spec, k->isa);
  l.split = (int)spec->schedule.split;
  if (l.split > 1) l.parts = kernel_pointer(k, 8);
  int tokens = (int)hone_cpu_linear_tokens(spec, k->isa);
  l.pass_tokens = (int)hone_cpu_linear_pass(spec, k->isa);
  int64_t waiting = spec->family == HONE_FAMILY_GEMM ? l.pass_tokens : tokens;
  if (spec->rope) l.rope = rope_open(k, 5);
  if (spec->output == HONE_Q8) l.wait = ir_stack(k->b, waiting * HONE_GROUP * 4, 64);
  switch (spec->family) {
    case HONE_FAMILY_GEMV: emit_gemv(&l); break;
    case HONE_FAMILY_FLAT: emit_flat(&l, tokens); break;
    default: emit_gemm(&l, tokens); break;
  }
}
