// See prequantized.h: the walk over a checkpoint's tensors, and what the layouts share.
#include "frontend/prequantized.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/convert.h"
#include "frontend/prequantized_internal.h"

const char *prequantized_method_name(method_t method) {
  static const char *const names[] = {
      [METHOD_NONE] = "plain numbers",
      [METHOD_BITSANDBYTES] = "bitsandbytes' 4 bits",
      [METHOD_CT_NVFP4] = "compressed-tensors' nvfp4-pack-quantized",
      [METHOD_CT_MXFP4] = "compressed-tensors' mxfp4-pack-quantized",
      [METHOD_MODELOPT] = "ModelOpt's NVFP4",
      [METHOD_BITNET] = "BitNet's ternary",
      [METHOD_MXFP4] = "MXFP4 blocks",
      [METHOD_QUEST] = "QuEST's latent weights",
      [METHOD_CT_INT4] = "compressed-tensors' pack-quantized",
      [METHOD_GPTQ] = "GPTQ",
      [METHOD_AWQ] = "AWQ",
  };
  return names[method];
}

// ---- for the layouts

bool prequantized_fail(recogniser_t *r, hone_code_t code, const checkpoint_tensor_t *tensor,
                       const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *message = hone_arena_vformat(r->checkpoint->arena, format, args);
  va_end(args);
  return hone_fail(r->status, code, "%.300s: tensor '%.200s': %s", tensor->file->path,
                   tensor->entry->name, message);
}

const checkpoint_tensor_t *prequantized_find(const recogniser_t *r, const char *base,
                                             const char *suffix) {
  const char *name = hone_arena_format(r->checkpoint->arena, "%s%s", base, suffix);
  return hone_map_get(r->checkpoint->tensors, name);
}

void prequantized_ignore(recogniser_t *r, const char *base, const char *suffix) {
  const checkpoint_tensor_t *tensor = prequantized_find(r, base, suffix);
  if (tensor) hone_map_put(r->hidden, tensor->entry->name, r);
}

static uint64_t elements_of(const hone_safetensors_entry_t *entry) {
  return (entry->end - entry->begin) / (entry->dtype->bits / 8);  // companions have whole bytes
}

// Whether `name` is one of the words.
static bool has_word(const char *words, const char *name) {
  hone_slice_t rest = hone_slice(words);
  while (rest.data) {
    if (hone_slice_is(hone_slice_cut(&rest, ' '), name)) return true;
  }
  return false;
}

const checkpoint_tensor_t *prequantized_companion(recogniser_t *r, const checkpoint_tensor_t *codes,
                                                  const char *base, const char *suffix,
                                                  wanted_t wanted) {
  char shape[96], expected[96];
  const char *name = hone_arena_format(r->checkpoint->arena, "%s%s", base, suffix);
  const checkpoint_tensor_t *found = hone_map_get(r->checkpoint->tensors, name);
  if (!found) {
    prequantized_fail(r, HONE_INVALID, codes, "companion '%.200s' is missing", name);
    return NULL;
  }
  const hone_safetensors_entry_t *entry = found->entry;
  hone_checkpoint_shape_text(entry->rank, entry->shape, shape);
  if (!has_word(wanted.dtypes, entry->dtype->name)) {
    prequantized_fail(r, HONE_INVALID, codes, "companion '%.200s' has dtype %s; expected %s", name,
                      entry->dtype->name, wanted.dtypes);
    return NULL;
  }
  bool fits = wanted.rank
                  ? entry->rank == wanted.rank &&
                        !memcmp(entry->shape, wanted.shape, wanted.rank * sizeof *entry->shape)
                  : elements_of(entry) == wanted.count;
  if (!fits) {
    if (wanted.rank)
      hone_checkpoint_shape_text(wanted.rank, wanted.shape, expected);
    else
      snprintf(expected, sizeof expected, "%" PRIu64 " elements", wanted.count);
    prequantized_fail(r, HONE_INVALID, codes, "companion '%.200s' has shape %s; expected %s", name,
                      shape, expected);
    return NULL;
  }
  hone_map_put(r->hidden, entry->name, r);
  return found;
}

bool prequantized_number(recogniser_t *r, const checkpoint_tensor_t *codes,
                         const checkpoint_tensor_t *companion, float *out_value) {
  const uint8_t *data = companion->file->mapping.data + companion->entry->begin;
  if (hone_convert_to_f32(companion->entry->dtype->storage, data, 1, out_value) && *out_value > 0 &&
      isfinite(1.0f / *out_value))
    return true;
  return prequantized_fail(r, HONE_INVALID, codes,
                           "companion '%.200s' is %g; expected a finite number above zero",
                           companion->entry->name, (double)*out_value);
}

void prequantized_fill_native(prequantized_t *q) {
  q->native = (hone_format_t){.storage = q->storage};
  q->foreign = "rows that are no multiple of 32, so that blocks cross their ends";
  for (uint32_t group = 128; group >= 32 && q->foreign; group /= 2) {
    if (q->block % group || q->shape[1] % group) continue;
    q->native = (hone_format_t){q->grid, group};
    q->foreign = NULL;
  }
}

