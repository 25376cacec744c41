// Groups of 4-bit integers, as compressed-tensors ("pack-quantized"), GPTQ and AWQ store them:
// eight nibbles to an I32, values (code - zero) * scale. With zero points of 8 and groups that are
// runs of columns that is our int4; everything else is read exactly and becomes floats.
#include <string.h>

#include "frontend/prequantized_internal.h"

enum { DIMENSION_LIMIT = 1 << 28, NIBBLES = 8 };

static const char scale_types[] = "F16 BF16 F32";
static const char asymmetric[] = "zero points other than 8";
static const char reordered[] = "groups that are no runs of columns (act-order)";

static int32_t load_i32(const checkpoint_tensor_t *tensor, uint64_t index) {
  int32_t value;  // the file need not be aligned
  memcpy(&value, tensor->file->mapping.data + tensor->entry->begin + index * sizeof value,
         sizeof value);
  return value;
}

static bool is_matrix(const hone_safetensors_entry_t *entry) {
  return entry->rank == 2 && entry->shape[0] > 0 && entry->shape[1] > 0 &&
         entry->shape[0] <= DIMENSION_LIMIT / NIBBLES &&
         entry->shape[1] <= DIMENSION_LIMIT / NIBBLES;
}

static bool check_codes(recogniser_t *r, const checkpoint_tensor_t *codes) {
  char shape[96];
  const hone_safetensors_entry_t *entry = codes->entry;
  if (strcmp(entry->dtype->name, "I32"))
    return prequantized_fail(r, HONE_INVALID, codes, "codes of dtype %s; expected I32",
                             entry->dtype->name);
  return is_matrix(entry) ||
         prequantized_fail(r, HONE_INVALID, codes,
                           "codes of shape %s; expected two dimensions up to %d",
                           hone_checkpoint_shape_text(entry->rank, entry->shape, shape),
                           DIMENSION_LIMIT / NIBBLES);
}

// The scales beside the codes, of any shape; NULL after a failure.
static const checkpoint_tensor_t *find_scales(recogniser_t *r, const checkpoint_tensor_t *codes,
                                              const char *base, const char *suffix) {
  const checkpoint_tensor_t *scales = prequantized_find(r, base, suffix);
  char shape[96];
  if (!scales) {
    prequantized_fail(r, HONE_INVALID, codes, "companion '%.200s%s' is missing", base, suffix);
  } else if (!is_matrix(scales->entry)) {
    prequantized_fail(r, HONE_INVALID, codes,
                      "companion '%.200s' has shape %s; expected two dimensions",
                      scales->entry->name,
                      hone_checkpoint_shape_text(scales->entry->rank, scales->entry->shape, shape));
    scales = NULL;
  }
  return scales;
}

// P.weight_shape: two integers. Columns are padded to whole words, so the codes do not say.
static bool read_shape(recogniser_t *r, const checkpoint_tensor_t *codes, const char *stem,
                       uint64_t out_shape[2]) {
  const checkpoint_tensor_t *shape =
      prequantized_companion(r, codes, stem, "_shape", (wanted_t){.dtypes = "I64 I32", .count = 2});
  if (!shape) return false;
  for (uint64_t i = 0; i < 2; i++) {
    int64_t value = load_i32(shape, i);
    if (shape->entry->dtype->bits == 64)
      memcpy(&value, shape->file->mapping.data + shape->entry->begin + i * 8, sizeof value);
    if (value < 1 || value > DIMENSION_LIMIT)
      return prequantized_fail(r, HONE_INVALID, codes,
                               "companion '%.200s' says %lld; expected 1 to %d", shape->entry->name,
                               (long long)value, DIMENSION_LIMIT);
    out_shape[i] = (uint64_t)value;
  }
  const uint64_t *packed = codes->entry->shape;
  char text[96], wanted[96];
  uint64_t words[2] = {out_shape[0], (out_shape[1] + NIBBLES - 1) / NIBBLES};
  if (packed[0] == words[0] && packed[1] == words[1]) return true;
  return prequantized_fail(
      r, HONE_UNSUPPORTED, codes, "shape %s, but with 4 bits %s of its weight_shape is %s",
      hone_checkpoint_shape_text(2, packed, text), hone_checkpoint_shape_text(2, out_shape, wanted),
      hone_checkpoint_shape_text(2, words, (char[96]){0}));
}

// The order of columns (act-order), if there is one and it is not the plain one.
static bool read_order(recogniser_t *r, const checkpoint_tensor_t *codes, const char *base,
                       const char *suffix, uint64_t groups, prequantized_t *q) {
  if (!prequantized_find(r, base, suffix)) return true;
  const checkpoint_tensor_t *order = prequantized_companion(
      r, codes, base, suffix, (wanted_t){.dtypes = "I32", .count = q->shape[1]});
  if (!order) return false;
  bool is_plain = true;
  for (uint64_t k = 0; k < q->shape[1]; k++) {
    int32_t group = load_i32(order, k);
    if (group < 0 || (uint64_t)group >= groups)
      return prequantized_fail(
          r, HONE_INVALID, codes, "companion '%.200s': group %d of column %llu; there are %llu",
          order->entry->name, (int)group, (unsigned long long)k, (unsigned long long)groups);
    is_plain &= (uint64_t)group == k / q->block;
  }
  if (!is_plain) q->order = order;
  return true;
}

