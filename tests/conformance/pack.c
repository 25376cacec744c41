// See pack.h.
#include "tests/conformance/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/packed.h"

static const double nf4[16] = {
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
};
static const double fp4[8] = {0, 0.0625, 8, 12, 4, 6, 2, 3};  // twelfths; bit 3 is the sign
static const double e2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};   // bit 3 is the sign

float half_to_float(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
  return (float)(half & 0x8000 ? -size : size);
}

uint16_t float_to_half(float value) {
  double size = fabs((double)value);
  uint16_t sign = signbit(value) ? 0x8000 : 0;
  if (size == 0) return sign;
  int exponent = 0;
  frexp(size, &exponent);  // size in [2^(e-1), 2^e)
  int ulp = exponent - 11 < -24 ? -24 : exponent - 11;
  uint32_t units = (uint32_t)nearbyint(ldexp(size, -ulp));
  if (ulp == -24) return (uint16_t)(sign | units);  // subnormal, or the first normal binade
  return (uint16_t)(sign | (((uint32_t)(ulp + 24) << 10) + units));
}

static void put(region_t *region, uint64_t offset, const void *data, size_t bytes) {
  if (offset + bytes > region->bytes) abort();
  memcpy(region->data + offset, data, bytes);
}

// One element of a plain format at its place; returns the value as stored.
static double put_plain(region_t *region, hone_storage_t storage, uint64_t element, float value) {
  if (storage == HONE_F32) {
    put(region, element * 4, &value, 4);
    return value;
  }
  if (storage == HONE_F16) {
    uint16_t half = float_to_half(value);
    put(region, element * 2, &half, 2);
    return half_to_float(half);
  }
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint16_t upper = (uint16_t)(bits >> 16);
  put(region, element * 2, &upper, 2);
  bits = (uint32_t)upper << 16;
  memcpy(&value, &bits, 4);
  return value;
}

// ---- quantized formats
static const double iq4nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};

// What code `code` of a 4-bit format stands for, and its multiple of 1/units for integer kernels.
static double level_of(hone_storage_t storage, const int8_t *learned, uint32_t code,
                       double *out_rounded) {
  double sign = code & 8 ? -1 : 1, level = 0, units = 1;
  switch (storage) {
    case HONE_NF4:
    case HONE_NF4DQ: level = nf4[code], units = (double)112.0302f; break;
    case HONE_FP4: level = sign * fp4[code & 7] / 12, units = 120; break;
    case HONE_MXFP4:
    case HONE_NVFP4: level = sign * e2m1[code & 7], units = 2; break;
    case HONE_INT4: level = (double)code - 8; break;
    case HONE_IQ4NL: level = iq4nl[code]; break;
    case HONE_NF4X: level = learned[code] / 127.0, units = 127; break;
    default: abort();
  }
  *out_rounded = round(level * units) / units;
  return level;
}

// ORs `value` into the bits of row r, column j of a block of 16 rows and 64 columns.
static void put_bits(uint8_t *block, uint32_t bits, uint32_t r, uint32_t j, uint32_t value) {
  uint32_t quad = j / 4, at = 4 * r + j % 4;
  if (bits == 8) block[64 * quad + at] = (uint8_t)value;
  if (bits == 6 || bits == 4)
    block[64 * (quad / 2) + at] |= (uint8_t)((value & 15) << (quad % 2 * 4));
  if (bits == 6) block[512 + 64 * (quad / 4) + at] |= (uint8_t)(value >> 4 << (quad % 4 * 2));
  if (bits == 2) block[64 * (quad / 4) + at] |= (uint8_t)(value << (quad % 4 * 2));
}

// bitsandbytes' signed dynamic map: seven decades, 2^i midpoints of 0.1 to 1 in the i-th of them.
static double dynamic_level(uint8_t code) {
  int place = abs(code - 127), i = 0;
  if (place == 0) return 0;
  if (place == 128) return 1;
  while (2 << i <= place) i++;
  double middle = 0.1 + 0.9 * (place - (1 << i) + 0.5) / (1 << i);
  return (code < 127 ? -middle : middle) * pow(10, i - 6);
}

