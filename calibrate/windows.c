// The calibration text: tokens, cut into windows.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "calibrate/calibrate_internal.h"

enum {
  MOST_TOKENS = 16384,  // by default; fewer for large models, for time
  FEWEST_TOKENS = 2048,
  DEFAULT_CONTEXT = 512,
  LEAST_TOKENS = 256,
  HELD_TOKENS = 2048,
  HELD_SHARE = 4,  // at most one in so many windows is held out
  TEXT_LIMIT = 1 << 30,
};

uint32_t hone_windows_context(const hone_compile_options_t *options, uint32_t most) {
  uint32_t context =
      options->calibration_context ? (uint32_t)options->calibration_context : DEFAULT_CONTEXT;
  return context < most ? context : most;
}

static bool tokenize(const hone_reference_t *reference, const char *path, int32_t **out_ids,
                     size_t *out_count, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  char *text = NULL;
  size_t bytes = 0;
  bool ok = hone_file_read(path, TEXT_LIMIT, arena, &text, &bytes, status);
  *out_ids = ok ? malloc((bytes + 1) * sizeof **out_ids) : NULL;
  if (ok && !*out_ids) ok = hone_fail(status, HONE_EXHAUSTED, "no memory for the text's tokens");
  ok = ok && hone_model_tokenize(reference->model, text, bytes, false, *out_ids, bytes + 1,
                                 out_count, status);
  hone_arena_destroy(arena);
  return ok || hone_note(status, "--calibrate %s", path);
}

// About the same work for every model, within limits.
static size_t default_tokens(const hone_reference_t *reference) {
  const ir_model_t *model = &reference->compile.model;
  double weights = 1, work = 4e12;
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    if (ir_recipe_at(model, i, &recipe)) weights += (double)recipe.N * (double)recipe.K;
  }
  double tokens = work / weights;
  return tokens > MOST_TOKENS     ? MOST_TOKENS
         : tokens < FEWEST_TOKENS ? FEWEST_TOKENS
                                  : (size_t)tokens;
}

// How many windows, of how many tokens, a text of `count` tokens gives.
static void measure(const hone_reference_t *reference, const hone_compile_options_t *options,
                    uint32_t context, size_t count, hone_windows_t *windows) {
  bool has_target = options->target_bpw > 0 || options->target_bytes > 0;
  size_t tokens =
      options->calibration_tokens ? (size_t)options->calibration_tokens : default_tokens(reference);
  if (tokens > count) tokens = count;
  if (context > tokens) context = (uint32_t)tokens;
  if (has_target && context > count / 2) context = (uint32_t)(count / 2);  // one is held out
  windows->context = context;
  size_t all = count / context, wanted = HELD_TOKENS / context, most = all / HELD_SHARE;
  if (has_target) windows->held_count = (uint32_t)(wanted < most ? wanted : most);
  if (has_target && windows->held_count == 0) windows->held_count = 1;
  size_t rest = all - windows->held_count;
  windows->count = (uint32_t)(tokens / context < rest ? tokens / context : rest);
}

static void fill(const hone_reference_t *reference, const int32_t *ids, size_t count,
                 hone_windows_t *windows) {
  hone_model_info_t info;
  hone_model_get_info(reference->model, &info);
  size_t all = (size_t)windows->count + windows->held_count, bytes = windows->context * sizeof *ids;
  size_t stride = all > 1 ? (count - windows->context) / (all - 1) : 0, held = 0, used = 0;
  for (size_t w = 0; w < all; w++) {
    // evenly among the others: the middle of every share
    bool is_held =
        held < windows->held_count && w == (2 * held + 1) * all / 2 / windows->held_count;
    int32_t *to = is_held ? windows->held + held++ * windows->context
                          : windows->ids + used++ * windows->context;
    memcpy(to, ids + w * stride, bytes);
    if (info.bos >= 0) to[0] = info.bos;
  }
}

bool hone_windows_cut(const hone_reference_t *reference, const hone_compile_options_t *options,
                      uint32_t context, hone_windows_t *out_windows, hone_status_t *status) {
  hone_windows_t windows = {0};
  int32_t *ids = NULL;
  size_t count = 0;
  bool ok = tokenize(reference, options->calibrate, &ids, &count, status);
  if (ok && count < LEAST_TOKENS)
    ok = hone_fail(status, HONE_INVALID,
                   "%s has %zu tokens; calibration needs %d at least (some thousands are good)",
                   options->calibrate, count, LEAST_TOKENS);
  if (ok) {
    measure(reference, options, context, count, &windows);
    size_t window = windows.context * sizeof *ids;
    windows.ids = malloc(windows.count * window);
    windows.held = malloc(windows.held_count * window + 1);
    ok = (windows.ids && windows.held) ||
         hone_fail(status, HONE_EXHAUSTED, "no memory for %zu tokens", count);
  }
  if (ok) fill(reference, ids, count, &windows);
  free(ids);
  if (!ok) hone_windows_deinit(&windows);
  *out_windows = windows;
  return ok;
}

void hone_windows_deinit(hone_windows_t *windows) {
  free(windows->ids);
  free(windows->held);
  *windows = (hone_windows_t){0};
}
