// Quantized tensors that are known by names, types and shapes alone: E2M1 nibbles (compressed-
// tensors, ModelOpt, MXFP4 blocks) and BitNet's ternary bytes.
#include <string.h>

#include "frontend/prequantized_internal.h"

enum { DIMENSION_LIMIT = 1 << 28 };  // of the logical tensor

static bool check_codes(recogniser_t *r, const checkpoint_tensor_t *codes, uint32_t rank) {
  const hone_safetensors_entry_t *entry = codes->entry;
  char shape[96];
  if (strcmp(entry->dtype->name, "U8") && strcmp(entry->dtype->name, "I8"))
    return prequantized_fail(r, HONE_INVALID, codes, "codes of dtype %s; expected U8",
                             entry->dtype->name);
  bool fits = entry->rank == rank;
  for (uint32_t i = 0; fits && i < rank; i++)
    fits = entry->shape[i] > 0 && entry->shape[i] <= DIMENSION_LIMIT / 32;
  return fits || prequantized_fail(r, HONE_UNSUPPORTED, codes,
                                   "codes of shape %s; expected %u dimensions up to %d",
                                   hone_checkpoint_shape_text(entry->rank, entry->shape, shape),
                                   rank, DIMENSION_LIMIT / 32);
}

// E2M1 nibbles: (N, K / 2) bytes, or (N, K / 32, 16).
static bool start_nibbles(recogniser_t *r, const checkpoint_tensor_t *codes, const char *name,
                          hone_storage_t grid, uint32_t rank, prequantized_t *out) {
  if (!check_codes(r, codes, rank)) return false;
  const uint64_t *shape = codes->entry->shape;
  uint64_t K = rank == 3 ? shape[1] * 32 : shape[1] * 2;
  *out = (prequantized_t){.name = name,
                          .shape = {shape[0], K},
                          .storage = HONE_BF16,
                          .grid = grid,
                          .native = hone_format_default(grid),
                          .block = hone_format_default(grid).group};
  if (rank == 3 && shape[2] != 16)
    return prequantized_fail(r, HONE_INVALID, codes, "blocks of %llu bytes; expected 16",
                             (unsigned long long)shape[2]);
  return K % out->block == 0 || prequantized_fail(r, HONE_INVALID, codes,
                                                  "rows of %llu weights; expected a multiple of %u",
                                                  (unsigned long long)K, out->block);
}

static wanted_t scales_of(const prequantized_t *q, const char *dtypes) {
  return (wanted_t){.dtypes = dtypes, .rank = 2, .shape = {q->shape[0], q->shape[1] / q->block}};
}

static const char *stem_of(recogniser_t *r, const checkpoint_tensor_t *tensor, const char *suffix) {
  const char *name = tensor->entry->name;
  return hone_arena_strndup(r->checkpoint->arena, name, strlen(name) - strlen(suffix));
}

// compressed-tensors: P.weight_packed
bool prequantized_packed(recogniser_t *r, const checkpoint_tensor_t *codes) {
  if (!hone_text_ends(codes->entry->name, ".weight_packed") || prequantized_is_int4(r, codes))
    return true;
  const char *stem = stem_of(r, codes, "_packed"), *module = stem_of(r, codes, ".weight_packed");
  bool is_nvfp4 =
      prequantized_find(r, stem, "_global_scale") || r->declared.method == METHOD_CT_NVFP4;
  prequantized_t q;
  if (!start_nibbles(r, codes, stem, is_nvfp4 ? HONE_NVFP4 : HONE_MXFP4, 2, &q)) return false;
  q.scales = prequantized_companion(r, codes, stem, "_scale",
                                    scales_of(&q, is_nvfp4 ? "F8_E4M3" : "U8 F8_E8M0"));
  if (!q.scales) return false;
  if (is_nvfp4) {  // w = level * scale / global
    float global;
    const checkpoint_tensor_t *number = prequantized_companion(
        r, codes, stem, "_global_scale", (wanted_t){.dtypes = "F32", .count = 1});
    if (!number || !prequantized_number(r, codes, number, &global)) return false;
    q.factor = 1.0f / global;
  }
  prequantized_ignore(r, module, ".input_global_scale");
  return prequantized_add(r, is_nvfp4 ? METHOD_CT_NVFP4 : METHOD_CT_MXFP4, codes, q);
}

