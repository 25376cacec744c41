// Llama-type models: configuration and IR. Thread rule: the session's thread.
#ifndef HONE_FRONTEND_LLAMA_H
#define HONE_FRONTEND_LLAMA_H

#include "frontend/checkpoint.h"
#include "frontend/config.h"
#include "ir/model.h"

typedef struct hone_llama_config {
  const char *family;
  int64_t vocab, width, ffn, layers, heads, kv_heads, head_dim, context, window;
  double epsilon;
  const char *activation;  // "silu" or "gelu_tanh", as hone.glu has it
  bool tied, attention_bias, mlp_bias;
  double *frequencies;     // (head_dim / 2) inverse frequencies, scaling applied
  int64_t bos;             // -1: none
  int64_t eos[IR_EOS_LIMIT];
  size_t eos_count;
} hone_llama_config_t;

// Reads and checks a llama or mistral config.json. Unknown rope scalings, activations and quantized checkpoints are
// HONE_UNSUPPORTED by name.
HONE_MUST_CHECK bool hone_llama_config_read(const hone_config_t *json, hone_arena_t *arena, hone_llama_config_t *out_config,
                                            hone_status_t *status);
// Builds the model's blocks: embed, layers.N.attention, layers.N.ffn, head. Every tensor of the checkpoint must be used,
// with the shape the configuration gives it.
HONE_MUST_CHECK bool hone_llama_import(ir_model_t *model, hone_checkpoint_t *checkpoint, const hone_llama_config_t *config,
                                       hone_status_t *status);

#endif
