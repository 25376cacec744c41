// See probe.h.
#include "calibrate/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate/calibrate_internal.h"

enum { SLICE = 32 };  // rows of logits at a time

struct hone_probe {
  hone_arena_t *arena;
  hone_reference_t *reference;
  hone_map_t *recipes;  // source -> ir_recipe_t * of the reference
  const hone_windows_t *text;
  const int32_t *ids;
  uint32_t windows, stride, context, vocab;
  float *original;  // (windows * context, vocab) logits
  float *logits;    // (SLICE, vocab)
};

static double log_sum(const float *logits, uint32_t count, float *out_top) {
  float top = logits[0];
  for (uint32_t i = 1; i < count; i++) top = logits[i] > top ? logits[i] : top;
  double sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += exp((double)logits[i] - (double)top);
  *out_top = top;
  return log(sum) + (double)top;
}

static double divergence(const float *p, const float *q, uint32_t count) {
  float top;
  double p_sum = log_sum(p, count, &top), q_sum = log_sum(q, count, &top), kl = 0;
  for (uint32_t i = 0; i < count; i++) {
    double log_p = (double)p[i] - p_sum;
    kl += exp(log_p) * (log_p - ((double)q[i] - q_sum));
  }
  return kl;
}

// Runs a window: its logits go to `out`, or are compared with the original's.
static bool run_window(hone_probe_t *p, uint32_t window, float *out, double *kl,
                       hone_status_t *status) {
  hone_session_t *session = p->reference->session;
  const int32_t *ids = p->ids + (size_t)window * p->stride * p->context;
  hone_session_rewind(session, 0);
  for (uint32_t at = 0; at < p->context; at += SLICE) {
    uint32_t count = p->context - at < SLICE ? p->context - at : SLICE;
    size_t row = (size_t)window * p->context + at;
    float *to = out ? out + row * p->vocab : p->logits;
    if (!hone_session_feed(session, ids + at, count, count, to, status)) return false;
    for (uint32_t i = 0; i < count && kl; i++)
      *kl += divergence(p->original + (row + i) * p->vocab, to + (size_t)i * p->vocab, p->vocab);
  }
  return true;
}

bool hone_probe_create(hone_compile_t *compile, int64_t tokens, hone_probe_t **out_probe,
                       hone_status_t *status) {
  hone_probe_t *p = calloc(1, sizeof *p);
  hone_model_info_t info;
  *out_probe = NULL;
  if (!p) return hone_fail(status, HONE_EXHAUSTED, "no memory for a probe");
  p->reference = hone_calibration_reference(&compile->statistics, &p->text);
  p->arena = compile->arena;
  p->ids = p->text->ids;
  p->context = p->text->context;
  hone_model_get_info(p->reference->model, &info);
  p->vocab = info.vocab;
  p->windows = (uint32_t)(tokens / p->context);
  if (p->windows < 1) p->windows = 1;
  if (p->windows > p->text->count) p->windows = p->text->count;
  p->stride = p->text->count / p->windows;
  size_t rows = (size_t)p->windows * p->context;
  p->original = malloc(rows * p->vocab * sizeof(float));
  p->logits = malloc((size_t)SLICE * p->vocab * sizeof(float));
  p->recipes = hone_map_create(compile->arena);
  const ir_model_t *model = &p->reference->compile.model;
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t *recipe = HONE_NEW(compile->arena, ir_recipe_t);
    if (!ir_recipe_at(model, i, recipe)) continue;
    for (size_t s = 0; s < recipe->source_count; s++)
      hone_map_put(p->recipes, recipe->sources[s], recipe);
  }
  bool ok = p->original && p->logits;
  if (!ok) hone_fail(status, HONE_EXHAUSTED, "no memory for the logits of %zu tokens", rows);
  for (uint32_t w = 0; w < p->windows && ok; w++) ok = run_window(p, w, p->original, NULL, status);
  if (!ok) {
    hone_probe_destroy(p);
    return false;
  }
  *out_probe = p;
  return true;
}

void hone_probe_destroy(hone_probe_t *probe) {
  if (!probe) return;
  free(probe->original);
  free(probe->logits);
  free(probe);
}

