// Between the files that recognise quantized tensors: one file for what they share
// (prequantized.c), one for config.json (prequantized_config.c), and the layouts
// (prequantized_layouts.c, prequantized_bitsandbytes.c, prequantized_int4.c,
// prequantized_latent.c).
#ifndef HONE_FRONTEND_PREQUANTIZED_INTERNAL_H
#define HONE_FRONTEND_PREQUANTIZED_INTERNAL_H

#include "frontend/prequantized.h"

typedef enum method {  // how a checkpoint was quantized
  METHOD_NONE,
  METHOD_BITSANDBYTES,
  METHOD_CT_NVFP4,
  METHOD_CT_MXFP4,
  METHOD_MODELOPT,
  METHOD_BITNET,
  METHOD_MXFP4,
  METHOD_QUEST,
  METHOD_CT_INT4,
  METHOD_GPTQ,
  METHOD_AWQ,
} method_t;
const char *prequantized_method_name(method_t method);

typedef struct declared {  // what config.json says
  method_t method;
  const char *path;     // of config.json
  hone_storage_t grid;  // bitsandbytes: nf4 or fp4, HONE_STORAGE_COUNT if it does not say
  bool divides;         // BitNet: weights are codes / weight_scale, not codes * weight_scale
  bool online;          // BitNet: weights are quantized in every step
  hone_checkpoint_inputs_t inputs;  // QuEST
  uint64_t group;                   // GPTQ and AWQ; 0: whole rows
  bool is_second;  // GPTQ: checkpoint_format gptq_v2, whose zero points are stored as they are
} declared_t;

typedef struct recogniser {
  hone_checkpoint_t *checkpoint;  // its tensors are those of the files
  declared_t declared;
  hone_map_t *found;   // name of the codes -> prequantized_t *
  hone_map_t *hidden;  // names of companions
  hone_status_t *status;
} recogniser_t;

HONE_MUST_CHECK bool prequantized_declared(hone_checkpoint_t *checkpoint, declared_t *out_declared,
                                           hone_status_t *status);

// "PATH: tensor 'NAME': MESSAGE"; false.
bool prequantized_fail(recogniser_t *r, hone_code_t code, const checkpoint_tensor_t *tensor,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
// What a companion has to look like.
typedef struct wanted {
  const char *dtypes;  // "F32", "U8 F8_E8M0"
  uint32_t rank;       // 0: any shape of `count` elements
  uint64_t shape[2];
  uint64_t count;
} wanted_t;
// The companion `base` + `suffix` of the codes, hidden from now on; NULL after a failure that names
// both.
const checkpoint_tensor_t *prequantized_companion(recogniser_t *r, const checkpoint_tensor_t *codes,
                                                  const char *base, const char *suffix,
                                                  wanted_t wanted);
// Whether there is one.
const checkpoint_tensor_t *prequantized_find(const recogniser_t *r, const char *base,
                                             const char *suffix);
// Hides it, if it is there: not needed for the weights.
void prequantized_ignore(recogniser_t *r, const char *base, const char *suffix);
// The one number of a companion: finite and above zero.
HONE_MUST_CHECK bool prequantized_number(recogniser_t *r, const checkpoint_tensor_t *codes,
                                         const checkpoint_tensor_t *companion, float *out_value);
// Fills native and foreign from grid, storage, block and shape: the widest group of ours that lies
// in one block wherever it begins, because it divides rows and blocks.
void prequantized_fill_native(prequantized_t *quantized);
// Adds a finished tensor; the method must not contradict the configuration or tensors before.
HONE_MUST_CHECK bool prequantized_add(recogniser_t *r, method_t method,
                                      const checkpoint_tensor_t *codes, prequantized_t quantized);

// Whether P.weight_packed holds integers and not E2M1.
bool prequantized_is_int4(const recogniser_t *r, const checkpoint_tensor_t *codes);

// The layouts: each looks at one tensor of the files and adds what it is the codes (or the state)
// of; true if it is none of theirs.
HONE_MUST_CHECK bool prequantized_bitsandbytes(recogniser_t *r, const checkpoint_tensor_t *tensor);
HONE_MUST_CHECK bool prequantized_packed(recogniser_t *r, const checkpoint_tensor_t *tensor);
HONE_MUST_CHECK bool prequantized_weight(recogniser_t *r, const checkpoint_tensor_t *tensor);
HONE_MUST_CHECK bool prequantized_latent(recogniser_t *r, const checkpoint_tensor_t *tensor);
HONE_MUST_CHECK bool prequantized_blocks(recogniser_t *r, const checkpoint_tensor_t *tensor);
HONE_MUST_CHECK bool prequantized_int4(recogniser_t *r, const checkpoint_tensor_t *tensor);

#endif
