// The C header written beside a library: the public API in one file, so that users need nothing else of hone.
#include <string.h>

#include "codegen/link/link.h"

bool hone_header_write(const char *library, hone_arena_t *arena, hone_status_t *status) {
  const char *dot = strrchr(hone_path_base(library), '.');
  size_t stem = dot ? (size_t)(dot - library) : strlen(library);
  const char *path = hone_arena_format(arena, "%.*s.h", (int)stem, library);
  const char *intro = hone_arena_format(
      arena, "// API of %s, a model compiled by hone. Link with the library; hone_model_open(&(hone_model_options_t){0}, ...)\n"
      "// opens the model in it.\n", hone_path_base(library));
  hone_output_t *output = NULL;
  bool ok = hone_output_create(path, 0644, &output, status) &&
            hone_output_write(output, intro, strlen(intro), status) &&
            hone_output_write(output, hone_public_header, strlen(hone_public_header), status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  return ok;
}
