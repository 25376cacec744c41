// What `hone inspect` prints, for a model that is not compiled yet and for an artefact. Thread
// rule: the main thread.
#ifndef HONE_TOOLS_INSPECT_H
#define HONE_TOOLS_INSPECT_H

#include "tools/verb.h"

// Appends text, or JSON with `json`, to *out.
HONE_MUST_CHECK bool hone_inspect_model(hone_tool_t *tool, const char *path, bool json,
                                        hone_buffer_t *out, hone_status_t *status);
HONE_MUST_CHECK bool hone_inspect_artefact(hone_tool_t *tool, const char *path, bool json,
                                           hone_buffer_t *out, hone_status_t *status);
// Of an artefact: its table of kernels by number of rows, and why they were chosen.
HONE_MUST_CHECK bool hone_inspect_dataflow(hone_tool_t *tool, const char *path, bool json,
                                           hone_buffer_t *out, hone_status_t *status);
// An ELF file, by its first bytes.
bool hone_inspect_is_artefact(const char *path);

#endif
