// hone opt: run passes on a textual model and print the result; for tests and research.
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "passes/pipeline.h"
#include "tools/verb.h"

typedef struct fields {
  const char *file, *passes, *output;
} fields_t;

static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "FILE", .field = offsetof(fields_t, file),
     .help = "textual model (.mlir), or - for standard input"},
    {HONE_OPTION_STRING, "--passes", NULL, "LIST", offsetof(fields_t, passes),
     .help = "passes in order: a,b{x=1}; see 'hone list passes'"},
    {HONE_OPTION_STRING, "--output", "-o", "OUT", offsetof(fields_t, output),
     .help = "file to write; default: standard output"},
    {0}};
const hone_verb_t hone_verb_opt = {
    "opt", "run passes on a textual model",
    "The model is verified before the first pass and after each one.",
    "  hone opt samples/tiny.mlir --passes canonical,fuse\n"
    "  hone opt x.mlir --passes 'quantize{weights=nf4},quantize-acts,fuse'\n",
    options};

enum { TEXT_LIMIT = 256 << 20 };

static bool read_input(hone_tool_t *tool, const char *path, char **out_text,
                       hone_status_t *status) {
  size_t bytes;
  if (strcmp(path, "-"))
    return hone_file_read(path, TEXT_LIMIT, tool->arena, out_text, &bytes, status);
  hone_buffer_t text = {0};
  char piece[65536];
  while ((bytes = fread(piece, 1, sizeof piece, stdin)) > 0 && text.bytes <= TEXT_LIMIT)
    hone_buffer_add(&text, piece, bytes);
  bool failed = ferror(stdin) || text.bytes > TEXT_LIMIT;
  *out_text = hone_arena_strndup(tool->arena, hone_buffer_cstr(&text), text.bytes);
  hone_buffer_deinit(&text);
  return !failed || hone_fail(status, HONE_IO, "cannot read standard input (limit 256 MB)");
}

static bool write_output(hone_tool_t *tool, const char *path, const hone_buffer_t *text,
                         hone_status_t *status) {
  if (!path) return hone_tool_print(tool, text, status);
  hone_output_t *output;
  if (!hone_output_create(path, 0644, &output, status)) return false;
  bool ok = hone_output_write(output, text->data, text->bytes, status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  return ok;
}

int hone_verb_opt_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.passes = ""};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_opt, argc, argv, &fields, &code)) return code;
  hone_status_t status = {0};
  ir_session_t *session = NULL;
  ir_model_t model = {0};
  hone_buffer_t text = {0};
  char *source = NULL;
  bool ok = read_input(tool, fields.file, &source, &status) &&
            ir_session_create(tool->diagnostics, &session, &status) &&
            ir_model_parse(session, source, fields.file, &model, &status) &&
            ir_model_verify(&model, &status) && hone_passes_run(&model, fields.passes, &status);
  if (ok) {
    ir_model_print(&model, &text);
    ok = write_output(tool, fields.output, &text, &status);
  }
  hone_buffer_deinit(&text);
  ir_model_destroy(&model);
  ir_session_destroy(session);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
