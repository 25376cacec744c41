// See calibrate.h. This file is the walk: windows of tokens through the blocks, taps into moments,
// and the answers to the passes and quantizers (hone_statistics_t).
#include "calibrate/calibrate.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate/calibrate_internal.h"
#include "quant/curvature.h"

static const uint64_t DEFAULT_MEMORY = 512ull << 20;

// One linear of the reference and what entered it.
typedef struct tap {
  uint32_t block;
  ir_recipe_t recipe;  // of the reference
  hone_moments_t moments;
  float *rows[2];  // (context, K) of the window under way: original, quantized
  uint32_t count[2];
  bool is_added;  // its output is added to the stream that enters the block
  bool is_done;
  const char *correction;           // the reference's vector that corrects the linear, or NULL
  bool is_known[IR_SOURCE_LIMIT];   // sources whose tensors need no statistics (skip)
  bool has_asked[IR_SOURCE_LIMIT];  // sources whose tensors got the second moments of this walk
} tap_t;

// Which of the two models walks: the original, or the one whose earlier blocks are quantized.
typedef enum walker { ORIGINAL, QUANTIZED } walker_t;

typedef struct calibrator {
  hone_reference_t reference;
  hone_arena_t *arena;
  hone_map_t *by_tensor;  // reference's tensor name -> tap_t *
  hone_map_t *by_source;  // checkpoint's tensor name -> tap_t *
  hone_windows_t windows;
  float *stream[2];  // per walker (windows * context, width): what enters the next block
  float *scratch;    // (context, width)
  float *gap;  // (context, width) original's stream less the quantized one's, behind the block
  // The quantized model begins with its own embedding. That is told before the layers' tensors, and
  // the walk may start over after it, so what it makes of the windows is kept.
  ir_recipe_t embedding;
  bool *is_looked_up;             // (embedding.N) ids in the windows: no other row is read
  atomic_bool embedding_changed;  // told, not yet in `begin`
  float *begin;                   // (windows * context, width); NULL: as the original's
  atomic_bool is_changed;         // any weight was told: before that both models are the same
  uint32_t block_count;
  uint32_t next_block;  // all blocks before it are done
  bool keep_all;        // second moments of all blocks, not of the latest one only
  bool follows;         // calibrates on inputs of the quantized model, too
  bool progress;
  int threads;
  // of the walk under way
  walker_t walker;
  uint32_t target;  // the block whose second moments are wanted
  bool is_tapping, want_second;
  hone_status_t *status;
  bool failed;
} calibrator_t;

static bool is_skipped(const tap_t *tap) {
  for (size_t s = 0; s < tap->recipe.source_count; s++)
    if (!tap->is_known[s]) return false;
  return true;
}

static bool is_known(const tap_t *tap, const char *source) {
  for (size_t s = 0; s < tap->recipe.source_count; s++)
    if (!strcmp(tap->recipe.sources[s], source)) return tap->is_known[s];
  return false;
}

// Whether both models walk through the block: only where their difference is listened to.
static bool walks_both(const calibrator_t *c, uint32_t block) {
  return c->follows && c->want_second && c->is_changed && block == c->target;
}

static bool begin_tap(calibrator_t *c, tap_t *tap, uint32_t K) {
  bool both = walks_both(c, tap->block);
  hone_moments_options_t options = {
      .K = K,
      .N = both && tap->is_added ? (uint32_t)tap->recipe.N : 0,
      .second = c->want_second && (tap->block == c->target || (c->keep_all && !c->follows)),
      .cross = both && !tap->is_added,
      .threads = c->threads};
  if (!hone_moments_init(&tap->moments, &options, c->status)) return false;
  for (int w = 0; w < 2; w++) {
    if (w == QUANTIZED && !both) continue;
    tap->rows[w] = malloc((size_t)c->windows.context * K * sizeof(float));
    if (!tap->rows[w])
      return hone_fail(c->status, HONE_EXHAUSTED, "no memory for %u rows of inputs",
                       c->windows.context);
  }
  return true;
}

