// Between the files of the allocation.
#ifndef HONE_NAS_ALLOCATE_INTERNAL_H
#define HONE_NAS_ALLOCATE_INTERNAL_H

#include "nas/allocate.h"

enum { HONE_UNIT_RECIPES = 4 };

typedef struct hone_unit {
  MlirOperation block;
  ir_value_t input;
  const char *name;
  ir_recipe_t recipes[HONE_UNIT_RECIPES];
  size_t recipe_count;
  uint64_t weights;
  bool is_head;        // of the embedding or the head
  double sensitivity;  // nats per relative squared error
} hone_unit_t;

typedef HONE_LIST(hone_unit_t) hone_units_t;

HONE_MUST_CHECK bool hone_units_find(const hone_compile_t *compile, hone_units_t *out_units,
                                     hone_status_t *status);

#endif
