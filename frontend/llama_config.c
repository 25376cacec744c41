// The configuration of Llama-type models, with rope's inverse frequencies worked out.
#include <math.h>
#include <string.h>

#include "frontend/llama.h"

enum { DIMENSION_LIMIT = 1 << 24 };

static bool read_sizes(const hone_config_t *json, hone_llama_config_t *c, hone_status_t *status) {
  bool ok = hone_config_int(json, "vocab_size", 1, DIMENSION_LIMIT, &c->vocab, status) &&
            hone_config_int(json, "hidden_size", 1, DIMENSION_LIMIT, &c->width, status) &&
            hone_config_int(json, "intermediate_size", 1, DIMENSION_LIMIT, &c->ffn, status) &&
            hone_config_int(json, "num_hidden_layers", 1, 10000, &c->layers, status) &&
            hone_config_int(json, "num_attention_heads", 1, 65536, &c->heads, status) &&
            hone_config_int_or(json, "num_key_value_heads", c->heads, 1, 65536, &c->kv_heads, status) &&
            hone_config_int_or(json, "max_position_embeddings", 2048, 1, DIMENSION_LIMIT, &c->context, status);
  if (!ok) return false;
  if (!hone_config_has(json, "head_dim") && c->width % c->heads)
    return hone_fail(status, HONE_INVALID, "%s: hidden_size %lld is no multiple of num_attention_heads %lld", json->path,
                     (long long)c->width, (long long)c->heads);
  if (!hone_config_int_or(json, "head_dim", c->width / c->heads, 2, 65536, &c->head_dim, status)) return false;
  if (c->heads % c->kv_heads)
    return hone_fail(status, HONE_INVALID, "%s: num_attention_heads %lld is no multiple of num_key_value_heads %lld",
                     json->path, (long long)c->heads, (long long)c->kv_heads);
  if (c->head_dim % 2)
    return hone_fail(status, HONE_INVALID, "%s: head_dim %lld is odd; rotary embedding needs pairs", json->path,
                     (long long)c->head_dim);
  return true;
}

static bool read_activation(const hone_config_t *json, hone_llama_config_t *c, hone_status_t *status) {
  const char *name;
  if (!hone_config_text_or(json, "hidden_act", "silu", &name, status)) return false;
  if (!strcmp(name, "silu") || !strcmp(name, "swish")) {
    c->activation = "silu";
  } else if (!strcmp(name, "gelu_pytorch_tanh") || !strcmp(name, "gelu_new")) {
    c->activation = "gelu_tanh";
  } else {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: hidden_act '%.40s'; silu and gelu_pytorch_tanh are supported", json->path, name);
  }
  return true;
}

// Llama 3.1's scaling: long wavelengths divided by `factor`, short ones kept, a linear ramp between
// (transformers, modeling_rope_utils, "llama3").
static bool scale_llama3(const hone_config_t *rope, hone_llama_config_t *c, hone_status_t *status) {
  double factor, low, high, original;
  if (!hone_config_real_or(rope, "factor", 8, 1, 1e6, &factor, status) ||
      !hone_config_real_or(rope, "low_freq_factor", 1, 1e-6, 1e6, &low, status) ||
      !hone_config_real_or(rope, "high_freq_factor", 4, 1e-6, 1e6, &high, status) ||
      !hone_config_real_or(rope, "original_max_position_embeddings", 8192, 1, 1e9, &original, status))
    return false;
  if (!(high > low))
    return hone_fail(status, HONE_INVALID, "%s: key '%shigh_freq_factor' must be above low_freq_factor", rope->path, rope->scope);
  for (int64_t i = 0; i < c->head_dim / 2; i++) {
    double f = c->frequencies[i], wavelength = 2 * 3.14159265358979323846 / f;
    double smooth = (original / wavelength - low) / (high - low);
    if (smooth < 0) smooth = 0;
    if (smooth > 1) smooth = 1;
    c->frequencies[i] = (1 - smooth) * f / factor + smooth * f;
  }
  return true;
}