static void on_tap(void *user, const char *tensor, const float *rows, size_t stride, uint32_t M,
                   uint32_t K) {
  calibrator_t *c = user;
  tap_t *tap = hone_map_get(c->by_tensor, tensor);
  if (!c->is_tapping || !tap || tap->is_done || c->failed || is_skipped(tap)) return;
  if (tap->moments.K == 0 && !begin_tap(c, tap, K)) {
    c->failed = true;
    return;
  }
  for (uint32_t m = 0; m < M; m++)
    memcpy(tap->rows[c->walker] + (size_t)tap->count[c->walker]++ * K, rows + (size_t)m * stride,
           K * sizeof(float));
}

// Runs one window through a block: in (context, width), out likewise (may be the same).
static bool walk_window(calibrator_t *c, const hone_walk_block_t *block, uint32_t window,
                        const float *in, float *out, hone_status_t *status) {
  uint32_t batch = hone_walk_batch(c->reference.session, block),
           width = hone_walk_width(c->reference.session);
  if (in != out) memcpy(out, in, (size_t)c->windows.context * width * sizeof *out);
  for (uint32_t at = 0; at < c->windows.context; at += batch) {
    uint32_t M = c->windows.context - at < batch ? c->windows.context - at : batch;
    if (!hone_walk_run(c->reference.session, block, at, M,
                       c->windows.ids + (size_t)window * c->windows.context + at,
                       out + (size_t)at * width, on_tap, c, status) ||
        c->failed)
      return false;
  }
  return true;
}

// Adds the window's rows to the moments of the block's taps.
static bool add_window(calibrator_t *c, uint32_t block, hone_status_t *status) {
  for (size_t i = 0; i < hone_map_count(c->by_tensor); i++) {
    tap_t *tap = hone_map_value(c->by_tensor, i);
    if (tap->block != block || tap->is_done || tap->count[ORIGINAL] == 0) continue;
    bool both = tap->rows[QUANTIZED] != NULL;
    if (!hone_moments_add(&tap->moments, tap->rows[both ? QUANTIZED : ORIGINAL],
                          tap->rows[ORIGINAL], c->gap, tap->count[ORIGINAL]))
      return hone_fail(status, HONE_EXHAUSTED, "no memory for products of %u inputs",
                       tap->moments.K);
    tap->count[ORIGINAL] = tap->count[QUANTIZED] = 0;
  }
  return true;
}

static void finish_block(calibrator_t *c, uint32_t index) {
  for (size_t i = 0; i < hone_map_count(c->by_tensor); i++) {
    tap_t *tap = hone_map_value(c->by_tensor, i);
    for (int w = 0; w < 2; w++) {
      free(tap->rows[w]);
      tap->rows[w] = NULL;
    }
    if (tap->block == index && tap->moments.K) {
      hone_moments_finish(&tap->moments);
      tap->is_done = true;
    } else if (tap->is_done && (!c->keep_all || c->follows)) {
      hone_moments_drop_second(&tap->moments);
    }
  }
}

static float *stream_of(const calibrator_t *c, walker_t walker, uint32_t window) {
  size_t width = hone_walk_width(c->reference.session);
  return c->stream[walker] + (size_t)window * c->windows.context * width;
}

static size_t stream_bytes(const calibrator_t *c) {
  return (size_t)c->windows.count * c->windows.context * hone_walk_width(c->reference.session) *
         sizeof(float);
}

// What the quantized embedding makes of the windows.
static bool begin_quantized(calibrator_t *c, hone_status_t *status) {
  hone_walk_block_t block;
  size_t window_values = (size_t)c->windows.context * hone_walk_width(c->reference.session);
  if (!c->begin) c->begin = malloc(stream_bytes(c));
  if (!c->begin || !hone_walk_at(c->reference.session, 0, &block))
    return hone_fail(status, HONE_EXHAUSTED, "no memory for the embeddings of the text");
  for (uint32_t window = 0; window < c->windows.count; window++) {
    float *to = c->begin + window * window_values;
    if (!walk_window(c, &block, window, to, to, status)) return false;
  }
  c->embedding_changed = false;
  return true;
}

