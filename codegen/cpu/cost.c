// See cost.h. Linears: weights are read from memory once (gemm: once per pass) and decoded as
// often as the family does; a register block multiplies them with its tokens. Attention reads the
// KV cache once, or, where a head's keys and values do not fit a core's cache, once per tile of
// tokens.
#include "codegen/cpu/cost.h"

#include <math.h>

#include "base/packed.h"
#include "codegen/cpu/linear_block.h"

enum {
  LINE = 64,          // weights
  KEYS = 512,         // that attention is taken to read
  SPLIT_KEYS = 4096,  // the same where its heads are split: that is for long contexts
};
// Part of the shorter of memory and compute that does not hide behind the longer one.
static const double exposed = 0.15;
// Of the time to multiply and to load, where two vectors of rows do it together.
static const double pair_multiply = 0.9, pair_load = 0.5;
// To begin a part of a split head, count it and fold it.
static const double split_ns = 250;
// What flat and gemm get of the bandwidth that gemv does.
static const double block_bandwidth = 0.94;

// Cycles to store a vector of sums of a fold, and to add it later.
static const double fold_cycles = 4;

typedef struct work {
  double multiply, block, scale;
} work_t;
typedef enum codes { CODES_FLOAT, CODES_WIDE, CODES_SMALL, CODES_PLANES, CODES_COUNT } codes_t;
typedef struct decode {
  double codes, reals, multiply, again;
} decode_t;
typedef struct panel {
  double store, load;
} panel_t;
typedef struct attend {
  double decode, tile, shared;
  uint32_t block;
  double partial;
} attend_t;

static const work_t works[HONE_CPU_ISA_COUNT][HONE_STORAGE_COUNT] = {
#define WORK(LEVEL, INPUT, ...) [HONE_CPU_ISA_##LEVEL][HONE_##INPUT] = {__VA_ARGS__},
#include "codegen/cpu/cost.def"
};
static const decode_t decodes[HONE_CPU_ISA_COUNT][CODES_COUNT] = {
#define DECODE(LEVEL, CODES, ...) [HONE_CPU_ISA_##LEVEL][CODES_##CODES] = {__VA_ARGS__},
#include "codegen/cpu/cost.def"
};
static const panel_t panels[HONE_CPU_ISA_COUNT][HONE_STORAGE_COUNT] = {
#define PANEL(LEVEL, INPUT, ...) [HONE_CPU_ISA_##LEVEL][HONE_##INPUT] = {__VA_ARGS__},
#include "codegen/cpu/cost.def"
};
static const attend_t attends[HONE_CPU_ISA_COUNT] = {
#define ATTEND(LEVEL, ...) [HONE_CPU_ISA_##LEVEL] = {__VA_ARGS__},
#include "codegen/cpu/cost.def"
};
static const hone_cpu_facts_t machines[] = {
#define MACHINE(name, ...) {#name, __VA_ARGS__},
#include "codegen/cpu/cost.def"
};

const hone_cpu_facts_t *hone_cpu_facts_default(void) { return &machines[0]; }

static size_t level_of(const hone_cpu_isa_t *isa) { return (size_t)(isa - hone_cpu_isa_at(0)); }

// GB/s for each of `threads` threads. Asked for too late or too early, data is not there in time.
static double bandwidth(const hone_cpu_facts_t *facts, uint32_t prefetch, uint32_t threads) {
  double in_time = prefetch ? 1 - 0.25 * fabs(log2(prefetch / facts->ahead_lines)) : 0;
  double gain = in_time > 0 ? in_time * (facts->asked_gbs - facts->core_gbs) : 0;
  double core = facts->core_gbs + gain, share = facts->socket_gbs / threads;
  return core < share ? core : share;
}

static hone_cpu_cost_t combine(double bytes, double cycles, double gbs,
                               const hone_cpu_facts_t *facts, uint32_t threads) {
  hone_cpu_cost_t cost = {.memory_ns = bytes / threads / gbs,
                          .compute_ns = cycles / threads / facts->ghz};
  bool is_memory = cost.memory_ns > cost.compute_ns;
  double longer = is_memory ? cost.memory_ns : cost.compute_ns;
  double shorter = is_memory ? cost.compute_ns : cost.memory_ns;
  cost.ns = longer + exposed * shorter + (threads > 1 ? facts->barrier_ns : 0);
  return cost;
}

