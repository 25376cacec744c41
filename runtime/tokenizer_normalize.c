// Normalization of a stretch of text before it is cut into symbols: sentencepiece's rules
// (precompiled character map, dummy prefix, extra spaces, escaped spaces), of which Prepend/Replace
// and Metaspace are special cases. Follows Normalizer::Normalize of the sentencepiece sources step
// by step.
#include <string.h>

#include "runtime/tokenizer_internal.h"
#include "runtime/tokenizer_utf8.h"

// Longest rule that matches at the start of `text`: its replacement, and how many bytes it replaces
// (0: no rule). A Darts-clone double array: bit 31 marks a value, bits 0-7 the label, bit 8 "a
// value follows", the rest the offset.
static size_t rule_find(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                        const char **out_text) {
  uint32_t count = tokenizer->rule_unit_count, at = 0;
  if (count == 0) return 0;
  const uint32_t *units = tokenizer->rule_units;
  size_t longest = 0;
#define UNIT_OFFSET(unit) (((unit) >> 10) << (((unit) & (1u << 9)) >> 6))
  at ^= UNIT_OFFSET(units[0]);
  for (size_t i = 0; i < bytes; i++) {
    at ^= (uint8_t)text[i];
    if (at >= count || (units[at] & (1u << 31 | 0xFFu)) != (uint8_t)text[i]) break;
    bool has_value = (units[at] >> 8 & 1) != 0;
    at ^= UNIT_OFFSET(units[at]);
    if (!has_value) continue;
    if (at >= count) break;
    uint32_t value = units[at] & 0x7FFFFFFFu;
    if (value >= tokenizer->rule_string_bytes) break;
    longest = i + 1;
    *out_text = tokenizer->rule_strings + value;  // the last byte of all strings is NUL
  }
#undef UNIT_OFFSET
  return longest;
}

// What the first character (or rule, or user-defined piece) of `text` becomes; returns the bytes
// consumed.
static size_t prefix_normalize(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                               const char **out_text, size_t *out_bytes) {
  const hone_added_token_t *frozen = hone_added_find(&tokenizer->frozen, text, bytes);
  if (frozen != NULL) {
    *out_text = text;
    *out_bytes = frozen->bytes;
    return frozen->bytes;
  }
  size_t consumed = rule_find(tokenizer, text, bytes, out_text);
  if (consumed > 0) {
    *out_bytes = strlen(*out_text);
    return consumed;
  }
  hone_utf8_step_t step = hone_utf8_step(text, bytes);
  if (!step.valid) {  // one replacement per byte, as sentencepiece does
    *out_text = HONE_UTF8_REPLACEMENT;
    *out_bytes = HONE_UTF8_REPLACEMENT_BYTES;
    return 1;
  }
  *out_text = text;
  *out_bytes = step.bytes;
  return step.bytes;
}

static bool add_space(hone_encoder_t *encoder) {
  bool escape = (encoder->tokenizer->blob->flags & HONE_TOKENIZER_ESCAPE_SPACES) != 0;
  return hone_bytes_add(&encoder->normal, escape ? HONE_SPACE_MARK : " ",
                        escape ? HONE_SPACE_MARK_BYTES : 1, encoder->status);
}

static bool wants_prefix(uint32_t flags, const char *text, size_t bytes, bool at_start) {
  if (!(flags & HONE_TOKENIZER_ADD_PREFIX)) return false;
  if ((flags & HONE_TOKENIZER_PREFIX_FIRST) && !at_start) return false;
  if (!(flags & HONE_TOKENIZER_PREFIX_UNLESS)) return true;
  if (text[0] == ' ') return false;
  return !(flags & HONE_TOKENIZER_ESCAPE_SPACES) || bytes < HONE_SPACE_MARK_BYTES ||
         memcmp(text, HONE_SPACE_MARK, HONE_SPACE_MARK_BYTES) != 0;
}

// Adds what a prefix became, its spaces escaped.
static bool add_text(hone_encoder_t *encoder, const char *text, size_t bytes) {
  size_t done = 0;
  for (size_t i = 0; i <= bytes; i++) {
    if (i < bytes && text[i] != ' ') continue;
    if (!hone_bytes_add(&encoder->normal, text + done, i - done, encoder->status)) return false;
    if (i < bytes && !add_space(encoder)) return false;
    done = i + 1;
  }
  return true;
}

static void drop_trailing_spaces(hone_encoder_t *encoder) {
  bool escape = (encoder->tokenizer->blob->flags & HONE_TOKENIZER_ESCAPE_SPACES) != 0;
  const char *space = escape ? HONE_SPACE_MARK : " ";
  size_t space_bytes = escape ? HONE_SPACE_MARK_BYTES : 1;
  hone_bytes_t *normal = &encoder->normal;
  while (normal->bytes >= space_bytes &&
         memcmp(normal->data + normal->bytes - space_bytes, space, space_bytes) == 0) {
    normal->bytes -= space_bytes;
  }
}

bool hone_encoder_normalize(hone_encoder_t *encoder, const char *text, size_t bytes,
                            bool at_start) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  uint32_t flags = tokenizer->blob->flags;
  bool remove = (flags & HONE_TOKENIZER_REMOVE_EXTRA) != 0;
  encoder->normal.bytes = 0;
  size_t at = 0;
  const char *part;
  size_t part_bytes;
  while (remove && at < bytes) {  // leading spaces
    size_t consumed = prefix_normalize(tokenizer, text + at, bytes - at, &part, &part_bytes);
    if (part_bytes != 1 || part[0] != ' ') break;
    at += consumed;
  }
  if (at == bytes) return true;
  if (wants_prefix(flags, text, bytes, at_start) && !add_space(encoder)) return false;
  bool after_space = remove;
  while (at < bytes) {
    at += prefix_normalize(tokenizer, text + at, bytes - at, &part, &part_bytes);
    while (after_space && part_bytes > 0 && part[0] == ' ') {
      part++;
      part_bytes--;
    }
    if (part_bytes == 0) continue;
    after_space = remove && part[part_bytes - 1] == ' ';
    if (!add_text(encoder, part, part_bytes)) return false;
  }
  if (remove) drop_trailing_spaces(encoder);
  return true;
}
