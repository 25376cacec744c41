// See grid.h. Sources of the levels: nf4 and fp4 as in bitsandbytes (QLoRA, arXiv 2305.14314), E2M1
// as in the OCP microscaling specification 1.0, iq4nl as in ggml (kvalues_iq4nl).
#include "quant/grid.h"

#include <string.h>

// Of all units from 1/90 to 1/127 the integers of 1/112 come nearest: mean square 2.9e-6, against
// 5.0e-6 of 1/127.
static const hone_grid_t nf4 = {
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
     -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
     0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
     0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
    {-112, -78, -59, -44, -32, -21, -10, 0, 9, 18, 28, 38, 49, 63, 81, 112},
    1.0f / 112.0302f};

// Level 1 is 1/192: the integers, in units of 1/120, have it as 1/120 and the others exactly.
static const hone_grid_t fp4 = {
    {0.0f, 0.0625f / 12, 8.0f / 12, 1.0f, 4.0f / 12, 0.5f, 2.0f / 12, 0.25f, -0.0f, -0.0625f / 12,
     -8.0f / 12, -1.0f, -4.0f / 12, -0.5f, -2.0f / 12, -0.25f},
    {0, 1, 80, 120, 40, 60, 20, 30, 0, -1, -80, -120, -40, -60, -20, -30},
    1.0f / 120.0f};

static const hone_grid_t e2m1 = {{0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f,
                                  -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f},
                                 {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
                                 0.5f};

static const hone_grid_t int4 = {{-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7},
                                 {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7},
                                 1.0f};

static const hone_grid_t iq4nl = {
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    1.0f};

const hone_grid_t *hone_grid_get(hone_storage_t storage) {
  switch (storage) {
    case HONE_NF4:
    case HONE_NF4DQ: return &nf4;
    case HONE_FP4: return &fp4;
    case HONE_INT4: return &int4;
    case HONE_IQ4NL: return &iq4nl;
    case HONE_MXFP4:
    case HONE_NVFP4: return &e2m1;
    default: return NULL;
  }
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

float hone_f32_from_e8m0(uint8_t code) {
  return float_of(code ? (uint32_t)code << 23 : 1u << 22);  // 2^-127 is subnormal
}

// Exponent and mantissa at their places in an f32 whose bias is 120 larger.
float hone_f32_from_e4m3(uint8_t code) { return float_of((uint32_t)(code & 127) << 20) * 0x1p120f; }
