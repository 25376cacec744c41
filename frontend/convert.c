// Conversion loops without branches, so that the compiler vectorizes them (this file is built with
// -O3). A value is not finite when all bits of its exponent are set, that is when adding one to the
// exponent carries into the sign bit's place; the carries are or-ed and asked once.
#include "frontend/convert.h"

#include <string.h>

static bool from_f32(const uint8_t *restrict source, size_t count, float *restrict out) {
  uint32_t carries = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, source + 4 * i, 4);
    carries |= (bits & 0x7FFFFFFFu) + 0x00800000u;
    memcpy(out + i, &bits, 4);
  }
  return !(carries >> 31);
}

static bool from_bf16(const uint8_t *restrict source, size_t count, float *restrict out) {
  uint32_t carries = 0;
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, source + 2 * i, 2);
    uint32_t bits = (uint32_t)half << 16;
    carries |= (bits & 0x7FFFFFFFu) + 0x00800000u;
    memcpy(out + i, &bits, 4);
  }
  return !(carries >> 31);
}

// Exponent and mantissa are moved into f32's places; multiplying by 2^112 corrects the exponent's
// bias, also of subnormal halves (which are subnormal floats before the product).
static bool from_f16(const uint8_t *restrict source, size_t count, float *restrict out) {
  uint32_t carries = 0;
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, source + 2 * i, 2);
    uint32_t magnitude = half & 0x7FFFu, bits = magnitude << 13;
    carries |= magnitude + 0x0400u;
    float value;
    memcpy(&value, &bits, 4);
    value *= 0x1p112f;
    memcpy(&bits, &value, 4);
    bits |= (uint32_t)(half & 0x8000u) << 16;
    memcpy(out + i, &bits, 4);
  }
  return !(carries >> 15);
}

bool hone_convert_to_f32(hone_storage_t storage, const uint8_t *source, size_t count, float *out) {
  switch (storage) {
    case HONE_F32: return from_f32(source, count, out);
    case HONE_F16: return from_f16(source, count, out);
    case HONE_BF16: return from_bf16(source, count, out);
    default: return false;
  }
}
