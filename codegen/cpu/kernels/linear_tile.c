// gemm on q8 rows by AMX tiles: a product is of 16 tokens, 16 rows of weights and the columns of a
// scale, at most 64. The codes of tokens are a tile as they lie; those of weights are one as the
// panel holds them, decoded to signed codes. What scales do to a product is what linear_codes
// does, in the same order, so the bits are the same.
//
// Scales of weights are decoded with their codes, since many tokens use them. The panel is
// (vectors of rows, groups, planes, quads), so that a block's products run through it from
// beginning to end, while the tokens' codes stay in the first-level cache from one vector of rows
// to the next. A product is stored one step after it was started and scaled one step after it was
// stored, through all blocks: vector units never wait for tiles. The last two that are started are
// of no use; they are of the last block again.
//
// Tokens that fill no tile are copied to one, a run of groups at a time. What its other rows hold
// is multiplied and never looked at; their scales are zero.
#include "codegen/cpu/kernels/linear.h"

enum { LEFT, RIGHT, PRODUCT, TILES };  // tile registers
enum { TOKENS = 16, TILE_BYTES = 1024, AHEAD = 2 };
// After the accumulators: where the next product to be scaled is; group, byte in the panel and byte
// of the block's codes of the next one to be started.
enum { SLOT = TOKENS, GROUP, OFFSET, BLOCK, CARRIED };

// The groups of a run, of blocks of 16 tokens: pointers to the first token's, and strides between
// tokens.
typedef struct source {
  ir_value_t codes, scales;
  int64_t codes_bytes, scales_bytes;
  ir_value_t count;                    // of groups
  ir_value_t panel_bytes, last_block;  // where OFFSET and BLOCK end
  ir_value_t ahead;                    // to weights that are decoded later
} source_t;

static int product_count(const linear_t *l) { return l->weight.parts * l->weight.planes; }
static int64_t group_bytes(const linear_t *l) { return (int64_t)l->weight.planes * TILE_BYTES; }
static int64_t scale_bytes(const linear_t *l) { return (int64_t)product_count(l) * LINE_BYTES; }

// ---- instructions
static ir_value_t tile(kernel_t *k, int number) { return ir_int(k->b, k->i8, number); }

static void load_tile(kernel_t *k, int number, ir_value_t at, int64_t stride) {
  ir_value_t register_number = tile(k, number), bytes = ir_i64(k->b, stride);
  ir_value_t operands[] = {register_number, at, bytes};
  ir_effect(k->b, "llvm.x86.tileloadd64", operands, 3);
}

static void store_product(linear_t *l, const linear_tiles_t *tiles, ir_value_t slot) {
  kernel_t *k = l->k;
  ir_value_t at = ir_offset(k->b, tiles->products, slot);
  ir_value_t product = tile(k, PRODUCT), bytes = ir_i64(k->b, LINE_BYTES);
  ir_value_t operands[] = {product, at, bytes};
  ir_effect(k->b, "llvm.x86.tilestored64", operands, 3);
}

// Palette 1: bytes of a row from 16 on, two bytes each, and rows from 48 on.
static void configure(linear_t *l) {
  kernel_t *k = l->k;
  int parts = l->weight.parts;
  int8_t bytes[LINE_BYTES] = {1};
  for (int i = 0; i < TILES; i++) {
    bytes[16 + 2 * i] = (int8_t)(i == LEFT ? HONE_GROUP / parts : LINE_BYTES);
    bytes[48 + i] = (int8_t)(i == RIGHT ? QUADS / parts : TOKENS);
  }
  ir_value_t at = ir_stack(k->b, LINE_BYTES, LINE_BYTES);
  ir_value_t value = ir_bytes(k->b, LINE_BYTES, bytes);
  ir_store(k->b, value, at, LINE_BYTES);
  ir_effect(k->b, "llvm.x86.ldtilecfg", &at, 1);
}

