// hone eval: perplexity of an artefact, and its distance (KL divergence, top-1 agreement) to
// another one. The protocol is tools/evaluate.h.
#include "base/file.h"
#include "tools/evaluate.h"

typedef struct fields {
  hone_evaluate_options_t evaluate;
  bool json;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)
static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "ARTEFACT", .field = FIELD(evaluate.artefact),
     .help = "a program made by hone compile"},
    {HONE_OPTION_STRING, "--text", NULL, "FILE", FIELD(evaluate.text),
     .help = "held-out text (required)"},
    {HONE_OPTION_STRING, "--against", NULL, "ARTEFACT", FIELD(evaluate.against),
     .help = "reference model: also print KL divergence and top-1 agreement"},
    {HONE_OPTION_INT, "--context", NULL, "N", FIELD(evaluate.context), .low = 4, .high = 1 << 20,
     .help = "window in tokens; default: 512"},
    {HONE_OPTION_INT, "--chunks", NULL, "N", FIELD(evaluate.chunks), .low = 0, .high = 1 << 30,
     .help = "windows to score; default: all"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(evaluate.threads), .low = 0, .high = 1024,
     .help = "default: all CPUs"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print JSON"},
    {0}};
const hone_verb_t hone_verb_eval = {"eval",
                                    "perplexity, KL divergence and top-1 agreement on a text", NULL,
                                    "  hone eval story --text book.txt --context 256 --chunks 16\n"
                                    "  hone eval story-nf4 --text book.txt --against story\n",
                                    options};

static bool print_result(hone_tool_t *tool, const fields_t *fields,
                         const hone_evaluation_t *evaluation, hone_status_t *status) {
  const hone_score_result_t *result = &evaluation->result;
  hone_buffer_t text = {0};
  if (fields->json) {
    hone_json_t json = {.out = &text};
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "schema", "hone.eval/1");
    hone_evaluate_json(evaluation, &json);
    hone_json_object_end(&json);
    hone_buffer_text(&text, "\n");
  } else {
    hone_buffer_format(&text,
                       "perplexity      %.6f +- %.6f over %zu tokens in %lld windows of %lld\n",
                       result->perplexity, result->perplexity_error, result->count,
                       (long long)evaluation->windows, (long long)evaluation->context);
    if (evaluation->has_reference)
      hone_buffer_format(
          &text,
          "reference       %.6f (%s)\nKL divergence   mean %.6g  median %.6g  99.9%% %.6g nats\n"
          "same top-1      %.3f %%\n",
          result->reference_perplexity, hone_path_base(fields->evaluate.against), result->kl_mean,
          result->kl_median, result->kl_p999, 100 * result->top1_agreement);
  }
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

int hone_verb_eval_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.evaluate.context = HONE_EVALUATE_CONTEXT};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_eval, argc, argv, &fields, &code)) return code;
  if (!fields.evaluate.text) {
    fprintf(stderr, "hone eval: --text FILE is required\n");
    return HONE_EXIT_USAGE;
  }
  hone_status_t status = {0};
  hone_evaluation_t evaluation;
  bool ok = hone_evaluate(tool, &fields.evaluate, &evaluation, &status) &&
            print_result(tool, &fields, &evaluation, &status);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
