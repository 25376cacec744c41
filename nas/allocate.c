// See allocate.h.
#include "nas/allocate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/packed.h"
#include "base/progress.h"
#include "base/text.h"
#include "calibrate/probe.h"
#include "codegen/pack/encode.h"
#include "nas/allocate_internal.h"
#include "nas/mip.h"
#include "quant/real.h"

enum {
  FORMAT_LIMIT = 32,
  SAMPLE_ROWS = 192,  // of a tensor, for the error of a candidate format
  DEFAULT_PROBE_TOKENS = 2048,
};

// From few bits to many. Formats that another one beats at its bits on every model tried are left
// out;
// --formats names others.
static const char default_formats[] =
    "b1,ternary,bcq2p,bcq2,bcq2:64,bcq3,bcq3:64,nf4:128,nf4,nf4:32,q6,q8";

typedef struct allocator {
  hone_compile_t *compile;
  hone_solver_t solver;
  hone_units_t units;
  hone_format_t formats[FORMAT_LIMIT];
  size_t format_count;
  double *error;  // (units, formats) relative
  double *cost;   // (units, formats) bits, or bytes as packed; 0: not for this unit
  double fixed;   // cost of what is not chosen: vectors
  double budget;
  size_t *choice;  // (units) a format for each
  hone_probe_t *probe;
  hone_progress_t *progress;
} allocator_t;

enum { PLAIN_N = 1, PLAIN_K = 4096 };  // a matrix whose rows every group divides

static bool check_held(const hone_container_t *container, hone_format_t format,
                       hone_status_t *status) {
  char text[24];
  if (!container || container->bits(format, PLAIN_N, PLAIN_K, false) > 0) return true;
  return hone_fail(status, HONE_UNSUPPORTED, "--formats: %s cannot hold %s; the default is %s",
                   container->name, hone_format_text(format, text), container->formats);
}

static bool read_formats(allocator_t *a, hone_status_t *status) {
  const hone_container_t *container = a->compile->container;
  const char *text = a->compile->options.formats;
  hone_slice_t rest = hone_slice(text ? text : container ? container->formats : default_formats);
  while (rest.data) {
    hone_slice_t name = hone_slice_cut(&rest, ',');
    const char *copy = hone_arena_strndup(a->compile->arena, name.data, name.bytes);
    if (a->format_count == FORMAT_LIMIT)
      return hone_fail(status, HONE_INVALID, "--formats: at most %d", FORMAT_LIMIT);
    if (!hone_format_parse(copy, &a->formats[a->format_count], status))
      return hone_note(status, "--formats");
    if (!check_held(container, a->formats[a->format_count], status)) return false;
    a->format_count++;
  }
  return true;
}

// ---- what formats cost

// 0: the container cannot hold it.
static double recipe_bits(const hone_container_t *container, const ir_recipe_t *recipe,
                          hone_format_t format, bool is_head) {
  if (container) return container->bits(format, recipe->N, recipe->K, is_head);
  return (double)hone_format_tensor_bits(format, (uint64_t)recipe->N, (uint64_t)recipe->K);
}

// Bits as stored, or bytes as packed: in one tensor, which is what becomes of linears that read one
// input (passes/fuse.c); exports keep them apart. 0: one of them cannot be so.
static double unit_cost(const allocator_t *a, const hone_unit_t *unit, hone_format_t format) {
  const hone_container_t *container = a->compile->container;
  bool by_bytes = a->compile->options.target_bytes > 0;
  uint64_t rows = 0, K = (uint64_t)unit->recipes[0].K;
  double bits = 0;
  for (size_t r = 0; r < unit->recipe_count; r++) {
    double more = recipe_bits(container, &unit->recipes[r], format, unit->is_head);
    if (more == 0) return 0;
    rows += (uint64_t)unit->recipes[r].N;
    bits += more;
  }
  if (by_bytes && !container) return (double)hone_packed_bytes(format, rows, K);
  return by_bytes ? bits / 8 : bits;
}

// Number of a format among the candidates, added if it is new.
static bool add_format(allocator_t *a, hone_format_t format, size_t *out_index,
                       hone_status_t *status) {
  for (*out_index = 0; *out_index < a->format_count; ++*out_index)
    if (hone_format_equal(a->formats[*out_index], format)) return true;
  if (a->format_count == FORMAT_LIMIT)
    return hone_fail(status, HONE_INVALID, "--formats: at most %d", FORMAT_LIMIT);
  a->formats[a->format_count++] = format;
  return true;
}

