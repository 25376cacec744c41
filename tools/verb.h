// What every verb of the command line gets, and how it ends. Verbs are listed in tools/verbs.def.
// Thread rule: the main thread.
#ifndef HONE_TOOLS_VERB_H
#define HONE_TOOLS_VERB_H

#include <stdio.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/json.h"
#include "base/options.h"

// Exit codes (docs/cli.md).
enum {
  HONE_EXIT_OK = 0,
  HONE_EXIT_FAILED = 1,
  HONE_EXIT_USAGE = 2,
  HONE_EXIT_BUG = 70,
  HONE_EXIT_INTERRUPTED = 130
};

typedef struct hone_tool {
  hone_arena_t *arena;
  hone_diagnostics_t *diagnostics;
  const char *executable_folder;  // folder of the running hone binary, for finding libhone_rt.a
  bool color;                     // stderr is a terminal and NO_COLOR is unset
  bool terminal;                  // stderr is a terminal: progress bars
  int argc;                       // the whole command line, for --repro
  char **argv;
} hone_tool_t;

typedef int hone_verb_run_fn(hone_tool_t *tool, int argc, char **argv);

#define VERB(name)                           \
  extern const hone_verb_t hone_verb_##name; \
  hone_verb_run_fn hone_verb_##name##_run;
#include "tools/verbs.def"
#undef VERB

size_t hone_verb_count(void);
const hone_verb_t *hone_verb_at(size_t index);

// Parses the verb's options. Returns true to go on; otherwise *out_exit is the exit code (0 after
// --help, 2 after an error, which was printed).
bool hone_tool_parse(hone_tool_t *tool, const hone_verb_t *verb, int argc, char **argv,
                     void *fields, int *out_exit);
// Prints collected diagnostics and the status to stderr; returns the exit code for it.
int hone_tool_report(hone_tool_t *tool, const hone_status_t *status);
// Writes a finished JSON document and a newline to stdout; false if stdout failed.
bool hone_tool_print(hone_tool_t *tool, const hone_buffer_t *text, hone_status_t *status);

#endif
