// hone's main: picks the verb, owns signals and exit codes. What a verb does is in verb_<name>.c.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tools/tuning.h"
#include "tools/verb.h"
#include "tools/version.h"

static const struct {
  const hone_verb_t *verb;
  hone_verb_run_fn *run;
} verbs[] = {
#define VERB(name) {&hone_verb_##name, hone_verb_##name##_run},
#include "tools/verbs.def"
#undef VERB
};

size_t hone_verb_count(void) { return sizeof verbs / sizeof *verbs; }

const hone_verb_t *hone_verb_at(size_t index) { return verbs[index].verb; }

bool hone_tool_parse(hone_tool_t *tool, const hone_verb_t *verb, int argc, char **argv,
                     void *fields, int *out_exit) {
  hone_status_t status = {0};
  bool help = false;
  (void)tool;
  if (!hone_options_parse(verb, "hone", argc, argv, fields, &help, &status)) {
    fprintf(stderr, "hone %s: %s\nTry 'hone %s --help'.\n", verb->name, status.message, verb->name);
    *out_exit = HONE_EXIT_USAGE;
    return false;
  }
  *out_exit = HONE_EXIT_OK;
  return !help;
}

int hone_tool_report(hone_tool_t *tool, const hone_status_t *status) {
  fflush(stdout);
  hone_diagnostics_print(tool->diagnostics, stderr, tool->color);
  const char *on = tool->color ? "\033[1;31m" : "", *off = tool->color ? "\033[0m" : "";
  fprintf(stderr, "%serror%s: %s\n", on, off, status->message);
  if (status->code != HONE_INTERNAL) return HONE_EXIT_FAILED;
  fprintf(stderr,
          "This is a bug in hone (%s:%d). Please report it; `hone compile --repro DIR` saves what "
          "is needed.\n",
          status->file ? status->file : "?", status->line);
  return HONE_EXIT_BUG;
}

bool hone_tool_print(hone_tool_t *tool, const hone_buffer_t *text, hone_status_t *status) {
  (void)tool;
  if (fwrite(hone_buffer_cstr(text), 1, text->bytes, stdout) != text->bytes || fflush(stdout))
    return hone_fail(status, HONE_IO, "cannot write to standard output: %s", strerror(errno));
  return true;
}

static void on_signal(int number) {
  hone_output_unlink_all();
  hone_scratch_remove_all();
  _exit(128 + number);
}

static void install_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGXFSZ, SIG_IGN);  // so is a file that may not grow
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write
}

static void print_usage(FILE *out) {
  fputs("hone: a compiler for model checkpoints\n\n  hone VERB [OPTIONS]\n\n", out);
  for (size_t i = 0; i < hone_verb_count(); i++)
    fprintf(out, "  %-12s %s\n", verbs[i].verb->name, verbs[i].verb->summary);
  fputs(
      "\n  hone VERB --help     options and examples of one verb\n"
      "  hone --version\n\n"
      "Example:\n  hone compile samples/stories260k -o story && ./story --prompt \"Once upon a "
      "time\"\n",
      out);
}

static char *executable_folder(hone_arena_t *arena) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) return hone_arena_strdup(arena, ".");
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  if (slash && slash != path) *slash = '\0';
  return hone_arena_strdup(arena, path);
}

static int run_verb(hone_tool_t *tool, const char *name, int argc, char **argv) {
  const char *names[sizeof verbs / sizeof *verbs];
  for (size_t i = 0; i < hone_verb_count(); i++) {
    names[i] = verbs[i].verb->name;
    if (!strcmp(name, names[i])) return verbs[i].run(tool, argc, argv);
  }
  const char *closest = hone_text_closest(name, names, hone_verb_count());
  fprintf(stderr, "hone: unknown verb '%s'", name);
  if (closest) fprintf(stderr, "; did you mean '%s'?", closest);
  fputs("\nTry 'hone help'.\n", stderr);
  return HONE_EXIT_USAGE;
}

int main(int argc, char **argv) {
  install_signals();
  hone_arena_t *arena = hone_arena_create();
  hone_diagnostics_t diagnostics = {.arena = arena};
  const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
  bool terminal = isatty(STDERR_FILENO);
  hone_tool_t tool = {
      .arena = arena,
      .diagnostics = &diagnostics,
      .executable_folder = executable_folder(arena),
      .terminal = terminal,
      .color = terminal && !(no_color && *no_color) && !(term && !strcmp(term, "dumb")),
      .argc = argc,
      .argv = argv,
  };
  int code;
  if (argc < 2) {
    print_usage(stderr);
    code = HONE_EXIT_USAGE;
  } else if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
    print_usage(stdout);
    code = HONE_EXIT_OK;
  } else if (!strcmp(argv[1], "--tune-worker")) {  // only hone tune starts it
    code = hone_tool_worker();
  } else if (!strcmp(argv[1], "--version")) {
    printf("hone %s\n", HONE_VERSION);
    code = HONE_EXIT_OK;
  } else {
    code = run_verb(&tool, argv[1], argc - 2, argv + 2);
    if (code == HONE_EXIT_OK) hone_diagnostics_print(&diagnostics, stderr, tool.color);
  }
  hone_arena_destroy(arena);
  return code;
}
