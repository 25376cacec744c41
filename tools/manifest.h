// The manifest of an artefact, read back: the JSON that codegen/link/manifest.c writes into a
// section of the ELF file. Nothing in it is trusted. Thread rule: one thread.
#ifndef HONE_TOOLS_MANIFEST_H
#define HONE_TOOLS_MANIFEST_H

#include <jansson.h>

#include "base/text.h"
#include "hone/status.h"

typedef struct hone_manifest {
  hone_buffer_t text;  // as it lies in the file
  json_t *root;
  uint64_t weight_bytes;  // size of the weights section
  uint64_t file_bytes;
} hone_manifest_t;

// Errors: not an ELF file, not made by hone, stripped, damaged.
HONE_MUST_CHECK bool hone_manifest_open(const char *path, hone_manifest_t *out_manifest,
                                        hone_status_t *status);
void hone_manifest_close(hone_manifest_t *manifest);

// "" and 0 where the key is missing or of another type.
const char *hone_manifest_text(json_t *object, const char *key);
int64_t hone_manifest_integer(json_t *object, const char *key);
double hone_manifest_number(json_t *object, const char *key);  // NaN where there is none

#endif
