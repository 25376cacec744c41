// See tuning.h.
#include "tools/tuning.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autotune/machine.h"
#include "autotune/trial.h"
#include "base/file.h"

// XDG base directory specification: a relative path counts as unset.
const char *hone_tool_database_path(hone_tool_t *tool) {
  const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  if (data && *data == '/') return hone_arena_format(tool->arena, "%s/hone/tuning.db", data);
  if (!home || *home != '/') return NULL;
  return hone_arena_format(tool->arena, "%s/.local/share/hone/tuning.db", home);
}

bool hone_tool_tuned_open(hone_tool_t *tool, const char *given, hone_tool_tuned_t *out_tuned,
                          hone_status_t *status) {
  *out_tuned = (hone_tool_tuned_t){0};
  if (given && !strcmp(given, "off")) return true;
  const char *path = given ? given : hone_tool_database_path(tool);
  if (!path || (!given && !hone_file_exists(path))) return true;
  if (!hone_database_open(path, HONE_DATABASE_READ, &out_tuned->database.database, status))
    return hone_note(status, "--tuned");
  out_tuned->database.cpu = hone_machine_cpu(tool->arena);
  out_tuned->database.compiler = hone_machine_compiler(tool->arena);
  out_tuned->source = (hone_measured_source_t){hone_measured_read, &out_tuned->database};
  return true;
}

void hone_tool_tuned_close(hone_tool_tuned_t *tuned) {
  hone_database_close(tuned->database.database);
}

int hone_tool_worker(void) {
  hone_trial_t *trial = hone_trial_create();
  int code = hone_worker_serve(STDIN_FILENO, STDOUT_FILENO, hone_trial_run, trial);
  hone_trial_destroy(trial);
  return code;
}
