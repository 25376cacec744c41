// Diagnostics: collecting and printing. It does not decide the exit status.
#include "base/diagnostic.h"

#include <stdarg.h>

void hone_diagnose(hone_diagnostics_t *sink, hone_severity_t severity, const char *place,
                   const char *format, ...) {
  va_list args;
  va_start(args, format);
  hone_diagnostic_t diagnostic = {
      .severity = severity,
      .place = place ? hone_arena_strdup(sink->arena, place) : NULL,
      .message = hone_arena_vformat(sink->arena, format, args),
  };
  va_end(args);
  hone_list_push(sink->arena, &sink->list, diagnostic);
  if (severity == HONE_ERROR) sink->error_count++;
}

void hone_diagnostics_print(const hone_diagnostics_t *sink, FILE *out, bool color) {
  static const struct {
    const char *name, *color;
  } kinds[] = {
      [HONE_ERROR] = {"error", "\033[1;31m"},
      [HONE_WARNING] = {"warning", "\033[1;35m"},
      [HONE_REMARK] = {"remark", "\033[1;34m"},
  };
  for (size_t i = 0; i < sink->list.count; i++) {
    const hone_diagnostic_t *item = &sink->list.items[i];
    fprintf(out, "%s%s:%s ", color ? kinds[item->severity].color : "", kinds[item->severity].name,
            color ? "\033[0m" : "");
    if (item->place) fprintf(out, "%s: ", item->place);
    fprintf(out, "%s\n", item->message);
  }
}
