// hone's runtime: run a compiled model. Link with libhone_rt, or with a model compiled by `hone
// compile --emit lib`.
//
//   hone_model_t *model;
//   hone_session_t *session;
//   if (!hone_model_open(&(hone_model_options_t){0}, &model, &status)) ...
//   if (!hone_session_create(model, &(hone_session_options_t){.context = 512}, &session, &status))
//   ... n = tokenize, hone_session_feed(session, ids, n, ...), then hone_session_sample / feed in a
//   loop.
// Everything fails through hone_status_t; nothing prints, aborts or exits. Thread rule: a model may
// be shared by sessions on several threads; a session belongs to one thread at a time.
#ifndef HONE_HONE_H
#define HONE_HONE_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_model hone_model_t;
typedef struct hone_session hone_session_t;

struct hone_image;  // what `hone compile` links in; NULL means the model this program was linked
                    // with

typedef struct hone_model_options {
  const struct hone_image *image;  // NULL: the linked model
  const char *path;  // file that holds the weights; NULL: the ELF file the image lies in
  const char *isa;   // "avx2", "avx512", "amx"; NULL: the best this CPU has
  bool is_trusted;   // skip the checksums of the weights: the caller has just written the file
  bool is_private;   // map the weights so that this process may change its view of them
} hone_model_options_t;

// Maps the weights and verifies their checksums. Errors: torn or edited file, CPU below avx2.
HONE_MUST_CHECK bool hone_model_open(const hone_model_options_t *options, hone_model_t **out_model,
                                     hone_status_t *status);
void hone_model_close(hone_model_t *model);

typedef struct hone_model_info {
  const char *family, *isa;
  uint32_t vocab, width, layers, heads, kv_heads, head_dim, context, window;
  int32_t bos;  // -1: none
  uint64_t weight_bytes;
} hone_model_info_t;
void hone_model_get_info(const hone_model_t *model, hone_model_info_t *out_info);
// The JSON manifest (NUL-terminated, lives as long as the model), "" if it was stripped away.
const char *hone_model_manifest(const hone_model_t *model);
bool hone_model_is_end(const hone_model_t *model, int32_t id);  // an end-of-text token

// ---- text
// Token ids of `text` (any bytes; invalid UTF-8 is handled as the reference tokenizers do). Writes
// at most `limit` ids and returns the full count in *out_count. `add_special` puts BOS in front
// where the model wants it, and parses special tokens (e.g. <|eot_id|>) in the text.
HONE_MUST_CHECK bool hone_model_tokenize(const hone_model_t *model, const char *text, size_t bytes,
                                         bool add_special, int32_t *ids, size_t limit,
                                         size_t *out_count, hone_status_t *status);
// Streaming decode: bytes of one token appended to what the decoder still holds; writes only whole
// UTF-8 characters.
typedef struct hone_decoder hone_decoder_t;
HONE_MUST_CHECK bool hone_decoder_create(const hone_model_t *model, hone_decoder_t **out_decoder,
                                         hone_status_t *status);
// Returns bytes valid until the next call on this decoder; *out_bytes may be 0.
const char *hone_decoder_add(hone_decoder_t *decoder, int32_t id, size_t *out_bytes);
const char *hone_decoder_flush(hone_decoder_t *decoder,
                               size_t *out_bytes);  // incomplete tail as U+FFFD
void hone_decoder_destroy(hone_decoder_t *decoder);

// ---- sessions
typedef struct hone_session_options {
  uint32_t context;  // positions to make room for; 0: the model's limit. Memory is touched only as
                     // it is used.
  uint32_t threads;  // 0: number of CPUs this process may use
} hone_session_options_t;
HONE_MUST_CHECK bool hone_session_create(hone_model_t *model, const hone_session_options_t *options,
                                         hone_session_t **out_session, hone_status_t *status);
void hone_session_destroy(hone_session_t *session);
void hone_session_rewind(hone_session_t *session,
                         uint32_t position);  // forget everything from `position` on
uint32_t hone_session_position(const hone_session_t *session);

// Runs `count` tokens (any count; split into batches) at the current position. Logits of the last
// `wanted` of them (wanted <= count) go to `logits` (wanted, vocab), row-major, or nowhere if it is
// NULL (they stay for sampling when wanted >= 1). Errors: HONE_EXHAUSTED when the context is full,
// HONE_INVALID for an id outside the vocabulary, HONE_CANCELLED after hone_session_cancel.
HONE_MUST_CHECK bool hone_session_feed(hone_session_t *session, const int32_t *ids, size_t count,
                                       size_t wanted, float *logits, hone_status_t *status);
void hone_session_cancel(hone_session_t *session);  // async-signal-safe

typedef struct hone_sampling {
  float temperature;  // 0: greedy; else 0.01 to 100
  float top_p;        // 0 or 1: off
  uint64_t seed;
} hone_sampling_t;
// Picks the next token from the last row of logits. Deterministic in (logits, sampling, number of
// tokens sampled so far); random numbers are SplitMix64 of seed and that number, and rewinding to 0
// starts the count over. Errors: HONE_INVALID without logits, or if they are not finite.
HONE_MUST_CHECK bool hone_session_sample(hone_session_t *session, const hone_sampling_t *sampling,
                                         int32_t *out_id, hone_status_t *status);

#ifdef __cplusplus
}
#endif
#endif
