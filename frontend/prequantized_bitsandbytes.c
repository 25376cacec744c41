// bitsandbytes' 4-bit tensors: known by P.weight.quant_state.bitsandbytes__nf4 (or __fp4), a small
// JSON document. Blocks run through the whole tensor, so they may cross the ends of rows.
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "frontend/config.h"
#include "frontend/prequantized_internal.h"
#include "quant/grid.h"
#include "quant/nested.h"

static const char state_suffix[] = ".quant_state.bitsandbytes__";
enum { STATE_LIMIT_BYTES = 4096, DIMENSION_LIMIT = 1 << 28, MAP_COUNT = 256 };

// The parsed quant_state.
typedef struct state {
  uint64_t shape[2];
  int64_t block, nested_block;
  hone_storage_t storage;
  bool is_nested;
  double offset;
} state_t;

static bool is_block_size(int64_t block) {
  return block >= 32 && block <= 4096 && (block & (block - 1)) == 0;
}

static bool read_shape(const hone_config_t *config, state_t *out, hone_status_t *status) {
  json_t *shape = json_object_get(config->object, "shape");
  bool fits = json_is_array(shape) && json_array_size(shape) == 2;
  for (size_t i = 0; i < 2 && fits; i++) {
    const json_t *item = json_array_get(shape, i);
    json_int_t value = json_is_integer(item) ? json_integer_value(item) : 0;
    fits = value > 0 && value <= DIMENSION_LIMIT;
    out->shape[i] = fits ? (uint64_t)value : 0;
  }
  return fits ||
         hone_fail(status, HONE_INVALID, "%s: key 'shape': expected two dimensions from 1 to %d",
                   config->path, DIMENSION_LIMIT);
}

static bool read_storage(const hone_config_t *config, state_t *out, hone_status_t *status) {
  static const struct {
    const char *name;
    hone_storage_t storage;
  } dtypes[] = {{"float32", HONE_F32}, {"float16", HONE_F16}, {"bfloat16", HONE_BF16}};
  const char *name;
  if (!hone_config_text(config, "dtype", &name, status)) return false;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    out->storage = dtypes[i].storage;
    if (!strcmp(name, dtypes[i].name)) return true;
  }
  return hone_fail(status, HONE_INVALID,
                   "%s: key 'dtype': '%.60s' is not float32, float16 or bfloat16", config->path,
                   name);
}

static bool read_nested(const hone_config_t *config, state_t *out, hone_status_t *status) {
  const char *dtype;
  out->is_nested =
      hone_config_has(config, "nested_blocksize") || hone_config_has(config, "nested_offset");
  if (!out->is_nested) return true;
  if (!hone_config_int(config, "nested_blocksize", 1, 4096, &out->nested_block, status) ||
      !hone_config_text_or(config, "nested_dtype", "float32", &dtype, status) ||
      !hone_config_real(config, "nested_offset", -1e30, 1e30, &out->offset, status))
    return false;
  if (strcmp(dtype, "float32"))
    return hone_fail(status, HONE_UNSUPPORTED, "%s: key 'nested_dtype': '%.60s' is not float32",
                     config->path, dtype);
  return is_block_size(out->nested_block) ||
         hone_fail(status, HONE_INVALID,
                   "%s: key 'nested_blocksize': %lld is not a power of two from 32 to 4096",
                   config->path, (long long)out->nested_block);
}

static bool read_state(const hone_config_t *config, const char *type, state_t *out,
                       hone_status_t *status) {
  const char *stated;
  if (!hone_config_text(config, "quant_type", &stated, status) ||
      !hone_config_int(config, "blocksize", 1, 4096, &out->block, status) ||
      !read_shape(config, out, status) || !read_storage(config, out, status) ||
      !read_nested(config, out, status))
    return false;
  if (strcmp(stated, type))
    return hone_fail(status, HONE_INVALID, "%s: key 'quant_type': '%.60s', but its name says %s",
                     config->path, stated, type);
  return is_block_size(out->block) ||
         hone_fail(status, HONE_INVALID,
                   "%s: key 'blocksize': %lld is not a power of two from 32 to 4096", config->path,
                   (long long)out->block);
}

static bool parse_state(recogniser_t *r, const checkpoint_tensor_t *tensor, const char *type,
                        state_t *out) {
  const hone_safetensors_entry_t *entry = tensor->entry;
  uint64_t bytes = entry->end - entry->begin;
  if (bytes > STATE_LIMIT_BYTES)
    return prequantized_fail(r, HONE_INVALID, tensor, "%llu bytes; the limit is %d",
                             (unsigned long long)bytes, STATE_LIMIT_BYTES);
  hone_config_t config;
  const char *path =
      hone_arena_format(r->checkpoint->arena, "%s: tensor '%s'", tensor->file->path, entry->name);
  const char *text = (const char *)tensor->file->mapping.data + entry->begin;
  if (!hone_config_parse(path, text, (size_t)bytes, &config, r->status)) return false;
  *out = (state_t){0};
  bool ok = read_state(&config, type, out, r->status);
  hone_config_close(&config);
  return ok;
}

