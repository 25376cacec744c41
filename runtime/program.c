// The produced program's command line: one option table, and the choice between generating, --info
// and --serve.
#include "runtime/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/artefact.h"
#include "base/file.h"
#include "base/options.h"

#ifndef HONE_VERSION
#define HONE_VERSION "0"
#endif

#define FIELD(name) offsetof(program_options_t, name)

static const hone_option_t OPTIONS[] = {
    {HONE_OPTION_STRING, "--prompt", "-p", "TEXT", FIELD(prompt), NULL, 0, 0,
     "text to continue; - reads standard input; without it, text from nothing"},
    {HONE_OPTION_INT, "--tokens", "-n", "N", FIELD(tokens), NULL, 0, 1e9,
     "tokens to make at most, 256 by default; ends sooner at the model's end token or when the "
     "context is full"},
    {HONE_OPTION_FLOAT, "--temp", NULL, "T", FIELD(temperature), NULL, 0, 100,
     "temperature, 0.8 by default; 0 always takes the likeliest token"},
    {HONE_OPTION_FLOAT, "--top-p", NULL, "P", FIELD(top_p), NULL, 0, 1,
     "choose among the likeliest tokens that together have this probability, 0.95 by default; 1 is "
     "all"},
    {HONE_OPTION_INT, "--seed", NULL, "S", FIELD(seed), NULL, 0, 0,
     "the same seed gives the same text, 0 by default"},
    {HONE_OPTION_INT, "--threads", "-t", "N", FIELD(threads), NULL, 0, 1024,
     "threads; 0, the default, is one for each CPU this process may use"},
    {HONE_OPTION_INT, "--context", NULL, "N", FIELD(context), NULL, 0, 1e9,
     "tokens to make room for, prompt included; 0, the default, is as many as the model knows"},
    {HONE_OPTION_FLAG, "--ids", NULL, NULL, FIELD(ids), NULL, 0, 0,
     "token ids in and out: --prompt is numbers between blanks or commas, nothing is put in front"},
    {HONE_OPTION_FLAG, "--echo", NULL, NULL, FIELD(echo), NULL, 0, 0, "print the prompt first"},
    {HONE_OPTION_CHOICE, "--isa", NULL, NULL, FIELD(isa), "avx2|avx512|amx", 0, 0,
     "use these kernels instead of the best this CPU has"},
    {HONE_OPTION_FLAG, "--info", NULL, NULL, FIELD(info), NULL, 0, 0,
     "describe the model and exit"},
    {HONE_OPTION_FLAG, "--json", NULL, NULL, FIELD(json), NULL, 0, 0,
     "--info and the statistics as JSON"},
    {HONE_OPTION_FLAG, "--version", NULL, NULL, FIELD(version), NULL, 0, 0,
     "print the version and exit"},
    {0},
};

static const hone_verb_t PROGRAM = {
    .name = "",
    .summary = "a language model, compiled by hone",
    .details =
        "Text goes to standard output as it is made, statistics to standard error. Exit codes: 0 "
        "done, 1 failed, "
        "2 wrong usage, 130 stopped by Ctrl-C, 141 the reader of the output went away.",
    .options = OPTIONS,
};

// --serve is for hone's tools and in no table; it may stand anywhere before "--". Returns the new
// argc.
static int take_serve(int argc, char **argv, bool *out_serve) {
  int kept = 0;
  bool has_ended = false;
  for (int i = 0; i < argc; ++i) {
    if (strcmp(argv[i], "--") == 0) has_ended = true;
    if (!has_ended && strcmp(argv[i], "--serve") == 0) {
      *out_serve = true;
    } else {
      argv[kept++] = argv[i];
    }
  }
  return kept;
}

static int run(const program_options_t *options, hone_status_t *status) {
  hone_model_t *model;
  if (!hone_model_open(&(hone_model_options_t){.isa = options->isa}, &model, status))
    return PROGRAM_FAILED;
  int code = options->info ? hone_program_info(model, options, status)
                           : hone_program_generate(model, options, status);
  hone_model_close(model);
  return code;
}

int hone_program_run(int argc, char **argv) {
  const char *name = argc > 0 ? hone_path_base(argv[0]) : "program";
  program_options_t options = {.tokens = 256, .temperature = 0.8, .top_p = 0.95};
  hone_status_t status = {0};
  bool has_help = false;
  argc = take_serve(argc, argv, &options.serve);
  if (!hone_options_parse(&PROGRAM, name, argc > 0 ? argc - 1 : 0, argv + (argc > 0), &options,
                          &has_help, &status)) {
    fprintf(stderr, "%s: %s\n", name, status.message);
    return PROGRAM_USAGE;
  }
  signal(SIGPIPE, SIG_IGN);  // writes then fail with EPIPE
  int code = PROGRAM_OK;
  if (options.version) {
    printf("%s, compiled by hone %s, plan version %d\n", name, HONE_VERSION,
           (int)HONE_PLAN_VERSION);
  } else if (options.serve) {
    return hone_program_serve(&options);
  } else if (!has_help) {
    code = run(&options, &status);
  }
  if (code == PROGRAM_OK && (fflush(stdout) != 0 || ferror(stdout))) {
    code = errno == EPIPE ? PROGRAM_BROKEN_PIPE : PROGRAM_FAILED;
    if (code == PROGRAM_FAILED)
      hone_fail(&status, HONE_IO, "cannot write to standard output: %s", strerror(errno));
  }
  if (code == PROGRAM_FAILED) fprintf(stderr, "%s: %s\n", name, status.message);
  return code;
}
