// See linear_block.h.
#include "codegen/cpu/linear_block.h"

#include <string.h>

#include "codegen/cpu/kernels/linear.h"

enum {
  PANEL_KIB = 32,  // of gemm, where a fold is no larger
  TILES_KIB = 16,  // of gemm by tiles, whose tokens' codes are in the first-level cache as well
};

const hone_cpu_isa_t *hone_cpu_kernel_level(const hone_kernel_spec_t *spec,
                                            const hone_cpu_isa_t *isa) {
  bool is_own = isa->tiles && spec->family == HONE_FAMILY_GEMM && spec->input == HONE_Q8;
  return is_own ? isa : isa->base;
}

uint32_t hone_cpu_linear_rows(const hone_kernel_spec_t *spec) {
  return spec->schedule.rows > HONE_TILE_ROWS ? spec->schedule.rows : HONE_TILE_ROWS;
}

uint32_t hone_cpu_linear_vectors(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa) {
  uint32_t unit = hone_cpu_linear_rows(spec), rows = spec->schedule.rows;
  if (spec->input == HONE_B1) return unit / isa->lanes;  // its tiles are not cut
  if (rows == 0) rows = spec->family == HONE_FAMILY_GEMV ? unit : isa->lanes;
  uint32_t vectors = rows / isa->lanes;
  return vectors < 1 ? 1 : vectors > VECTORS_LIMIT ? VECTORS_LIMIT : vectors;
}

// A block's token takes an f32 and an i32 accumulator for each vector of rows (q8 rows), or two
// partial sums and their total (f32 rows); some registers hold weights, tables and masks.
uint32_t hone_cpu_linear_room(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa) {
  uint32_t others = isa->registers == 32 ? 6 : 5, each = spec->input == HONE_F32 ? 3 : 2;
  return (isa->registers - others) / (each * hone_cpu_linear_vectors(spec, isa));
}

uint32_t hone_cpu_linear_tokens(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa) {
  if (spec->family == HONE_FAMILY_GEMV) return 1;
  if (hone_cpu_kernel_level(spec, isa)->tiles) return HONE_TILE_ROWS;
  uint32_t vectors = hone_cpu_linear_vectors(spec, isa);
  uint32_t most = hone_cpu_linear_room(spec, isa), asked = spec->schedule.tokens;
  if (most > TOKENS_LIMIT) most = TOKENS_LIMIT;
  if (most * vectors > ACCUMULATORS_LIMIT) most = ACCUMULATORS_LIMIT / vectors;
  if (most < 1) most = 1;
  return asked && asked < most ? asked : most;
}

// Tiles are through with their products so fast that decoding counts: twice as many tokens, if they
// leave half of a second-level cache of 2 MiB free.
uint32_t hone_cpu_linear_pass(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa) {
  enum { TOKENS = 128, CACHE_BYTES = 1 << 20 };
  bool fits = 2 * TOKENS * hone_row_bytes(spec->input, spec->K) <= CACHE_BYTES;
  return hone_cpu_kernel_level(spec, isa)->tiles && fits ? 2 * TOKENS : TOKENS;
}

int64_t hone_cpu_linear_run(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa) {
  bool is_real = spec->input == HONE_F32, has_tiles = hone_cpu_kernel_level(spec, isa)->tiles;
  int64_t usual = has_tiles ? TILES_KIB : PANEL_KIB;
  int64_t kib = spec->schedule.chunk ? spec->schedule.chunk : usual;
  const hone_format_info_t *info = hone_format_info(spec->weight.storage);
  int64_t planes = info->grid == HONE_GRID_FLOAT ? 1 : (int64_t)info->planes;
  int64_t items = planes * (is_real ? (int64_t)HONE_GROUP : QUADS);
  int64_t group_bytes = hone_cpu_linear_vectors(spec, isa) * items * isa->bytes;
  int64_t run = kib * 1024 / group_bytes, groups = (int64_t)hone_padded(spec->K) / HONE_GROUP;
  if (has_tiles) {
    int64_t part = HONE_FOLD;
    while (part > 1 && part > run) part /= 2;
    run = part;
  } else {
    run = run < HONE_FOLD ? HONE_FOLD : run / HONE_FOLD * HONE_FOLD;
  }
  return run < groups ? run : groups;
}

bool hone_cpu_same_kernel(const hone_kernel_spec_t *a, const hone_kernel_spec_t *b,
                          const hone_cpu_isa_t *isa) {
  const hone_schedule_t *x = &a->schedule, *y = &b->schedule;
  if (a->family != b->family) return false;
  if (!hone_family_is_linear(a->family)) return !memcmp(x, y, sizeof *x);
  bool is_same_chunk = a->family == HONE_FAMILY_GEMM
                           ? hone_cpu_linear_run(a, isa) == hone_cpu_linear_run(b, isa)
                           : x->chunk == y->chunk;
  return hone_cpu_linear_vectors(a, isa) == hone_cpu_linear_vectors(b, isa) &&
         hone_cpu_linear_tokens(a, isa) == hone_cpu_linear_tokens(b, isa) &&
         hone_cpu_linear_rows(a) == hone_cpu_linear_rows(b) &&
         (x->unroll ? x->unroll : 1) == (y->unroll ? y->unroll : 1) && x->prefetch == y->prefetch &&
         is_same_chunk && (x->split > 1 ? x->split : 1) == (y->split > 1 ? y->split : 1);
}
