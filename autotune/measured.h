// The way from the tuning database into a compile (codegen/measured.h): what was measured on this
// class of processor with this compiler. Thread rule: as the database.
#ifndef HONE_AUTOTUNE_MEASURED_H
#define HONE_AUTOTUNE_MEASURED_H

#include "autotune/database.h"
#include "codegen/measured.h"

typedef struct hone_measured_database {
  hone_database_t *database;  // borrowed
  const char *cpu, *compiler;
} hone_measured_database_t;

// Candidates that were rejected are left out. Attention is answered for at the position that models
// with the longest context are tuned at, or the longest there is.
hone_measured_fn hone_measured_read;  // user: a hone_measured_database_t

#endif