// Zero points: (rows, columns) words. Kept only if they are not all 8.
static bool read_zeros(recogniser_t *r, const checkpoint_tensor_t *codes, const char *base,
                       const char *suffix, uint64_t rows, uint64_t columns, prequantized_t *q) {
  const checkpoint_tensor_t *zeros = prequantized_companion(
      r, codes, base, suffix, (wanted_t){.dtypes = "I32", .rank = 2, .shape = {rows, columns}});
  if (!zeros) return false;
  uint32_t plain = (8 - q->zero_more) * 0x11111111u;
  bool is_padded = q->layout == INT4_ROWS && q->shape[0] % NIBBLES;  // the last row of words
  uint32_t last = is_padded ? (1u << 4 * (q->shape[0] % NIBBLES)) - 1 : UINT32_MAX;
  for (uint64_t i = 0; i < rows * columns; i++) {
    uint32_t mask = i / columns == rows - 1 ? last : UINT32_MAX;
    if (((uint32_t)load_i32(zeros, i) & mask) != (plain & mask)) q->zeros = zeros;
  }
  return true;
}

static bool finish(recogniser_t *r, method_t method, const checkpoint_tensor_t *codes,
                   prequantized_t *q) {
  prequantized_fill_native(q);
  if (q->zeros) q->foreign = asymmetric;
  if (q->order) q->foreign = reordered;
  if (q->foreign) q->native = (hone_format_t){.storage = q->storage};
  return prequantized_add(r, method, codes, *q);
}

static bool add_rows(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const char *name = codes->entry->name, *dot = strrchr(name, '_');
  const char *stem = hone_arena_strndup(r->checkpoint->arena, name, (size_t)(dot - name));
  prequantized_t q = {.name = stem, .grid = HONE_INT4, .layout = INT4_ROWS};
  if (!check_codes(r, codes) || !read_shape(r, codes, stem, q.shape)) return false;
  const checkpoint_tensor_t *scales = find_scales(r, codes, stem, "_scale");
  if (!scales) return false;
  uint64_t groups = scales->entry->shape[1];
  if (q.shape[1] % groups)
    return prequantized_fail(
        r, HONE_INVALID, codes, "companion '%.200s' has %llu scales for a row of %llu weights",
        scales->entry->name, (unsigned long long)groups, (unsigned long long)q.shape[1]);
  q.block = (uint32_t)(q.shape[1] / groups);
  q.storage = scales->entry->dtype->storage;
  q.scales = prequantized_companion(
      r, codes, stem, "_scale",
      (wanted_t){.dtypes = scale_types, .rank = 2, .shape = {q.shape[0], groups}});
  if (!q.scales || !read_order(r, codes, stem, "_g_idx", groups, &q)) return false;
  if (prequantized_find(r, stem, "_zero_point") &&
      !read_zeros(r, codes, stem, "_zero_point", (q.shape[0] + NIBBLES - 1) / NIBBLES, groups, &q))
    return false;
  return finish(r, METHOD_CT_INT4, codes, &q);
}

// GPTQ and AWQ: scales (K / G, N). G is known from config.json alone: the last group may be short.
static bool add_columns(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const hone_safetensors_entry_t *entry = codes->entry;
  const char *module = hone_arena_strndup(r->checkpoint->arena, entry->name,
                                          strlen(entry->name) - strlen(".qweight"));
  method_t method = r->declared.method;
  if (method != METHOD_GPTQ && method != METHOD_AWQ)
    return prequantized_fail(r, HONE_INVALID, codes,
                             "it looks like GPTQ or AWQ, but no quantization_config in "
                             "config.json says which, nor how large a group is");
  if (!check_codes(r, codes)) return false;
  bool is_awq = method == METHOD_AWQ;
  uint64_t K = is_awq ? entry->shape[0] : entry->shape[0] * NIBBLES;
  uint64_t N = is_awq ? entry->shape[1] * NIBBLES : entry->shape[1];
  uint64_t block = r->declared.group ? r->declared.group : K, groups = (K + block - 1) / block;
  prequantized_t q = {.name = hone_arena_format(r->checkpoint->arena, "%s.weight", module),
                      .shape = {N, K},
                      .grid = HONE_INT4,
                      .block = (uint32_t)block,
                      .layout = is_awq ? INT4_AWQ : INT4_GPTQ,
                      .zero_more = method == METHOD_GPTQ && !r->declared.is_second};
  if (N % NIBBLES)
    return prequantized_fail(r, HONE_INVALID, codes,
                             "%llu rows of weights; their zero points need a multiple of %d",
                             (unsigned long long)N, NIBBLES);
  q.scales =
      prequantized_companion(r, codes, module, ".scales",
                             (wanted_t){.dtypes = scale_types, .rank = 2, .shape = {groups, N}});
  if (!q.scales || !read_order(r, codes, module, ".g_idx", groups, &q) ||
      !read_zeros(r, codes, module, ".qzeros", groups, N / NIBBLES, &q))
    return false;
  q.storage = q.scales->entry->dtype->storage;
  return finish(r, method, codes, &q);
}

bool prequantized_is_int4(const recogniser_t *r, const checkpoint_tensor_t *codes) {
  method_t method = r->declared.method;
  return method == METHOD_CT_INT4 ||
         (method == METHOD_NONE && !strcmp(codes->entry->dtype->name, "I32"));
}

bool prequantized_int4(recogniser_t *r, const checkpoint_tensor_t *codes) {
  const char *name = codes->entry->name;
  if (hone_text_ends(name, ".qweight")) return add_columns(r, codes);
  bool is_packed = hone_text_ends(name, ".weight_packed") && prequantized_is_int4(r, codes);
  return !is_packed || add_rows(r, codes);
}