// ModelOpt: w = level * scale * weight_scale_2. Scales of activations and of the KV cache are not
// weights.
static bool add_modelopt(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const char *name = codes->entry->name, *module = stem_of(r, codes, ".weight");
  prequantized_t q;
  if (!start_nibbles(r, codes, name, HONE_NVFP4, 2, &q)) return false;
  q.scales = prequantized_companion(r, codes, name, "_scale", scales_of(&q, "F8_E4M3"));
  if (!q.scales) return false;
  const checkpoint_tensor_t *number =
      prequantized_companion(r, codes, name, "_scale_2", (wanted_t){.dtypes = "F32", .count = 1});
  if (!number || !prequantized_number(r, codes, number, &q.factor)) return false;
  prequantized_ignore(r, module, ".input_scale");
  prequantized_ignore(r, module, ".k_scale");
  prequantized_ignore(r, module, ".v_scale");
  return prequantized_add(r, METHOD_MODELOPT, codes, q);
}

static bool add_bitnet(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const char *name = codes->entry->name;
  float scale;
  if (!check_codes(r, codes, 2)) return false;
  const checkpoint_tensor_t *number = prequantized_companion(
      r, codes, name, "_scale", (wanted_t){.dtypes = "F32 F16 BF16", .count = 1});
  if (!number || !prequantized_number(r, codes, number, &scale)) return false;
  if (r->declared.method != METHOD_BITNET)
    return prequantized_fail(r, HONE_INVALID, codes,
                             "it looks like BitNet's packed ternary, but no quantization_config in "
                             "config.json says so, nor whether '%.200s' divides or multiplies",
                             number->entry->name);
  prequantized_t q = {.name = name,
                      .shape = {codes->entry->shape[0] * 4, codes->entry->shape[1]},
                      .storage = HONE_BF16,
                      .grid = HONE_TERNARY,
                      .native = hone_format_default(HONE_TERNARY),
                      .block = hone_format_default(HONE_TERNARY).group,
                      .scales = number,
                      .factor = r->declared.divides ? 1.0f / scale : scale};
  return prequantized_add(r, METHOD_BITNET, codes, q);
}

bool prequantized_weight(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const hone_safetensors_entry_t *entry = codes->entry;
  if (!hone_text_ends(entry->name, ".weight") || strcmp(entry->dtype->name, "U8")) return true;
  const checkpoint_tensor_t *scale = prequantized_find(r, entry->name, "_scale");
  if (r->declared.method == METHOD_MODELOPT || prequantized_find(r, entry->name, "_scale_2"))
    return add_modelopt(r, codes);
  if (r->declared.method == METHOD_BITNET || scale) return add_bitnet(r, codes);
  return true;
}

// P_blocks is the weight P, or P.weight.
bool prequantized_blocks(recogniser_t *r, const checkpoint_tensor_t *codes) {
  if (!hone_text_ends(codes->entry->name, "_blocks")) return true;
  const char *stem = stem_of(r, codes, "_blocks");
  if (r->declared.method != METHOD_MXFP4 && !prequantized_find(r, stem, "_scales")) return true;
  const char *name = hone_text_ends(stem, ".weight")
                         ? stem
                         : hone_arena_format(r->checkpoint->arena, "%s.weight", stem);
  prequantized_t q;
  if (!start_nibbles(r, codes, name, HONE_MXFP4, 3, &q)) return false;
  q.scales = prequantized_companion(r, codes, stem, "_scales", scales_of(&q, "U8 F8_E8M0"));
  return q.scales && prequantized_add(r, METHOD_MXFP4, codes, q);
}
