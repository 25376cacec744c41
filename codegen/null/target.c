// The null target: every phase that needs no machine. It is for measuring importers and passes, and
// the smallest example of a target (docs/add-target.md).
#include "codegen/target.h"

static bool select_dataflow(hone_compile_t *compile, hone_status_t *status) {
  (void)compile, (void)status;
  return true;
}

static bool refuse(hone_compile_t *compile, hone_status_t *status) {
  (void)compile;
  return hone_fail(status, HONE_UNSUPPORTED,
                   "target null makes no kernels: stop before them (--to memory, or --emit ir), or "
                   "use --target cpu");
}

const hone_target_t hone_target_null = {
    .name = "null",
    .summary = "no machine: passes and memory plan only (--to memory, --emit ir)",
    .select_dataflow = select_dataflow,
    .build_kernels = refuse,
    .pack_weights = refuse,
    .link = refuse,
};
