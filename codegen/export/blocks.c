// Blocks of GGUF. All are little-endian; "half-split" means that byte j holds the code of element j
// in its low nibble and of element j + 16 in its high one.
#include "codegen/export/blocks.h"

#include <stdio.h>
#include <string.h>

#include "quant/real.h"

static const hone_block_type_t types[] = {
    {"F32", {HONE_F32, 0}, 0, 0, 1, 4, false},
    {"F16", {HONE_F16, 0}, 1, 1, 1, 2, false},
    {"BF16", {HONE_BF16, 0}, 30, 32, 1, 2, false},
    {"Q8_0", {HONE_Q8, 32}, 8, 7, 32, 34, false},
    {"Q4_0", {HONE_INT4, 32}, 2, 2, 32, 18, false},
    {"IQ4_NL", {HONE_IQ4NL, 32}, 20, 25, 32, 18, false},
    {"MXFP4", {HONE_MXFP4, 32}, 39, 38, 32, 17, false},
    {"TQ2_0", {HONE_TERNARY, 0}, 35, 37, 256, 66, false},
    {"TQ1_0", {HONE_TERNARY, 0}, 34, 36, 256, 54, true},
};
enum { TYPE_COUNT = sizeof types / sizeof *types };

const hone_block_type_t *hone_block_type_find(hone_storage_t storage, bool dense) {
  const hone_block_type_t *found = NULL;
  for (size_t i = 0; i < TYPE_COUNT; i++) {
    if (types[i].format.storage != storage) continue;
    if (!found || types[i].is_dense == dense) found = &types[i];
  }
  return found;
}

bool hone_block_type_fits(const hone_block_type_t *type, hone_format_t format) {
  return type->format.group == 0 || type->format.group == format.group;
}

const char *hone_block_type_list(char out[128]) {
  char text[24];
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < TYPE_COUNT; i++) {
    if (types[i].is_dense) continue;
    bool any = types[i].format.group == 0;
    const char *name = any ? hone_format_info(types[i].format.storage)->name
                           : hone_format_text(types[i].format, text);
    int wrote = snprintf(out + used, 128 - used, "%s%s", used ? ", " : "", name);
    if (wrote > 0 && (size_t)wrote < 128 - used) used += (size_t)wrote;
  }
  return out;
}

static uint8_t *put_u16(uint8_t *out, uint16_t value) {
  out[0] = (uint8_t)value;
  out[1] = (uint8_t)(value >> 8);
  return out + 2;
}

static uint8_t *put_nibbles(uint8_t *out, const uint8_t *codes) {  // half-split
  for (int j = 0; j < 16; j++) out[j] = (uint8_t)(codes[j] | codes[j + 16] << 4);
  return out + 16;
}

static uint8_t *put_mxfp4(uint8_t *out, const uint8_t *codes, uint16_t scale) {
  static const uint8_t zeros[32];
  *out = (uint8_t)scale;
  return put_nibbles(out + 1, scale ? codes : zeros);  // our scale 0 is zero, not 2^-127
}

// 64 bytes: byte 32 h + m holds elements 128 h + m + 32 n in bits 2n and 2n + 1.
static uint8_t *put_twos(uint8_t *out, const uint8_t *codes) {
  for (int h = 0; h < 2; h++)
    for (int m = 0; m < 32; m++) {
      const uint8_t *c = codes + 128 * h + m;
      *out++ = (uint8_t)(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
    }
  return out;
}

// `count` trits, `stride` apart and the first one the most significant, as a fraction of 256: the
// reader multiplies by three and takes the carry. Fewer than five are padded with zeros.
static uint8_t trits(const uint8_t *codes, int count, int stride) {
  unsigned value = 0;
  for (int n = 0; n < 5; n++) value = value * 3 + (n < count ? codes[n * stride] : 0u);
  return (uint8_t)((value * 256 + 242) / 243);
}

// 32 bytes of five trits, 16 of five, 4 of four.
static uint8_t *put_trits(uint8_t *out, const uint8_t *codes) {
  for (int m = 0; m < 32; m++) *out++ = trits(codes + m, 5, 32);
  for (int m = 0; m < 16; m++) *out++ = trits(codes + 160 + m, 5, 16);
  for (int m = 0; m < 4; m++) *out++ = trits(codes + 240 + m, 4, 4);
  return out;
}

static bool refit(const hone_quantizer_t *q, const uint8_t *codes, const uint16_t *scales,
                  uint64_t first, uint16_t *out_scale) {
  double weighted = 0, total = 0;
  bool overflow = false;
  for (uint64_t k = first; k < first + HONE_BLOCK_LIMIT; k++) {
    if (codes[k] == 1) continue;  // a zero
    double h = (double)q->importance[k];
    weighted +=
        h * (double)hone_quantizer_scale(q, k / q->format.group, scales[k / q->format.group]);
    total += h;
  }
  *out_scale = hone_f16_from_f32(total > 0 ? (float)(weighted / total) : 0.0f, &overflow);
  return !overflow;
}

bool hone_block_row(const hone_block_type_t *type, const hone_quantizer_t *q, const uint8_t *codes,
                    const uint16_t *scales, uint8_t *out) {
  for (uint64_t k = 0; k < q->K; k += type->elements) {
    uint16_t scale = scales[k / q->format.group];
    if (type->elements == HONE_BLOCK_LIMIT && !refit(q, codes, scales, k, &scale)) return false;
    switch (type->format.storage) {
      case HONE_Q8:
        out = put_u16(out, scale);
        memcpy(out, codes + k, type->elements);
        out += type->elements;
        break;
      case HONE_MXFP4: out = put_mxfp4(out, codes + k, scale); break;
      case HONE_TERNARY:
        out = type->is_dense ? put_trits(out, codes + k) : put_twos(out, codes + k);
        out = put_u16(out, scale);
        break;
      default: out = put_nibbles(put_u16(out, scale), codes + k);
    }
  }
  return true;
}
