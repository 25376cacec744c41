// The C header written beside a library: the public API in one file, so that users need nothing
// else of hone.
#include <string.h>

#include "codegen/link/link.h"

static bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

// Names of the form hone_x( in a line of the header that is code: what it declares.
static void add_names(hone_slice_t line, hone_buffer_t *out) {
  for (size_t i = 0; i + 1 < line.bytes && !(line.data[i] == '/' && line.data[i + 1] == '/'); i++) {
    size_t end = i;
    while (end < line.bytes && is_name(line.data[end])) end++;
    bool is_ours = end - i > 5 && !memcmp(line.data + i, "hone_", 5);
    if (is_ours && end < line.bytes && line.data[end] == '(')
      hone_buffer_format(out, " %.*s;", (int)(end - i), line.data + i);
    if (end > i) i = end - 1;
  }
}

void hone_header_exports(hone_buffer_t *out) {
  hone_slice_t rest = hone_slice(hone_public_header);
  // The image too: whoever loads several models by dlopen tells them apart by it.
  hone_buffer_text(out, "{ global: hone_image;");
  while (rest.data) {
    hone_slice_t line = hone_slice_cut(&rest, '\n');
    if (line.bytes && line.data[0] != '#') add_names(line, out);
  }
  hone_buffer_text(out, " local: *; };\n");
}

bool hone_header_write(const char *library, hone_arena_t *arena, hone_status_t *status) {
  const char *dot = strrchr(hone_path_base(library), '.');
  size_t stem = dot ? (size_t)(dot - library) : strlen(library);
  const char *path = hone_arena_format(arena, "%.*s.h", (int)stem, library);
  const char *intro =
      hone_arena_format(arena,
                        "// API of %s, a model compiled by hone. Link with the library; "
                        "hone_model_open(&(hone_model_options_t){0}, ...)\n"
                        "// opens the model in it.\n",
                        hone_path_base(library));
  hone_output_t *output = NULL;
  bool ok = hone_output_create(path, 0644, &output, status) &&
            hone_output_write(output, intro, strlen(intro), status) &&
            hone_output_write(output, hone_public_header, strlen(hone_public_header), status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  return ok;
}