void linear_tiles_open(linear_t *l, int64_t run, linear_tiles_t *out) {
  kernel_t *k = l->k;
  int64_t groups = run * l->vectors, tail_bytes = run * HONE_GROUP;
  configure(l);
  *out = (linear_tiles_t){.run = run};
  out->panel = ir_stack(k->b, groups * group_bytes(l), LINE_BYTES);
  out->scales = ir_stack(k->b, groups * scale_bytes(l), LINE_BYTES);
  out->products = ir_stack(k->b, (int64_t)2 * TILE_BYTES, LINE_BYTES);
  out->tail = ir_stack(k->b, TOKENS * tail_bytes, LINE_BYTES);
  out->tail_scales = ir_stack(k->b, TOKENS * run * 4, LINE_BYTES);
  zero_bytes(k, out->tail_scales, TOKENS * run * 4);
}

void linear_tiles_close(linear_t *l) { ir_effect(l->k->b, "llvm.x86.tilerelease", NULL, 0); }

// ---- panel
static void decode_group(linear_t *l, const linear_tiles_t *tiles, ir_value_t row_tile,
                         ir_value_t index, ir_value_t number) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  linear_t one = *l;
  one.vectors = 1;
  linear_group_t g = {.x = l->x};
  g.place[0] = weight_place(k, w, row_tile, index);
  ir_value_t panel = kernel_at(k, tiles->panel, number, group_bytes(l));
  linear_decode(&one, &g, panel);
  ir_value_t scales = kernel_at(k, tiles->scales, number, scale_bytes(l));
  for (int i = 0; i < product_count(l); i++) {
    ir_value_t scale = weight_scale(k, w, &g.place[0], 0, i / w->planes, i % w->planes);
    ir_value_t at = ir_advance(b, scales, (int64_t)i * LINE_BYTES);
    ir_store(b, scale, at, LINE_BYTES);
  }
}

static void decode_run(linear_t *l, const linear_tiles_t *tiles, ir_value_t row_tile,
                       ir_value_t from, ir_value_t count) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t vectors = ir_i64(b, l->vectors);
  IR_FOR (b, v, k->zero, vectors, k->one) {
    ir_value_t row = ir_op(b, addi, row_tile, v), before = ir_op(b, muli, v, count);
    IR_FOR (b, g, k->zero, count, k->one) {
      ir_value_t index = ir_op(b, addi, from, g), number = ir_op(b, addi, before, g);
      decode_group(l, tiles, row, index, number);
    }
  }
}

// ---- products
static void next_group(linear_t *l, const source_t *source, ir_value_t *values) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t group = kernel_plus(k, values[GROUP], 1);
  ir_value_t is_run = ir_op(b, eq, group, source->count);
  values[GROUP] = ir_op(b, select, is_run, k->zero, group);
  ir_value_t offset = kernel_plus(k, values[OFFSET], group_bytes(l));
  ir_value_t is_panel = ir_op(b, eq, offset, source->panel_bytes);
  values[OFFSET] = ir_op(b, select, is_panel, k->zero, offset);
  ir_value_t after = kernel_plus(k, values[BLOCK], TOKENS * source->codes_bytes);
  ir_value_t block = ir_op(b, minsi, after, source->last_block);
  values[BLOCK] = ir_op(b, select, is_panel, block, values[BLOCK]);
}

// Starts product `item` of the group that the values say.
static void start_product(linear_t *l, const linear_tiles_t *tiles, const source_t *source,
                          int item, ir_value_t *values) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  int part = item / w->planes, plane = item % w->planes;
  ir_value_t block = ir_offset(b, source->codes, values[BLOCK]);
  ir_value_t codes = kernel_at(k, block, values[GROUP], HONE_GROUP);
  ir_value_t left = ir_advance(b, codes, part * (HONE_GROUP / w->parts));
  ir_value_t group = ir_offset(b, tiles->panel, values[OFFSET]);
  ir_value_t right = ir_advance(b, group, plane * TILE_BYTES + part * (TILE_BYTES / w->parts));
  ir_value_t product = tile(k, PRODUCT), first = tile(k, LEFT), second = tile(k, RIGHT);
  ir_effect(b, "llvm.x86.tilezero", &product, 1);
  load_tile(k, LEFT, left, source->codes_bytes);
  load_tile(k, RIGHT, right, LINE_BYTES);
  ir_value_t operands[] = {product, first, second};
  ir_effect(b, "llvm.x86.tdpbssd", operands, 3);
  if (item + 1 == product_count(l)) next_group(l, source, values);
}

