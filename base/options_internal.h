// Between options.c, options_help.c and options_complete.c.
#ifndef HONE_BASE_OPTIONS_INTERNAL_H
#define HONE_BASE_OPTIONS_INTERNAL_H

#include "base/options.h"
#include "base/text.h"

// What stands for the value in help: "FMT", or a default by kind.
const char *hone_option_metavariable(const hone_option_t *option);

static inline bool hone_option_is_bounded(const hone_option_t *option) {
  return (option->kind == HONE_OPTION_INT || option->kind == HONE_OPTION_FLOAT) &&
         (option->low != 0 || option->high != 0);
}

#endif
