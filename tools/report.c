// Filling a report from an artefact's manifest; see report.h.
#include "tools/report.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/map.h"
#include "tools/manifest.h"

typedef struct loader {
  const char *path;
  hone_arena_t *arena;
  hone_report_t *report;
  hone_map_t *index;  // "list/name" -> place in the list, plus one
  hone_status_t *status;
} loader_t;

static const struct {
  const char *name, *prefix;
} roles[] = {
#define ROLE(name, prefix) {#name, prefix},
    HONE_ROLES(ROLE)
#undef ROLE
        {"norms", NULL},
    {"other", NULL},
};
enum { ROLE_COUNT = sizeof roles / sizeof *roles, ROLE_NORMS = ROLE_COUNT - 2 };

static char *copy_text(loader_t *loader, json_t *object, const char *key) {
  return hone_arena_strdup(loader->arena, hone_manifest_text(object, key));
}

// ---- names

// "layers.12.ffn.down": layer 12, block "layers.12.ffn", kind "ffn.down", part "ffn".
static void split_name(loader_t *loader, hone_report_tensor_t *tensor) {
  static const char prefix[] = "layers.";
  const char *kind = tensor->name, *dot;
  tensor->layer = -1;
  if (hone_text_starts(kind, prefix) && isdigit((unsigned char)kind[sizeof prefix - 1])) {
    char *end;
    long long layer = strtoll(kind + sizeof prefix - 1, &end, 10);
    if (*end == '.' && layer < INT32_MAX) {
      tensor->layer = layer;
      kind = end + 1;
    }
  }
  tensor->kind = kind;
  dot = strrchr(tensor->name, '.');
  if (!dot || dot < kind) dot = tensor->name + strlen(tensor->name);
  tensor->block = hone_arena_strndup(loader->arena, tensor->name, (size_t)(dot - tensor->name));
  tensor->part = tensor->block + (kind - tensor->name);
}

static size_t role_of(const hone_report_tensor_t *tensor) {
  const char *dot = strrchr(tensor->name, '.');
  if (!strcmp(dot ? dot + 1 : tensor->name, "norm")) return ROLE_NORMS;
  for (size_t i = 0; i < ROLE_NORMS; i++)
    if (hone_text_starts(tensor->part, roles[i].prefix)) return i;
  return ROLE_COUNT - 1;
}

// ---- sums

static void add_to(hone_report_group_t *group, const hone_report_tensor_t *tensor) {
  group->tensors++;
  group->parameters += tensor->N * tensor->K;
  group->bytes += tensor->bytes;
  group->bits += tensor->bits;
  if (!tensor->is_measured) return;
  group->measured++;
  group->signal += tensor->signal;
  group->noise += tensor->noise;
}

// Adds the tensor to the group called `name`, a new one if there is none; returns its index.
static size_t group(loader_t *loader, hone_report_groups_t *groups, char list, const char *name,
                    const hone_report_tensor_t *tensor) {
  const char *key = hone_arena_format(loader->arena, "%c/%s", list, name);
  uintptr_t found = (uintptr_t)hone_map_get(loader->index, key);
  if (!found) {
    hone_list_push(loader->arena, groups, (hone_report_group_t){.name = name});
    found = groups->count;
    hone_map_insert(loader->index, key, strlen(key), (void *)found);
  }
  add_to(&groups->items[found - 1], tensor);
  return found - 1;
}

static void group_tensor(loader_t *loader, hone_report_tensor_t *tensor) {
  hone_report_t *report = loader->report;
  add_to(&report->total, tensor);
  add_to(&report->roles.items[tensor->role], tensor);
  tensor->format_index = group(loader, &report->formats, 'f', tensor->format, tensor);
  group(loader, &report->parts, 'p', tensor->part, tensor);
  group(loader, &report->kinds, 'k', tensor->kind, tensor);
  group(loader, &report->blocks, 'b', tensor->block, tensor);
  const char *layer =
      tensor->layer < 0 ? tensor->part
                        : hone_arena_format(loader->arena, "layers.%lld", (long long)tensor->layer);
  tensor->layer_index = group(loader, &report->layers, 'l', layer, tensor);
}

