// Streaming decode: one token in, the text it completes out. A character whose bytes come in
// several tokens is held back until it is whole, so nothing but valid UTF-8 ever leaves.
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer_internal.h"
#include "runtime/tokenizer_utf8.h"

struct hone_token_decoder {
  const hone_tokenizer_t *tokenizer;
  char pending[4];  // the start of a character
  uint32_t pending_bytes;
  bool at_start;  // the space that encoding put in front may still come
  size_t out_bytes;
  char out[];  // room for the longest token with every byte replaced
};

bool hone_token_decoder_create(const hone_tokenizer_t *tokenizer,
                               hone_token_decoder_t **out_decoder, hone_status_t *status) {
  size_t room = (tokenizer->longest_token_bytes + 8) * HONE_UTF8_REPLACEMENT_BYTES;
  hone_token_decoder_t *decoder = calloc(1, sizeof *decoder + room);
  *out_decoder = decoder;
  if (decoder == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for the decoder");
  decoder->tokenizer = tokenizer;
  decoder->at_start = true;
  return true;
}

void hone_token_decoder_destroy(hone_token_decoder_t *decoder) { free(decoder); }

static void put(hone_token_decoder_t *decoder, const char *text, size_t bytes) {
  memcpy(decoder->out + decoder->out_bytes, text, bytes);
  decoder->out_bytes += bytes;
}

// Gives up on the pending bytes: one U+FFFD, or one per byte where the reference does that.
static void drop_pending(hone_token_decoder_t *decoder) {
  if (decoder->pending_bytes == 0) return;
  bool each = (decoder->tokenizer->blob->flags & HONE_TOKENIZER_REPLACE_BYTES) != 0;
  for (uint32_t i = 0; i < (each ? decoder->pending_bytes : 1); i++) {
    put(decoder, HONE_UTF8_REPLACEMENT, HONE_UTF8_REPLACEMENT_BYTES);
  }
  decoder->pending_bytes = 0;
}

// One more byte of text. Pending bytes are always the valid start of a character.
static void feed(hone_token_decoder_t *decoder, char byte) {
  decoder->pending[decoder->pending_bytes++] = byte;
  hone_utf8_step_t step = hone_utf8_step(decoder->pending, decoder->pending_bytes);
  if (step.cut) return;
  if (step.valid) {
    put(decoder, decoder->pending, decoder->pending_bytes);
    decoder->pending_bytes = 0;
    return;
  }
  bool is_alone = decoder->pending_bytes == 1;
  if (!is_alone) decoder->pending_bytes--;
  drop_pending(decoder);
  if (!is_alone) feed(decoder, byte);  // now alone, so this goes no deeper
}

static bool has_mark(const char *text, size_t bytes) {
  return bytes >= HONE_SPACE_MARK_BYTES &&
         memcmp(text, HONE_SPACE_MARK, HONE_SPACE_MARK_BYTES) == 0;
}

// A piece: U+2581 are spaces, and those that encoding put at the start of the text go away.
static void put_piece(hone_token_decoder_t *decoder, const char *text, size_t bytes) {
  uint32_t strip = decoder->tokenizer->blob->strip;
  drop_pending(decoder);
  if (decoder->out_bytes > 0) decoder->at_start = false;
  bool strips = decoder->at_start && strip != HONE_STRIP_NONE;
  if (strips && strip != HONE_STRIP_TOKEN && has_mark(text, bytes)) {
    text += HONE_SPACE_MARK_BYTES;
    bytes -= HONE_SPACE_MARK_BYTES;
    if (strip == HONE_STRIP_ONE) decoder->at_start = false;
  }
  for (size_t i = 0; i < bytes;) {
    if (!has_mark(text + i, bytes - i)) {
      feed(decoder, text[i++]);
      continue;
    }
    drop_pending(decoder);
    if (!strips || strip != HONE_STRIP_TOKEN) put(decoder, " ", 1);
    i += HONE_SPACE_MARK_BYTES;
  }
  drop_pending(decoder);
  if (strip == HONE_STRIP_TOKEN) decoder->at_start = false;
}

static void put_token(hone_token_decoder_t *decoder, int32_t id) {
  const hone_tokenizer_t *tokenizer = decoder->tokenizer;
  size_t bytes;
  const char *text = hone_tokenizer_get_token(tokenizer, id, &bytes);
  bool pieces = tokenizer->blob->kind == HONE_TOKENIZER_PIECES;
  hone_token_type_t type =
      text == NULL ? HONE_TOKEN_NONE : (hone_token_type_t)tokenizer->token_types[id];
  if (type == HONE_TOKEN_NONE || type == HONE_TOKEN_SPECIAL) {
    if (pieces) drop_pending(decoder);
  } else if (type == HONE_TOKEN_TEXT && pieces) {
    put_piece(decoder, text, bytes);
  } else {
    if (type == HONE_TOKEN_RAW) drop_pending(decoder);
    for (size_t i = 0; i < bytes; i++) feed(decoder, text[i]);
    if (type == HONE_TOKEN_RAW) drop_pending(decoder);
  }
  if (decoder->out_bytes > 0) decoder->at_start = false;
}

const char *hone_token_decoder_add(hone_token_decoder_t *decoder, int32_t id, size_t *out_bytes) {
  decoder->out_bytes = 0;
  put_token(decoder, id);
  *out_bytes = decoder->out_bytes;
  return decoder->out;
}

const char *hone_token_decoder_flush(hone_token_decoder_t *decoder, size_t *out_bytes) {
  decoder->out_bytes = 0;
  drop_pending(decoder);
  decoder->at_start = true;
  *out_bytes = decoder->out_bytes;
  return decoder->out;
}
