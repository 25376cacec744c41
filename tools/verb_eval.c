// hone eval: perplexity of an artefact, and its distance (KL divergence, top-1 agreement) to
// another one.
//
// Perplexity follows llama.cpp's protocol: the file is tokenized whole without BOS and cut into
// windows of --context tokens; the first token of each window is replaced by BOS (where the model
// has one); positions context/2 .. context-2 are scored. KL divergence is sum p log(p / q) with p
// the other artefact (--against) and q this one.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/progress.h"
#include "tools/client.h"
#include "tools/score.h"
#include "tools/verb.h"

typedef struct fields {
  const char *artefact, *text, *against;
  int64_t context, chunks, threads;
  bool json;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)
static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "ARTEFACT", .field = FIELD(artefact),
     .help = "a program made by hone compile"},
    {HONE_OPTION_STRING, "--text", NULL, "FILE", FIELD(text), .help = "held-out text (required)"},
    {HONE_OPTION_STRING, "--against", NULL, "ARTEFACT", FIELD(against),
     .help = "reference model: also print KL divergence and top-1 agreement"},
    {HONE_OPTION_INT, "--context", NULL, "N", FIELD(context), .low = 4, .high = 1 << 20,
     .help = "window in tokens; default: 512"},
    {HONE_OPTION_INT, "--chunks", NULL, "N", FIELD(chunks), .low = 0, .high = 1 << 30,
     .help = "windows to score; default: all"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(threads), .low = 0, .high = 1024,
     .help = "default: all CPUs"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print JSON"},
    {0}};
const hone_verb_t hone_verb_eval = {"eval",
                                    "perplexity, KL divergence and top-1 agreement on a text", NULL,
                                    "  hone eval story --text book.txt --context 256 --chunks 16\n"
                                    "  hone eval story-nf4 --text book.txt --against story\n",
                                    options};

enum { TEXT_LIMIT = 1 << 30 };

typedef struct run {
  hone_client_t *model, *reference;  // reference: NULL without --against
  hone_client_info_t info;
  float *logits, *reference_logits;  // (SLICE, vocab)
  int32_t *window;
  hone_score_t score;
} run_t;

static bool open_models(const fields_t *fields, run_t *run, hone_status_t *status) {
  hone_client_options_t client = {.threads = fields->threads};
  if (!hone_client_start(fields->artefact, &client, &run->model, status)) return false;
  if (!hone_client_info(run->model, &run->info, status)) return false;
  if (!fields->against) return true;
  hone_client_info_t other;
  if (!hone_client_start(fields->against, &client, &run->reference, status)) return false;
  if (!hone_client_info(run->reference, &other, status)) return false;
  if (other.vocab != run->info.vocab)
    return hone_fail(status, HONE_INVALID,
                     "%s has %u tokens in its vocabulary, %s has %u: they cannot be compared",
                     fields->artefact, run->info.vocab, fields->against, other.vocab);
  return true;
}

enum { SLICE = 32 };  // rows of logits held at a time

static bool score_slice(run_t *run, const int32_t *ids, size_t count, hone_status_t *status) {
  size_t vocab = run->info.vocab;
  if (!hone_client_feed(run->model, ids, count, count, run->logits, vocab, NULL, status))
    return false;
  if (run->reference && !hone_client_feed(run->reference, ids, count, count, run->reference_logits,
                                          vocab, NULL, status))
    return false;
  for (size_t r = 0; r < count; r++) {
    const float *other = run->reference ? run->reference_logits + r * vocab : NULL;
    hone_score_add(&run->score, run->logits + r * vocab, other, vocab, ids[r + 1]);
  }
  return true;
}

static bool score_window(run_t *run, size_t context, hone_status_t *status) {
  size_t first = context / 2, vocab = run->info.vocab;
  if (!hone_client_rewind(run->model, 0, status)) return false;
  if (!hone_client_feed(run->model, run->window, first, 0, NULL, vocab, NULL, status)) return false;
  if (run->reference) {
    if (!hone_client_rewind(run->reference, 0, status)) return false;
    if (!hone_client_feed(run->reference, run->window, first, 0, NULL, vocab, NULL, status))
      return false;
  }
  for (size_t at = first; at + 1 < context; at += SLICE) {
    size_t count = context - 1 - at < SLICE ? context - 1 - at : SLICE;
    if (!score_slice(run, run->window + at, count, status)) return false;
  }
  return true;
}

