// State shared by the parts of the verifier: verify.c (module and recipes), verify_config.c
// (hone.model), verify_block.c (functions), verify_op.c (ops). Each part reports and goes on, so
// that one run lists all that is wrong. Thread rule: the session's thread.
#ifndef HONE_IR_VERIFY_INTERNAL_H
#define HONE_IR_VERIFY_INTERNAL_H

#include "base/map.h"
#include "ir/attribute_internal.h"

enum { IR_ERROR_LIMIT = 20 };  // later errors are counted, not reported

typedef struct ir_verifier {
  const ir_model_t *model;
  MlirContext context;
  hone_arena_t *arena;        // scratch, for this run
  hone_map_t *recipes;        // name -> MlirOperation *
  hone_map_t *cached_layers;  // layer number as text -> name of the function that attends in it
  bool has_config;
  ir_config_t config;
  const char *function;  // name of the function being checked, or NULL
  int64_t layer;         // its hone.layer, -1: none
  size_t error_count;
} ir_verifier_t;

// Reports an error at the op's place as "'hone.linear' in @layers.0.ffn: MESSAGE"; returns false.
bool ir_verify_fail(ir_verifier_t *v, MlirOperation op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// An MLIR type as text in the scratch arena.
const char *ir_verify_type_text(ir_verifier_t *v, MlirType type);
// A format of base/formats.def with a group that it allows. False says why in *out_reason.
bool ir_verify_format(hone_format_t format, const char **out_reason);
// The attribute `rotate` of an op, if it has one: a size that divides the columns. `what`
// names the op's result.
bool ir_verify_rotate(ir_verifier_t *v, MlirOperation op, const char *what, int64_t columns);

void ir_verify_config(ir_verifier_t *v);
void ir_verify_functions(ir_verifier_t *v);
// One op of a block function; the op is of the hone dialect.
bool ir_verify_op(ir_verifier_t *v, MlirOperation op);

#endif