// Which candidates each unit has, and their costs. A unit that the container can hold in none of
// them becomes floats.
static bool list_costs(allocator_t *a, hone_status_t *status) {
  const hone_compile_t *compile = a->compile;
  size_t given = a->format_count;
  a->cost = HONE_NEW_ARRAY(compile->arena, double, a->units.count *FORMAT_LIMIT);
  for (size_t u = 0; u < a->units.count; u++) {
    const hone_unit_t *unit = &a->units.items[u];
    double *cost = &a->cost[u * FORMAT_LIMIT], largest = 0;
    for (size_t f = 0; f < given; f++)
      largest = fmax(largest, cost[f] = unit_cost(a, unit, a->formats[f]));
    if (largest > 0) continue;
    int64_t N, K;
    size_t plain;
    hone_format_t format = {.storage = compile->container->plain};
    if (format.storage == HONE_STORAGE_COUNT &&
        !compile->reader->shape(compile->source, unit->recipes[0].sources[0], &N, &K,
                                &format.storage, status))
      return false;
    if (!add_format(a, format, &plain, status)) return false;
    cost[plain] = unit_cost(a, unit, format);
  }
  return true;
}

// ---- errors of candidate formats

typedef struct sums {
  double noise, signal;
} sums_t;

// The row (Kp) as a float format has it.
static bool round_row(hone_storage_t storage, const float *row, uint64_t Kp, float *out) {
  uint16_t half[16];
  memcpy(out, row, Kp * sizeof *row);
  for (uint64_t k = 0; k < Kp && storage != HONE_F32; k += 16) {
    bool fits = storage == HONE_F16 ? hone_quantize_f16(row + k, 16, half, 16)
                                    : hone_quantize_bf16(row + k, 16, half, 16);
    if (!fits) return false;
    for (int i = 0; i < 16; i++) {
      uint32_t bits = (uint32_t)half[i] << 16;
      if (storage == HONE_BF16)
        memcpy(&out[k + (uint64_t)i], &bits, sizeof bits);
      else
        out[k + (uint64_t)i] = hone_f32_from_f16(half[i]);
    }
  }
  return true;
}

// Rows [begin, end) step apart through the format; each decoded row goes to the probe, if there is
// one.
static bool quantize_rows(allocator_t *a, const ir_recipe_t *recipe, hone_format_t format,
                          int64_t step, hone_probe_t *probe, sums_t *sums, hone_status_t *status) {
  hone_rows_t rows;
  hone_encoder_t encoder = {0};
  uint64_t K = (uint64_t)recipe->K, Kp = hone_padded(K);
  const hone_compile_t *compile = a->compile;
  if (!hone_rows_open(compile->reader, compile->source, recipe, &rows, status)) return false;
  bool ok = hone_encoder_prepare(&rows, format, &a->solver, &encoder, status);
  const hone_quantizer_t *q = &encoder.quantizer;
  bool is_quantized = hone_format_is_quantized(format.storage);
  size_t scales = ok ? (size_t)q->scale_count * q->planes : 0;
  float *row = aligned_alloc(64, Kp * sizeof(float)), *decoded = malloc(Kp * sizeof(float));
  uint8_t *codes = malloc(Kp);  // floats have none
  uint16_t *stored = malloc((scales + 1) * sizeof *stored);
  if (ok && (!row || !decoded || !codes || !stored))
    ok = hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", recipe->name);
  for (int64_t n = 0; n < recipe->N && ok; n += step) {
    memset(row, 0, Kp * sizeof *row);
    ok = hone_rows_read(&rows, n, 1, row, status);
    bool fits = ok && (is_quantized ? hone_quantizer_row(q, (uint64_t)n, row, codes, stored)
                                    : round_row(format.storage, row, Kp, decoded));
    if (ok && !fits)
      ok = hone_fail(status, HONE_INVALID, "recipe %s, row %" PRId64 ": too large for %s",
                     recipe->name, n, hone_format_info(format.storage)->name);
    if (!ok) break;
    if (is_quantized) hone_quantizer_decode(q, (uint64_t)n, codes, stored, decoded);
    for (uint64_t k = 0; k < K; k++) {
      double h = (double)encoder.importance[k], miss = (double)row[k] - (double)decoded[k];
      sums->noise += h * miss * miss;
      sums->signal += h * (double)row[k] * (double)row[k];
    }
    if (probe && !hone_probe_replace(probe, recipe->sources[0], n, decoded))
      ok = hone_fail(status, HONE_UNSUPPORTED,
                     "recipe %s is quantized in the checkpoint: --target-bpw needs plain floats",
                     recipe->name);
  }
  free(row);
  free(decoded);
  free(codes);
  free(stored);
  hone_encoder_deinit(&encoder);
  hone_rows_close(&rows);
  hone_rows_close(&rows);
  return ok;
}