// A random scale at its place; returns what it stands for. `size` is about its largest value,
// `second` what the scales of a dq8 block are multiplied with before `factor` is added.
static double put_scale(region_t *region, const hone_format_info_t *info, uint64_t offset,
                        uint64_t element, double size, double factor, double second,
                        uint64_t *random) {
  double real = (double)(random_real(random) + 1.1f) * size / 2;
  if (info->scale == HONE_SCALE_F16) {
    uint16_t half = float_to_half((float)real);
    put(region, offset + element * 2, &half, 2);
    return (double)half_to_float(half);
  }
  uint8_t byte;
  double value;
  if (info->scale == HONE_SCALE_DQ8) {
    byte = (uint8_t)random_bits(random);
    value = dynamic_level(byte) * second + factor;
  } else if (info->scale == HONE_SCALE_E8M0) {
    byte = (uint8_t)(120 + random_bits(random) % 9);  // 0: a scale of zero, in one group of 16
    if (random_bits(random) % 16 == 0) byte = 0;
    value = byte ? ldexp(1, byte - 127) : 0;
  } else {
    byte = (uint8_t)(random_bits(random) % (random_bits(random) % 4 ? 0x7f : 8));
    int exponent = byte >> 3, fraction = byte & 7;
    value = exponent ? ldexp(8 + fraction, exponent - 10) : ldexp(fraction, -9);
    value *= factor;
  }
  put(region, offset + element, &byte, 1);
  return value;
}

typedef struct row_codes {
  const hone_format_info_t *info;
  const int8_t *learned;
  uint8_t *block;  // of 16 rows and 64 columns
  uint32_t row;    // of them
  double *value, *value_int8;
} row_codes_t;

// A random code of column k (real or pad) of one row, with the scales of its group.
static void put_code(const row_codes_t *to, uint32_t k, bool pad, const double *scale,
                     uint64_t *random) {
  uint32_t bits = to->info->code_bits, j = k % 64, code = random_bits(random);
  double value = 0, rounded = 0;
  if (to->info->grid == HONE_GRID_PLANES) {
    for (uint32_t p = 0; p < to->info->planes; p++) {
      bool plus = code >> p & 1;
      uint32_t bit = 4 * to->row + j % 4;
      if (plus) to->block[128 * p + j / 4 * 8 + bit / 8] |= (uint8_t)(1 << bit % 8);
      value += plus ? scale[p] : -scale[p];
    }
    rounded = value;
  } else if (bits == 4) {
    bool has_zero = to->info->storage != HONE_IQ4NL;
    code %= 16;
    while (pad && has_zero && level_of(to->info->storage, to->learned, code, &rounded) != 0)
      code = (code + 1) % 16;
    put_bits(to->block, 4, to->row, j, code);
    value = level_of(to->info->storage, to->learned, code, &rounded) * scale[0];
    rounded *= scale[0];
  } else {
    int limit = bits == 8 ? 127 : bits == 6 ? 31 : 1;  // what the code stands for is -limit..limit
    int number = pad ? 0 : (int)(code % (2 * (uint32_t)limit + 1)) - limit;
    put_bits(to->block, bits, to->row, j,
             bits == 8 ? (uint8_t)(int8_t)number : (uint32_t)(number + limit + (bits == 6)));
    value = rounded = number * scale[0];
  }
  if (pad) return;
  to->value[k] = value, to->value_int8[k] = rounded;
}

// nf4dq's second level, for a tensor of one source, of four concatenated ones or of two interleaved
// ones; offset and scale of a group as kernels must find them.
typedef struct second {
  int kind;
  uint32_t N, cut[5];
  uint64_t groups;  // of a row
  float offset[4];
  const float *scale;  // of 256 groups
} second_t;

static uint64_t blocks_of(const second_t *s, uint32_t rows) {
  return (rows * s->groups + 255) / 256;
}

static uint32_t source_of(const second_t *s, uint32_t n, uint32_t *out_row, uint64_t *out_block) {
  uint32_t source = 0;
  *out_row = n, *out_block = 0;
  if (s->kind == 2) {
    *out_row = n / 2;
    *out_block = n % 2 ? blocks_of(s, s->N / 2) : 0;
    return n % 2;
  }
  for (; s->kind == 1 && n >= s->cut[source + 1]; source++)
    *out_block += blocks_of(s, s->cut[source + 1] - s->cut[source]);
  if (s->kind == 1) *out_row = n - s->cut[source];
  return source;
}

static double second_of(const second_t *s, uint32_t n, uint64_t group, double *out_offset) {
  uint32_t row;
  uint64_t block;
  *out_offset = (double)s->offset[source_of(s, n, &row, &block)];
  return (double)s->scale[block + (row * s->groups + group) / 256];
}

