// The dataflow of an artefact: which kernel for how many rows, on each instruction set level, and
// why, from the manifest's member "dataflow" (codegen/cpu/select.c writes it).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/inspect.h"
#include "tools/manifest.h"

static const char *time_text(double ns, char out[24]) {
  if (!isfinite(ns)) return "";
  const char *const units[] = {"ns", "us", "ms", "s"};
  int unit = 0;
  while (unit < 3 && ns >= 1000) ns /= 1000, unit++;
  snprintf(out, 24, "%.3g %s", ns, units[unit]);
  return out;
}

static const char *rows_text(json_t *entry, char out[32]) {
  long long from = hone_manifest_integer(entry, "from"), to = hone_manifest_integer(entry, "to");
  if (!json_is_integer(json_object_get(entry, "to")))
    snprintf(out, 32, "%lld ...", from);
  else if (to == from)
    snprintf(out, 32, "%lld", from);
  else
    snprintf(out, 32, "%lld ... %lld", from, to);
  return out;
}

static const char *reason_text(hone_arena_t *arena, json_t *entry) {
  const char *reason = hone_manifest_text(entry, "reason");
  char spread[24];
  if (!strcmp(reason, "measured"))
    return hone_arena_format(arena, "measured ± %s",
                             time_text(hone_manifest_number(entry, "spread_ns"), spread));
  if (!strcmp(reason, "prior")) {
    bool is_memory =
        hone_manifest_number(entry, "memory_ns") > hone_manifest_number(entry, "compute_ns");
    return is_memory ? "prior, memory-bound" : "prior, compute-bound";
  }
  return "given by the model";
}

// By how much the runner-up is slower.
static const char *margin_text(hone_arena_t *arena, json_t *entry) {
  double ns = hone_manifest_number(entry, "ns"), rival = hone_manifest_number(entry, "rival_ns");
  if (!isfinite(ns) || !isfinite(rival) || !(ns > 0)) return "";
  return hone_arena_format(arena, "%s %+.1f %%", hone_manifest_text(entry, "rival"),
                           100 * (rival / ns - 1));
}

static void print_level(hone_arena_t *arena, json_t *level, hone_buffer_t *out) {
  json_t *entry;
  size_t i;
  char rows[32], time[24];
  hone_buffer_format(out, "  %s", hone_manifest_text(level, "isa"));
  if (json_is_integer(json_object_get(level, "threads")))
    hone_buffer_format(out, ", times of %lld threads",
                       (long long)hone_manifest_integer(level, "threads"));
  hone_buffer_format(out, "\n    %-12s %-34s %-10s %-8s %-22s %s\n", "rows", "kernel", "time",
                     "at rows", "reason", "runner-up");
  json_array_foreach(json_object_get(level, "entries"), i, entry) {
    long long at = hone_manifest_integer(entry, "rows");
    const char *at_text = at ? hone_arena_format(arena, "%lld", at) : "";
    hone_buffer_format(out, "    %-12s %-34s %-10s %-8s %-22s %s\n", rows_text(entry, rows),
                       hone_manifest_text(entry, "kernel"),
                       time_text(hone_manifest_number(entry, "ns"), time), at_text,
                       reason_text(arena, entry), margin_text(arena, entry));
  }
}

static void print_group(hone_arena_t *arena, json_t *group, hone_buffer_t *out) {
  json_t *launches = json_object_get(group, "launches"), *level;
  const char *first = json_string_value(json_array_get(launches, 0));
  size_t count = json_array_size(launches), i;
  hone_buffer_format(out, "%s%s\n  %s", out->bytes ? "\n" : "",
                     hone_manifest_text(group, "problem"), first ? first : "no launch");
  if (count > 1) hone_buffer_format(out, " and %zu more", count - 1);
  hone_buffer_text(out, "\n");
  json_array_foreach(json_object_get(group, "levels"), i, level) print_level(arena, level, out);
}

static bool print_json(json_t *dataflow, hone_buffer_t *out, hone_status_t *status) {
  json_t *root = json_pack("{s:s, s:O}", "schema", "hone.dataflow/1", "dataflow", dataflow);
  char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
  if (text) hone_buffer_format(out, "%s\n", text);
  free(text);
  json_decref(root);
  return text || hone_fail(status, HONE_INTERNAL, "the dataflow cannot be written as JSON");
}

bool hone_inspect_dataflow(hone_tool_t *tool, const char *path, bool json, hone_buffer_t *out,
                           hone_status_t *status) {
  hone_manifest_t manifest;
  json_t *group;
  size_t i;
  if (!hone_inspect_is_artefact(path))
    return hone_fail(status, HONE_INVALID,
                     "%s: --dataflow tells of an artefact; compile the model first", path);
  bool ok = hone_manifest_open(path, &manifest, status);
  json_t *dataflow = ok ? json_object_get(manifest.root, "dataflow") : NULL;
  if (ok && !json_is_array(dataflow))
    ok = hone_fail(status, HONE_INVALID,
                   "%s: its manifest has no dataflow; compile the model again", path);
  if (ok && json) ok = print_json(dataflow, out, status);
  if (ok && !json) json_array_foreach(dataflow, i, group) print_group(tool->arena, group, out);
  hone_manifest_close(&manifest);
  return ok;
}
