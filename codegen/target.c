// The registry of targets.
#include "codegen/target.h"

#include <string.h>

static const hone_target_t *const targets[] = {
#define TARGET(name) &hone_target_##name,
#include "codegen/targets.def"
#undef TARGET
};

size_t hone_target_count(void) { return sizeof targets / sizeof *targets; }

const hone_target_t *hone_target_at(size_t index) { return targets[index]; }

bool hone_target_find(const char *name, const hone_target_t **out_target, hone_status_t *status) {
  hone_buffer_t known = {0};
  for (size_t i = 0; i < hone_target_count(); i++) {
    *out_target = targets[i];
    if (!strcmp(targets[i]->name, name)) {
      hone_buffer_deinit(&known);
      return true;
    }
    hone_buffer_format(&known, "%s%s", i ? ", " : "", targets[i]->name);
  }
  hone_fail(status, HONE_UNSUPPORTED, "--target %s: this build has no such target; it has %s", name,
            hone_buffer_cstr(&known));
  hone_buffer_deinit(&known);
  return false;
}
