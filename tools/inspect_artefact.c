// The view of an artefact: its manifest, which lies in a section of the ELF file.
#include <stdio.h>
#include <string.h>

#include "tools/inspect.h"
#include "tools/manifest.h"

bool hone_inspect_is_artefact(const char *path) {
  char magic[4] = {0};
  FILE *file = fopen(path, "rb");
  bool is_elf = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "\177ELF", 4);
  if (file) fclose(file);
  return is_elf;
}

static void print_model(json_t *root, hone_buffer_t *out) {
  json_t *model = json_object_get(root, "model"), *item;
  const char *key;
  size_t i;
  json_object_foreach(model, key, item) {
    if (json_is_string(item)) hone_buffer_format(out, "%-14s %s\n", key, json_string_value(item));
    if (json_is_integer(item))
      hone_buffer_format(out, "%-14s %lld\n", key, (long long)json_integer_value(item));
  }
  hone_buffer_format(out, "%-14s %s\n%-14s", "target", hone_manifest_text(root, "target"),
                     "levels");
  json_array_foreach(json_object_get(root, "isas"), i, item)
      hone_buffer_format(out, "%s %s", i ? "," : "", json_string_value(item));
  hone_buffer_text(out, "\n");
}

static void print_tensors(json_t *root, hone_buffer_t *out) {
  json_t *tensors = json_object_get(root, "tensors"), *tensor;
  size_t i;
  char size[16];
  hone_buffer_text(out, "\nweights\n");
  json_array_foreach(tensors, i, tensor) {
    long long K = hone_manifest_integer(tensor, "K"), N = hone_manifest_integer(tensor, "N");
    hone_buffer_format(out, "  %-28s %-10s %7lld x %-7lld %9s  %s\n",
                       hone_manifest_text(tensor, "name"), hone_manifest_text(tensor, "format"), N,
                       K, hone_text_bytes((uint64_t)hone_manifest_integer(tensor, "bytes"), size),
                       hone_manifest_text(tensor, "xxh3"));
  }
}

// What a target size chose.
static void print_allocation(json_t *root, hone_buffer_t *out) {
  json_t *allocation = json_object_get(root, "allocation"), *unit;
  size_t i;
  if (!allocation) return;
  hone_buffer_format(out,
                     "\nchosen for a target size: %.4f bits per weight, KL divergence %.4g "
                     "predicted, %.4g measured\n",
                     hone_manifest_number(allocation, "bits_per_weight"),
                     hone_manifest_number(allocation, "predicted_kl"),
                     hone_manifest_number(allocation, "measured_kl"));
  json_array_foreach(json_object_get(allocation, "units"), i, unit) {
    hone_buffer_format(out, "  %-36s %s\n", hone_manifest_text(unit, "name"),
                       hone_manifest_text(unit, "format"));
  }
}

static void print_list(json_t *root, const char *key, hone_buffer_t *out) {
  json_t *item;
  size_t i;
  hone_buffer_format(out, "\n%s\n", key);
  json_array_foreach(json_object_get(root, key), i, item) {
    if (json_is_string(item)) hone_buffer_format(out, "  %s\n", json_string_value(item));
  }
}

bool hone_inspect_artefact(hone_tool_t *tool, const char *path, bool json, hone_buffer_t *out,
                           hone_status_t *status) {
  (void)tool;
  hone_manifest_t manifest;
  bool ok = hone_manifest_open(path, &manifest, status);
  if (ok && json) hone_buffer_add(out, manifest.text.data, manifest.text.bytes);
  if (ok && !json) {
    print_model(manifest.root, out);
    print_tensors(manifest.root, out);
    print_allocation(manifest.root, out);
    print_list(manifest.root, "kernels", out);
    print_list(manifest.root, "launches", out);
  }
  hone_manifest_close(&manifest);
  return ok;
}
