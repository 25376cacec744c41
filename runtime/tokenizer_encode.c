// Encode: cuts a text at added tokens, normalizes what lies between, cuts that into words and
// symbols, and hands them to the merge engine. No recursion; memory grows with the text only.
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer_internal.h"
#include "runtime/tokenizer_utf8.h"

bool hone_tokenizer_reserve(void *items, size_t *capacity, size_t count, size_t item_bytes,
                            hone_status_t *status) {
  if (count <= *capacity) return true;
  size_t wanted = *capacity < 32 ? 64 : *capacity * 2;
  if (wanted < count) wanted = count;
  void *old, *grown = NULL;
  memcpy(&old, items, sizeof old);
  if (wanted <= SIZE_MAX / 2 / item_bytes) grown = realloc(old, wanted * item_bytes);
  if (grown == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory while tokenizing");
  memcpy(items, &grown, sizeof grown);
  *capacity = wanted;
  return true;
}

bool hone_bytes_add(hone_bytes_t *bytes, const void *data, size_t count, hone_status_t *status) {
  if (!hone_tokenizer_reserve(&bytes->data, &bytes->capacity, bytes->bytes + count, 1, status))
    return false;
  if (count > 0) memcpy(bytes->data + bytes->bytes, data, count);
  bytes->bytes += count;
  return true;
}

void hone_token_ids_deinit(hone_token_ids_t *ids) {
  free(ids->items);
  *ids = (hone_token_ids_t){0};
}

static bool push_id(hone_encoder_t *encoder, int32_t id) {
  hone_token_ids_t *ids = encoder->ids;
  if (!hone_tokenizer_reserve(&ids->items, &ids->capacity, ids->count + 1, sizeof *ids->items,
                              encoder->status)) {
    return false;
  }
  ids->items[ids->count++] = id;
  encoder->after_unknown = false;
  return true;
}

static bool push_unknown(hone_encoder_t *encoder) {
  const hone_tokenizer_blob_t *blob = encoder->tokenizer->blob;
  bool fused = encoder->after_unknown && (blob->flags & HONE_TOKENIZER_FUSE_UNKNOWN);
  if (blob->unknown >= 0 && !fused && !push_id(encoder, blob->unknown)) return false;
  encoder->after_unknown = true;
  return true;
}

// ---- symbols

static bool add_symbol(hone_encoder_t *encoder, uint32_t id, size_t offset) {
  if (!hone_tokenizer_reserve(&encoder->symbols, &encoder->symbol_capacity,
                              encoder->symbol_count + 1, sizeof *encoder->symbols,
                              encoder->status)) {
    return false;
  }
  encoder->symbols[encoder->symbol_count++] = (hone_symbol_t){.id = id, .offset = (uint32_t)offset};
  return true;
}

// Pushes the ids of the symbols that merging left of `word`.
static bool push_symbols(hone_encoder_t *encoder, const char *word, size_t bytes) {
  const hone_tokenizer_blob_t *blob = encoder->tokenizer->blob;
  for (uint32_t i = 0; i != UINT32_MAX; i = encoder->symbols[i].next) {
    const hone_symbol_t *symbol = &encoder->symbols[i];
    uint32_t id = symbol->id & ~HONE_SYMBOL_FROZEN;
    if (id < blob->token_count) {
      if (!push_id(encoder, (int32_t)id)) return false;
    } else if (blob->flags & HONE_TOKENIZER_BYTE_FALLBACK) {
      size_t length = hone_utf8_promised(word + symbol->offset, bytes - symbol->offset);
      for (size_t b = 0; b < length; b++) {
        if (!push_id(encoder, blob->byte_ids[(uint8_t)word[symbol->offset + b]])) return false;
      }
    } else if (!push_unknown(encoder)) {
      return false;
    }
  }
  return true;
}

static bool merge_and_push(hone_encoder_t *encoder, const char *word, size_t bytes) {
  if (encoder->symbol_count == 0) return true;
  return hone_encoder_merge(encoder) && push_symbols(encoder, word, bytes);
}

// ---- words

// A word that is one token under IGNORE_MERGES; sets *out_done if so.
static bool push_whole(hone_encoder_t *encoder, const char *word, size_t bytes, bool *out_done) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  *out_done = false;
  if (!(tokenizer->blob->flags & HONE_TOKENIZER_IGNORE_MERGES)) return true;
  uint32_t id = hone_tokenizer_find(tokenizer, word, bytes);
  if (id >= tokenizer->blob->token_count) return true;
  *out_done = true;
  return push_id(encoder, (int32_t)id);
}

