// Pre-tokenizers: where a word ends, for the regular expressions of GPT-2, llama-3 and Qwen2.
// Hand-written, linear in the text: a run of characters is looked at a fixed number of times,
// whatever follows it.
//
// GPT-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// llama-3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|
//          \s*[\r\n]+|\s+(?!\S)|\s+                                            (Qwen2: \p{N} for
//          \p{N}{1,3})
#include "runtime/tokenizer_internal.h"
#include "runtime/tokenizer_utf8.h"

typedef struct cursor {
  const hone_tokenizer_t *tokenizer;
  const char *text;
  size_t bytes;
} cursor_t;

typedef struct character {
  uint32_t code, bytes;  // bytes 0: the end of the text
  hone_class_t class;
} character_t;

static character_t peek(const cursor_t *cursor, size_t at) {
  hone_utf8_step_t step = hone_utf8_step(cursor->text + at, cursor->bytes - at);
  if (step.bytes == 0) return (character_t){0};
  uint32_t code = step.valid ? step.code : 0xFFFD;
  return (character_t){code, step.bytes, hone_tokenizer_class(cursor->tokenizer, code)};
}

static bool is_newline(character_t c) { return c.bytes != 0 && (c.code == '\r' || c.code == '\n'); }

static size_t run_end(const cursor_t *cursor, size_t at, hone_class_t class) {
  for (;;) {
    character_t c = peek(cursor, at);
    if (c.bytes == 0 || c.class != class) return at;
    at += c.bytes;
  }
}

// A letter of a contraction in lower case. The long s (U+017F) folds to s.
static uint32_t fold(uint32_t code, bool ignore_case) {
  if (!ignore_case) return code;
  if (code >= 'A' && code <= 'Z') return code + ('a' - 'A');
  return code == 0x17F ? 's' : code;
}

// End of 's 't 're 've 'm 'll 'd at `at`, or `at` if there is none.
static size_t contraction_end(const cursor_t *cursor, size_t at, bool ignore_case) {
  character_t quote = peek(cursor, at);
  if (quote.code != '\'') return at;
  character_t a = peek(cursor, at + 1);
  if (a.bytes == 0) return at;
  uint32_t first = fold(a.code, ignore_case);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 1 + a.bytes;
  character_t b = peek(cursor, at + 1 + a.bytes);
  if (b.bytes == 0) return at;
  uint32_t second = fold(b.code, ignore_case);
  bool pair = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
              (first == 'l' && second == 'l');
  return pair ? at + 1 + a.bytes + b.bytes : at;
}

// \s+(?!\S)|\s+ : a run of white space without its last character, unless the text ends with it or
// it is alone.
static size_t space_end(const cursor_t *cursor, size_t at) {
  size_t last = at, end = at;
  for (;;) {
    character_t c = peek(cursor, end);
    if (c.bytes == 0) return end;
    if (c.class != HONE_CLASS_SPACE) break;
    last = end;
    end += c.bytes;
  }
  return last > at ? last : end;
}

// End of the last line break in the run of white space at `at`, or `at` if there is none:
// \s*[\r\n]+
static size_t line_end(const cursor_t *cursor, size_t at) {
  size_t end = at;
  for (;;) {
    character_t c = peek(cursor, at);
    if (c.bytes == 0 || c.class != HONE_CLASS_SPACE) return end;
    at += c.bytes;
    if (is_newline(c)) end = at;
  }
}

static size_t gpt2_end(const cursor_t *cursor, size_t at) {
  size_t end = contraction_end(cursor, at, false);
  if (end > at) return end;
  character_t c = peek(cursor, at);
  if (c.code == ' ') {
    character_t after = peek(cursor, at + 1);
    if (after.bytes != 0 && after.class != HONE_CLASS_SPACE)
      return run_end(cursor, at + 1, after.class);
  }
  return c.class == HONE_CLASS_SPACE ? space_end(cursor, at) : run_end(cursor, at, c.class);
}

static size_t number_end(const cursor_t *cursor, size_t at, int limit) {
  for (int i = 0; i < limit; i++) {
    character_t c = peek(cursor, at);
    if (c.bytes == 0 || c.class != HONE_CLASS_NUMBER) break;
    at += c.bytes;
  }
  return at;
}

static size_t llama3_end(const cursor_t *cursor, size_t at, int digits) {
  size_t end = contraction_end(cursor, at, true);
  if (end > at) return end;
  character_t c = peek(cursor, at), after = peek(cursor, at + c.bytes);
  if (c.class == HONE_CLASS_LETTER) return run_end(cursor, at, HONE_CLASS_LETTER);
  if (c.class == HONE_CLASS_NUMBER) return number_end(cursor, at, digits);
  if (!is_newline(c) && after.bytes != 0 && after.class == HONE_CLASS_LETTER) {
    return run_end(cursor, at + c.bytes, HONE_CLASS_LETTER);
  }
  bool spaced = c.code == ' ' && after.bytes != 0 && after.class == HONE_CLASS_OTHER;
  if (spaced || c.class == HONE_CLASS_OTHER) {
    end = run_end(cursor, at + (spaced ? 1 : 0), HONE_CLASS_OTHER);
    while (is_newline(peek(cursor, end))) end++;
    return end;
  }
  end = line_end(cursor, at);
  return end > at ? end : space_end(cursor, at);
}

size_t hone_tokenizer_word_end(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                               size_t at) {
  cursor_t cursor = {tokenizer, text, bytes};
  size_t end = bytes;
  switch ((hone_tokenizer_split_t)tokenizer->blob->split) {
    case HONE_SPLIT_NONE: break;
    case HONE_SPLIT_GPT2: end = gpt2_end(&cursor, at); break;
    case HONE_SPLIT_LLAMA3: end = llama3_end(&cursor, at, 3); break;
    case HONE_SPLIT_QWEN2: end = llama3_end(&cursor, at, 1); break;
  }
  return end > at ? end : at + 1;
}
