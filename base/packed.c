// See packed.h.
#include "base/packed.h"

enum { R = HONE_TILE_ROWS };

static uint64_t round_64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

uint64_t hone_packed_row_bytes(hone_storage_t storage) {
  const hone_format_info_t *info = hone_format_info(storage);
  return info ? info->code_bits * 8 : 0;  // 64 elements
}

uint64_t hone_packed_scale_count(hone_format_t format, uint64_t K) {
  return format.group ? (hone_padded(K) + format.group - 1) / format.group : 0;
}

uint64_t hone_packed_group_count(hone_format_t format, uint64_t K) {
  return format.group ? (K + format.group - 1) / format.group : 0;
}

uint64_t hone_packed_second_count(hone_format_t format, uint64_t N, uint64_t K) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info || info->scale != HONE_SCALE_DQ8) return 0;
  uint64_t last = (hone_padded(N) - 1) * hone_packed_group_count(format, K) +
                  hone_packed_scale_count(format, K) - 1;
  return last / HONE_SCALE_BLOCK + HONE_PACKED_SOURCES;  // each source may begin another
}

bool hone_packed_second_init(hone_packed_second_t *out, hone_format_t format, uint64_t K,
                             const uint64_t *rows, size_t count, bool interleaved) {
  uint64_t groups = hone_packed_group_count(format, K), row = 0, number = 0;
  *out = (hone_packed_second_t){.mask = interleaved ? 1 : -1, .shift = interleaved ? 1 : 0};
  for (size_t i = 0; i < HONE_PACKED_SOURCES; i++) {
    bool is_used = i < count;
    out->begin[i] = !is_used ? INT32_MAX : interleaved ? (int32_t)i : (int32_t)row;
    if (!is_used) continue;
    out->base[i] = (int32_t)(number - (interleaved ? 0 : row * groups));
    row += rows[i];
    number += (rows[i] * groups + HONE_SCALE_BLOCK - 1) / HONE_SCALE_BLOCK * HONE_SCALE_BLOCK;
    if (row > INT32_MAX / 2 || number > INT32_MAX / 2) return false;
  }
  return true;
}

size_t hone_packed_second_source(const hone_packed_second_t *second, uint64_t n) {
  int32_t key = (int32_t)n & second->mask;
  size_t source = 0;
  while (source + 1 < HONE_PACKED_SOURCES && key >= second->begin[source + 1]) source++;
  return source;
}

uint64_t hone_packed_second_number(const hone_packed_second_t *second, uint64_t groups, uint64_t n,
                                   uint64_t s) {
  int64_t base = second->base[hone_packed_second_source(second, n)];
  return (n >> second->shift) * groups + s + (uint64_t)base;
}

uint64_t hone_packed_tile_code_bytes(hone_format_t format, uint64_t K) {
  return hone_padded(K) / 64 * R * hone_packed_row_bytes(format.storage);
}

uint64_t hone_packed_tile_scale_bytes(hone_format_t format, uint64_t K) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return 0;
  return hone_packed_scale_count(format, K) * info->planes * R * hone_scale_bits(info->scale) / 8;
}

uint64_t hone_packed_parameter_bytes(hone_format_t format, uint64_t N, uint64_t K) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t second = hone_packed_second_count(format, N, K);
  bool has =
      info && (info->scale == HONE_SCALE_E4M3 || info->grid == HONE_GRID_LEARNED || second > 0);
  return has ? HONE_PACKED_PARAMETER_BYTES + round_64(second * sizeof(float)) : 0;
}

static uint64_t tiles(uint64_t N) { return hone_padded(N) / R; }

uint64_t hone_packed_scale_offset(hone_format_t format, uint64_t N, uint64_t K) {
  return tiles(N) *
         hone_packed_tile_code_bytes(format, K);  // four tiles at least: a multiple of 64
}

uint64_t hone_packed_parameter_offset(hone_format_t format, uint64_t N, uint64_t K) {
  return hone_packed_scale_offset(format, N, K) +
         round_64(tiles(N) * hone_packed_tile_scale_bytes(format, K));
}

uint64_t hone_packed_bytes(hone_format_t format, uint64_t N, uint64_t K) {
  return hone_packed_parameter_offset(format, N, K) + hone_packed_parameter_bytes(format, N, K);
}
