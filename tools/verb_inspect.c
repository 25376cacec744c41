// hone inspect: a readable view of a model or an artefact.
#include "tools/inspect.h"

typedef struct fields {
  const char *path;
  bool json, dataflow;
} fields_t;

static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "MODEL", .field = offsetof(fields_t, path),
     .help = "Hugging Face folder, textual model (.mlir), or an artefact of hone compile"},
    {HONE_OPTION_FLAG, "--dataflow", .field = offsetof(fields_t, dataflow),
     .help = "of an artefact: which kernel for how many rows, on each instruction set level, and "
             "why"},
    {HONE_OPTION_FLAG, "--json", .field = offsetof(fields_t, json),
     .help = "print JSON (of an artefact: its manifest)"},
    {0}};
const hone_verb_t hone_verb_inspect = {
    "inspect", "show blocks, shapes, formats, bytes, kernels and the manifest", NULL,
    "  hone inspect samples/stories260k\n  hone inspect ./story --json\n"
    "  hone inspect ./story --dataflow\n",
    options};

int hone_verb_inspect_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {0};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_inspect, argc, argv, &fields, &code)) return code;
  hone_status_t status = {0};
  hone_buffer_t text = {0};
  bool ok = fields.dataflow ? hone_inspect_dataflow(tool, fields.path, fields.json, &text, &status)
            : hone_inspect_is_artefact(fields.path)
                ? hone_inspect_artefact(tool, fields.path, fields.json, &text, &status)
                : hone_inspect_model(tool, fields.path, fields.json, &text, &status);
  ok = ok && hone_tool_print(tool, &text, &status);
  hone_buffer_deinit(&text);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
