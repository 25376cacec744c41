// What passes share: their entry points (passes.def), option texts, and rewriting in the middle of
// a block. Thread rule: the session's thread.
#ifndef HONE_PASSES_PASS_INTERNAL_H
#define HONE_PASSES_PASS_INTERNAL_H

#include "passes/pipeline.h"

typedef bool hone_pass_run_fn(ir_model_t *model, const char *options, hone_status_t *status);

#define PASS(name, function, options, summary) hone_pass_run_fn function;
#include "passes/passes.def"
#undef PASS

// The value of `name` in "a=x b=y", in the session's arena, or NULL if it is not given.
const char *hone_pass_option(const ir_model_t *model, const char *options, const char *name);

// ---- walking
// The first and next hone or func op of a block function's body.
MlirOperation hone_block_first(const ir_block_t *block);
// How many operands in the module use the value.
size_t hone_value_uses(ir_value_t value);
// The op that defines the value, or a null op for a block argument.
MlirOperation hone_value_owner(ir_value_t value);

// ---- rewriting: ops emitted between begin and end appear right before `anchor`
typedef struct hone_rewrite {
  ir_builder_t builder;
  MlirOperation anchor, last;  // last: the block's last op when the rewrite began
} hone_rewrite_t;
void hone_rewrite_begin(hone_rewrite_t *rewrite, ir_model_t *model, MlirOperation anchor,
                        hone_status_t *status);
HONE_MUST_CHECK bool hone_rewrite_end(hone_rewrite_t *rewrite);
// Replaces the first result of `op` by `value` everywhere, and erases `op`.
void hone_op_replace(MlirOperation op, ir_value_t value);
void hone_op_set_int(MlirOperation op, const char *name, int64_t value);

#endif