// ---- tensors

static bool load_tensor(loader_t *loader, json_t *object) {
  hone_report_t *report = loader->report;
  hone_report_tensor_t tensor = {
      .name = copy_text(loader, object, "name"),
      .format = copy_text(loader, object, "format"),
      .signal = hone_manifest_number(object, "signal"),
      .noise = hone_manifest_number(object, "noise"),
      .output_error = hone_manifest_number(object, "output_error"),
  };
  hone_format_t format;
  int64_t N = hone_manifest_integer(object, "N"), K = hone_manifest_integer(object, "K");
  int64_t bytes = hone_manifest_integer(object, "bytes");
  if (!*tensor.name || N < 1 || K < 1 || N > UINT32_MAX || K > UINT32_MAX || bytes < 0 ||
      (uint64_t)bytes > report->weight_bytes)
    return hone_fail(loader->status, HONE_INVALID, "%s: its manifest is damaged: tensor %zu '%s'",
                     loader->path, report->tensors.count, tensor.name);
  if (!hone_format_parse(tensor.format, &format, loader->status))
    return hone_note(loader->status, "%s: tensor %s", loader->path, tensor.name);
  tensor.N = (uint64_t)N;
  tensor.K = (uint64_t)K;
  tensor.bytes = (uint64_t)bytes;
  tensor.bits = hone_format_tensor_bits(format, tensor.N, tensor.K);
  tensor.is_measured = isfinite(tensor.signal) && isfinite(tensor.noise);
  if (!isnan(tensor.output_error)) report->has_output_error = true;
  split_name(loader, &tensor);
  tensor.role = role_of(&tensor);
  group_tensor(loader, &tensor);
  hone_list_push(loader->arena, &report->tensors, tensor);
  return true;
}

static bool load_tensors(loader_t *loader, json_t *root) {
  json_t *tensors = json_object_get(root, "tensors"), *tensor;
  size_t i;
  if (!json_array_size(tensors))
    return hone_fail(loader->status, HONE_INVALID, "%s: its manifest lists no tensors",
                     loader->path);
  for (size_t r = 0; r < ROLE_COUNT; r++)
    hone_list_push(loader->arena, &loader->report->roles,
                   (hone_report_group_t){.name = roles[r].name});
  json_array_foreach(tensors, i, tensor) if (!load_tensor(loader, tensor)) return false;
  return true;
}

// ---- the rest

static void load_fields(loader_t *loader, json_t *object, hone_report_fields_t *fields) {
  const char *key;
  json_t *item;
  json_object_foreach(object, key, item) {
    hone_report_field_t field = {.name = hone_arena_strdup(loader->arena, key)};
    if (json_is_string(item))
      field.text = hone_arena_strdup(loader->arena, json_string_value(item));
    if (json_is_integer(item)) {
      field.is_number = true;
      field.text = hone_arena_format(loader->arena, "%lld", (long long)json_integer_value(item));
    }
    if (json_is_real(item)) {
      field.is_number = true;
      field.text = hone_arena_format(loader->arena, "%.10g", json_real_value(item));
    }
    if (json_is_boolean(item)) {
      field.is_boolean = true;
      field.text = json_is_true(item) ? "true" : "false";
    }
    hone_list_push(loader->arena, fields, field);
  }
}

