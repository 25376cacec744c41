// A cursor over strict JSON in memory: no tree, no recursion, no allocation but for strings with
// escapes. It reads what its caller expects and fails, with the byte offset, on anything else. Used
// where a document is large and its grammar fixed (safetensors headers); configuration files go
// through jansson. Thread rule: one cursor, one thread.
#ifndef HONE_FRONTEND_JSON_CURSOR_H
#define HONE_FRONTEND_JSON_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "hone/status.h"

typedef struct hone_json_cursor {
  const char *path;     // for messages
  const char *subject;  // what is being read, for messages: "tensor"; NULL: nothing yet
  hone_slice_t name;    // of the subject; may be empty
  const char *text;     // the document, valid UTF-8
  size_t at, bytes;
  uint64_t base;  // byte offset of the document in its file
  hone_arena_t *arena;
  hone_status_t *status;
} hone_json_cursor_t;

// HONE_INVALID at byte `at` of the document: "PATH: byte N: SUBJECT 'NAME': MESSAGE". Returns
// false.
bool hone_json_fail(hone_json_cursor_t *c, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Skips white space, then: the next byte (0 at the end); true and past it if it is `byte`; fails if
// it is not.
char hone_json_peek(hone_json_cursor_t *c);
bool hone_json_accept(hone_json_cursor_t *c, char byte);
HONE_MUST_CHECK bool hone_json_expect(hone_json_cursor_t *c, char byte, const char *what);
// A string, escapes decoded. The slice points into the document or the arena.
HONE_MUST_CHECK bool hone_json_read_string(hone_json_cursor_t *c, hone_slice_t *out);
// A whole number from 0 to INT64_MAX, written as digits only.
HONE_MUST_CHECK bool hone_json_read_count(hone_json_cursor_t *c, uint64_t *out);
// First byte of `text` that is not part of valid UTF-8, or `bytes` if all is well.
size_t hone_json_utf8_check(const char *text, size_t bytes);
// No control characters (C0, DEL, C1), which a terminal would act on. `text` is valid UTF-8.
bool hone_json_is_printable(hone_slice_t text);

#endif
