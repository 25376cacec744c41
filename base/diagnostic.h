// Diagnostics: what is wrong in the user's model, with its place. (A status says whether a call
// worked; a diagnostic tells the user where to look.) Collected in order in a sink; printed by
// tools. Thread rule: one thread.
#ifndef HONE_BASE_DIAGNOSTIC_H
#define HONE_BASE_DIAGNOSTIC_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

typedef enum hone_severity { HONE_ERROR, HONE_WARNING, HONE_REMARK } hone_severity_t;

typedef struct hone_diagnostic {
  hone_severity_t severity;
  const char *place;  // "model.safetensors:1042: model.embed_tokens.weight", "x.mlir:3:8", or NULL
  const char *message;
} hone_diagnostic_t;

typedef struct hone_diagnostics {  // zero-initialise, then set `arena`
  hone_arena_t *arena;
  HONE_LIST(hone_diagnostic_t) list;
  size_t error_count;
} hone_diagnostics_t;

void hone_diagnose(hone_diagnostics_t *sink, hone_severity_t severity, const char *place,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
// "error: PLACE: MESSAGE" a line each; colour only if asked.
void hone_diagnostics_print(const hone_diagnostics_t *sink, FILE *out, bool color);

#endif
