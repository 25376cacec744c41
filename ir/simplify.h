// Our own clean-up over the hone dialect. MLIR's cse and canonicalize never touch ops declared in
// IRDL (they count as having unknown effects), so these do that work, driven by the `pure` column
// of ops.def. Ops of arith are pure too. Each returns how many ops it erased and leaves the model
// valid. Thread rule: the session's thread.
#ifndef HONE_IR_SIMPLIFY_H
#define HONE_IR_SIMPLIFY_H

#include "ir/model.h"

// Replaces a pure op by an earlier one of the same block with the same name, operands, attributes
// and result types.
size_t ir_cse(ir_model_t *model);
// Erases pure ops whose results nobody uses, in one sweep from the last op to the first.
size_t ir_dce(ir_model_t *model);
// Removes recipes that no hone.weight refers to.
size_t ir_recipes_prune(ir_model_t *model);

#endif
