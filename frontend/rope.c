// Frequencies of rotary embeddings. Base: theta^(-2i / head_dim) (Su et al. 2021, "RoFormer",
// section 3.2.2). Scaling "linear" divides all by a factor (Chen et al. 2023, "Extending context
// window ... via positional interpolation"); "llama3" divides the slow ones, leaves the fast ones
// and interpolates between (Llama 3.1's reference code, as in transformers'
// modeling_rope_utils.py).
#include "frontend/rope.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static bool refuse(const hone_config_t *config, const char *key, const char *what,
                   hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED, "%s: key '%s%s': %s is not supported", config->path,
                   config->section, key, what);
}

static bool check_whole(const hone_config_t *config, hone_status_t *status) {
  double part;
  if (!config->object) return true;
  if (!hone_config_real_or(config, "partial_rotary_factor", 1, 0, 1, &part, status)) return false;
  return part == 1 ||
         refuse(config, "partial_rotary_factor", "rotating a part of each head", status);
}

static bool scale_linear(const hone_config_t *scaling, int64_t count, double *frequencies,
                         hone_status_t *status) {
  double factor;
  if (!hone_config_real(scaling, "factor", 1, 1e6, &factor, status)) return false;
  for (int64_t i = 0; i < count; i++) frequencies[i] /= factor;
  return true;
}

static bool scale_llama3(const hone_config_t *scaling, int64_t context, int64_t count,
                         double *frequencies, hone_status_t *status) {
  double factor, low, high;
  int64_t original;
  if (!hone_config_real(scaling, "factor", 1, 1e6, &factor, status) ||
      !hone_config_real(scaling, "low_freq_factor", 1e-6, 1e6, &low, status) ||
      !hone_config_real(scaling, "high_freq_factor", 1e-6, 1e6, &high, status) ||
      !hone_config_int_or(scaling, "original_max_position_embeddings", context, 1, (int64_t)1 << 30,
                          &original, status))
    return false;
  if (high <= low)
    return hone_fail(status, HONE_INVALID,
                     "%s: key '%shigh_freq_factor': %g must be above low_freq_factor, which is %g",
                     scaling->path, scaling->section, high, low);
  for (int64_t i = 0; i < count; i++) {
    double turns = (double)original * frequencies[i] / (2 * pi);  // within the original context
    if (turns > high) continue;
    double smooth = turns < low ? 0 : (turns - low) / (high - low);
    frequencies[i] *= (1 - smooth) / factor + smooth;
  }
  return true;
}

bool hone_rope_frequencies(const hone_config_t *config, double theta, int64_t head_dim,
                           int64_t context, double *out_frequencies, hone_status_t *status) {
  hone_config_t scaling, older;
  bool newer, found;
  const char *type, *kind;
  if (!hone_config_object(config, "rope_parameters", "rope_parameters.", &scaling, &newer,
                          status) ||
      !hone_config_object(config, "rope_scaling", "rope_scaling.", &older, &found, status))
    return false;
  if (!newer) scaling = older;
  if (newer && (hone_config_has(&scaling, "full_attention") ||
                hone_config_has(&scaling, "sliding_attention")))
    return refuse(config, "rope_parameters", "a rotary embedding per kind of layer", status);
  if (!check_whole(config, status) || !check_whole(&scaling, status)) return false;
  const hone_config_t *place =
      scaling.object && hone_config_has(&scaling, "rope_theta") ? &scaling : config;
  if (!hone_config_real_or(place, "rope_theta", theta, 1, 1e15, &theta, status)) return false;
  int64_t count = head_dim / 2;
  for (int64_t i = 0; i < count; i++)
    out_frequencies[i] = pow(theta, -2.0 * (double)i / (double)head_dim);
  if (!scaling.object) return true;
  if (!hone_config_text_or(&scaling, "type", "default", &type, status) ||
      !hone_config_text_or(&scaling, "rope_type", type, &kind, status))
    return false;
  if (!strcmp(kind, "default")) return true;
  if (!strcmp(kind, "linear")) return scale_linear(&scaling, count, out_frequencies, status);
  if (!strcmp(kind, "llama3"))
    return scale_llama3(&scaling, context, count, out_frequencies, status);
  return hone_fail(
      status, HONE_UNSUPPORTED,
      "%s: key '%s%s': rope of type '%.60s' is not supported; default, linear and llama3 are",
      scaling.path, scaling.section, hone_config_has(&scaling, "rope_type") ? "rope_type" : "type",
      kind);
}
