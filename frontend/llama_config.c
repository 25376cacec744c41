// config.json of the llama family: keys, defaults and ranges. Rotary embeddings are rope.c's.
#include <string.h>

#include "frontend/llama.h"
#include "frontend/rope.h"

enum {  // generous, and small enough that no product of two overflows
  DIMENSION_LIMIT = 1 << 24,
  HEAD_LIMIT = 1 << 16,
  LAYER_LIMIT = 10000,
  CONTEXT_LIMIT = 1 << 30,
};

// What transformers assumes for absent keys; LlamaConfig, MistralConfig and BitNetConfig differ.
// kv_heads 0: as many as heads.
typedef struct defaults {
  const char *family;
  int64_t kv_heads, window;
  double epsilon, rope_theta;
  const char *activation;
  bool has_window, has_attention_bias, has_ffn_bias;  // whether the family knows the keys at all
  bool sub_norms;
} defaults_t;

static const defaults_t defaults_table[] = {
    {.family = "llama",
     .epsilon = 1e-6,
     .rope_theta = 1e4,
     .activation = "silu",
     .has_attention_bias = true,
     .has_ffn_bias = true},
    {.family = "mistral",
     .kv_heads = 8,
     .window = 4096,
     .epsilon = 1e-6,
     .rope_theta = 1e4,
     .activation = "silu",
     .has_window = true},
    {.family = "bitnet",
     .kv_heads = 5,
     .epsilon = 1e-5,
     .rope_theta = 5e5,
     .activation = "relu2",
     .has_attention_bias = true,
     .sub_norms = true},
};

static const defaults_t *find_defaults(const char *family) {
  const defaults_t *defaults = defaults_table;
  while (strcmp(defaults->family, family)) defaults++;  // families.def names no other
  return defaults;
}

static bool read_heads(const hone_config_t *config, const defaults_t *defaults, hone_llama_t *out,
                       hone_status_t *status) {
  if (!hone_config_int(config, "num_attention_heads", 1, HEAD_LIMIT, &out->heads, status))
    return false;
  int64_t kv_default = defaults->kv_heads && !hone_config_is_null(config, "num_key_value_heads")
                           ? defaults->kv_heads
                           : out->heads;
  if (!hone_config_int_or(config, "num_key_value_heads", kv_default, 1, HEAD_LIMIT, &out->kv_heads,
                          status) ||
      !hone_config_int_or(config, "head_dim", out->width / out->heads, 2, HEAD_LIMIT,
                          &out->head_dim, status))
    return false;
  if (!hone_config_has(config, "head_dim") && out->width % out->heads)
    return hone_fail(status, HONE_INVALID,
                     "%s: key 'hidden_size': %lld is not a multiple of num_attention_heads (%lld), "
                     "and there is no "
                     "head_dim",
                     config->path, (long long)out->width, (long long)out->heads);
  if (out->heads % out->kv_heads)
    return hone_fail(status, HONE_INVALID,
                     "%s: key 'num_key_value_heads': %lld does not divide num_attention_heads, "
                     "which is %lld",
                     config->path, (long long)out->kv_heads, (long long)out->heads);
  if (out->head_dim < 2 || out->head_dim % 2)
    return hone_fail(status, HONE_INVALID,
                     "%s: key 'head_dim': %lld must be even, for rotary embeddings", config->path,
                     (long long)out->head_dim);
  if (out->heads * out->head_dim > DIMENSION_LIMIT)
    return hone_fail(status, HONE_INVALID,
                     "%s: key 'head_dim': %lld heads of %lld are more than %d", config->path,
                     (long long)out->heads, (long long)out->head_dim, DIMENSION_LIMIT);
  return true;
}

static bool read_activation(const hone_config_t *config, const defaults_t *defaults,
                            const char **out_activation, hone_status_t *status) {
  static const struct {
    const char *theirs, *ours;
  } names[] = {{"silu", "silu"},
               {"relu2", "relu2"},
               {"swish", "silu"},
               {"gelu_pytorch_tanh", "gelu_tanh"},
               {"gelu_new", "gelu_tanh"}};
  const char *name;
  if (!hone_config_text_or(config, "hidden_act", defaults->activation, &name, status)) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(name, names[i].theirs)) continue;
    *out_activation = names[i].ours;
    return true;
  }
  return hone_fail(status, HONE_UNSUPPORTED,
                   "%s: key 'hidden_act': '%.60s' is not supported; silu, gelu_pytorch_tanh and "
                   "relu2 are",
                   config->path, name);
}

// The sliding window; null means none, absent means the class's default.
static bool read_window(const hone_config_t *config, const defaults_t *defaults, hone_llama_t *out,
                        hone_status_t *status) {
  out->window = 0;
  if (!defaults->has_window || hone_config_is_null(config, "sliding_window")) return true;
  return hone_config_int_or(config, "sliding_window", defaults->window, 1, CONTEXT_LIMIT,
                            &out->window, status);
}

static bool read_biases(const hone_config_t *config, const defaults_t *defaults, hone_llama_t *out,
                        hone_status_t *status) {
  return (!defaults->has_attention_bias ||
          hone_config_bool_or(config, "attention_bias", false, &out->attention_bias, status)) &&
         (!defaults->has_ffn_bias ||
          hone_config_bool_or(config, "mlp_bias", false, &out->ffn_bias, status));
}

bool hone_llama_read(const char *family, const hone_config_t *config, hone_arena_t *arena,
                     hone_llama_t *out, hone_status_t *status) {
  const defaults_t *defaults = find_defaults(family);
  *out = (hone_llama_t){.sub_norms = defaults->sub_norms};
  if (!hone_config_int(config, "vocab_size", 1, DIMENSION_LIMIT, &out->vocab, status) ||
      !hone_config_int(config, "hidden_size", 2, DIMENSION_LIMIT, &out->width, status) ||
      !hone_config_int(config, "intermediate_size", 2, DIMENSION_LIMIT, &out->ffn, status) ||
      !hone_config_int(config, "num_hidden_layers", 1, LAYER_LIMIT, &out->layers, status) ||
      !hone_config_int(config, "max_position_embeddings", 1, CONTEXT_LIMIT, &out->context,
                       status) ||
      !read_heads(config, defaults, out, status) || !read_window(config, defaults, out, status) ||
      !read_biases(config, defaults, out, status) ||
      !read_activation(config, defaults, &out->activation, status) ||
      !hone_config_real_or(config, "rms_norm_eps", defaults->epsilon, 0, 1, &out->epsilon,
                           status) ||
      !hone_config_bool_or(config, "tie_word_embeddings", false, &out->tied, status))
    return false;
  double *frequencies = HONE_NEW_ARRAY(arena, double, (size_t)(out->head_dim / 2));
  out->frequencies = frequencies;
  return hone_rope_frequencies(config, defaults->rope_theta, out->head_dim, out->context,
                               frequencies, status);
}
