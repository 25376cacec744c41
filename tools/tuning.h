// The tuning database as the verbs see it: where it lies unless told, and its way into a compile.
// Thread rule: the main thread.
#ifndef HONE_TOOLS_TUNING_H
#define HONE_TOOLS_TUNING_H

#include "autotune/measured.h"
#include "tools/verb.h"

// $XDG_DATA_HOME/hone/tuning.db, else ~/.local/share/hone/tuning.db; NULL if neither is known.
const char *hone_tool_database_path(hone_tool_t *tool);

typedef struct hone_tool_tuned {
  hone_measured_database_t database;
  hone_measured_source_t source;  // for hone_compile_options_t.measured; read NULL: nothing
} hone_tool_tuned_t;

// `given`: a file, which must be there, "off", or NULL: the default one if it is there.
HONE_MUST_CHECK bool hone_tool_tuned_open(hone_tool_t *tool, const char *given,
                                          hone_tool_tuned_t *out_tuned, hone_status_t *status);
void hone_tool_tuned_close(hone_tool_tuned_t *tuned);

// What main runs as `hone --tune-worker`: a measuring process of hone tune.
int hone_tool_worker(void);

#endif
