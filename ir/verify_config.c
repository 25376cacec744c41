// The verifier's part for hone.model: ranges of the entries, and that they agree with @forward.
#include <mlir-c/BuiltinTypes.h>

#include "ir/verify_internal.h"

static void check_range(ir_verifier_t *v, const char *name, int64_t value, int64_t least,
                        int64_t most) {
  if (value >= least && value <= most) return;
  ir_verify_fail(v, mlirModuleGetOperation(v->model->module),
                 "hone.model: %s is %lld; it must be from %lld to %lld", name, (long long)value,
                 (long long)least, (long long)most);
}

void ir_verify_config(ir_verifier_t *v) {
  hone_status_t status = {0};
  v->has_config = ir_model_config(v->model, &v->config, &status);
  MlirOperation module = mlirModuleGetOperation(v->model->module);
  if (!v->has_config) {
    ir_verify_fail(v, module, "%s", status.message);
    return;
  }
  const ir_config_t *config = &v->config;
  if (!ir_ref_is_symbol(ir_ref(config->family))) {
    ir_verify_fail(v, module, "hone.model: family is not a name");
  }
  check_range(v, "vocab", config->vocab, 1, IR_DIMENSION_LIMIT);
  check_range(v, "width", config->width, 1, IR_DIMENSION_LIMIT);
  check_range(v, "context", config->context, 1, IR_DIMENSION_LIMIT);
  check_range(v, "bos", config->bos, -1, config->vocab - 1);
  if (config->add_bos && config->bos < 0) {
    ir_verify_fail(v, module, "hone.model: add_bos is true, but there is no bos");
  }
  for (size_t i = 0; i < config->eos_count; i++) {
    check_range(v, "eos", config->eos[i], 0, config->vocab - 1);
  }
}
