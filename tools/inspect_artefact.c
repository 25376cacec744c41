// The view of an artefact: its manifest, which lies in a section of the ELF file.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/artefact.h"
#include "base/file.h"
#include "runtime/elf_file.h"
#include "tools/inspect.h"

enum { MANIFEST_LIMIT = 64 << 20 };

bool hone_inspect_is_artefact(const char *path) {
  char magic[4] = {0};
  FILE *file = fopen(path, "rb");
  bool is_elf = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "\177ELF", 4);
  if (file) fclose(file);
  return is_elf;
}

static bool read_manifest(const char *path, hone_buffer_t *out, hone_elf_section_t sections[3],
                          hone_status_t *status) {
  static const char *const names[] = {HONE_SECTION_MANIFEST, HONE_SECTION_WEIGHTS,
                                      HONE_SECTION_CHECKS};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return hone_fail(status, HONE_IO, "%s: %s", path, strerror(errno));
  bool ok = hone_elf_find(fd, path, names, 3, sections, status);
  if (ok && (!sections[0].found || !sections[1].found))
    ok = hone_fail(status, HONE_INVALID,
                   "%s: no section %s; it was not made by hone compile, or was stripped of it",
                   path, sections[1].found ? names[0] : names[1]);
  if (ok && sections[0].bytes > MANIFEST_LIMIT)
    ok = hone_fail(status, HONE_INVALID, "%s: its manifest is too large", path);
  if (ok) {
    hone_buffer_reserve(out, (size_t)sections[0].bytes + 1);
    ssize_t got = pread(fd, out->data, (size_t)sections[0].bytes, (off_t)sections[0].offset);
    ok = got == (ssize_t)sections[0].bytes ||
         hone_fail(status, HONE_IO, "%s: cannot read its manifest", path);
    if (ok) out->bytes = (size_t)got;
    if (ok) out->data[got] = '\0';
  }
  close(fd);
  return ok;
}

static const char *text_of(json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static long long number_of(json_t *object, const char *key) {
  return (long long)json_integer_value(json_object_get(object, key));
}

static void print_model(json_t *root, hone_buffer_t *out) {
  json_t *model = json_object_get(root, "model"), *item;
  const char *key;
  json_object_foreach(model, key, item) {
    if (json_is_string(item)) hone_buffer_format(out, "%-14s %s\n", key, json_string_value(item));
    if (json_is_integer(item))
      hone_buffer_format(out, "%-14s %lld\n", key, (long long)json_integer_value(item));
  }
  hone_buffer_format(out, "%-14s %s\n", "target", text_of(root, "target"));
}

static void print_tensors(json_t *root, hone_buffer_t *out) {
  json_t *tensors = json_object_get(root, "tensors"), *tensor;
  size_t i;
  char size[16];
  hone_buffer_text(out, "\nweights\n");
  json_array_foreach(tensors, i, tensor) {
    long long K = number_of(tensor, "K"), N = number_of(tensor, "N");
    hone_buffer_format(out, "  %-28s %-10s %7lld x %-7lld %9s  %s\n", text_of(tensor, "name"),
                       text_of(tensor, "format"), N, K,
                       hone_text_bytes((uint64_t)number_of(tensor, "bytes"), size),
                       text_of(tensor, "xxh3"));
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
  hone_elf_section_t sections[3];
  hone_buffer_t manifest = {0};
  json_error_t error;
  bool ok = read_manifest(path, &manifest, sections, status);
  json_t *root =
      ok ? json_loadb(manifest.data, manifest.bytes, JSON_REJECT_DUPLICATES, &error) : NULL;
  if (ok && !root)
    ok = hone_fail(status, HONE_INVALID, "%s: its manifest is damaged: line %d: %s", path,
                   error.line, error.text);
  if (ok && json) hone_buffer_add(out, manifest.data, manifest.bytes);
  if (ok && !json) {
    print_model(root, out);
    print_tensors(root, out);
    print_list(root, "kernels", out);
    print_list(root, "launches", out);
  }
  json_decref(root);
  hone_buffer_deinit(&manifest);
  return ok;
}
