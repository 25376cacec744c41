// The registry of targets (targets.def). Thread rule: const data.
#ifndef HONE_CODEGEN_TARGET_H
#define HONE_CODEGEN_TARGET_H

#include "passes/target.h"

#define TARGET(name) extern const hone_target_t hone_target_##name;
#include "codegen/targets.def"
#undef TARGET

size_t hone_target_count(void);
const hone_target_t *hone_target_at(size_t index);
// Of "NAME" or "NAME:LEVELS"; *out_levels points into the text, or is NULL. HONE_UNSUPPORTED for a
// name that no target has; the message lists those there are. HONE_INVALID: the target has no such
// levels.
HONE_MUST_CHECK bool hone_target_find(const char *text, const hone_target_t **out_target,
                                      const char **out_levels, hone_status_t *status);

#endif