static bool unit_error(allocator_t *a, const hone_unit_t *unit, hone_format_t format,
                       hone_probe_t *probe, double *out_error, hone_status_t *status) {
  sums_t sums = {0};
  for (size_t r = 0; r < unit->recipe_count; r++) {
    int64_t step = probe ? 1 : unit->recipes[r].N / SAMPLE_ROWS;
    if (!quantize_rows(a, &unit->recipes[r], format, step < 1 ? 1 : step, probe, &sums, status))
      return false;
  }
  *out_error = sums.signal > 0 ? sums.noise / sums.signal : 0;
  return true;
}

static bool measure_errors(allocator_t *a, hone_status_t *status) {
  for (size_t u = 0; u < a->units.count; u++) {
    const hone_unit_t *unit = &a->units.items[u];
    for (size_t f = 0; f < a->format_count; f++) {
      size_t at = u * FORMAT_LIMIT + f;
      if (a->cost[at] > 0 && !unit_error(a, unit, a->formats[f], NULL, &a->error[at], status))
        return false;
    }
    hone_progress_add(a->progress, 1, unit->name);
  }
  return true;
}

// ---- sensitivities

// The candidate nearest in bits to the target: losses are linear only near where they are measured.
// Floats are hardly an error.
static hone_format_t probe_format(const allocator_t *a, double bits) {
  hone_format_t best = a->formats[0];
  for (size_t f = 1; f < a->format_count; f++) {
    bool is_nearer =
        fabs(hone_format_bits(a->formats[f]) - bits) < fabs(hone_format_bits(best) - bits);
    if (!hone_format_is_quantized(best.storage) ||
        (is_nearer && hone_format_is_quantized(a->formats[f].storage)))
      best = a->formats[f];
  }
  return best;
}

static bool measure_sensitivities(allocator_t *a, double bits, hone_status_t *status) {
  int64_t tokens = a->compile->options.probe_tokens;
  if (!hone_probe_create(a->compile, tokens ? tokens : DEFAULT_PROBE_TOKENS, &a->probe, status))
    return false;
  hone_format_t format = probe_format(a, bits);
  bool ok = true;
  for (size_t u = 0; u < a->units.count && ok; u++) {
    hone_unit_t *unit = &a->units.items[u];
    double error, kl;
    ok = unit_error(a, unit, format, a->probe, &error, status) &&
         hone_probe_measure(a->probe, &kl, status);
    if (!ok) break;
    unit->sensitivity = error > 0 && kl > 0 ? kl / error : 0;
    hone_progress_add(a->progress, 1, unit->name);
  }
  return ok || hone_note(status, "probing sensitivities");
}

// ---- the choice

static bool choose(allocator_t *a, double *out_kl, hone_status_t *status) {
  hone_arena_t *arena = a->compile->arena;
  size_t count = a->units.count, used = 0;
  hone_mip_item_t *items = HONE_NEW_ARRAY(arena, hone_mip_item_t, count);
  hone_mip_option_t *options = HONE_NEW_ARRAY(arena, hone_mip_option_t, count * FORMAT_LIMIT);
  size_t *format = HONE_NEW_ARRAY(arena, size_t, count * FORMAT_LIMIT);  // of each option
  double smallest = 0, budget = a->budget - a->fixed;
  for (size_t u = 0; u < count; u++) {
    double least = INFINITY;
    items[u] = (hone_mip_item_t){&options[used], 0};
    for (size_t f = 0; f < a->format_count; f++) {
      size_t at = u * FORMAT_LIMIT + f;
      if (a->cost[at] == 0) continue;
      options[used].value = a->units.items[u].sensitivity * a->error[at];
      options[used].cost = &a->cost[at];
      format[used++] = f;
      items[u].count++;
      least = fmin(least, a->cost[at]);
    }
    smallest += least;
  }
  if (smallest > budget) {
    bool by_bytes = a->compile->options.target_bytes > 0;
    double total = 0;
    for (size_t u = 0; u < count; u++) total += (double)a->units.items[u].weights;
    return hone_fail(
        status, HONE_INVALID, "no choice of formats meets %s %.10g: the smallest is %.10g",
        by_bytes ? "--target-bytes" : "--target-bpw",
        by_bytes ? (double)a->compile->options.target_bytes : a->compile->options.target_bpw,
        by_bytes ? ceil(smallest + a->fixed) : ceil((smallest + a->fixed) / total * 1000) / 1000);
  }
  hone_mip_t problem = {items, count, &budget, 1};
  if (!hone_mip_solve(&problem, a->choice, out_kl, status)) return false;
  for (size_t u = 0; u < count; u++)
    a->choice[u] = format[(size_t)(items[u].options - options) + a->choice[u]];
  return true;
}

