// See format.h.
#include "base/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const hone_format_info_t formats[] = {
#define SCALE_none   HONE_SCALE_NONE
#define SCALE_f16    HONE_SCALE_F16
#define SCALE_e8m0   HONE_SCALE_E8M0
#define SCALE_e4m3   HONE_SCALE_E4M3
#define SCALE_dq8    HONE_SCALE_DQ8
#define GRID_float   HONE_GRID_FLOAT
#define GRID_linear  HONE_GRID_LINEAR
#define GRID_table   HONE_GRID_TABLE
#define GRID_learned HONE_GRID_LEARNED
#define GRID_planes  HONE_GRID_PLANES
#define COMPUTE_f32  HONE_F32
#define COMPUTE_q8   HONE_Q8
#define FORMAT(name, ENUM, bits, planes, scale, group, narrowest, widest, grid, acts, summary) \
  {#name,     HONE_##ENUM, bits,        planes,         SCALE_##scale, group,                  \
   narrowest, widest,      GRID_##grid, COMPUTE_##acts, summary},
#include "base/formats.def"
#undef FORMAT
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

size_t hone_format_count(void) { return FORMAT_COUNT; }

const hone_format_info_t *hone_format_at(size_t index) {
  return index < FORMAT_COUNT ? &formats[index] : NULL;
}

const hone_format_info_t *hone_format_info(hone_storage_t storage) {
  return hone_format_at((size_t)storage);  // the enumeration comes from the same rows
}

hone_format_t hone_format_default(hone_storage_t storage) {
  const hone_format_info_t *info = hone_format_info(storage);
  return (hone_format_t){storage, info ? info->group : 0};
}

bool hone_format_group_known(hone_format_t format) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info || info->group == 0) return info && format.group == 0;
  bool is_power = (format.group & (format.group - 1)) == 0;
  return is_power && format.group >= info->narrowest && format.group <= info->widest;
}

bool hone_format_is_quantized(hone_storage_t storage) {
  const hone_format_info_t *info = hone_format_info(storage);
  return info && info->planes > 0;
}

uint32_t hone_scale_bits(hone_scale_t scale) {
  return scale == HONE_SCALE_NONE ? 0 : scale == HONE_SCALE_F16 ? 16 : 8;
}

static const hone_format_info_t *find(hone_slice_t name) {
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    if (hone_slice_is(name, formats[i].name)) return &formats[i];
  }
  return NULL;
}

static bool fail_unknown(const char *text, hone_slice_t name, hone_status_t *status) {
  const char *names[FORMAT_COUNT];
  char list[256] = "";
  size_t used = 0;
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    names[i] = formats[i].name;
    int wrote =
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", formats[i].name);
    if (wrote > 0 && (size_t)wrote < sizeof list - used) used += (size_t)wrote;
  }
  char copy[32];
  snprintf(copy, sizeof copy, "%.*s", name.bytes > 31 ? 31 : (int)name.bytes, name.data);
  const char *closest = hone_text_closest(copy, names, FORMAT_COUNT);
  if (!closest) {
    return hone_fail(status, HONE_INVALID, "unknown format '%.60s'; use one of %s", text, list);
  }
  return hone_fail(status, HONE_INVALID, "unknown format '%.60s'; did you mean %s? (formats: %s)",
                   text, closest, list);
}

// The digits after ':' or between '<' and '>'.
static bool read_group(hone_slice_t rest, bool bracket, int64_t *out_group) {
  char digits[16];
  if (bracket) {
    if (rest.bytes < 2 || rest.data[rest.bytes - 1] != '>') return false;
    rest.bytes--;
  }
  if (rest.bytes == 0 || rest.bytes >= sizeof digits) return false;
  memcpy(digits, rest.data, rest.bytes);
  digits[rest.bytes] = '\0';
  return hone_text_parse_i64(digits, out_group) && *out_group >= 1 && *out_group <= UINT32_MAX;
}

bool hone_format_parse(const char *text, hone_format_t *out_format, hone_status_t *status) {
  bool bracket = strchr(text, '<') != NULL;
  hone_slice_t rest = hone_slice(text);
  hone_slice_t name = hone_slice_cut(&rest, bracket ? '<' : ':');
  const hone_format_info_t *info = find(name);
  if (!info) return fail_unknown(text, name, status);
  if (!rest.data) {
    *out_format = hone_format_default(info->storage);
    return true;
  }
  if (info->group == 0) {
    return hone_fail(status, HONE_INVALID, "format %s takes no group: write '%s', not '%.60s'",
                     info->name, info->name, text);
  }
  int64_t group;
  if (!read_group(rest, bracket, &group)) {
    return hone_fail(status, HONE_INVALID,
                     "format '%.60s': a group is written as in %s<%" PRIu32 "> or %s:%" PRIu32,
                     text, info->name, info->group, info->name, info->group);
  }
  *out_format = (hone_format_t){info->storage, (uint32_t)group};
  if (hone_format_group_known(*out_format)) return true;
  if (info->narrowest == info->widest) {
    return hone_fail(status, HONE_UNSUPPORTED, "format '%.60s': the group of %s is always %" PRIu32,
                     text, info->name, info->group);
  }
  return hone_fail(status, HONE_UNSUPPORTED,
                   "format '%.60s': the group of %s is a power of two from %" PRIu32 " to %" PRIu32,
                   text, info->name, info->narrowest, info->widest);
}

const char *hone_format_text(hone_format_t format, char out[24]) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  const char *name = info ? info->name : "?";
  if (info && info->group > 0) {
    snprintf(out, 24, "%.8s<%" PRIu32 ">", name, format.group);
  } else {
    snprintf(out, 24, "%.8s", name);
  }
  return out;
}

double hone_format_bits(hone_format_t format) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return 0;
  if (info->group == 0 || format.group == 0) return info->code_bits;
  double scale_bits = hone_scale_bits(info->scale);
  if (info->scale == HONE_SCALE_DQ8) scale_bits += 32.0 / HONE_SCALE_BLOCK;
  return info->code_bits + info->planes * scale_bits / format.group;
}

uint64_t hone_format_tensor_bits(hone_format_t format, uint64_t N, uint64_t K) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return 0;
  uint64_t bits = N * K * info->code_bits;
  if (info->group == 0 || format.group == 0) return bits;
  uint64_t groups = N * ((K + format.group - 1) / format.group);
  bits += groups * info->planes * hone_scale_bits(info->scale);
  if (info->scale == HONE_SCALE_E4M3) bits += 32;  // the tensor's factor
  if (info->scale == HONE_SCALE_DQ8)               // the second level and the offset
    bits += (groups + HONE_SCALE_BLOCK - 1) / HONE_SCALE_BLOCK * 32 + 32;
  if (info->grid == HONE_GRID_LEARNED) bits += 16 * 8;  // its table
  return bits;
}

bool hone_format_equal(hone_format_t a, hone_format_t b) {
  return a.storage == b.storage && a.group == b.group;
}