bool prequantized_add(recogniser_t *r, method_t method, const checkpoint_tensor_t *codes,
                      prequantized_t quantized) {
  declared_t *declared = &r->declared;
  if (declared->method == METHOD_NONE) {  // the first one decides
    declared->method = method;
    declared->path = NULL;
  }
  if (declared->method != method)
    return prequantized_fail(r, HONE_INVALID, codes, "it is stored as %s, but %s says %s",
                             prequantized_method_name(method),
                             declared->path ? declared->path : "another tensor",
                             prequantized_method_name(declared->method));
  if (method == METHOD_BITSANDBYTES && declared->grid != HONE_STORAGE_COUNT &&
      declared->grid != quantized.grid)
    return prequantized_fail(r, HONE_INVALID, codes, "it is stored as %s, but %s says %s",
                             hone_format_info(quantized.grid)->name,
                             declared->path ? declared->path : "another tensor",
                             hone_format_info(declared->grid)->name);
  const checkpoint_tensor_t *other = hone_map_get(r->checkpoint->tensors, quantized.name);
  if (other && other != codes)
    return prequantized_fail(r, HONE_INVALID, codes, "the checkpoint holds '%.200s' too",
                             quantized.name);
  hone_format_text((hone_format_t){quantized.grid, quantized.block}, quantized.text);
  prequantized_t *kept = HONE_NEW(r->checkpoint->arena, prequantized_t);
  *kept = quantized;
  if (hone_map_insert(r->found, codes->entry->name, strlen(codes->entry->name), kept)) return true;
  return prequantized_fail(r, HONE_INVALID, codes, "it has two descriptions");
}

// ---- the walk

static bool find_all(recogniser_t *r) {
  const hone_map_t *tensors = r->checkpoint->tensors;
  for (size_t i = 0; i < hone_map_count(tensors); i++) {
    const checkpoint_tensor_t *tensor = hone_map_value(tensors, i);
    if (!prequantized_bitsandbytes(r, tensor) || !prequantized_packed(r, tensor) ||
        !prequantized_weight(r, tensor) || !prequantized_latent(r, tensor) ||
        !prequantized_blocks(r, tensor) || !prequantized_int4(r, tensor))
      return false;
  }
  return true;
}

// Names of companions whose codes were not recognised: reading the codes as numbers would be wrong.
static bool check_orphan(recogniser_t *r, const checkpoint_tensor_t *tensor) {
  static const char *const suffixes[] = {".absmax",
                                         ".quant_map",
                                         ".nested_absmax",
                                         ".nested_quant_map",
                                         ".weight_scale",
                                         ".weight_scale_2",
                                         ".weight_global_scale",
                                         ".weight_packed",
                                         ".SCB",
                                         ".qweight",
                                         ".qzeros",
                                         ".scales",
                                         ".g_idx",
                                         ".weight_scale_inv",
                                         ".weight_zero_point",
                                         ".weight_g_idx"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    if (hone_text_ends(tensor->entry->name, suffixes[i]))
      return prequantized_fail(r, HONE_INVALID, tensor,
                               "'%s' belongs to a quantized tensor, but there is none of a kind "
                               "that hone reads beside it",
                               suffixes[i]);
  }
  return true;
}

// One remark for all tensors whose values no format of ours has.
static void remark_floats(recogniser_t *r) {
  size_t count = 0;
  const prequantized_t *first = NULL;
  for (size_t i = 0; i < hone_map_count(r->found); i++) {
    const prequantized_t *quantized = hone_map_value(r->found, i);
    if (!quantized->foreign) continue;
    if (!first) first = quantized;
    count++;
  }
  if (!first) return;
  r->checkpoint->remark = hone_arena_format(
      r->checkpoint->arena,
      "%zu of %zu quantized tensors have values that no format of hone has (the first is '%s': "
      "%s): they are read exactly and become %s unless --weights says otherwise",
      count, hone_map_count(r->found), first->name, first->foreign,
      hone_format_info(first->storage)->name);
}

static bool make_logical(recogniser_t *r) {
  hone_checkpoint_t *checkpoint = r->checkpoint;
  hone_map_t *logical = hone_map_create(checkpoint->arena);
  for (size_t i = 0; i < hone_map_count(checkpoint->tensors); i++) {
    checkpoint_tensor_t *tensor = hone_map_value(checkpoint->tensors, i);
    const char *name = tensor->entry->name;
    if (hone_map_get(r->hidden, name)) continue;
    tensor->quantized = hone_map_get(r->found, name);
    if (!tensor->quantized && !check_orphan(r, tensor)) return false;
    if (tensor->quantized) name = tensor->quantized->name;
    hone_map_put(logical, name, tensor);
  }
  checkpoint->tensors = logical;
  return true;
}

bool prequantized_recognise(hone_checkpoint_t *checkpoint, hone_status_t *status) {
  recogniser_t r = {.checkpoint = checkpoint,
                    .found = hone_map_create(checkpoint->arena),
                    .hidden = hone_map_create(checkpoint->arena),
                    .status = status};
  if (!prequantized_declared(checkpoint, &r.declared, status) || !find_all(&r) || !make_logical(&r))
    return false;
  if (r.declared.method != METHOD_NONE && hone_map_count(r.found) == 0)
    return hone_fail(status, HONE_INVALID,
                     "%.300s says that the weights are quantized (%s), but no tensor is stored so",
                     r.declared.path, prequantized_method_name(r.declared.method));
  remark_floats(&r);
  return true;
}
