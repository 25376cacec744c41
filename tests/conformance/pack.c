// See pack.h.
#include "tests/conformance/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double nf4[16] = {-1.0,
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
                               1.0};

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

static void put_code(packed_t *packed, hone_storage_t storage, uint64_t block, uint32_t n,
                     uint32_t k, uint32_t K, double scale, uint64_t *random) {
  uint32_t j = k % 64;
  if (storage == HONE_Q8) {
    int8_t code = (int8_t)((int)(random_bits(random) % 255) - 127);
    put(&packed->region, block * 64 + j, &code, 1);
    packed->values[(size_t)n * K + k] = packed->values_int8[(size_t)n * K + k] = code * scale;
    return;
  }
  uint8_t code = random_bits(random) % 16;
  uint8_t *byte = &packed->region.data[block * 32 + j % 32];
  *byte = j < 32 ? (uint8_t)((*byte & 0xf0) | code) : (uint8_t)((*byte & 0x0f) | code << 4);
  packed->values[(size_t)n * K + k] = nf4[code] * scale;
  packed->values_int8[(size_t)n * K + k] = round(nf4[code] * 127) / 127 * scale;
}

packed_t pack_weight(hone_storage_t storage, uint32_t N, uint32_t K, uint64_t *random) {
  packed_t packed = {region_create(hone_packed_bytes(storage, N, K)),
                     calloc((size_t)N * K, sizeof(double)), calloc((size_t)N * K, sizeof(double))};
  if (!packed.values || !packed.values_int8) abort();
  uint64_t Kp = hone_padded(K), G = Kp / 64, Np = hone_padded(N);
  memset(packed.region.data, 0, packed.region.bytes);
  // Padded nf4 weights stand for zero: the code of 0 is 7 (scales of pads are 0 as well).
  if (storage == HONE_NF4) memset(packed.region.data, 0x77, Np * Kp / 2);
  for (uint32_t n = 0; n < N; n++) {
    double scale = 0;
    for (uint32_t k = 0; k < K; k++) {
      uint64_t t = n / 4, r = n % 4, block = (t * G + k / 64) * 4 + r;
      if (storage == HONE_Q8 || storage == HONE_NF4) {
        if (k % 64 == 0) {
          uint16_t half =
              float_to_half((random_real(random) + 1.1f) / (storage == HONE_Q8 ? 127.0f : 1.0f));
          scale = half_to_float(half);
          put(&packed.region,
              hone_packed_scale_offset(storage, N, K) + ((t * G + k / 64) * 4 + r) * 2, &half, 2);
        }
        put_code(&packed, storage, block, n, k, K, scale, random);
        continue;
      }
      uint64_t element = ((t * Kp / 16 + k / 16) * 4 + r) * 16 + k % 16;
      double value = put_plain(&packed.region, storage, element, random_real(random));
      packed.values[(size_t)n * K + k] = packed.values_int8[(size_t)n * K + k] = value;
    }
  }
  return packed;
}

void packed_destroy(packed_t *packed) {
  region_destroy(&packed->region);
  free(packed->values);
  free(packed->values_int8);
}

rows_t pack_rows(hone_storage_t storage, uint32_t M, uint32_t K, uint64_t *random) {
  uint64_t stride = hone_row_bytes(storage, K), Kp = hone_padded(K), G = Kp / 64;
  rows_t rows = {region_create(stride * M), calloc((size_t)M * K, sizeof(double))};
  if (!rows.values) abort();
  memset(rows.region.data, 0, rows.region.bytes);
  for (uint32_t m = 0; m < M; m++) {
    float scale = 0;
    int32_t sum = 0;
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
      sum += code;
      put(&rows.region, stride * m + k, &code, 1);
      put(&rows.region, stride * m + Kp + G * 4 + k / 64 * 4, &sum, 4);
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