static void scale_product(linear_t *l, const linear_tiles_t *tiles, const source_t *source,
                          ir_value_t scales, ir_value_t weight_scales, ir_value_t *values) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t products = ir_offset(b, tiles->products, values[SLOT]);
  ir_value_t scale = ir_load(b, k->reals, weight_scales, LINE_BYTES);
  for (int t = 0; t < TOKENS; t++) {
    ir_value_t at = ir_advance(b, products, t * LINE_BYTES);
    ir_value_t words = ir_load(b, k->words, at, LINE_BYTES);
    ir_value_t row_at = ir_advance(b, scales, t * source->scales_bytes);
    ir_value_t row_scale = ir_load(b, k->real, row_at, 0);
    ir_value_t row_scales = math_splat(k, row_scale);
    ir_value_t real = ir_cast(b, sitofp, k->reals, words);
    ir_value_t scaled = ir_op(b, mulf, real, row_scales);
    values[t] = ir_op(b, fma, scaled, scale, values[t]);
  }
}

// `scales`: of the tokens, for the group.
static void add_group(linear_t *l, const linear_tiles_t *tiles, const source_t *source,
                      ir_value_t scales, ir_value_t weight_scales, ir_value_t *values) {
  kernel_t *k = l->k;
  ir_value_t other = ir_i64(k->b, TILE_BYTES);
  int products = product_count(l);
  for (int i = 0; i < products; i++) {
    ir_value_t next = ir_op(k->b, xori, values[SLOT], other);
    store_product(l, tiles, next);
    start_product(l, tiles, source, (i + AHEAD) % products, values);
    ir_value_t at = ir_advance(k->b, weight_scales, (int64_t)i * LINE_BYTES);
    scale_product(l, tiles, source, scales, at, values);
    values[SLOT] = next;
  }
}

static int64_t lines_ahead(const linear_t *l) {
  int64_t blocks_bytes = l->pass_tokens / TOKENS * LINE_BYTES;
  return (l->weight.group_bytes + blocks_bytes - 1) / blocks_bytes;
}

// The blocks of a pass together ask for the codes of the next unit, which reach the second-level
// cache while this one is multiplied: each for a few lines of every group.
static void ask_ahead(linear_t *l, ir_value_t vector_ahead, ir_value_t g) {
  ir_builder_t *b = l->k->b;
  ir_value_t group = kernel_at(l->k, vector_ahead, g, l->weight.group_bytes);
  for (int64_t i = 0; i < lines_ahead(l); i++) {
    ir_value_t at = ir_advance(b, group, i * LINE_BYTES);
    ir_prefetch(b, at, 2);
  }
}

// A run's groups onto the sums of 16 tokens, of which `scales` are the first one's.
static void add_block(linear_t *l, const linear_tiles_t *tiles, const source_t *source,
                      ir_value_t scales, ir_value_t ahead, ir_value_t sums, ir_value_t *values) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t vectors = ir_i64(b, l->vectors);
  IR_FOR_CARRY (b, v, k->zero, vectors, k->one, values + SLOT, CARRIED - SLOT) {
    ir_value_t vector_sums = kernel_at(k, sums, v, LINE_BYTES), at[TOKENS];
    ir_value_t before = ir_op(b, muli, v, source->count);
    ir_value_t vector_scales = kernel_at(k, tiles->scales, before, scale_bytes(l));
    ir_value_t vector_ahead = kernel_at(k, ahead, v, l->weight.tile_bytes);
    for (int t = 0; t < TOKENS; t++) {
      at[t] = ir_advance(b, vector_sums, (int64_t)t * l->vectors * LINE_BYTES);
      values[t] = ir_load(b, k->reals, at[t], LINE_BYTES);
    }
    IR_FOR_CARRY (b, g, k->zero, source->count, k->one, values, CARRIED) {
      ir_value_t group_scales = kernel_at(k, scales, g, 4);
      ir_value_t weight_scales = kernel_at(k, vector_scales, g, scale_bytes(l));
      ask_ahead(l, vector_ahead, g);
      add_group(l, tiles, source, group_scales, weight_scales, values);
    }
    for (int t = 0; t < TOKENS; t++) ir_store(b, values[t], at[t], LINE_BYTES);
  }
}

