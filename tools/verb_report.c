// hone report: what quantization did to a model, as text, JSON or a page.
#include "base/file.h"
#include "tools/report.h"

typedef struct fields {
  hone_evaluate_options_t evaluate;
  const char *html;
  bool json;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)
static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "ARTEFACT", .field = FIELD(evaluate.artefact),
     .help = "a program or library made by hone compile"},
    {HONE_OPTION_STRING, "--against", NULL, "REFERENCE", FIELD(evaluate.against),
     .help = "program to compare predictions and size with; needs --text"},
    {HONE_OPTION_STRING, "--text", NULL, "FILE", FIELD(evaluate.text),
     .help = "held-out text: also report perplexity, as hone eval does"},
    {HONE_OPTION_INT, "--context", NULL, "N", FIELD(evaluate.context), .low = 4, .high = 1 << 20,
     .help = "window in tokens; default: 512"},
    {HONE_OPTION_INT, "--chunks", NULL, "N", FIELD(evaluate.chunks), .low = 0, .high = 1 << 30,
     .help = "windows to score; default: all"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(evaluate.threads), .low = 0, .high = 1024,
     .help = "default: all CPUs"},
    {HONE_OPTION_STRING, "--html", NULL, "OUT", FIELD(html),
     .help = "write a page with tables and plots; it needs no other file"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print JSON"},
    {0}};
const hone_verb_t hone_verb_report = {
    "report", "what quantization did to a model: size, error of weights, predictions",
    "Reads the error of every tensor from the artefact's manifest. With --text it runs the "
    "program, and with --against also a reference, usually the same model in f32 or bf16. The "
    "same input gives the same bytes.",
    "  hone report story-nf4\n"
    "  hone report story-nf4 --against story --text book.txt --html report.html\n",
    options};

static bool write_page(const fields_t *fields, const hone_report_t *report, hone_arena_t *arena,
                       hone_status_t *status) {
  hone_buffer_t page = {0};
  hone_output_t *output = NULL;
  hone_report_html(report, arena, &page);
  bool ok = hone_output_create(fields->html, 0644, &output, status) &&
            hone_output_write(output, page.data, page.bytes, status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  hone_buffer_deinit(&page);
  return ok;
}

static bool print_report(hone_tool_t *tool, const fields_t *fields, const hone_report_t *report,
                         hone_status_t *status) {
  hone_buffer_t text = {0};
  if (fields->json) {
    hone_report_json(report, &text);
  } else {
    hone_report_text(report, &text);
  }
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

static bool run(hone_tool_t *tool, const fields_t *fields, hone_status_t *status) {
  hone_report_t report, reference;
  hone_evaluation_t evaluation;
  const hone_evaluate_options_t *evaluate = &fields->evaluate;
  if (!hone_report_load(evaluate->artefact, tool->arena, &report, status)) return false;
  if (evaluate->against) {
    if (!hone_report_load(evaluate->against, tool->arena, &reference, status)) return false;
    report.reference = &reference;
  }
  if (evaluate->text) {
    if (!hone_evaluate(tool, evaluate, &evaluation, status)) return false;
    hone_score_histogram(&evaluation.score, tool->arena, HONE_REPORT_KL_PER_DECADE,
                         HONE_REPORT_KL_DECADES, &report.histogram);
    report.evaluation = &evaluation;
    report.text_name = hone_path_base(evaluate->text);
  }
  if (fields->html && !write_page(fields, &report, tool->arena, status)) return false;
  return print_report(tool, fields, &report, status);
}

int hone_verb_report_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.evaluate.context = HONE_EVALUATE_CONTEXT};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_report, argc, argv, &fields, &code)) return code;
  if (fields.evaluate.against && !fields.evaluate.text) {
    fprintf(stderr, "hone report: --against needs a text to compare on: --text FILE\n");
    return HONE_EXIT_USAGE;
  }
  hone_status_t status = {0};
  return run(tool, &fields, &status) ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
