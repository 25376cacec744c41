// hone list: what this build knows, straight from the tables (*.def).
#include <string.h>

#include "codegen/kernel.h"
#include "codegen/target.h"
#include "frontend/family.h"
#include "passes/pipeline.h"
#include "tools/verb.h"

typedef struct fields {
  const char *what;
  bool json;
} fields_t;

static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "WHAT", .field = offsetof(fields_t, what),
     .help = "ops, passes, phases, formats, targets, families or models"},
    {HONE_OPTION_FLAG, "--json", .field = offsetof(fields_t, json), .help = "print JSON"},
    {0}};
const hone_verb_t hone_verb_list = {
    "list", "list ops, passes, phases, formats, targets, kernel or model families", NULL,
    "  hone list passes\n  hone list formats --json\n", options};

typedef struct row {
  const char *name, *detail, *summary;
} row_t;
typedef HONE_LIST(row_t) rows_t;

static void list_ops(hone_arena_t *arena, rows_t *rows) {
#define OP(name, ENUM, pure, operands, attributes, summary) \
  hone_list_push(arena, rows, (row_t){"hone." #name, operands, summary});
#include "ir/ops.def"
#undef OP
}

static void list_families(hone_arena_t *arena, rows_t *rows) {
#define FAMILY(name, ENUM, operands, units, summary) \
  hone_list_push(arena, rows, (row_t){#name, operands, summary});
#include "codegen/families.def"
#undef FAMILY
}

static void list_passes(hone_arena_t *arena, rows_t *rows) {
  for (size_t i = 0; i < hone_pass_count(); i++) {
    const hone_pass_t *pass = hone_pass_at(i);
    hone_list_push(arena, rows, (row_t){pass->name, pass->options, pass->summary});
  }
}

static void list_phases(hone_arena_t *arena, rows_t *rows) {
  for (size_t i = 0; i < hone_phase_count(); i++) {
    const hone_phase_t *phase = hone_phase_at(i);
    hone_list_push(arena, rows, (row_t){phase->name, "", phase->summary});
  }
}

static void list_formats(hone_arena_t *arena, rows_t *rows) {
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    hone_format_t format = hone_format_default(info->storage);
    hone_list_push(
        arena, rows,
        (row_t){info->name, hone_arena_format(arena, "%g bits", hone_format_bits(format)),
                info->summary});
  }
}

static void list_models(hone_arena_t *arena, rows_t *rows) {
  for (size_t i = 0; i < hone_model_family_count(); i++) {
    const hone_model_family_t *family = hone_model_family_at(i);
    hone_list_push(arena, rows, (row_t){family->name, "", family->summary});
  }
}

static void list_targets(hone_arena_t *arena, rows_t *rows) {
  for (size_t i = 0; i < hone_target_count(); i++)
    hone_list_push(arena, rows, (row_t){hone_target_at(i)->name, "", hone_target_at(i)->summary});
}

static const struct {
  const char *name;
  void (*list)(hone_arena_t *arena, rows_t *rows);
} kinds[] = {{"ops", list_ops},         {"passes", list_passes},   {"phases", list_phases},
             {"formats", list_formats}, {"targets", list_targets}, {"families", list_families},
             {"models", list_models}};

static void print_rows(const rows_t *rows) {
  int name = 0, detail = 0;
  for (size_t i = 0; i < rows->count; i++) {
    const row_t *row = &rows->items[i];
    if ((int)strlen(row->name) > name) name = (int)strlen(row->name);
    if ((int)strlen(row->detail) > detail) detail = (int)strlen(row->detail);
  }
  for (size_t i = 0; i < rows->count; i++) {
    const row_t *row = &rows->items[i];
    printf("%-*s  ", name, row->name);
    if (detail) printf("%-*s  ", detail, row->detail);
    printf("%s\n", row->summary);
  }
}

int hone_verb_list_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {0};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_list, argc, argv, &fields, &code)) return code;
  rows_t rows = {0};
  bool found = false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, fields.what)) continue;
    kinds[i].list(tool->arena, &rows);
    found = true;
  }
  if (!found) {
    fprintf(
        stderr,
        "hone list: unknown list '%s': ops, passes, phases, formats, targets, families or models\n",
        fields.what);
    return HONE_EXIT_USAGE;
  }
  if (!fields.json) {
    print_rows(&rows);
    return HONE_EXIT_OK;
  }
  hone_buffer_t text = {0};
  hone_json_t json = {.out = &text};
  hone_json_array_begin(&json, NULL);
  for (size_t i = 0; i < rows.count; i++) {
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "name", rows.items[i].name);
    hone_json_string(&json, "detail", rows.items[i].detail);
    hone_json_string(&json, "summary", rows.items[i].summary);
    hone_json_object_end(&json);
  }
  hone_json_array_end(&json);
  hone_buffer_text(&text, "\n");
  hone_status_t status = {0};
  bool ok = hone_tool_print(tool, &text, &status);
  hone_buffer_deinit(&text);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