// Puts the chosen format of the units of a block into the probe.
static bool fill_block(void *user, const char *block, bool is_head, hone_status_t *status) {
  allocator_t *a = user;
  size_t length = strlen(block), found = 0;
  double ignored;
  for (size_t u = 0; u < a->units.count; u++) {
    const hone_unit_t *unit = &a->units.items[u];
    if (strncmp(unit->recipes[0].name, block, length) || unit->recipes[0].name[length] != '.')
      continue;
    found++;
    if (!unit_error(a, unit, a->formats[a->choice[u]], a->probe, &ignored, status)) return false;
    hone_progress_add(a->progress, 1, unit->name);
  }
  return found || !is_head || fill_block(a, "embed", false, status);  // a tied head
}

static void apply(allocator_t *a, double kl) {
  hone_compile_t *compile = a->compile;
  hone_allocation_t *out = &compile->allocation;
  out->rows = HONE_NEW_ARRAY(compile->arena, hone_allocation_row_t, a->units.count);
  out->count = a->units.count;
  out->kl = kl;
  double bits = 0, weights = 0;
  for (size_t u = 0; u < a->units.count; u++) {
    const hone_unit_t *unit = &a->units.items[u];
    size_t at = u * FORMAT_LIMIT + a->choice[u];
    hone_format_t format = a->formats[a->choice[u]];
    out->rows[u] = (hone_allocation_row_t){.name = unit->name,
                                           .format = format,
                                           .weights = unit->weights,
                                           .sensitivity = unit->sensitivity,
                                           .error = a->error[at]};
    for (size_t r = 0; r < unit->recipe_count; r++) {
      const ir_recipe_t *recipe = &unit->recipes[r];
      ir_recipe_set_format(&compile->model, recipe->name, format);
      bits += recipe_bits(compile->container, recipe, format, unit->is_head);
    }
    weights += (double)unit->weights;
  }
  for (size_t i = 0; i < ir_recipe_count(&compile->model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(&compile->model, i, &recipe) || recipe.K != 1) continue;
    bits += 32.0 * (double)recipe.N;
    weights += (double)recipe.N;
  }
  out->bits_per_weight = bits / weights;
}

// The budget in the costs' unit, and what vectors take of it.
static double read_budget(allocator_t *a) {
  const hone_compile_options_t *options = &a->compile->options;
  double weights = 0;
  for (size_t i = 0; i < ir_recipe_count(&a->compile->model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(&a->compile->model, i, &recipe)) continue;
    weights += (double)recipe.N * (double)recipe.K;
    if (recipe.K == 1)
      a->fixed += options->target_bytes ? 4.0 * (double)hone_padded((uint64_t)recipe.N)
                                        : 32.0 * (double)recipe.N;
  }
  a->budget = options->target_bytes ? (double)options->target_bytes : options->target_bpw * weights;
  return options->target_bytes ? 8.0 * (double)options->target_bytes / weights
                               : options->target_bpw;
}

bool hone_allocate(hone_compile_t *compile, hone_status_t *status) {
  allocator_t a = {.compile = compile};
  if (!compile->statistics.self)
    return hone_fail(status, HONE_INVALID,
                     "--target-bpw and --target-bytes measure sensitivities on a text: give "
                     "--calibrate TEXT");
  if (!read_formats(&a, status) || !hone_units_find(compile, &a.units, status)) return false;
  a.solver = (hone_solver_t){.statistics = &compile->statistics, .method = HONE_SOLVE_SCALES};
  if (!list_costs(&a, status)) return false;
  a.error = HONE_NEW_ARRAY(compile->arena, double, a.units.count *FORMAT_LIMIT);
  a.choice = HONE_NEW_ARRAY(compile->arena, size_t, a.units.count);
  a.progress =
      hone_progress_create("allocating bits", 3 * a.units.count, false, compile->options.progress);
  double kl, bits = read_budget(&a);
  hone_allocation_t *out = &compile->allocation;
  bool ok = measure_errors(&a, status) && measure_sensitivities(&a, bits, status) &&
            choose(&a, &kl, status) &&
            hone_probe_verify(a.probe, fill_block, &a, &out->measured_kl, &out->tokens, status);
  hone_probe_destroy(a.probe);
  hone_progress_destroy(a.progress);
  if (ok) apply(&a, kl);
  return ok;
}