static bool encode_byte_word(hone_encoder_t *encoder, const char *word, size_t bytes) {
  const hone_tokenizer_blob_t *blob = encoder->tokenizer->blob;
  bool done;
  encoder->after_unknown = false;
  if (!push_whole(encoder, word, bytes, &done)) return false;
  if (done) return true;
  encoder->symbol_count = 0;
  for (size_t i = 0; i < bytes; i++) {
    int32_t id = blob->byte_ids[(uint8_t)word[i]];
    if (id < 0 && blob->unknown < 0)
      continue;  // as the reference: it is as if the byte was not there
    if (!add_symbol(encoder, id < 0 ? HONE_SYMBOL_NONE : (uint32_t)id, i)) return false;
  }
  return merge_and_push(encoder, word, bytes);
}

static uint32_t character_symbol(const hone_tokenizer_t *tokenizer, const char *text,
                                 size_t bytes) {
  if (bytes == 1 && (uint8_t)text[0] < 128) return tokenizer->ascii_symbols[(uint8_t)text[0]];
  return hone_tokenizer_find(tokenizer, text, bytes);
}

static bool encode_piece_word(hone_encoder_t *encoder, const char *word, size_t bytes) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  bool keeps_unknown =
      tokenizer->blob->unknown >= 0 || (tokenizer->blob->flags & HONE_TOKENIZER_BYTE_FALLBACK);
  bool done;
  if (!push_whole(encoder, word, bytes, &done)) return false;
  if (done) return true;
  encoder->symbol_count = 0;
  for (size_t at = 0; at < bytes;) {
    const hone_added_token_t *frozen = hone_added_find(&tokenizer->frozen, word + at, bytes - at);
    size_t length = frozen != NULL ? frozen->bytes : hone_utf8_promised(word + at, bytes - at);
    uint32_t id = frozen != NULL ? frozen->id | HONE_SYMBOL_FROZEN
                                 : character_symbol(tokenizer, word + at, length);
    if ((id != HONE_SYMBOL_NONE || keeps_unknown) && !add_symbol(encoder, id, at)) return false;
    at += length;
  }
  return merge_and_push(encoder, word, bytes);
}

static bool is_space_mark(const char *text, size_t bytes) {
  return bytes >= HONE_SPACE_MARK_BYTES &&
         memcmp(text, HONE_SPACE_MARK, HONE_SPACE_MARK_BYTES) == 0;
}

// Where a run of pieces may be cut after `at` without changing a single id: in front of a U+2581
// that follows something else (WORDS), or where the tokenizer itself cuts, in front of every U+2581
// (SPLIT_SPACES).
static size_t piece_word_end(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                             size_t at) {
  bool every = (tokenizer->blob->flags & HONE_TOKENIZER_SPLIT_SPACES) != 0;
  if (!every && !(tokenizer->blob->flags & HONE_TOKENIZER_WORDS)) return bytes;
  bool after_mark = is_space_mark(text + at, bytes - at);
  for (size_t i = at + (after_mark ? HONE_SPACE_MARK_BYTES : 1); i < bytes;) {
    const char *mark = memchr(text + i, HONE_SPACE_MARK[0], bytes - i);
    if (mark == NULL) return bytes;
    size_t found = (size_t)(mark - text);
    if (found > i) after_mark = false;
    if (is_space_mark(mark, bytes - found)) {
      if (every || !after_mark) return found;
      i = found + HONE_SPACE_MARK_BYTES;
    } else {
      after_mark = false;
      i = found + 1;
    }
  }
  return bytes;
}