// Register blocks that M tokens are cut into: of `tokens`, then of 4, 2 and 1.
static uint64_t block_count(uint64_t M, uint64_t tokens) {
  uint64_t count = 0;
  while (M) {
    count += M / tokens;
    M %= tokens;
    tokens = tokens > 4 ? 4 : tokens > 2 ? 2 : 1;
  }
  return count;
}

static codes_t codes_of(const hone_format_info_t *info) {
  if (info->grid == HONE_GRID_FLOAT) return CODES_FLOAT;
  if (info->grid == HONE_GRID_PLANES) return CODES_PLANES;
  switch (info->storage) {  // kernels/weight_code.c: those that get a bias of few bits
    case HONE_Q6:
    case HONE_INT4:
    case HONE_MXFP4:
    case HONE_NVFP4:
    case HONE_TERNARY: return CODES_SMALL;
    default: return CODES_WIDE;
  }
}

static hone_cpu_cost_t linear_cost(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                                   const hone_cpu_facts_t *facts, uint64_t M, uint32_t threads) {
  size_t level = level_of(isa);
  const work_t *work = &works[level][spec->input];
  const panel_t *panel = &panels[level][spec->input];
  const hone_format_info_t *info = hone_format_info(spec->weight.storage);
  const decode_t *decode = &decodes[level][codes_of(info)];
  bool is_codes = spec->input == HONE_Q8, is_gemm = spec->family == HONE_FAMILY_GEMM;
  double decoding = is_codes ? decode->codes : spec->input == HONE_F32 ? decode->reals : 0;
  double multiply = work->multiply + (is_codes ? decode->multiply : 0), load = panel->load;
  // Two vectors of rows share loads of activations; it takes the registers of AVX-512.
  bool is_pair = is_gemm && is_codes && !isa->tiles && hone_cpu_linear_vectors(spec, isa) == 2;
  if (is_pair && isa->registers == 32) multiply *= pair_multiply, load *= pair_load;
  uint64_t tokens = hone_cpu_linear_tokens(spec, isa);
  uint64_t blocks = isa->tiles ? (M + tokens - 1) / tokens : block_count(M, tokens);
  uint64_t pass = hone_cpu_linear_pass(spec, isa), passes = is_gemm ? (M + pass - 1) / pass : 1;
  double scales = 1, scaled = (double)M;  // tokens, where tiles hold some that are none
  if (spec->weight.group && spec->weight.group < HONE_GROUP)
    scales = HONE_GROUP / (double)spec->weight.group;
  if (isa->tiles) {  // vectors of rows share loads
    load /= hone_cpu_linear_vectors(spec, isa);
    scaled = (double)(blocks * tokens);
  }
  double cycles = multiply * (double)M + work->block * (double)blocks;
  cycles += work->scale * (scales - 1) * scaled;
  if (is_gemm) {
    cycles += (decoding + panel->store) * (double)passes + load * (double)blocks;
  } else {
    cycles += decoding * (double)blocks + (is_codes ? decode->again * (double)M : 0);
  }
  double lines = (double)hone_padded(spec->N) * (double)hone_padded(spec->K) / LINE;
  double planes = info->grid == HONE_GRID_PLANES ? info->planes : 1;
  cycles *= lines * planes;
  if (spec->schedule.split > 1)
    cycles += fold_cycles * (double)(M * hone_fold_count(spec->K)) * (double)hone_padded(spec->N) /
              isa->lanes;
  double bytes = (double)hone_packed_bytes(spec->weight, spec->N, spec->K) * (double)passes;
  // A register block that is narrower than its tiles takes each line in turns: asking ahead is no
  // use.
  bool whole = hone_cpu_linear_vectors(spec, isa) * isa->lanes >= hone_cpu_linear_rows(spec);
  double gbs = bandwidth(facts, whole ? spec->schedule.prefetch : 0, threads);
  if (spec->family != HONE_FAMILY_GEMV)
    gbs *= block_bandwidth;
  else if (whole && hone_cpu_linear_room(spec, isa) > 0)
    gbs *= 1 + facts->beside * log2(hone_cpu_linear_rows(spec) / (double)HONE_TILE_ROWS);
  hone_cpu_cost_t cost = combine(bytes, cycles, gbs, facts, threads);
  uint32_t units, rows;
  hone_kernel_spec_units(spec, &units, &rows);
  double turns = (double)units / threads;
  cost.ns *= ceil(turns) / turns;  // threads without a unit wait
  return cost;
}