// Versions of bitsandbytes differ in whether they use the map of the file or their own table: only
// where both are the same is it clear what the tensor means.
static bool check_map(recogniser_t *r, const checkpoint_tensor_t *codes, hone_storage_t grid) {
  const char *base = codes->entry->name;
  const checkpoint_tensor_t *map = prequantized_companion(
      r, codes, base, ".quant_map", (wanted_t){.dtypes = "F32", .count = HONE_GRID_LEVELS});
  if (!map) return false;
  float values[HONE_GRID_LEVELS];
  memcpy(values, map->file->mapping.data + map->entry->begin, sizeof values);
  for (int i = 0; i < HONE_GRID_LEVELS; i++) {
    if (fabsf(values[i] - hone_grid_get(grid)->level[i]) < 1e-6f) continue;
    return prequantized_fail(r, HONE_UNSUPPORTED, codes,
                             "companion '%.200s': value %d is %.9g, which is not that of %s (%.9g)",
                             map->entry->name, i, (double)values[i], hone_format_info(grid)->name,
                             (double)hone_grid_get(grid)->level[i]);
  }
  return true;
}

static bool find_nested(recogniser_t *r, const checkpoint_tensor_t *codes, const state_t *state,
                        uint64_t blocks, prequantized_t *q) {
  const char *base = codes->entry->name;
  uint64_t nested = (blocks + (uint64_t)state->nested_block - 1) / (uint64_t)state->nested_block;
  q->scales = prequantized_companion(r, codes, base, ".absmax",
                                     (wanted_t){.dtypes = "U8", .count = blocks});
  if (!q->scales) return false;
  q->nested_scales = prequantized_companion(r, codes, base, ".nested_absmax",
                                            (wanted_t){.dtypes = "F32", .count = nested});
  if (!q->nested_scales) return false;
  q->nested_map = prequantized_companion(r, codes, base, ".nested_quant_map",
                                         (wanted_t){.dtypes = "F32", .count = MAP_COUNT});
  q->nested_block = (uint32_t)state->nested_block;
  q->offset = (float)state->offset;
  return q->nested_map != NULL;
}

// Whether nf4dq holds the tensor's scales as they are: a group is a block, the map is ours, and no
// scale of the second level is negative, which none that bitsandbytes made is.
static bool is_nf4dq(const prequantized_t *q, uint64_t K) {
  const hone_format_info_t *info = hone_format_info(HONE_NF4DQ);
  if (!q->nested_map || q->grid != HONE_NF4 || q->nested_block != HONE_SCALE_BLOCK ||
      q->block < info->narrowest || q->block > info->widest || K % q->block)
    return false;
  const uint8_t *map = q->nested_map->file->mapping.data + q->nested_map->entry->begin;
  for (int code = 0; code < MAP_COUNT; code++) {
    float level = hone_nested_level((uint8_t)code);
    if (memcmp(map + (size_t)code * sizeof level, &level, sizeof level)) return false;
  }
  const hone_safetensors_entry_t *entry = q->nested_scales->entry;
  for (uint64_t at = entry->begin; at < entry->end; at += sizeof(float)) {
    float second;
    memcpy(&second, q->nested_scales->file->mapping.data + at, sizeof second);
    if (!(second >= 0 && isfinite(second))) return false;
  }
  return true;
}

static bool add_tensor(recogniser_t *r, const checkpoint_tensor_t *codes, hone_storage_t grid,
                       const state_t *state) {
  const hone_safetensors_entry_t *entry = codes->entry;
  uint64_t count = state->shape[0] * state->shape[1];  // below 2^56
  uint64_t blocks = (count + (uint64_t)state->block - 1) / (uint64_t)state->block;
  uint64_t bytes = entry->end - entry->begin, needed = (count + 1) / 2;
  char shape[96];
  if (bytes < needed || bytes - needed >= 8)  // the last element of a wider dtype may be padded
    return prequantized_fail(
        r, HONE_INVALID, codes, "%llu bytes of codes, but shape %s of its quant_state needs %llu",
        (unsigned long long)bytes, hone_checkpoint_shape_text(2, state->shape, shape),
        (unsigned long long)needed);
  prequantized_t q = {.name = entry->name,
                      .shape = {state->shape[0], state->shape[1]},
                      .storage = state->storage,
                      .grid = grid,
                      .block = (uint32_t)state->block};
  prequantized_fill_native(&q);
  if (!check_map(r, codes, grid)) return false;
  if (state->is_nested) {
    if (!find_nested(r, codes, state, blocks, &q)) return false;
  } else {
    q.scales = prequantized_companion(r, codes, entry->name, ".absmax",
                                      (wanted_t){.dtypes = "F32", .count = blocks});
    if (!q.scales) return false;
  }
  if (is_nf4dq(&q, state->shape[1])) q.native = (hone_format_t){HONE_NF4DQ, q.block};
  return prequantized_add(r, METHOD_BITSANDBYTES, codes, q);
}

bool prequantized_bitsandbytes(recogniser_t *r, const checkpoint_tensor_t *tensor) {
  const char *name = tensor->entry->name, *at = strstr(name, state_suffix);
  if (!at) return true;
  const char *type = at + sizeof state_suffix - 1;
  hone_storage_t grid = !strcmp(type, "nf4")   ? HONE_NF4
                        : !strcmp(type, "fp4") ? HONE_FP4
                                               : HONE_STORAGE_COUNT;
  if (grid == HONE_STORAGE_COUNT)
    return prequantized_fail(r, HONE_UNSUPPORTED, tensor, "unknown type '%.60s'; known: nf4, fp4",
                             type);
  const char *base = hone_arena_strndup(r->checkpoint->arena, name, (size_t)(at - name));
  const checkpoint_tensor_t *codes = hone_map_get(r->checkpoint->tensors, base);
  if (!codes)
    return prequantized_fail(r, HONE_INVALID, tensor, "there is no tensor '%.200s'", base);
  hone_map_put(r->hidden, name, r);
  state_t state;
  return parse_state(r, tensor, type, &state) && add_tensor(r, codes, grid, &state);
}
