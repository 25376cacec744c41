// Weights of models that were trained quantized and are stored as floats: BitNet's unpacked ones,
// and those that BitNet or QuEST quantize anew in every step. Which floats these are only
// config.json says. The embedding and the head stay as they are: neither method trains them so.
#include <inttypes.h>
#include <string.h>

#include "frontend/dequantize_latent.h"
#include "frontend/prequantized_internal.h"

static bool is_linear(const checkpoint_tensor_t *tensor) {
  const hone_safetensors_entry_t *entry = tensor->entry;
  return entry->rank == 2 && entry->shape[0] > 0 && entry->shape[1] > 0 &&
         entry->dtype->storage != HONE_STORAGE_COUNT && hone_text_ends(entry->name, ".weight") &&
         !hone_text_ends(entry->name, "embed_tokens.weight") &&
         strcmp(entry->name, "lm_head.weight");
}

static prequantized_t start(const checkpoint_tensor_t *tensor, hone_storage_t grid,
                            latent_t latent) {
  const hone_safetensors_entry_t *entry = tensor->entry;
  return (prequantized_t){.name = entry->name,
                          .shape = {entry->shape[0], entry->shape[1]},
                          .storage = entry->dtype->storage,
                          .grid = grid,
                          .native = hone_format_default(grid),
                          .block = hone_format_default(grid).group,
                          .latent = latent};
}

static bool add_units(recogniser_t *r, const checkpoint_tensor_t *tensor) {
  prequantized_t q = start(tensor, HONE_TERNARY, LATENT_UNITS);
  const checkpoint_tensor_t *number = prequantized_companion(
      r, tensor, q.name, "_scale", (wanted_t){.dtypes = "F32 F16 BF16", .count = 1});
  if (!number || !prequantized_number(r, tensor, number, &q.factor)) return false;
  if (r->declared.divides) q.factor = 1.0f / q.factor;
  return prequantized_add(r, METHOD_BITNET, tensor, q);
}

static bool add_quest(recogniser_t *r, const checkpoint_tensor_t *tensor) {
  prequantized_t q = start(tensor, HONE_B1, LATENT_SIGNS);
  q.inputs = r->declared.inputs;
  if (q.shape[1] % q.inputs.rotate)
    return prequantized_fail(r, HONE_UNSUPPORTED, tensor,
                             "it has %" PRIu64
                             " columns, which hadamard_group_size (%u) does not divide",
                             q.shape[1], q.inputs.rotate);
  if (q.inputs.storage == HONE_B1 && q.shape[1] % HONE_GROUP)
    return prequantized_fail(r, HONE_UNSUPPORTED, tensor,
                             "it has %" PRIu64
                             " columns; activations of one bit (a_bits 1) take a multiple of %d",
                             q.shape[1], HONE_GROUP);
  return prequantized_add(r, METHOD_QUEST, tensor, q);
}

bool prequantized_latent(recogniser_t *r, const checkpoint_tensor_t *tensor) {
  if (!is_linear(tensor)) return true;
  if (r->declared.method == METHOD_QUEST) return add_quest(r, tensor);
  if (r->declared.method != METHOD_BITNET) return true;
  if (prequantized_find(r, tensor->entry->name, "_scale")) return add_units(r, tensor);
  if (!r->declared.online) return true;
  prequantized_t q = start(tensor, HONE_TERNARY, LATENT_MEAN);
  q.mean = latent_mean_create(r->checkpoint->arena);
  return prequantized_add(r, METHOD_BITNET, tensor, q);
}