// The quantized model follows through the block before: its tensors have been replaced by now.
static bool follow(calibrator_t *c, hone_status_t *status) {
  hone_walk_block_t block;
  c->is_tapping = false;
  c->walker = QUANTIZED;
  if (c->embedding_changed && !begin_quantized(c, status)) return false;
  if (c->next_block > 0 && hone_walk_at(c->reference.session, c->next_block - 1, &block)) {
    bool is_same = !c->is_changed || (block.is_first && !c->begin);
    if (is_same || block.is_first)
      memcpy(c->stream[QUANTIZED], is_same ? c->stream[ORIGINAL] : c->begin, stream_bytes(c));
    for (uint32_t window = 0; window < c->windows.count && !is_same && !block.is_first; window++) {
      float *stream = stream_of(c, QUANTIZED, window);
      if (!walk_window(c, &block, window, stream, stream, status)) return false;
    }
  }
  hone_walk_release(c->reference.session);  // the original's turn
  return true;
}

// Whether statistics are wanted of a tap of the blocks from `begin` on, before `end`.
static bool wants(const calibrator_t *c, uint32_t begin, uint32_t end) {
  for (size_t i = 0; i < hone_map_count(c->by_tensor); i++) {
    const tap_t *tap = hone_map_value(c->by_tensor, i);
    if (tap->block >= begin && tap->block < end && !is_skipped(tap)) return true;
  }
  return false;
}

// One window through the block under way, in both models if they differ, and into its taps.
static bool pass_window(calibrator_t *c, const hone_walk_block_t *block, uint32_t window, bool both,
                        hone_status_t *status) {
  size_t count = (size_t)c->windows.context * hone_walk_width(c->reference.session);
  float *stream = stream_of(c, ORIGINAL, window);
  bool ok = true;
  if (both && !block->is_first) {
    c->walker = QUANTIZED;
    ok = walk_window(c, block, window, stream_of(c, QUANTIZED, window), c->scratch, status);
  }
  c->walker = ORIGINAL;
  ok = ok && walk_window(c, block, window, stream, stream, status);
  for (size_t i = 0; i < count && both; i++) c->gap[i] = stream[i] - c->scratch[i];
  return ok && add_window(c, c->next_block, status);
}

static bool walk_block(calibrator_t *c, hone_status_t *status) {
  hone_walk_block_t block;
  c->status = status;
  c->failed = false;
  if (c->follows && c->want_second && !follow(c, status)) return false;
  // Where nobody listens the original goes alone.
  bool both = walks_both(c, c->next_block) && wants(c, c->next_block, c->next_block + 1);
  if (!hone_walk_at(c->reference.session, c->next_block, &block))
    return hone_fail(status, HONE_INTERNAL, "the reference has no block %u", c->next_block);
  const char *name = hone_arena_strndup(c->arena, block.name, block.name_bytes);
  hone_progress_t *progress =
      hone_progress_create("calibrating", c->windows.count, false, c->progress);
  bool ok = true;
  c->is_tapping = true;
  for (uint32_t window = 0; window < c->windows.count && ok; window++) {
    ok = pass_window(c, &block, window, both, status);
    hone_progress_add(progress, 1, name);
  }
  hone_progress_destroy(progress);
  hone_walk_release(c->reference.session);
  if (!ok) return hone_note(status, "calibrating %s", name);
  finish_block(c, c->next_block++);
  return true;
}

static void start_over(calibrator_t *c) {
  c->next_block = 0;
  for (size_t i = 0; i < hone_map_count(c->by_tensor); i++) {
    tap_t *tap = hone_map_value(c->by_tensor, i);
    hone_moments_deinit(&tap->moments);
    tap->is_done = false;
    memset(tap->has_asked, 0, sizeof tap->has_asked);
  }
}

