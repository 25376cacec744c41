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
  return last / HONE_SCALE_BLOCK + 1;
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
  return tiles(N) * hone_packed_tile_code_bytes(format, K);  // 16 tiles at least: a multiple of 64
}

uint64_t hone_packed_parameter_offset(hone_format_t format, uint64_t N, uint64_t K) {
  return hone_packed_scale_offset(format, N, K) +
         round_64(tiles(N) * hone_packed_tile_scale_bytes(format, K));
}

uint64_t hone_packed_bytes(hone_format_t format, uint64_t N, uint64_t K) {
  return hone_packed_parameter_offset(format, N, K) + hone_packed_parameter_bytes(format, N, K);
}
