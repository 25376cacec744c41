// Status: the one place that formats failures. It does not print; tools do.
#include "hone/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *hone_code_name(hone_code_t code) {
  static const char *const names[] = {
      [HONE_OK] = "ok",
      [HONE_INVALID] = "invalid",
      [HONE_UNSUPPORTED] = "unsupported",
      [HONE_NOT_FOUND] = "not found",
      [HONE_EXHAUSTED] = "exhausted",
      [HONE_IO] = "io",
      [HONE_CANCELLED] = "cancelled",
      [HONE_INTERNAL] = "internal",
  };
  size_t index = (size_t)code;
  return index < sizeof names / sizeof *names ? names[index] : "unknown";
}

bool hone_fail_at(hone_status_t *status, const char *file, int line, hone_code_t code,
                  const char *format, ...) {
  if (!status || status->code != HONE_OK) return false;
  // The arguments may point into the message itself (a retry that quotes the last failure).
  char message[HONE_STATUS_MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  status->code = code == HONE_OK ? HONE_INTERNAL : code;
  status->file = file;
  status->line = line;
  memcpy(status->message, message, sizeof message);
  return false;
}

bool hone_note(hone_status_t *status, const char *format, ...) {
  if (!status || status->code == HONE_OK) return false;
  char context[HONE_STATUS_MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(context, sizeof context, format, args);
  va_end(args);
  char message[2 * HONE_STATUS_MESSAGE_BYTES + 2];
  snprintf(message, sizeof message, "%s: %s", context, status->message);
  size_t bytes = strnlen(message, sizeof status->message - 1);
  memcpy(status->message, message, bytes);
  status->message[bytes] = '\0';
  return false;
}