// The tap of a source with its statistics there; a null tap if nothing enters it (embeddings).
static bool require(calibrator_t *c, const char *source, bool second, tap_t **out_tap,
                    hone_status_t *status) {
  tap_t *tap = hone_map_get(c->by_source, source);
  *out_tap = tap;
  if (!tap) return true;
  if (tap->is_done && second && !tap->moments.second) start_over(c);  // passed already
  c->want_second = second || (c->keep_all && !c->follows);
  c->target = tap->block;
  while (!tap->is_done && c->next_block < c->block_count)
    if (!walk_block(c, status)) return false;
  if (tap->is_done) return true;
  return hone_fail(status, HONE_INTERNAL, "no input of %s was seen", source);
}

// Moves on to the block of a tensor that is known, so that its rows can be replaced: not where
// nothing follows that depends on them.
static bool reach(calibrator_t *c, const tap_t *tap, hone_status_t *status) {
  if (!c->follows || !wants(c, tap->block + 1, c->block_count)) return true;
  if (c->next_block > tap->block + 1) start_over(c);
  c->want_second = true;
  // Another tensor of the block may want its moments; nobody listens on the way there.
  c->target = wants(c, tap->block, tap->block + 1) ? tap->block : c->block_count;
  while (c->next_block <= tap->block)
    if (!walk_block(c, status)) return false;
  return true;
}

static void skip_tensor(void *self, const char *source) {
  calibrator_t *c = self;
  tap_t *tap = hone_map_get(c->by_source, source);
  for (size_t s = 0; tap && s < tap->recipe.source_count; s++)
    if (!strcmp(tap->recipe.sources[s], source)) tap->is_known[s] = true;
}

static bool get_mean_squares(void *self, const char *source, const float **out,
                             hone_status_t *status) {
  tap_t *tap;
  *out = NULL;
  if (!require(self, source, false, &tap, status)) return false;
  if (tap) *out = tap->moments.mean_squares;
  return true;
}

static bool copy_matrix(const float *from, uint64_t N, uint64_t K, const char *source, float **out,
                        hone_status_t *status) {
  size_t bytes = (size_t)N * K * sizeof(float);
  if (!from) return true;
  *out = malloc(bytes);
  if (!*out)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for the second moments of %s", source);
  memcpy(*out, from, bytes);
  return true;
}

static bool copy_moments(const hone_moments_t *m, const char *source, hone_moment_set_t *out,
                         hone_status_t *status) {
  uint64_t K = m->K;
  if (copy_matrix(m->second, K, K, source, &out->second, status) &&
      copy_matrix(m->cross, K, K, source, &out->cross, status) &&
      copy_matrix(m->residual, m->N, K, source, &out->residual, status))
    return true;
  free(out->second);
  free(out->cross);
  free(out->residual);
  *out = (hone_moment_set_t){0};
  return false;
}

// Notes that the recipe has the moments; true if no other tensor of the tap is still to come.
static bool is_last_to_ask(tap_t *tap, const ir_recipe_t *recipe) {
  bool is_last = true;
  for (size_t s = 0; s < tap->recipe.source_count; s++) {
    for (size_t i = 0; i < recipe->source_count; i++)
      if (!strcmp(tap->recipe.sources[s], recipe->sources[i])) tap->has_asked[s] = true;
    is_last &= tap->has_asked[s] || tap->is_known[s];
  }
  return is_last;
}

static bool get_moments(void *self, const ir_recipe_t *recipe, hone_moment_set_t *out,
                        hone_status_t *status) {
  calibrator_t *c = self;
  const char *source = recipe->sources[0];
  tap_t *tap = hone_map_get(c->by_source, source);
  *out = (hone_moment_set_t){0};
  if (tap && is_known(tap, source)) return reach(self, tap, status);
  if (!require(self, source, true, &tap, status)) return false;
  if (!tap) return true;
  hone_moments_t *m = &tap->moments;
  if ((int64_t)m->K != recipe->K)
    return hone_fail(status, HONE_INTERNAL, "%s has %lld inputs, calibration saw %u", source,
                     (long long)recipe->K, m->K);
  // They are large: who asks last takes them. In memory for the whole model they stay.
  if (!is_last_to_ask(tap, recipe) || (c->keep_all && !c->follows))
    return copy_moments(m, source, out, status);
  *out = (hone_moment_set_t){.second = m->second, .cross = m->cross, .residual = m->residual};
  m->second = m->cross = m->residual = NULL;
  return true;
}

