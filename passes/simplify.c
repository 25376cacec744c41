// The passes hone-cse and hone-dce: ir/simplify.h by name.
// Needs: a verified model. Changes: removes ops. Keeps: the value of every block.
#include "ir/simplify.h"

#include "passes/pass_internal.h"

bool hone_pass_cse(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options, (void)status;
  ir_cse(model);
  return true;
}

bool hone_pass_dce(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options, (void)status;
  ir_dce(model);
  return true;
}
