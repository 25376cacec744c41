// UTF-8 of untrusted bytes: one step at a time, with the length of what is to be replaced when it
// is invalid. Not a converter; base/text.h has the strict single-character decoder.
#ifndef HONE_RUNTIME_TOKENIZER_UTF8_H
#define HONE_RUNTIME_TOKENIZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HONE_UTF8_REPLACEMENT "\xEF\xBF\xBD"  // U+FFFD
enum { HONE_UTF8_REPLACEMENT_BYTES = 3 };

typedef struct hone_utf8_step {
  uint32_t code;   // meaningless unless valid
  uint32_t bytes;  // length of the character, or of the maximal invalid subpart; 0 only at the end
  bool valid;
  bool cut;  // invalid only because the bytes end: more bytes could complete it
} hone_utf8_step_t;

// Table 3-7 of the Unicode standard: which second bytes a first byte allows.
static inline hone_utf8_step_t hone_utf8_step(const char *text, size_t bytes) {
  const uint8_t *in = (const uint8_t *)text;
  if (bytes == 0) return (hone_utf8_step_t){0};
  uint32_t first = in[0];
  if (first < 0x80) return (hone_utf8_step_t){.code = first, .bytes = 1, .valid = true};
  uint32_t low = 0x80, high = 0xBF, length = 0;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (length == 0) return (hone_utf8_step_t){.bytes = 1};
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  uint32_t code = first & (0x7Fu >> length);
  for (uint32_t i = 1; i < length; i++) {
    if (i >= bytes) return (hone_utf8_step_t){.bytes = i, .cut = true};
    if (in[i] < low || in[i] > high) return (hone_utf8_step_t){.bytes = i};
    code = code << 6 | (in[i] & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  return (hone_utf8_step_t){.code = code, .bytes = length, .valid = true};
}

// Length the first byte promises, at most `bytes`; at least 1. For text that was checked before.
static inline size_t hone_utf8_promised(const char *text, size_t bytes) {
  uint8_t first = (uint8_t)text[0];
  size_t length = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  return length < bytes ? length : bytes;
}

#endif