// A stretch of normalized text without added tokens.
static bool encode_pieces(hone_encoder_t *encoder, const char *text, size_t bytes) {
  encoder->after_unknown = false;
  for (size_t at = 0; at < bytes;) {
    size_t end = piece_word_end(encoder->tokenizer, text, bytes, at);
    if (encoder->tokenizer->blob->flags & HONE_TOKENIZER_SPLIT_SPACES)
      encoder->after_unknown = false;
    if (!encode_piece_word(encoder, text + at, end - at)) return false;
    at = end;
  }
  return true;
}

static bool encode_bytes(hone_encoder_t *encoder, const char *text, size_t bytes, bool at_start) {
  if (encoder->tokenizer->blob->flags & HONE_TOKENIZER_ADD_PREFIX) {
    if (!hone_encoder_normalize(encoder, text, bytes, at_start)) return false;
    text = encoder->normal.data;
    bytes = encoder->normal.bytes;
  }
  for (size_t at = 0; at < bytes;) {
    size_t end = hone_tokenizer_word_end(encoder->tokenizer, text, bytes, at);
    if (!encode_byte_word(encoder, text + at, end - at)) return false;
    at = end;
  }
  return true;
}

// ---- added tokens

typedef struct cut {  // walks over a text, giving stretches of plain text and added tokens in turn
  const hone_added_list_t *list;
  const char *text;
  size_t bytes;
  bool parse_special;
  size_t scan;                      // next byte to look for a match at
  size_t done;                      // end of what was given
  const hone_added_token_t *found;  // to give next
  size_t found_end;
} cut_t;

typedef struct cut_part {
  size_t begin, end;
  const hone_added_token_t *token;  // NULL: plain text
} cut_part_t;

