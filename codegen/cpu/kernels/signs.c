// b1 rows times binary planes. Where signs differ the product is -1, so a dot product of n of them
// is n - 2 popcount(x ^ w). A quad's bits of all rows of a tile lie in eight bytes, a nibble to a
// row: a token's four bits meet all of them at once, and a table counts the bits of a nibble.
#include "codegen/cpu/kernels/linear.h"

enum { ROWS = HONE_TILE_ROWS, QUAD_BYTES = ROWS / 2 };

static ir_type_t byte_vector(kernel_t *k) { return ir_vector(k->b, IR_I8, k->isa->bytes); }

static ir_value_t table(kernel_t *k, ir_value_t index, const int8_t entries[16]) {
  const char *name = k->isa->bytes == 64 ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b";
  int8_t bytes[64];
  for (int i = 0; i < 64; i++) bytes[i] = entries[i % 16];
  ir_value_t levels = ir_bytes(k->b, k->isa->bytes, bytes);
  return ir_intrinsic(k->b, name, byte_vector(k), levels, index);
}

// The token's bits of the quads from `quad` on, each of them in all nibbles of its eight bytes.
static ir_value_t spread(kernel_t *k, ir_value_t bits, int quad) {
  ir_builder_t *b = k->b;
  int count = (int)k->isa->bytes / QUAD_BYTES, bytes = (int)k->isa->bytes;
  ir_value_t at = ir_advance(b, bits, quad / 2);
  ir_value_t packed = ir_load(b, ir_vector(b, IR_I8, count / 2), at, 1);
  int64_t lanes[64];
  int8_t keep[64];
  for (int i = 0; i < bytes; i++) {
    lanes[i] = i / QUAD_BYTES / 2;
    keep[i] = (int8_t)(i / QUAD_BYTES % 2 ? -16 : 15);
  }
  ir_value_t spread_bytes = ir_shuffle(b, packed, packed, (size_t)bytes, lanes);
  ir_value_t places = ir_bytes(b, (size_t)bytes, keep);
  ir_value_t own = ir_op(b, andi, spread_bytes, places);
  ir_type_t shorts = ir_vector(b, IR_I16, bytes / 2);
  // The nibble is in the upper or the lower half of its byte: put it into the other one, too.
  ir_value_t words = ir_cast(b, bitcast, shorts, own), four = ir_int(b, shorts, 4);
  ir_value_t up = ir_op(b, shli, words, four), down = ir_op(b, shrui, words, four);
  ir_value_t both = ir_op(b, ori, up, down);
  ir_value_t all = ir_op(b, ori, both, words);
  return ir_cast(b, bitcast, byte_vector(k), all);
}

// Adds the bits that differ: `even` for rows 2 i, `odd` for rows 2 i + 1, a byte each.
static void count_bits(kernel_t *k, ir_value_t differ, ir_value_t *even, ir_value_t *odd) {
  static const int8_t ones[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
  ir_builder_t *b = k->b;
  ir_type_t shorts = ir_vector(b, IR_I16, k->isa->bytes / 2);
  ir_value_t low = ir_int(b, byte_vector(k), 15), four = ir_int(b, shorts, 4);
  ir_value_t words = ir_cast(b, bitcast, shorts, differ);
  ir_value_t down = ir_op(b, shrui, words, four);
  ir_value_t upper = ir_cast(b, bitcast, byte_vector(k), down);
  ir_value_t first = ir_op(b, andi, differ, low), second = ir_op(b, andi, upper, low);
  ir_value_t first_count = table(k, first, ones), second_count = table(k, second, ones);
  *even = even->ptr ? ir_op(b, addi, *even, first_count) : first_count;
  *odd = odd->ptr ? ir_op(b, addi, *odd, second_count) : second_count;
}

// Sums over the quads of a vector, a byte for each row in order: 16 bytes.
static ir_value_t add_quads(kernel_t *k, ir_value_t even, ir_value_t odd) {
  ir_builder_t *b = k->b;
  int bytes = (int)k->isa->bytes;
  ir_value_t total[2];
  for (int half = 0; half < 2; half++) {  // quads 2 i, and quads 2 i + 1
    int64_t lanes[64] = {0};
    for (int i = 0; i < bytes; i++)
      lanes[i] = i / 16 * 16 + half * 8 + i % 16 / 2 + (i % 2 ? bytes : 0);
    total[half] = ir_shuffle(b, even, odd, (size_t)bytes, lanes);
  }
  ir_value_t sum = ir_op(b, addi, total[0], total[1]);
  for (int width = bytes / 2; width >= 16; width /= 2) {
    int64_t low[64] = {0}, high[64] = {0};
    for (int i = 0; i < width; i++) low[i] = i, high[i] = i + width;
    ir_value_t lower = ir_shuffle(b, sum, sum, (size_t)width, low);
    ir_value_t upper = ir_shuffle(b, sum, sum, (size_t)width, high);
    sum = ir_op(b, addi, lower, upper);
  }
  return sum;
}

// The dot products of a half's rows from the counts of all rows; n bits each.
static ir_value_t dots(kernel_t *k, ir_value_t counts, int half, int n) {
  ir_builder_t *b = k->b;
  int64_t lanes[16] = {0};
  for (int i = 0; i < k->lanes; i++) lanes[i] = half * k->lanes + i;
  ir_value_t own = ir_shuffle(b, counts, counts, (size_t)k->lanes, lanes);
  ir_value_t words = ir_cast(b, extui, k->words, own);
  ir_value_t twice = ir_op(b, addi, words, words);
  ir_value_t all = ir_int(b, k->words, n);
  ir_value_t sum = ir_op(b, subi, all, twice);
  return ir_cast(b, sitofp, k->reals, sum);
}

void linear_signs(linear_t *l, const linear_group_t *g, ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  int step = (int)k->isa->bytes / QUAD_BYTES, quads = QUADS / w->parts;
  for (int i = 0; i < w->parts * w->planes * l->tiles; i++) {
    int tile = i % l->tiles, part = i / l->tiles / w->planes, plane = i / l->tiles % w->planes;
    ir_value_t scale[HALVES_LIMIT];
    for (int h = 0; h < w->halves; h++)
      scale[h] = weight_scale(k, w, &g->place[tile], h, part, plane);
    for (int t = 0; t < g->tokens; t++) {
      ir_value_t even = {0}, odd = {0}, bits = ir_advance(b, g->x, t * l->x_bytes);
      for (int q = part * quads; q < (part + 1) * quads; q += step) {
        ir_value_t at = ir_advance(b, g->place[tile].codes, (plane * QUADS + q) * QUAD_BYTES);
        ir_value_t weights = ir_load(b, byte_vector(k), at, 0);
        ir_value_t x = spread(k, bits, q);
        ir_value_t differ = ir_op(b, xori, weights, x);
        count_bits(k, differ, &even, &odd);
      }
      ir_value_t counts = add_quads(k, even, odd);
      for (int h = 0; h < w->halves; h++) {
        ir_value_t *to = &acc[(tile * w->halves + h) * g->tokens + t];
        ir_value_t product = dots(k, counts, h, HONE_GROUP / w->parts);
        *to = ir_op(b, fma, product, scale[h], *to);
      }
    }
  }
}