static void put_second(second_t *s, region_t *region, uint64_t parameters, uint64_t *random) {
  int32_t words[16] = {0};
  uint32_t row;
  uint64_t block, first = 0;
  s->kind = (int)(random_bits(random) % 3);
  if ((s->kind == 2 && s->N % 2) || (s->kind == 1 && s->N < 4)) s->kind = 0;
  for (uint32_t i = 0; i < 5; i++) s->cut[i] = s->N * i / 4;
  words[12] = s->kind == 2 ? 1 : -1, words[13] = s->kind == 2;
  for (uint32_t i = 0; i < 4; i++) {
    s->offset[i] = (random_real(random) + 1.1f) / 448;
    memcpy(&words[i], &s->offset[i], 4);
    bool is_used = i == 0 || s->kind == 1 || (s->kind == 2 && i == 1);
    words[8 + i] = !is_used ? INT32_MAX : s->kind == 2 ? (int32_t)i : (int32_t)(s->cut[i]);
    if (!is_used) continue;
    if (i > 0) source_of(s, s->kind == 2 ? 1 : s->cut[i], &row, &block), first = block * 256;
    words[4 + i] = (int32_t)(first - (s->kind == 1 ? s->cut[i] * s->groups : 0));
  }
  words[8] = 0;
  put(region, parameters, words, sizeof words);
  float *scale = (float *)(void *)(region->data + parameters + 64);
  uint64_t count = 3 + (s->N * s->groups + 255) / 256;
  for (uint64_t i = 0; i < count; i++) scale[i] = random_real(random) + 1.1f;
  s->scale = scale;
}

// Real rows with random codes and scales; pads past K that stand for zero (planes: for anything).
static void pack_codes(packed_t *packed, hone_format_t format, uint32_t N, uint32_t K,
                       uint64_t *random) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t Kp = hone_padded(K), G = Kp / 64, S = (Kp + format.group - 1) / format.group;
  uint64_t row_bytes = 8 * info->code_bits, tiles = hone_padded(N) / 16, P = info->planes;
  uint64_t scale_bytes = info->scale == HONE_SCALE_F16 ? 2 : 1;
  uint64_t scales = tiles * G * 16 * row_bytes;
  uint64_t parameters = (scales + tiles * S * P * 16 * scale_bytes + 63) / 64 * 64;
  int8_t learned[16] = {0};
  float factor = (random_real(random) + 1.1f) / 448;
  if (info->grid == HONE_GRID_LEARNED) {  // level 5 is the zero
    for (int i = 0; i < 16; i++) learned[i] = (int8_t)((int)(random_bits(random) % 255) - 127);
    learned[5] = 0;
    put(&packed->region, parameters + 16, learned, 16);
  }
  if (info->scale == HONE_SCALE_E4M3) put(&packed->region, parameters, &factor, 4);
  second_t second = {.N = N, .groups = (K + format.group - 1) / format.group};
  if (info->scale == HONE_SCALE_DQ8) put_second(&second, &packed->region, parameters, random);
  double size = info->grid == HONE_GRID_LINEAR ? ldexp(1, 1 - (int)info->code_bits)
                : format.storage == HONE_INT4  ? 0.125
                : format.storage == HONE_IQ4NL ? 1.0 / 127
                                               : 1;
  for (uint32_t n = 0; n < N; n++) {
    uint64_t t = n / 16, r = n % 16;
    double scale[3] = {0};
    row_codes_t to = {info,
                      learned,
                      NULL,
                      n % 16,
                      packed->values + (size_t)n * K,
                      packed->values_int8 + (size_t)n * K};
    for (uint32_t k = 0; k < Kp; k++) {
      for (uint64_t p = 0; p < P && k % format.group == 0; p++) {
        uint64_t element = ((t * S + k / format.group) * P + p) * 16 + r;
        double block = 0, common = (double)factor;
        if (info->scale == HONE_SCALE_DQ8)
          block = k < K ? second_of(&second, n, k / format.group, &common) : 1;
        scale[p] = put_scale(&packed->region, info, scales, element, size, common, block, random);
      }
      to.block = packed->region.data + (t * G + k / 64) * 16 * row_bytes;
      put_code(&to, k, k >= K, scale, random);
    }
  }
}