// Length of the white space character (White_Space of Unicode) at `text`, 0 if it is none.
static size_t white_space(const char *text, size_t bytes) {
  hone_utf8_step_t step = hone_utf8_step(text, bytes);
  uint32_t c = step.code;
  if (!step.valid) return 0;
  bool is_space = (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
                  (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
                  c == 0x205F || c == 0x3000;
  return is_space ? step.bytes : 0;
}

static size_t space_left_of(const char *text, size_t begin, size_t end) {
  for (;;) {
    size_t start = end;
    while (start > begin && end - start < 3 &&
           (start == end || ((uint8_t)text[start] & 0xC0) == 0x80))
      start--;
    if (start == end || white_space(text + start, end - start) != end - start) return end;
    end = start;
  }
}

static size_t space_right_of(const char *text, size_t begin, size_t end) {
  while (begin < end) {
    size_t length = white_space(text + begin, end - begin);
    if (length == 0) break;
    begin += length;
  }
  return begin;
}

// The next part, in order. Leftmost match first, the longest of those; a special token that is not
// wanted hides what lies inside it, as in the reference.
static bool cut_next(cut_t *cut, cut_part_t *out_part) {
  if (cut->found != NULL) {
    *out_part = (cut_part_t){cut->done, cut->found_end, cut->found};
    cut->done = cut->found_end;
    cut->found = NULL;
    return true;
  }
  while (cut->scan < cut->bytes) {
    size_t begin = cut->scan;
    const hone_added_token_t *token =
        hone_added_find(cut->list, cut->text + begin, cut->bytes - begin);
    cut->scan += token != NULL ? token->bytes : 1;
    if (token == NULL || ((token->flags & HONE_ADDED_SPECIAL) && !cut->parse_special)) continue;
    size_t end = cut->scan;
    if (begin < cut->done) begin = cut->done;
    if (token->flags & HONE_ADDED_LSTRIP) begin = space_left_of(cut->text, cut->done, begin);
    if (token->flags & HONE_ADDED_RSTRIP) end = space_right_of(cut->text, end, cut->bytes);
    if (end < cut->done) end = cut->done;
    size_t done = cut->done;
    cut->done = begin;
    cut->found = token;
    cut->found_end = end;
    if (done == begin) return cut_next(cut, out_part);
    *out_part = (cut_part_t){done, begin, NULL};
    return true;
  }
  if (cut->done >= cut->bytes) return false;
  *out_part = (cut_part_t){cut->done, cut->bytes, NULL};
  cut->done = cut->bytes;
  return true;
}

// ---- the whole text

// A stretch of text between raw added tokens.
static bool encode_stretch(hone_encoder_t *encoder, const char *text, size_t bytes, bool at_start) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  bool pieces = tokenizer->blob->kind == HONE_TOKENIZER_PIECES;
  bool early = pieces && !(tokenizer->blob->flags & HONE_TOKENIZER_LATE_PREFIX);
  if (early) {
    if (!hone_encoder_normalize(encoder, text, bytes, at_start)) return false;
    text = encoder->normal.data;
    bytes = encoder->normal.bytes;
  }
  cut_t cut = {.list = &tokenizer->normalized,
               .text = text,
               .bytes = bytes,
               .parse_special = encoder->options.parse_special};
  for (cut_part_t part; cut_next(&cut, &part);) {
    const char *part_text = text + part.begin;
    size_t part_bytes = part.end - part.begin;
    bool part_starts = at_start && part.begin == 0, fine;
    if (part.token != NULL) {
      fine = push_id(encoder, (int32_t)part.token->id);
    } else if (!pieces) {
      fine = encode_bytes(encoder, part_text, part_bytes, part_starts);
    } else if (early) {
      fine = encode_pieces(encoder, part_text, part_bytes);
    } else {
      fine = hone_encoder_normalize(encoder, part_text, part_bytes, part_starts) &&
             encode_pieces(encoder, encoder->normal.data, encoder->normal.bytes);
    }
    if (!fine) return false;
  }
  return true;
}

// Puts U+FFFD for every maximal subpart that is not UTF-8; leaves valid text where it is.
static bool text_clean(hone_encoder_t *encoder, const char **text, size_t *bytes) {
  size_t done = 0;
  bool copied = false;
  for (size_t at = 0; at < *bytes;) {
    if ((uint8_t)(*text)[at] < 0x80) {
      at++;
      continue;
    }
    hone_utf8_step_t step = hone_utf8_step(*text + at, *bytes - at);
    at += step.bytes;
    if (step.valid) continue;
    copied = true;
    if (!hone_bytes_add(&encoder->clean, *text + done, at - step.bytes - done, encoder->status) ||
        !hone_bytes_add(&encoder->clean, HONE_UTF8_REPLACEMENT, HONE_UTF8_REPLACEMENT_BYTES,
                        encoder->status)) {
      return false;
    }
    done = at;
  }
  if (!copied) return true;
  if (!hone_bytes_add(&encoder->clean, *text + done, *bytes - done, encoder->status)) return false;
  *text = encoder->clean.data;
  *bytes = encoder->clean.bytes;
  return true;
}

static bool encode_text(hone_encoder_t *encoder, const char *text, size_t bytes) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  uint32_t flags = tokenizer->blob->flags;
  if (encoder->options.add_bos && (flags & HONE_TOKENIZER_ADD_BOS) && tokenizer->blob->bos >= 0 &&
      !push_id(encoder, tokenizer->blob->bos)) {
    return false;
  }
  if (!(flags & HONE_TOKENIZER_REPLACE_BYTES) && !text_clean(encoder, &text, &bytes)) return false;
  cut_t cut = {.list = &tokenizer->raw,
               .text = text,
               .bytes = bytes,
               .parse_special = encoder->options.parse_special};
  for (cut_part_t part; cut_next(&cut, &part);) {
    bool fine = part.token != NULL ? push_id(encoder, (int32_t)part.token->id)
                                   : encode_stretch(encoder, text + part.begin,
                                                    part.end - part.begin, part.begin == 0);
    if (!fine) return false;
  }
  return true;
}

bool hone_tokenizer_encode(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                           const hone_encode_options_t *options, hone_token_ids_t *ids,
                           hone_status_t *status) {
  if (bytes > HONE_TOKENIZER_TEXT_LIMIT) {
    return hone_fail(status, HONE_INVALID,
                     "a text of %zu bytes is too long to tokenize at once; the limit is %d", bytes,
                     HONE_TOKENIZER_TEXT_LIMIT);
  }
  hone_encoder_t encoder = {
      .tokenizer = tokenizer, .options = *options, .ids = ids, .status = status};
  size_t before = ids->count;
  bool done = encode_text(&encoder, text, bytes);
  if (!done) ids->count = before;
  free(encoder.clean.data);
  free(encoder.normal.data);
  free(encoder.symbols);
  free(encoder.queue);
  return done;
}
