// See manifest.h.
#include "tools/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/artefact.h"
#include "runtime/elf_file.h"

enum { MANIFEST_LIMIT = 64 << 20 };

static bool read_section(int fd, const char *path, hone_manifest_t *manifest,
                         hone_status_t *status) {
  static const char *const names[] = {HONE_SECTION_MANIFEST, HONE_SECTION_WEIGHTS};
  hone_elf_section_t sections[2];
  struct stat info;
  if (!hone_elf_find(fd, path, names, 2, sections, status)) return false;
  if (!sections[0].found || !sections[1].found)
    return hone_fail(status, HONE_INVALID,
                     "%s: no section %s; it was not made by hone compile, or was stripped of it",
                     path, sections[1].found ? names[0] : names[1]);
  if (sections[0].bytes > MANIFEST_LIMIT)
    return hone_fail(status, HONE_INVALID, "%s: its manifest is too large", path);
  size_t bytes = (size_t)sections[0].bytes;
  hone_buffer_reserve(&manifest->text, bytes + 1);
  ssize_t got = pread(fd, manifest->text.data, bytes, (off_t)sections[0].offset);
  if (got != (ssize_t)bytes || fstat(fd, &info) != 0)
    return hone_fail(status, HONE_IO, "%s: cannot read its manifest", path);
  manifest->text.bytes = bytes;
  manifest->text.data[bytes] = '\0';
  manifest->weight_bytes = sections[1].bytes;
  manifest->file_bytes = (uint64_t)info.st_size;
  return true;
}

bool hone_manifest_open(const char *path, hone_manifest_t *out_manifest, hone_status_t *status) {
  hone_manifest_t manifest = {0};
  json_error_t error;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return hone_fail(status, HONE_IO, "%s: %s", path, strerror(errno));
  bool ok = read_section(fd, path, &manifest, status);
  close(fd);
  if (ok)
    manifest.root =
        json_loadb(manifest.text.data, manifest.text.bytes, JSON_REJECT_DUPLICATES, &error);
  if (ok && !manifest.root)
    ok = hone_fail(status, HONE_INVALID, "%s: its manifest is damaged: line %d: %s", path,
                   error.line, error.text);
  if (!ok) hone_manifest_close(&manifest);
  *out_manifest = manifest;
  return ok;
}

void hone_manifest_close(hone_manifest_t *manifest) {
  json_decref(manifest->root);
  hone_buffer_deinit(&manifest->text);
  *manifest = (hone_manifest_t){0};
}

const char *hone_manifest_text(json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

int64_t hone_manifest_integer(json_t *object, const char *key) {
  return (int64_t)json_integer_value(json_object_get(object, key));
}

double hone_manifest_number(json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}
