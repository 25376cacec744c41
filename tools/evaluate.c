// The scoring loop of hone eval and hone report; see evaluate.h.
#include "tools/evaluate.h"

#include <string.h>

#include "base/file.h"
#include "base/progress.h"
#include "tools/client.h"

enum { TEXT_LIMIT = 1 << 30 };
enum { SLICE = 32 };  // rows of logits held at a time

typedef struct run {
  hone_tool_t *tool;
  const hone_evaluate_options_t *options;
  hone_client_t *model, *reference;  // reference: NULL without one
  hone_client_info_t info;
  float *logits, *reference_logits;  // (SLICE, vocab)
  int32_t *window;                   // (context)
  hone_evaluation_t *evaluation;
} run_t;

static bool open_models(run_t *run, hone_status_t *status) {
  const hone_evaluate_options_t *options = run->options;
  hone_client_options_t client = {.threads = options->threads};
  if (!hone_client_start(options->artefact, &client, &run->model, status)) return false;
  if (!hone_client_info(run->model, &run->info, status)) return false;
  if (!options->against) return true;
  hone_client_info_t other;
  if (!hone_client_start(options->against, &client, &run->reference, status)) return false;
  if (!hone_client_info(run->reference, &other, status)) return false;
  if (other.vocab != run->info.vocab)
    return hone_fail(status, HONE_INVALID,
                     "%s has %u tokens in its vocabulary, %s has %u: they cannot be compared",
                     options->artefact, run->info.vocab, options->against, other.vocab);
  return true;
}

// Scores `count` rows from position `at` of the window on.
static bool score_slice(run_t *run, size_t at, size_t count, hone_status_t *status) {
  size_t vocab = run->info.vocab;
  const int32_t *ids = run->window + at;
  if (!hone_client_feed(run->model, ids, count, count, run->logits, vocab, NULL, status))
    return false;
  if (run->reference && !hone_client_feed(run->reference, ids, count, count, run->reference_logits,
                                          vocab, NULL, status))
    return false;
  for (size_t r = 0; r < count; r++) {
    const float *other = run->reference ? run->reference_logits + r * vocab : NULL;
    hone_score_add(&run->evaluation->score, at + r - run->evaluation->first,
                   run->logits + r * vocab, other, vocab, ids[r + 1]);
  }
  return true;
}

static bool score_window(run_t *run, hone_status_t *status) {
  size_t first = run->evaluation->first, vocab = run->info.vocab;
  size_t last = (size_t)run->options->context - 1;
  if (!hone_client_rewind(run->model, 0, status)) return false;
  if (!hone_client_feed(run->model, run->window, first, 0, NULL, vocab, NULL, status)) return false;
  if (run->reference) {
    if (!hone_client_rewind(run->reference, 0, status)) return false;
    if (!hone_client_feed(run->reference, run->window, first, 0, NULL, vocab, NULL, status))
      return false;
  }
  for (size_t at = first; at < last; at += SLICE) {
    size_t count = last - at < SLICE ? last - at : SLICE;
    if (!score_slice(run, at, count, status)) return false;
  }
  return true;
}

// The text as ids, and how many whole windows they fill.
static bool read_text(run_t *run, int32_t **out_ids, hone_status_t *status) {
  const hone_evaluate_options_t *options = run->options;
  hone_evaluation_t *evaluation = run->evaluation;
  hone_arena_t *arena = run->tool->arena;
  char *text;
  size_t bytes, count;
  if (!hone_file_read(options->text, TEXT_LIMIT, arena, &text, &bytes, status)) return false;
  if (options->context > run->info.context)
    return hone_fail(status, HONE_INVALID, "--context %lld exceeds the model's %u positions",
                     (long long)options->context, run->info.context);
  if (!hone_client_tokenize(run->model, text, bytes, false, arena, out_ids, &count, status))
    return false;
  int64_t windows = (int64_t)count / options->context;
  if (windows < 1)
    return hone_fail(status, HONE_INVALID,
                     "%s has %zu tokens, fewer than one window of %lld: use a smaller --context",
                     options->text, count, (long long)options->context);
  if (options->chunks && options->chunks < windows) windows = options->chunks;
  evaluation->windows = windows;
  return true;
}

static bool score_text(run_t *run, hone_status_t *status) {
  const hone_evaluate_options_t *options = run->options;
  hone_evaluation_t *evaluation = run->evaluation;
  hone_arena_t *arena = run->tool->arena;
  int32_t *ids;
  if (!read_text(run, &ids, status)) return false;
  size_t context = (size_t)options->context, windows = (size_t)evaluation->windows;
  size_t positions = context - 1 - evaluation->first;
  run->window = HONE_NEW_ARRAY(arena, int32_t, context);
  run->logits = HONE_NEW_ARRAY(arena, float, SLICE *(size_t)run->info.vocab);
  if (run->reference)
    run->reference_logits = HONE_NEW_ARRAY(arena, float, SLICE *(size_t)run->info.vocab);
  hone_score_init(&evaluation->score, arena, positions * windows, positions);
  hone_progress_t *progress =
      hone_progress_create("eval", (uint64_t)windows, false, run->tool->terminal);
  bool ok = true;
  for (size_t w = 0; w < windows && ok; w++) {
    memcpy(run->window, ids + w * context, context * sizeof *ids);
    if (run->info.bos >= 0) run->window[0] = run->info.bos;
    ok = score_window(run, status);
    hone_progress_add(progress, 1, NULL);
  }
  hone_progress_destroy(progress);
  return ok;
}

bool hone_evaluate(hone_tool_t *tool, const hone_evaluate_options_t *options,
                   hone_evaluation_t *out_evaluation, hone_status_t *status) {
  *out_evaluation = (hone_evaluation_t){
      .context = options->context,
      .first = (size_t)options->context / 2,
      .has_reference = options->against != NULL,
  };
  run_t run = {.tool = tool, .options = options, .evaluation = out_evaluation};
  bool ok = open_models(&run, status) && score_text(&run, status);
  if (ok) hone_score_finish(&out_evaluation->score, &out_evaluation->result);
  hone_client_stop(run.model);
  hone_client_stop(run.reference);
  return ok;
}

void hone_evaluate_json(const hone_evaluation_t *evaluation, hone_json_t *json) {
  const hone_score_result_t *result = &evaluation->result;
  hone_json_i64(json, "context", evaluation->context);
  hone_json_i64(json, "windows", evaluation->windows);
  hone_json_u64(json, "tokens", result->count);
  hone_json_f64(json, "perplexity", result->perplexity);
  hone_json_f64(json, "perplexity_error", result->perplexity_error);
  if (!evaluation->has_reference) return;
  hone_json_f64(json, "reference_perplexity", result->reference_perplexity);
  hone_json_f64(json, "reference_perplexity_error", result->reference_perplexity_error);
  hone_json_f64(json, "perplexity_ratio", result->perplexity_ratio);
  hone_json_f64(json, "perplexity_ratio_error", result->perplexity_ratio_error);
  hone_json_f64(json, "kl_mean", result->kl_mean);
  hone_json_f64(json, "kl_mean_error", result->kl_mean_error);
  hone_json_f64(json, "kl_median", result->kl_median);
  hone_json_f64(json, "kl_p99", result->kl_p99);
  hone_json_f64(json, "kl_p999", result->kl_p999);
  hone_json_f64(json, "kl_max", result->kl_max);
  hone_json_f64(json, "top1_agreement", result->top1_agreement);
  hone_json_f64(json, "top1_agreement_error", result->top1_error);
}
