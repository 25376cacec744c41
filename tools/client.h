// Client of a compiled program's `--serve` mode (base/serve.h): how the compiler uses its own
// product, in a process of its own, so that a bad artefact cannot take hone down. Thread rule: one
// client, one thread.
#ifndef HONE_TOOLS_CLIENT_H
#define HONE_TOOLS_CLIENT_H

#include "base/arena.h"
#include "base/serve.h"
#include "hone/status.h"

typedef struct hone_client hone_client_t;
typedef hone_serve_info_t hone_client_info_t;

typedef struct hone_client_options {
  int64_t threads;  // 0: all CPUs
  int64_t context;  // positions to make room for; 0: the model's limit
  const char *isa;  // kernels to use; NULL: the best the CPU has
} hone_client_options_t;

// Starts ARTEFACT --serve. Errors: not a program made by hone, CPU too old, torn file (the
// program's own message is passed on).
HONE_MUST_CHECK bool hone_client_start(const char *artefact, const hone_client_options_t *options,
                                       hone_client_t **out_client, hone_status_t *status);
void hone_client_stop(hone_client_t *client);  // NULL is fine

HONE_MUST_CHECK bool hone_client_info(hone_client_t *client, hone_client_info_t *out_info,
                                      hone_status_t *status);
HONE_MUST_CHECK bool hone_client_tokenize(hone_client_t *client, const char *text, size_t bytes,
                                          bool add_special, hone_arena_t *arena, int32_t **out_ids,
                                          size_t *out_count, hone_status_t *status);
// Logits (wanted, vocab) of the last `wanted` ids; out_ns (may be NULL) is the time inside the
// model.
HONE_MUST_CHECK bool hone_client_feed(hone_client_t *client, const int32_t *ids, size_t count,
                                      size_t wanted, float *logits, size_t vocab, uint64_t *out_ns,
                                      hone_status_t *status);
HONE_MUST_CHECK bool hone_client_rewind(hone_client_t *client, uint32_t position,
                                        hone_status_t *status);
// Read bandwidth of this machine in bytes per second, measured by the program's own threads.
HONE_MUST_CHECK bool hone_client_bandwidth(hone_client_t *client, double *out_bytes_per_second,
                                           hone_status_t *status);
// Time of feeding `prompt` tokens at once from position 0, and of `tokens` single steps after them.
HONE_MUST_CHECK bool hone_client_bench(hone_client_t *client, uint32_t prompt, uint32_t tokens,
                                       uint64_t *out_prefill_ns, uint64_t *out_decode_ns,
                                       hone_status_t *status);

#endif
