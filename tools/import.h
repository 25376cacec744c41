// The pipeline's phase 0 as the tools fill it: frontend and tokenizer import behind passes'
// function pointers. Thread rule: the session's thread.
#ifndef HONE_TOOLS_IMPORT_H
#define HONE_TOOLS_IMPORT_H

#include "passes/pipeline.h"
#include "tools/verb.h"

// A hone_import_fn: opens options.model, fills model, source, reader, tokenizer and
// manifest_sources.
bool hone_tool_import(hone_compile_t *compile, hone_status_t *status);
// The folder of libhone_rt.a: beside the executable's build tree or in ../lib of an installation.
const char *hone_tool_runtime_folder(hone_tool_t *tool);

#endif
