// The llama family and its kin: pre-norm decoder with RMS norms, rotary embeddings, grouped-query
// attention and a gated ffn. Thread rule: the session's thread.
#ifndef HONE_FRONTEND_LLAMA_H
#define HONE_FRONTEND_LLAMA_H

#include "frontend/family.h"

typedef struct hone_llama {  // what config.json says
  int64_t vocab, width, ffn, layers, context;
  int64_t heads, kv_heads, head_dim;
  int64_t window;             // of attention; 0: none
  const double *frequencies;  // head_dim / 2 of the rotary embedding
  double epsilon;             // of the norms
  const char *activation;     // a name of ir/activations.def
  bool attention_bias;        // on q, k, v and o
  bool ffn_bias;              // on gate, up and down
  bool tied;                  // the head is the embedding
  bool sub_norms;             // norms before o and down (BitNet)
} hone_llama_t;

// Reads and range-checks config.json for `family` (a name of families.def), with the defaults of
// transformers' classes for what may be absent. `frequencies` lives in the arena.
HONE_MUST_CHECK bool hone_llama_read(const char *family, const hone_config_t *config,
                                     hone_arena_t *arena, hone_llama_t *out_llama,
                                     hone_status_t *status);
// A hone_model_family_import_fn. Every tensor of the checkpoint must be used or known to be
// harmless: a missing one (HONE_NOT_FOUND), a shape that differs from the configuration's and one
// left over (HONE_INVALID) are errors.
HONE_MUST_CHECK bool hone_llama_import(const hone_model_family_input_t *input,
                                       ir_model_t *out_model, hone_status_t *status);

#endif
