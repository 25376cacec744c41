// Canonical form after import: equal ops merged, dead ops and unused recipes gone, attention layers
// numbered in call order (the number selects the KV cache, so numbers must be 0, 1, 2, ... without
// gaps). Needs: a verified model. Changes: removes ops and recipes, hone.layer. Keeps: the value of
// every block.
#include "ir/simplify.h"
#include "passes/pass_internal.h"

#include <string.h>

bool hone_pass_canonical(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options, (void)status;
  ir_cse(model);
  ir_dce(model);
  ir_recipes_prune(model);
  int64_t layer = 0;
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block) || strcmp(block.kind, "attention")) continue;
    hone_op_set_int(block.function, "hone.layer", layer++);
  }
  return true;
}