static void pack_plain(packed_t *packed, hone_storage_t storage, uint32_t N, uint32_t K,
                       uint64_t *random) {
  uint64_t Kp = hone_padded(K);
  for (uint32_t n = 0; n < N; n++) {
    for (uint32_t k = 0; k < K; k++) {
      uint64_t element = (n / 16 * Kp + k) * 16 + n % 16;
      double value = put_plain(&packed->region, storage, element, random_real(random));
      packed->values[(size_t)n * K + k] = packed->values_int8[(size_t)n * K + k] = value;
    }
  }
}

packed_t pack_weight(hone_format_t format, uint32_t N, uint32_t K, uint64_t *random) {
  packed_t packed = {region_create(hone_packed_bytes(format, N, K)),
                     calloc((size_t)N * K, sizeof(double)), calloc((size_t)N * K, sizeof(double))};
  if (!packed.values || !packed.values_int8) abort();
  memset(packed.region.data, 0, packed.region.bytes);
  if (hone_format_is_quantized(format.storage))
    pack_codes(&packed, format, N, K, random);
  else
    pack_plain(&packed, format.storage, N, K, random);
  return packed;
}

size_t list_formats(hone_format_t out[FORMAT_LIMIT]) {
  size_t count = 0;
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    for (uint32_t group = info->narrowest; group <= info->widest; group *= 2) {
      if (count == FORMAT_LIMIT) abort();
      out[count++] = (hone_format_t){info->storage, group};
      if (group == 0) break;  // plain floats
    }
  }
  return count;
}

void packed_destroy(packed_t *packed) {
  region_destroy(&packed->region);
  free(packed->values);
  free(packed->values_int8);
}

// Random bits, and one scale per row.
static void pack_signs(rows_t *rows, uint32_t M, uint32_t K, uint64_t *random) {
  uint64_t stride = hone_row_bytes(HONE_B1, K);
  for (uint32_t m = 0; m < M; m++) {
    float scale = random_real(random) + 1.1f;
    put(&rows->region, stride * m + hone_padded(K) / 8, &scale, 4);
    for (uint32_t k = 0; k < K; k++) {
      bool plus = random_bits(random) & 1;
      if (plus) rows->region.data[stride * m + k / 8] |= (uint8_t)(1 << k % 8);
      rows->values[(size_t)m * K + k] = (double)(plus ? scale : -scale);
    }
  }
}

rows_t pack_rows(hone_storage_t storage, uint32_t M, uint32_t K, uint64_t *random) {
  uint64_t stride = hone_row_bytes(storage, K), Kp = hone_padded(K), G = Kp / 64;
  rows_t rows = {region_create(stride * M), calloc((size_t)M * K, sizeof(double))};
  if (!rows.values) abort();
  memset(rows.region.data, 0, rows.region.bytes);
  if (storage == HONE_B1) pack_signs(&rows, M, K, random);
  for (uint32_t m = 0; m < M && storage != HONE_B1; m++) {
    float scale = 0;
    int32_t sum = 0, part = 0;
    for (uint32_t k = 0; k < K; k++) {
      if (storage == HONE_F32) {
        float value = random_real(random);
        put(&rows.region, stride * m + k * 4, &value, 4);
        rows.values[(size_t)m * K + k] = value;
        continue;
      }
      if (k % 64 == 0) {
        scale = (random_real(random) + 1.1f) / 127.0f;
        sum = 0;
        put(&rows.region, stride * m + Kp + k / 64 * 4, &scale, 4);
      }
      int8_t code = (int8_t)((int)(random_bits(random) % 255) - 127);
      if (k % 16 == 0) part = 0;
      sum -= code, part -= code;
      put(&rows.region, stride * m + k, &code, 1);
      put(&rows.region, stride * m + Kp + G * 4 + k / 64 * 4, &sum, 4);
      put(&rows.region, stride * m + Kp + G * 8 + k / 16 * 4, &part, 4);
      rows.values[(size_t)m * K + k] = (double)code * scale;
    }
  }
  return rows;
}

void rows_destroy(rows_t *rows) {
  region_destroy(&rows->region);
  free(rows->values);
}

region_t pack_vector(uint32_t K, uint64_t *random) {
  region_t region = region_create(hone_padded(K) * 4);
  memset(region.data, 0, region.bytes);
  for (uint32_t k = 0; k < K; k++) {
    float value = random_real(random);
    memcpy(region.data + (size_t)k * 4, &value, 4);
  }
  return region;
}