bool hone_probe_replace(hone_probe_t *probe, const char *source, int64_t row, const float *values) {
  const ir_recipe_t *recipe = hone_map_get(probe->recipes, source);
  bool ok = recipe != NULL;
  for (size_t s = 0; ok && s < recipe->source_count; s++)
    if (!strcmp(recipe->sources[s], source))
      ok = hone_reference_write(probe->reference, recipe, s, row, values);
  return ok;
}

bool hone_probe_measure(hone_probe_t *probe, double *out_kl, hone_status_t *status) {
  double sum = 0;
  bool ok = true;
  for (uint32_t w = 0; w < probe->windows && ok; w++) ok = run_window(probe, w, NULL, &sum, status);
  hone_walk_release(probe->reference->session);
  *out_kl = sum / ((double)probe->windows * probe->context);
  return ok;
}

// ---- verifying

static const uint64_t VERIFY_LOGITS = 256ull << 20;  // bytes of logits of the original

typedef struct verifier {
  hone_probe_t *probe;
  uint32_t windows, width;
  float *stream;  // (2, windows * context, width): of the original, of the changed model
  double kl;
} verifier_t;

// One window through a block. Behind the head are its logits: of the original they are kept, those
// of the changed model are compared with them.
static bool verify_window(verifier_t *v, const hone_walk_block_t *block, uint32_t window,
                          bool is_changed, hone_status_t *status) {
  hone_probe_t *p = v->probe;
  hone_session_t *session = p->reference->session;
  uint32_t batch = hone_walk_batch(session, block);
  if (block->is_head && batch > SLICE) batch = SLICE;
  for (uint32_t at = 0; at < p->context; at += batch) {
    uint32_t M = p->context - at < batch ? p->context - at : batch;
    size_t row = (size_t)window * p->context + at, rows = (size_t)v->windows * p->context;
    float *stream = v->stream + ((is_changed ? rows : 0) + row) * v->width;
    float *kept = p->original + row * p->vocab, *logits = is_changed ? p->logits : kept;
    if (!hone_walk_run(session, block, at, M, p->text->held + row, stream, NULL, NULL, status) ||
        (block->is_head && !hone_walk_logits(session, block, M, logits, status)))
      return false;
    for (uint32_t m = 0; m < M && block->is_head && is_changed; m++)
      v->kl += divergence(kept + (size_t)m * p->vocab, logits + (size_t)m * p->vocab, p->vocab);
  }
  return true;
}

static bool verify_block(verifier_t *v, uint32_t index, hone_probe_fill_fn *fill, void *user,
                         hone_status_t *status) {
  hone_session_t *session = v->probe->reference->session;
  hone_walk_block_t block;
  if (!hone_walk_at(session, index, &block))
    return hone_fail(status, HONE_INTERNAL, "the reference has no block %u", index);
  const char *name = hone_arena_strndup(v->probe->arena, block.name, block.name_bytes);
  bool ok = true;
  for (int is_changed = 0; is_changed < 2 && ok; is_changed++) {
    if (is_changed) ok = fill(user, name, block.is_head, status);
    for (uint32_t w = 0; w < v->windows && ok; w++)
      ok = verify_window(v, &block, w, is_changed, status);
  }
  hone_walk_release(session);
  return ok;
}

bool hone_probe_verify(hone_probe_t *probe, hone_probe_fill_fn *fill, void *user, double *out_kl,
                       uint64_t *out_tokens, hone_status_t *status) {
  verifier_t v = {.probe = probe, .width = hone_walk_width(probe->reference->session)};
  uint64_t window_bytes = (uint64_t)probe->context * probe->vocab * sizeof(float),
           most = VERIFY_LOGITS / window_bytes;
  v.windows = probe->text->held_count < most ? probe->text->held_count : (uint32_t)most;
  if (v.windows == 0) v.windows = 1;
  size_t rows = (size_t)v.windows * probe->context;
  free(probe->original);
  probe->original = malloc(v.windows * window_bytes);
  v.stream = malloc(2 * rows * v.width * sizeof *v.stream);
  bool ok = probe->original && v.stream;
  if (!ok) hone_fail(status, HONE_EXHAUSTED, "no memory for the logits of %zu tokens", rows);
  uint32_t count = hone_walk_count(probe->reference->session);
  for (uint32_t b = 0; b < count && ok; b++) ok = verify_block(&v, b, fill, user, status);
  free(v.stream);
  *out_kl = v.kl / (double)rows;
  *out_tokens = rows;
  return ok || hone_note(status, "verifying on held-out text");
}
