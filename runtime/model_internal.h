// What a model handle holds; shared by the runtime's own files (and its tests), never installed.
// Thread rule: a model does not change between open and close.
#ifndef HONE_RUNTIME_MODEL_INTERNAL_H
#define HONE_RUNTIME_MODEL_INTERNAL_H

#include "base/artefact.h"
#include "hone/hone.h"
#include "runtime/tokenizer.h"

struct hone_model {
  const hone_image_t *image;
  const hone_plan_t *plan;           // image->plan, checked
  const struct hone_image_isa *isa;  // the chosen kernels
  const hone_flow_t *flows;          // of their level: plan->flow_count
  const uint8_t *weights;  // plan->weight_bytes, 64-aligned, read-only; NULL if there are none
  void *mapping;           // pages that hold `weights`
  size_t mapping_bytes;
  char *manifest;               // NUL-terminated; "" if stripped away
  hone_tokenizer_t *tokenizer;  // NULL: the model has none
};

#endif