static bool copy_means(const double *from, uint32_t count, float **out) {
  *out = malloc((count ? count : 1) * sizeof **out);
  for (uint32_t i = 0; i < count && *out; i++) (*out)[i] = (float)from[i];
  return *out != NULL;
}

static bool get_means(void *self, const char *source, hone_mean_set_t *out, hone_status_t *status) {
  tap_t *tap;
  *out = (hone_mean_set_t){0};
  if (!require(self, source, false, &tap, status)) return false;
  if (!tap) return true;
  const hone_moments_t *m = &tap->moments;
  const double *x = m->sums, *y = m->sums + m->K, *gap = y + m->K;
  if (copy_means(x, m->K, &out->input) && copy_means(m->N ? x : y, m->K, &out->original) &&
      (!m->N || copy_means(gap, m->N, &out->gap)))
    return true;
  free(out->input);
  free(out->original);
  free(out->gap);
  *out = (hone_mean_set_t){0};
  return hone_fail(status, HONE_EXHAUSTED, "no memory for the means of %s", source);
}

static void correct_row(void *self, const char *source, int64_t row, float value) {
  calibrator_t *c = self;
  const tap_t *tap = hone_map_get(c->by_source, source);
  if (!c->follows || !tap || !tap->correction) return;
  c->is_changed = true;
  for (size_t s = 0; s < tap->recipe.source_count; s++)
    if (!strcmp(tap->recipe.sources[s], source))
      (void)hone_reference_add(&c->reference, &tap->recipe, s, row, tap->correction, value);
}

static void replace_row(void *self, const char *source, int64_t row, const float *values) {
  calibrator_t *c = self;
  const tap_t *tap = hone_map_get(c->by_source, source);
  bool is_embedding = c->embedding.source_count == 1 && !strcmp(c->embedding.sources[0], source);
  if (!c->follows || (!tap && !is_embedding)) return;
  if (is_embedding) {  // a tied head is not multiplied with in these walks
    if (!c->is_looked_up[row]) return;
    c->is_changed = c->embedding_changed = true;
    (void)hone_reference_write(&c->reference, &c->embedding, 0, row, values);
    return;
  }
  if (tap->block + 1 == c->block_count) return;  // nothing follows the last
  c->is_changed = true;
  for (size_t s = 0; s < tap->recipe.source_count; s++)
    if (!strcmp(tap->recipe.sources[s], source))
      (void)hone_reference_write(&c->reference, &tap->recipe, s, row, values);
}

static void close_calibrator(void *self) {
  calibrator_t *c = self;
  start_over(c);
  hone_windows_deinit(&c->windows);
  free(c->stream[ORIGINAL]);
  free(c->stream[QUANTIZED]);
  free(c->scratch);
  free(c->gap);
  free(c->begin);
  free(c->is_looked_up);
  hone_reference_close(&c->reference);
}

// ---- setting up

// The block that a tensor's name belongs to: "layers.3.attention.qkv" to "layers.3.attention".
static bool find_block(const calibrator_t *c, const char *tensor, uint32_t *out_block) {
  hone_walk_block_t block;
  for (uint32_t i = 0; hone_walk_at(c->reference.session, i, &block); i++) {
    if (strncmp(tensor, block.name, block.name_bytes) || tensor[block.name_bytes] != '.') continue;
    *out_block = i;
    return true;
  }
  return false;
}

