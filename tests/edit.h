// Texts that tests change in a place or two. Thread rule: pure.
#ifndef HONE_TESTS_EDIT_H
#define HONE_TESTS_EDIT_H

#include <string.h>

#include "base/arena.h"
#include "base/text.h"

// `text` with every occurrence of `from` from the `nth` on replaced by `to`; how many there are.
static inline char *edit_text(hone_arena_t *memory, const char *text, const char *from,
                              const char *to, int nth, int *out_count) {
  hone_buffer_t edited = {0};
  *out_count = 0;
  for (const char *hit; (hit = strstr(text, from)); text = hit + strlen(from)) {
    hone_buffer_add(&edited, text, (size_t)(hit - text));
    hone_buffer_text(&edited, (*out_count)++ >= nth ? to : from);
  }
  hone_buffer_text(&edited, text);
  char *result = hone_arena_strdup(memory, hone_buffer_cstr(&edited));
  hone_buffer_deinit(&edited);
  return result;
}

#endif
