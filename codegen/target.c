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

static bool check_levels(const hone_target_t *target, const char *text, const char *levels,
                         hone_status_t *status) {
  if (!levels) return true;
  bool ok = target->check_levels
                ? target->check_levels(levels, status)
                : hone_fail(status, HONE_INVALID, "target %s has no instruction set levels",
                            target->name);
  return ok || hone_note(status, "--target %s", text);
}

bool hone_target_find(const char *text, const hone_target_t **out_target, const char **out_levels,
                      hone_status_t *status) {
  hone_buffer_t known = {0};
  hone_slice_t rest = hone_slice(text), name = hone_slice_cut(&rest, ':');
  *out_levels = rest.data;
  for (size_t i = 0; i < hone_target_count(); i++) {
    *out_target = targets[i];
    if (hone_slice_is(name, targets[i]->name)) {
      hone_buffer_deinit(&known);
      return check_levels(targets[i], text, *out_levels, status);
    }
    hone_buffer_format(&known, "%s%s", i ? ", " : "", targets[i]->name);
  }
  hone_fail(status, HONE_UNSUPPORTED, "--target %s: this build has no such target; it has %s", text,
            hone_buffer_cstr(&known));
  hone_buffer_deinit(&known);
  return false;
}
