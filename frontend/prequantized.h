// Tensors that a checkpoint holds quantized: codes in one tensor, scales and what else belongs to
// them in companions. Recognition replaces them by logical float tensors (P.weight of shape (N, K))
// and hides the companions; frontend/dequantize.h reads their rows.
//
//   method                   codes                        companions
//   bitsandbytes nf4, fp4    P.weight (any dtype),        P.weight.absmax, .quant_map,
//                            high nibble first            .quant_state.*, .nested_absmax,
//                                                         .nested_quant_map
//   compressed-tensors nvfp4 P.weight_packed U8 (N, K/2)  P.weight_scale F8_E4M3 (N, K/16),
//                                                         P.weight_global_scale: divides
//   compressed-tensors mxfp4 P.weight_packed U8 (N, K/2)  P.weight_scale U8 (N, K/32)
//   ModelOpt NVFP4           P.weight U8 (N, K/2)         P.weight_scale F8_E4M3 (N, K/16),
//                                                         P.weight_scale_2: multiplies
//   BitNet b1.58             P.weight U8 (N/4, K)         P.weight_scale: one number
//   MXFP4 blocks             P_blocks U8 (N, K/32, 16)    P_scales U8 (N, K/32)
//   compressed-tensors int4  P.weight_packed I32 (N, K/8) P.weight_scale (N, K/G), .weight_shape,
//                                                         .weight_zero_point I32 (N/8, K/G),
//                                                         .weight_g_idx I32 (K)
//   GPTQ                     P.qweight I32 (K/8, N)       P.scales (K/G, N), .g_idx I32 (K),
//                                                         .qzeros I32 (K/G, N/8)
//   AWQ                      P.qweight I32 (K, N/8)       P.scales (K/G, N),
//                                                         .qzeros I32 (K/G, N/8)
//
// The nibbles of all but bitsandbytes are low first; AWQ has them in the order 0 2 4 6 1 3 5 7.
// Models that were trained quantized may hold floats that the quantized weights follow from
// (frontend/dequantize_latent.c):
//
//   BitNet b1.58, unpacked   P.weight (N, K): -1, 0, 1    P.weight_scale: one number
//   BitNet b1.58, online     P.weight (N, K)              none
//   QuEST                    P.weight (N, K)              none
//
// Thread rule: as checkpoint.h.
#ifndef HONE_FRONTEND_PREQUANTIZED_H
#define HONE_FRONTEND_PREQUANTIZED_H

#include "base/format.h"
#include "frontend/checkpoint_internal.h"

typedef enum latent {  // floats instead of codes
  LATENT_NONE,
  LATENT_UNITS,  // -1, 0 or 1, times `factor`
  LATENT_MEAN,   // BitNet's rule: in units of the tensor's mean size, rounded to -1, 0 or 1
  LATENT_SIGNS,  // QuEST's rule: the signs of rotated rows, times 0.798 of the row's RMS
} latent_t;

// How the nibbles of int4 lie; the other grids have one layout each.
typedef enum int4_layout { INT4_ROWS, INT4_GPTQ, INT4_AWQ } int4_layout_t;

typedef struct prequantized {
  const char *name;        // logical: "P.weight"
  char text[24];           // for listings: "nf4<64>", with the blocks of the file
  uint64_t shape[2];       // (N, K)
  hone_storage_t storage;  // the float type it was made from
  hone_storage_t grid;     // what the codes mean: nf4, fp4, mxfp4, nvfp4, ternary, int4
  hone_format_t native;    // of ours, with the same values; plain `storage` if there is none
  const char *foreign;     // why there is none, or NULL
  uint32_t block;  // weights that share a scale, counted through the whole tensor, row-major
  const checkpoint_tensor_t *scales;
  float factor;  // on all scales of nvfp4; the scale of ternary
  // Of scales that are quantized themselves (bitsandbytes' double quantization), else NULL:
  const checkpoint_tensor_t *nested_map, *nested_scales;  // 256 values; one scale per nested_block
  uint32_t nested_block;
  float offset;
  latent_t latent;
  struct latent_mean *mean;         // of LATENT_MEAN: found when rows are read
  hone_checkpoint_inputs_t inputs;  // what the model was trained to multiply the weights with
  // Of int4, whose values are (code - zero) * scale:
  int4_layout_t layout;
  const checkpoint_tensor_t *zeros;  // NULL: all are 8
  uint32_t zero_more;                // GPTQ's first version stores zero - 1
  const checkpoint_tensor_t *order;  // the group of every column; NULL: column / block
} prequantized_t;

// Finds all quantized tensors of the opened files, checks them against config.json's
// quantization_config (where the folder has it), and makes checkpoint->tensors logical. Errors:
// HONE_UNSUPPORTED for methods that cannot be read; HONE_INVALID for companions that are missing,
// left over or do not fit, and for files and configuration that contradict each other.
HONE_MUST_CHECK bool prequantized_recognise(hone_checkpoint_t *checkpoint, hone_status_t *status);

#endif