static void load_allocation(loader_t *loader, json_t *object) {
  hone_report_allocation_t *allocation = &loader->report->allocation;
  json_t *item;
  size_t i;
  allocation->bits_per_weight = hone_manifest_number(object, "bits_per_weight");
  allocation->predicted_kl = hone_manifest_number(object, "predicted_kl");
  allocation->measured_kl = hone_manifest_number(object, "measured_kl");
  allocation->held_out_tokens = (uint64_t)hone_manifest_integer(object, "held_out_tokens");
  json_array_foreach(json_object_get(object, "units"), i, item) {
    hone_report_unit_t unit = {.name = copy_text(loader, item, "name"),
                               .format = copy_text(loader, item, "format"),
                               .weights = (uint64_t)hone_manifest_integer(item, "weights"),
                               .error = hone_manifest_number(item, "error"),
                               .sensitivity = hone_manifest_number(item, "sensitivity")};
    hone_list_push(loader->arena, &allocation->units, unit);
  }
}

static void load_sources(loader_t *loader, json_t *root) {
  json_t *source;
  size_t i;
  json_array_foreach(json_object_get(root, "sources"), i, source) {
    hone_report_field_t field = {.name = copy_text(loader, source, "file"),
                                 .text = copy_text(loader, source, "hash")};
    hone_list_push(loader->arena, &loader->report->sources, field);
  }
}

static bool load_root(loader_t *loader, json_t *root) {
  hone_report_t *report = loader->report;
  const char *schema = hone_manifest_text(root, "schema");
  if (strcmp(schema, "hone.artefact/1"))
    return hone_fail(loader->status, HONE_UNSUPPORTED,
                     "%s: its manifest is of schema '%s', not hone.artefact/1", loader->path,
                     schema);
  report->version = copy_text(loader, root, "hone");
  report->llvm = copy_text(loader, root, "llvm");
  report->target = copy_text(loader, root, "target");
  report->family = copy_text(loader, json_object_get(root, "model"), "family");
  load_fields(loader, json_object_get(root, "model"), &report->model);
  load_fields(loader, json_object_get(root, "options"), &report->options);
  load_sources(loader, root);
  load_allocation(loader, json_object_get(root, "allocation"));
  if (!load_tensors(loader, root)) return false;
  report->head_is_tied = true;
  for (size_t r = 0; r < ROLE_COUNT; r++)
    if (!strcmp(roles[r].name, "head") && report->roles.items[r].tensors)
      report->head_is_tied = false;
  return true;
}

bool hone_report_load(const char *path, hone_arena_t *arena, hone_report_t *out_report,
                      hone_status_t *status) {
  hone_manifest_t manifest;
  *out_report =
      (hone_report_t){.name = hone_arena_strdup(arena, hone_path_base(path)), .total.name = "all"};
  if (!hone_manifest_open(path, &manifest, status)) return false;
  loader_t loader = {.path = path,
                     .arena = arena,
                     .report = out_report,
                     .index = hone_map_create(arena),
                     .status = status};
  out_report->weight_bytes = manifest.weight_bytes;
  out_report->file_bytes = manifest.file_bytes;
  bool ok = load_root(&loader, manifest.root);
  hone_manifest_close(&manifest);
  return ok;
}

double hone_report_bits(const hone_report_group_t *group) {
  return group->parameters ? (double)group->bits / (double)group->parameters : NAN;
}

static double ratio(double noise, double signal) {
  if (signal > 0) return noise / signal;
  return noise == 0 ? 0 : NAN;  // a tensor of zeros is exact
}

double hone_report_mse(const hone_report_group_t *group) {
  return group->measured ? ratio(group->noise, group->signal) : NAN;
}

double hone_report_tensor_mse(const hone_report_tensor_t *tensor) {
  return tensor->is_measured ? ratio(tensor->noise, tensor->signal) : NAN;
}

size_t hone_report_bins(const hone_evaluation_t *evaluation) {
  size_t positions = evaluation->score.positions;
  return positions < HONE_REPORT_POSITION_BINS ? positions : HONE_REPORT_POSITION_BINS;
}

void hone_report_bin(const hone_evaluation_t *evaluation, size_t bin, size_t *out_begin,
                     size_t *out_end) {
  size_t positions = evaluation->score.positions, bins = hone_report_bins(evaluation);
  *out_begin = positions * bin / bins;
  *out_end = positions * (bin + 1) / bins;
}
