// Where the produced program's prompt comes from: standard input, or a list of token ids.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/program.h"

enum { INPUT_LIMIT_BYTES = 64 << 20, FIRST_BYTES = 1 << 16 };

bool hone_program_read_stdin(char **out_text, size_t *out_bytes, hone_status_t *status) {
  size_t bytes = 0, capacity = FIRST_BYTES;
  char *text = malloc(capacity + 1);
  while (text != NULL) {
    ssize_t n = read(STDIN_FILENO, text + bytes, capacity - bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      hone_fail(status, HONE_IO, "cannot read standard input: %s", strerror(errno));
      break;
    }
    if (n == 0) {
      text[bytes] = 0;
      *out_text = text;
      *out_bytes = bytes;
      return true;
    }
    bytes += (size_t)n;
    if (bytes < capacity) continue;
    if (capacity >= INPUT_LIMIT_BYTES) {
      hone_fail(status, HONE_INVALID, "the prompt on standard input is longer than %d MB",
                INPUT_LIMIT_BYTES >> 20);
      break;
    }
    capacity *= 2;
    char *grown = realloc(text, capacity + 1);
    if (grown == NULL) break;
    text = grown;
  }
  free(text);
  return hone_fail(status, HONE_EXHAUSTED,
                   "out of memory for the prompt");  // unless it failed above already
}

static bool is_separator(char c) {
  return c == ' ' || c == ',' || c == '\n' || c == '\t' || c == '\r' || c == '[' || c == ']';
}

bool hone_program_parse_ids(const char *text, size_t bytes, int32_t **out_ids, size_t *out_count,
                            hone_status_t *status) {
  *out_count = 0;
  *out_ids = malloc((bytes / 2 + 1) *
                    sizeof **out_ids);  // a number and a separator take two bytes at least
  if (*out_ids == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for the prompt");
  for (size_t i = 0; i < bytes;) {
    if (is_separator(text[i])) {
      ++i;
      continue;
    }
    size_t start = i;
    int64_t value = 0;
    while (i < bytes && text[i] >= '0' && text[i] <= '9' && value <= INT32_MAX)
      value = value * 10 + (text[i++] - '0');
    if (i == start || value > INT32_MAX || (i < bytes && !is_separator(text[i]))) {
      while (i < bytes && !is_separator(text[i]) && i - start < 32) ++i;
      free(*out_ids);
      *out_ids = NULL;
      return hone_fail(status, HONE_INVALID,
                       "'%.*s' is not a token id; --ids wants numbers between blanks or commas",
                       (int)(i - start), text + start);
    }
    (*out_ids)[(*out_count)++] = (int32_t)value;
  }
  return true;
}