static bool scale_rope(const hone_config_t *rope, hone_llama_config_t *c, hone_status_t *status) {
  const char *kind, *older;
  if (!hone_config_text_or(rope, "type", "default", &older, status) ||
      !hone_config_text_or(rope, "rope_type", older, &kind, status))
    return false;
  if (!strcmp(kind, "default")) return true;
  if (!strcmp(kind, "llama3")) return scale_llama3(rope, c, status);
  if (strcmp(kind, "linear"))
    return hone_fail(status, HONE_UNSUPPORTED, "%s: rope scaling '%.40s'; linear and llama3 are supported", rope->path, kind);
  double factor;
  if (!hone_config_real_or(rope, "factor", 1, 1e-6, 1e6, &factor, status)) return false;
  for (int64_t i = 0; i < c->head_dim / 2; i++) c->frequencies[i] /= factor;
  return true;
}

// "rope_theta" and "rope_scaling", or both in "rope_parameters" (transformers 5).
static bool read_rope(const hone_config_t *json, hone_arena_t *arena, hone_llama_config_t *c, hone_status_t *status) {
  hone_config_t parameters, scaling;
  bool has_parameters, has_scaling;
  double theta, partial;
  if (!hone_config_object(json, "rope_parameters", "rope_parameters.", &parameters, &has_parameters, status) ||
      !hone_config_object(json, "rope_scaling", "rope_scaling.", &scaling, &has_scaling, status) ||
      !hone_config_real_or(json, "rope_theta", 10000, 1e-3, 1e15, &theta, status) ||
      !hone_config_real_or(json, "partial_rotary_factor", 1, 0, 1, &partial, status))
    return false;
  if (has_parameters && (!hone_config_real_or(&parameters, "rope_theta", theta, 1e-3, 1e15, &theta, status) ||
                         !hone_config_real_or(&parameters, "partial_rotary_factor", partial, 0, 1, &partial, status)))
    return false;
  if (partial != 1)
    return hone_fail(status, HONE_UNSUPPORTED, "%s: partial_rotary_factor %g; only whole heads are rotated", json->path, partial);
  c->frequencies = HONE_NEW_ARRAY(arena, double, (size_t)c->head_dim / 2);
  for (int64_t i = 0; i < c->head_dim / 2; i++)
    c->frequencies[i] = pow(theta, -2.0 * (double)i / (double)c->head_dim);
  if (has_parameters) return scale_rope(&parameters, c, status);
  return !has_scaling || scale_rope(&scaling, c, status);
}

static bool read_rest(const hone_config_t *json, hone_llama_config_t *c, hone_status_t *status) {
  double epsilon;
  if (!hone_config_real_or(json, "rms_norm_eps", 1e-6, 0, 1, &epsilon, status) ||
      !hone_config_bool_or(json, "tie_word_embeddings", false, &c->tied, status) ||
      !hone_config_bool_or(json, "attention_bias", false, &c->attention_bias, status) ||
      !hone_config_bool_or(json, "mlp_bias", false, &c->mlp_bias, status) ||
      !hone_config_int_or(json, "bos_token_id", -1, 0, c->vocab - 1, &c->bos, status) ||
      !hone_config_ints(json, "eos_token_id", c->eos, IR_EOS_LIMIT, &c->eos_count, status))
    return false;
  c->epsilon = epsilon;
  if (!strcmp(c->family, "mistral") &&
      !hone_config_int_or(json, "sliding_window", 0, 1, DIMENSION_LIMIT, &c->window, status))
    return false;
  for (size_t i = 0; i < c->eos_count; i++)
    if (c->eos[i] < 0 || c->eos[i] >= c->vocab)
      return hone_fail(status, HONE_INVALID, "%s: key 'eos_token_id': %lld is outside the vocabulary of %lld", json->path,
                       (long long)c->eos[i], (long long)c->vocab);
  return true;
}

bool hone_llama_config_read(const hone_config_t *json, hone_arena_t *arena, hone_llama_config_t *out_config,
                            hone_status_t *status) {
  hone_llama_config_t c = {0};
  hone_config_t quantization;
  bool quantized;
  const char *method, *family;
  if (!hone_config_text_or(json, "model_type", "", &family, status)) return false;
  c.family = hone_arena_strdup(arena, family);
  if (!hone_config_object(json, "quantization_config", "quantization_config.", &quantization, &quantized, status)) return false;
  if (quantized) {
    if (!hone_config_text_or(&quantization, "quant_method", "unknown", &method, status)) return false;
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s: the checkpoint is quantized already (%.40s); give the original one and let hone quantize it",
                     json->path, method);
  }
  if (!read_sizes(json, &c, status) || !read_activation(json, &c, status) || !read_rope(json, arena, &c, status) ||
      !read_rest(json, &c, status))
    return false;
  *out_config = c;
  return true;
}
