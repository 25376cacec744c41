// Tokenizer: text to token ids and back, from the blob the compiler wrote (base/tokenizer.h).
// Internal to the runtime; the public calls are in hone/hone.h. It needs no Unicode library: what
// it must know is in the blob.
//
// Thread rule: a tokenizer never changes after it was created, so threads may share it; ids and
// decoders are one thread's own.
#ifndef HONE_RUNTIME_TOKENIZER_H
#define HONE_RUNTIME_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

typedef struct hone_tokenizer hone_tokenizer_t;

// Borrows the blob, which must be aligned to 8 bytes and outlive the tokenizer. Checks every offset
// and count, so a damaged blob is an error and never a crash. Errors: HONE_NOT_FOUND if `bytes` is
// 0 (a model without a tokenizer), HONE_INVALID for a damaged blob, HONE_UNSUPPORTED for another
// version, HONE_EXHAUSTED.
HONE_MUST_CHECK bool hone_tokenizer_create(const void *blob, size_t bytes,
                                           hone_tokenizer_t **out_tokenizer, hone_status_t *status);
void hone_tokenizer_destroy(hone_tokenizer_t *tokenizer);  // NULL is fine

uint32_t hone_tokenizer_get_count(const hone_tokenizer_t *tokenizer);  // largest id + 1
int32_t hone_tokenizer_get_bos(const hone_tokenizer_t *tokenizer);     // -1: none
int32_t hone_tokenizer_get_eos(const hone_tokenizer_t *tokenizer);     // -1: none
bool hone_tokenizer_is_special(const hone_tokenizer_t *tokenizer, int32_t id);
// The token's bytes as stored (sentencepiece: with U+2581 for spaces); NULL and 0 for an id without
// a token.
const char *hone_tokenizer_get_token(const hone_tokenizer_t *tokenizer, int32_t id,
                                     size_t *out_bytes);

// ---- encode
typedef struct hone_token_ids {  // zero is the empty list
  int32_t *items;
  size_t count, capacity;
} hone_token_ids_t;
void hone_token_ids_deinit(hone_token_ids_t *ids);

typedef struct hone_encode_options {
  bool add_bos;        // BOS in front, if this model's prompts start with one
  bool parse_special;  // special tokens written in the text (<|eot_id|>) become their ids; else
                       // they are plain text
} hone_encode_options_t;

// Appends the ids of `text` to `ids`. Any bytes are fine: what is not UTF-8 counts as U+FFFD
// (sentencepiece: one per byte; otherwise one per maximal subpart, as WHATWG and Python do). O(n
// log n) in the bytes of the text, memory O(n). Errors: HONE_EXHAUSTED, HONE_INVALID for a text
// above 256 MiB; `ids` then holds what was there before.
HONE_MUST_CHECK bool hone_tokenizer_encode(const hone_tokenizer_t *tokenizer, const char *text,
                                           size_t bytes, const hone_encode_options_t *options,
                                           hone_token_ids_t *ids, hone_status_t *status);

// ---- decode, one token at a time
typedef struct hone_token_decoder hone_token_decoder_t;

HONE_MUST_CHECK bool hone_token_decoder_create(const hone_tokenizer_t *tokenizer,
                                               hone_token_decoder_t **out_decoder,
                                               hone_status_t *status);
void hone_token_decoder_destroy(hone_token_decoder_t *decoder);  // NULL is fine
// The text that `id` completes: whole UTF-8 characters only, valid until the next call on this
// decoder; *out_bytes may be 0. Special tokens and ids without a token print nothing. Never fails.
const char *hone_token_decoder_add(hone_token_decoder_t *decoder, int32_t id, size_t *out_bytes);
// What is left of an incomplete character as U+FFFD; the decoder then starts over as if new.
const char *hone_token_decoder_flush(hone_token_decoder_t *decoder, size_t *out_bytes);

#endif