static bool evaluate(hone_tool_t *tool, const fields_t *fields, run_t *run, int64_t *out_windows,
                     hone_status_t *status) {
  char *text;
  size_t bytes, count;
  int32_t *ids;
  if (!hone_file_read(fields->text, TEXT_LIMIT, tool->arena, &text, &bytes, status)) return false;
  if (fields->context > run->info.context)
    return hone_fail(status, HONE_INVALID, "--context %lld exceeds the model's %u positions",
                     (long long)fields->context, run->info.context);
  if (!hone_client_tokenize(run->model, text, bytes, false, tool->arena, &ids, &count, status))
    return false;
  int64_t windows = (int64_t)count / fields->context;
  if (windows < 1)
    return hone_fail(status, HONE_INVALID,
                     "%s has %zu tokens, fewer than one window of %lld: use a smaller --context",
                     fields->text, count, (long long)fields->context);
  if (fields->chunks && fields->chunks < windows) windows = fields->chunks;
  size_t rows = (size_t)fields->context / 2;
  run->window = HONE_NEW_ARRAY(tool->arena, int32_t, (size_t)fields->context);
  run->logits = HONE_NEW_ARRAY(tool->arena, float, SLICE *(size_t)run->info.vocab);
  if (run->reference)
    run->reference_logits = HONE_NEW_ARRAY(tool->arena, float, SLICE *(size_t)run->info.vocab);
  hone_score_init(&run->score, tool->arena, rows * (size_t)windows);
  hone_progress_t *progress =
      hone_progress_create("eval", (uint64_t)windows, false, tool->terminal);
  bool ok = true;
  for (int64_t w = 0; w < windows && ok; w++) {
    memcpy(run->window, ids + w * fields->context, (size_t)fields->context * sizeof *ids);
    if (run->info.bos >= 0) run->window[0] = run->info.bos;
    ok = score_window(run, (size_t)fields->context, status);
    hone_progress_add(progress, 1, NULL);
  }
  hone_progress_destroy(progress);
  *out_windows = windows;
  return ok;
}

static bool print_result(hone_tool_t *tool, const fields_t *fields, run_t *run, int64_t windows,
                         hone_status_t *status) {
  hone_score_result_t result;
  hone_score_finish(&run->score, &result);
  hone_buffer_t text = {0};
  if (fields->json) {
    hone_json_t json = {.out = &text};
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "schema", "hone.eval/1");
    hone_json_i64(&json, "context", fields->context);
    hone_json_i64(&json, "windows", windows);
    hone_json_u64(&json, "tokens", result.count);
    hone_json_f64(&json, "perplexity", result.perplexity);
    hone_json_f64(&json, "perplexity_error", result.perplexity_error);
    if (run->reference) {
      hone_json_f64(&json, "reference_perplexity", result.reference_perplexity);
      hone_json_f64(&json, "kl_mean", result.kl_mean);
      hone_json_f64(&json, "kl_median", result.kl_median);
      hone_json_f64(&json, "kl_p999", result.kl_p999);
      hone_json_f64(&json, "top1_agreement", result.top1_agreement);
    }
    hone_json_object_end(&json);
    hone_buffer_text(&text, "\n");
  } else {
    hone_buffer_format(&text,
                       "perplexity      %.6f +- %.6f over %zu tokens in %lld windows of %lld\n",
                       result.perplexity, result.perplexity_error, result.count, (long long)windows,
                       (long long)fields->context);
    if (run->reference)
      hone_buffer_format(
          &text,
          "reference       %.6f (%s)\nKL divergence   mean %.6g  median %.6g  99.9%% %.6g nats\n"
          "same top-1      %.3f %%\n",
          result.reference_perplexity, hone_path_base(fields->against), result.kl_mean,
          result.kl_median, result.kl_p999, 100 * result.top1_agreement);
  }
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

int hone_verb_eval_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.context = 512};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_eval, argc, argv, &fields, &code)) return code;
  if (!fields.text) {
    fprintf(stderr, "hone eval: --text FILE is required\n");
    return HONE_EXIT_USAGE;
  }
  hone_status_t status = {0};
  run_t run = {0};
  int64_t windows = 0;
  bool ok = open_models(&fields, &run, &status) &&
            evaluate(tool, &fields, &run, &windows, &status) &&
            print_result(tool, &fields, &run, windows, &status);
  hone_client_stop(run.model);
  hone_client_stop(run.reference);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