// ... of the tokens [low, high), a multiple of 16.
static void add_blocks(linear_t *l, const linear_tiles_t *tiles, const linear_pass_t *pass,
                       source_t *source, ir_value_t low, ir_value_t high) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t values[CARRIED], step = ir_i64(b, TOKENS), last = kernel_plus(k, high, -TOKENS);
  ir_value_t before_last = ir_op(b, subi, last, low);
  source->panel_bytes = kernel_times(k, source->count, group_bytes(l) * l->vectors);
  source->last_block = kernel_times(k, before_last, source->codes_bytes);
  for (int i = SLOT; i < CARRIED; i++) values[i] = k->zero;
  start_product(l, tiles, source, 0, values);
  store_product(l, tiles, values[SLOT]);
  start_product(l, tiles, source, 1 % product_count(l), values);
  IR_FOR_CARRY (b, m, low, high, step, values + SLOT, CARRIED - SLOT) {
    ir_value_t in_pass = ir_op(b, subi, m, pass->from), after = ir_op(b, subi, m, low);
    ir_value_t sums = kernel_at(k, pass->sums, in_pass, (int64_t)l->vectors * LINE_BYTES);
    ir_value_t scales = kernel_at(k, source->scales, after, source->scales_bytes);
    ir_value_t ahead = kernel_at(k, source->ahead, in_pass, lines_ahead(l) * LINE_BYTES / TOKENS);
    add_block(l, tiles, source, scales, ahead, sums, values);
  }
}

// ---- tokens
static source_t rows_at(linear_t *l, ir_value_t m, ir_value_t from) {
  ir_value_t row = kernel_at(l->k, l->x, m, l->x_bytes);
  quantized_row_t at = quantized_row_at(l->k, l->k->spec->K, row, from);
  return (source_t){at.codes, at.scales, l->x_bytes, l->x_bytes, .count = {0}};
}

static source_t copy_tail(linear_t *l, const linear_tiles_t *tiles, ir_value_t low, ir_value_t high,
                          ir_value_t from, ir_value_t count) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  source_t tail = {tiles->tail, tiles->tail_scales, tiles->run * HONE_GROUP, tiles->run * 4,
                   .count = count};
  IR_FOR (b, m, low, high, k->one) {
    source_t row = rows_at(l, m, from);
    ir_value_t token = ir_op(b, subi, m, low);
    ir_value_t codes_out = kernel_at(k, tail.codes, token, tail.codes_bytes);
    ir_value_t scales_out = kernel_at(k, tail.scales, token, tail.scales_bytes);
    IR_FOR (b, g, k->zero, count, k->one) {
      ir_value_t codes_at = kernel_at(k, row.codes, g, HONE_GROUP);
      ir_value_t codes = ir_load(b, ir_vector(b, IR_I8, HONE_GROUP), codes_at, 0);
      ir_value_t scale_at = kernel_at(k, row.scales, g, 4);
      ir_value_t scale = ir_load(b, k->real, scale_at, 0);
      ir_value_t codes_to = kernel_at(k, codes_out, g, HONE_GROUP);
      ir_value_t scale_to = kernel_at(k, scales_out, g, 4);
      ir_store(b, codes, codes_to, LINE_BYTES);
      ir_store(b, scale, scale_to, 0);
    }
  }
  return tail;
}

void linear_tiles_run(linear_t *l, const linear_tiles_t *tiles, const linear_pass_t *pass,
                      ir_value_t row_tile, ir_value_t from, ir_value_t to) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t count = ir_op(b, subi, to, from);
  decode_run(l, tiles, row_tile, from, count);
  ir_value_t next = kernel_plus(k, row_tile, l->vectors);
  weight_place_t ahead = weight_place(k, &l->weight, next, from);
  ir_value_t whole = linear_cover(k, pass->from, pass->to, TOKENS);
  ir_value_t has_whole = ir_op(b, slt, pass->from, whole);
  IR_IF (b, has_whole) {
    source_t source = rows_at(l, pass->from, from);
    source.count = count, source.ahead = ahead.codes;
    add_blocks(l, tiles, pass, &source, pass->from, whole);
  }
  ir_value_t has_tail = ir_op(b, slt, whole, pass->to);
  IR_IF (b, has_tail) {
    source_t tail = copy_tail(l, tiles, whole, pass->to, from, count);
    ir_value_t past = kernel_plus(k, whole, TOKENS);
    tail.ahead = ahead.codes;
    add_blocks(l, tiles, pass, &tail, whole, past);
  }
}