// Taps for every matrix of the reference; returns the bytes of all their second moments.
static uint64_t make_taps(calibrator_t *c) {
  const ir_model_t *model = &c->reference.compile.model;
  uint64_t bytes = 0;
  ir_recipe_t head;
  bool has_head = ir_recipe_get(model, "head.weight", &head, &(hone_status_t){0});
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    uint32_t block;
    if (!ir_recipe_at(model, i, &recipe) || recipe.K == 1) continue;
    if (!find_block(c, recipe.name, &block)) continue;
    if (block == 0) c->embedding = recipe;
    // Looking rows up has no input to speak of; a tied embedding is also the head's matrix.
    if (block == 0 && has_head) continue;
    if (block == 0) block = c->block_count - 1;
    tap_t *tap = HONE_NEW(c->arena, tap_t);
    tap->block = block;
    tap->recipe = recipe;
    const char *last = hone_walk_last(c->reference.session, block);
    tap->is_added = block + 1 < c->block_count && last && !strcmp(last, recipe.name);
    bytes += (uint64_t)recipe.K * (uint64_t)recipe.K * sizeof(float);
    hone_map_put(c->by_tensor, recipe.name, tap);
    for (size_t s = 0; s < recipe.source_count; s++)
      hone_map_put(c->by_source, recipe.sources[s], tap);
  }
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(model, i, &recipe) || !recipe.corrects) continue;
    tap_t *tap = hone_map_get(c->by_tensor, recipe.corrects);
    if (tap) tap->correction = recipe.name;
  }
  return bytes;
}

static bool make_streams(calibrator_t *c, hone_status_t *status) {
  const hone_windows_t *windows = &c->windows;
  size_t row = hone_walk_width(c->reference.session) * sizeof(float);
  c->stream[ORIGINAL] = malloc(stream_bytes(c));
  c->stream[QUANTIZED] = malloc(c->follows ? stream_bytes(c) : 1);
  c->scratch = malloc(windows->context * row);
  c->gap = malloc(windows->context * row);
  c->is_looked_up = calloc((size_t)c->embedding.N + 1, sizeof *c->is_looked_up);
  if (!c->stream[ORIGINAL] || !c->stream[QUANTIZED] || !c->scratch || !c->gap || !c->is_looked_up)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for %zu MB of activations",
                     stream_bytes(c) >> 20);
  for (size_t i = 0; i < (size_t)windows->count * windows->context; i++)
    if (windows->ids[i] < c->embedding.N) c->is_looked_up[windows->ids[i]] = true;
  return true;
}

static bool open_calibrator(hone_compile_t *compile, calibrator_t *c, hone_status_t *status) {
  const hone_compile_options_t *options = &compile->options;
  ir_config_t config;
  if (!ir_model_config(&compile->model, &config, status)) return false;
  uint32_t context = hone_windows_context(options, (uint32_t)config.context);
  if (!compile->tokenizer.bytes)
    return hone_fail(status, HONE_INVALID,
                     "the model has no tokenizer, so it cannot read a text to calibrate with");
  if (!hone_reference_open(compile, context, &c->reference, status)) return false;
  c->block_count = hone_walk_count(c->reference.session);
  uint64_t bytes = make_taps(c);
  c->keep_all = bytes <= (options->calibration_memory ? (uint64_t)options->calibration_memory << 20
                                                      : DEFAULT_MEMORY);
  return hone_windows_cut(&c->reference, options, context, &c->windows, status) &&
         make_streams(c, status);
}

bool hone_calibrate(hone_compile_t *compile, hone_status_t *status) {
  calibrator_t *c = HONE_NEW(compile->arena, calibrator_t);
  c->arena = compile->arena;
  c->by_tensor = hone_map_create(c->arena);
  c->by_source = hone_map_create(c->arena);
  c->progress = compile->options.progress;
  c->threads = (int)compile->options.threads;
  const char *inputs = compile->options.calibration_inputs, *solver = compile->options.solver;
  c->follows = (!inputs || !strcmp(inputs, "quantized")) && (!solver || strcmp(solver, "scales"));
  compile->statistics = (hone_statistics_t){.self = c,
                                            .mean_squares = get_mean_squares,
                                            .moments = get_moments,
                                            .skip = skip_tensor,
                                            .replace = replace_row,
                                            .means = get_means,
                                            .correct = correct_row,
                                            .close = close_calibrator};
  return open_calibrator(compile, c, status);
}

hone_reference_t *hone_calibration_reference(const hone_statistics_t *statistics,
                                             const hone_windows_t **out_windows) {
  calibrator_t *c = statistics->self;
  *out_windows = &c->windows;
  return &c->reference;
}
