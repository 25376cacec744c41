// A cursor over JSON text for streaming parsers: the few productions a safetensors header needs. Errors carry the file and
// the byte offset. Thread rule: one thread.
#ifndef HONE_FRONTEND_SAFETENSORS_CURSOR_H
#define HONE_FRONTEND_SAFETENSORS_CURSOR_H

#include "base/arena.h"
#include "base/text.h"
#include "hone/status.h"

typedef struct hone_cursor {
  const char *path;
  const char *data;
  uint64_t bytes, at;
  uint64_t origin;  // file offset of data[0], for messages
  hone_arena_t *arena;
  hone_status_t *status;
} hone_cursor_t;

bool hone_cursor_fail(hone_cursor_t *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hone_cursor_skip_blanks(hone_cursor_t *c);
// The next character that is no blank, without taking it; '\0' at the end.
char hone_cursor_peek(hone_cursor_t *c);
HONE_MUST_CHECK bool hone_cursor_expect(hone_cursor_t *c, char wanted);
// After an item of a list: takes ',' (*out_more = true) or `close` (false).
HONE_MUST_CHECK bool hone_cursor_next(hone_cursor_t *c, char close, bool *out_more);
// A string, unescaped, in the arena; valid UTF-8 without NUL.
HONE_MUST_CHECK bool hone_cursor_string(hone_cursor_t *c, const char **out_text);
// A whole number without sign, fraction or exponent.
HONE_MUST_CHECK bool hone_cursor_u64(hone_cursor_t *c, uint64_t *out_value);

#endif