// Cycles of one tile of `count` tokens, where `tokens` could be, for all KV heads.
static double tile_cycles(const hone_kernel_spec_t *spec, const attend_t *attend, double keys,
                          uint64_t count, uint64_t tokens) {
  uint64_t rows = spec->heads / spec->kv_heads * count;
  // One token of many query heads is a tile like others.
  bool is_decode = spec->family == HONE_FAMILY_ATTEND_DECODE && rows < attend->block;
  if (!is_decode) rows = (rows + attend->block - 1) / attend->block * attend->block;
  double each = is_decode ? attend->decode : attend->tile;
  if (count > 2) each *= 1 - attend->shared * (log2((double)count) - 1) / 3;
  if (count < tokens) each *= attend->partial;
  return each * keys * (double)rows * spec->kv_heads * hone_head_padded(spec->head_dim) / 16;
}

// How much longer a launch takes than if its work were spread evenly: units are a KV head's tiles
// of tokens, so few tokens keep few threads busy; or whole chunks of them, where heads are split.
static double imbalance(const hone_kernel_spec_t *spec, double tiles, uint32_t threads) {
  double chunks = (double)hone_chunk_count(spec->window, SPLIT_KEYS);
  double parts = spec->schedule.split > 1 ? fmin(spec->schedule.split, chunks) : 1;
  double longest = parts > 1 ? ceil(chunks / parts) / chunks : 1, heads = spec->kv_heads * tiles;
  return ceil(heads * parts / threads) * longest / (heads / threads);
}

static hone_cpu_cost_t attend_cost(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                                   const hone_cpu_facts_t *facts, uint64_t M, uint32_t threads) {
  const attend_t *attend = &attends[level_of(isa)];
  bool is_tile = spec->family == HONE_FAMILY_ATTEND_PREFILL && spec->schedule.tokens;
  uint64_t tokens = is_tile ? spec->schedule.tokens : 1, whole = M / tokens, rest = M % tokens;
  double tiles = (double)(whole + (rest > 0));
  double keys = spec->window && spec->window < KEYS ? spec->window : KEYS;
  double cycles = (double)whole * tile_cycles(spec, attend, keys, tokens, tokens);
  if (rest) cycles += tile_cycles(spec, attend, keys, rest, tokens);
  double block_bytes = (double)hone_cache_block_bytes(spec->cache, spec->head_dim);
  double head_bytes = 2 * keys / HONE_CACHE_BLOCK * block_bytes;
  bool stays = head_bytes < facts->l2_kib * 1024.0;  // in the core's cache from tile to tile
  double bytes = head_bytes * spec->kv_heads * (stays ? 1 : tiles);
  hone_cpu_cost_t cost = combine(bytes, cycles, bandwidth(facts, 0, threads), facts, threads);
  cost.ns *= imbalance(spec, tiles, threads);
  if (spec->schedule.split > 1)
    cost.ns += split_ns * spec->kv_heads * tiles * spec->schedule.split / threads;
  return cost;
}

hone_cpu_cost_t hone_cpu_cost(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                              const hone_cpu_facts_t *facts, uint64_t M, uint32_t threads) {
  isa = hone_cpu_kernel_level(spec, isa);
  switch (spec->family) {
    case HONE_FAMILY_GEMV:
    case HONE_FAMILY_FLAT:
    case HONE_FAMILY_GEMM: return linear_cost(spec, isa, facts, M, threads);
    case HONE_FAMILY_ATTEND_DECODE:
    case HONE_FAMILY_ATTEND_PREFILL: return attend_cost(spec, isa, facts, M, threads);
    default: return (hone_cpu_cost_t){0};
  }
}
