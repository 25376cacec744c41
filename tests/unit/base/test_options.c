// Option tables: parsing, errors with hints, help, man page and completion.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/options.h"
#include "base/text.h"
#include "tests/unit/unit.h"

typedef struct fields {
  const char *model, *extra, *output, *emit, *weights;
  hone_strings_t dumps, rest;
  int64_t threads;
  double temperature;
  bool quiet;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)

static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "MODEL", .field = FIELD(model), .help = "folder or .mlir file"},
    {HONE_OPTION_STRING, "--output", "-o", "FILE", FIELD(output), .help = "where to write"},
    {HONE_OPTION_STRING, "--weights", NULL, "FMT", FIELD(weights), .help = "weight format"},
    {HONE_OPTION_CHOICE, "--emit", NULL, "KIND", FIELD(emit), "exe|lib|ir",
     .help = "what to write"},
    {HONE_OPTION_STRINGS, "--dump", NULL, "PHASE", FIELD(dumps), .help = "IR after a phase"},
    {HONE_OPTION_INT, "--threads", "-t", NULL, FIELD(threads), .low = 1, .high = 64,
     .help = "worker threads"},
    {HONE_OPTION_FLOAT, "--temp", NULL, "T", FIELD(temperature), .low = 0, .high = 2.5,
     .help = "0 is 'greedy' - \\ deterministic"},
    {HONE_OPTION_FLAG, "--quiet", "-q", .field = FIELD(quiet), .help = "say nothing"},
    {HONE_OPTION_OPTIONAL, "EXTRA", .field = FIELD(extra), .help = "one more"},
    {HONE_OPTION_REST, "REST", .field = FIELD(rest), .help = "and the others"},
    {0}};
static const hone_verb_t verb = {"compile", "turn a checkpoint into one program",
                                 "First line.\n.not a request\n", "hone compile m -o out\n",
                                 options};
static const hone_verb_t plain = {NULL, "run the model", NULL, NULL, options + 1};

enum { ARGUMENT_LIMIT = 100 };

// Parses "a b c" cut at blanks; `fields` may be NULL.
static bool parse(const hone_verb_t *table, const char *line, fields_t *fields,
                  hone_status_t *status) {
  static char copy[2000];
  snprintf(copy, sizeof copy, "%s", line);
  char *argv[ARGUMENT_LIMIT], *rest = copy;
  int argc = 0;
  for (char *word; argc < ARGUMENT_LIMIT && (word = strsep(&rest, " "));)
    if (*word || argc) argv[argc++] = word;
  bool help;
  fields_t own;
  if (!fields) fields = &own;
  *fields = (fields_t){.threads = 2, .temperature = 1};
  bool ok = hone_options_parse(table, "hone", argc, argv, fields, &help, status);
  return ok && !help;
}

static void test_all_kinds(void **state) {
  (void)state;
  hone_status_t status = {0};
  fields_t f;
  assert_works(parse(&verb,
                     "--quiet m --output=a=b --dump fuse --dump=all --emit lib -t 64 --temp 2.5 x "
                     "y z",
                     &f, &status),
               &status);
  assert_string_equal(f.model, "m");
  assert_string_equal(f.extra, "x");
  assert_int_equal(f.rest.count, 2);
  assert_string_equal(f.rest.items[1], "z");
  assert_string_equal(f.output, "a=b");
  assert_int_equal(f.dumps.count, 2);
  assert_string_equal(f.dumps.items[1], "all");
  assert_string_equal(f.emit, "lib");
  assert_int_equal(f.threads, 64);
  assert_true(f.temperature == 2.5 && f.quiet);
}

static void test_defaults_and_last_wins(void **state) {
  (void)state;
  hone_status_t status = {0};
  fields_t f;
  assert_works(parse(&verb, "m -o a -o b", &f, &status), &status);
  assert_string_equal(f.output, "b");
  assert_int_equal(f.threads, 2);
  assert_true(f.temperature == 1 && !f.quiet);
  assert_null(f.emit);
}

static void test_dashes(void **state) {
  (void)state;
  hone_status_t status = {0};
  fields_t f;
  assert_works(parse(&verb, "- -- --quiet", &f, &status), &status);
  assert_string_equal(f.model, "-");
  assert_string_equal(f.extra, "--quiet");
  assert_false(f.quiet);
  assert_works(parse(&verb, "m -o -", &f, &status), &status);
  assert_string_equal(f.output, "-");
  assert_works(parse(&verb, "m --output=", &f, &status), &status);
  assert_string_equal(f.output, "");
  assert_works(parse(&verb, "m --output=--quiet", &f, &status), &status);
  assert_string_equal(f.output, "--quiet");
  assert_works(parse(&verb, "m --output --looks-odd", &f, &status), &status);
  assert_string_equal(f.output, "--looks-odd");
}

static void check_error(const char *line, const char *part) {
  hone_status_t status = {0};
  assert_fails(parse(&verb, line, NULL, &status), &status, HONE_INVALID, part);
}

static void test_errors(void **state) {
  (void)state;
  check_error("m --wieghts nf4", "unknown option '--wieghts'; did you mean '--weights'?");
  check_error("m --wieghts=nf4", "unknown option '--wieghts'; did you mean '--weights'?");
  check_error("m --frobnicate", "unknown option '--frobnicate'; see 'hone compile --help'");
  check_error("m -x", "unknown option '-x'");
  check_error("m --quiet=yes", "--quiet takes no value");
  check_error("m --output", "--output needs a value: --output FILE");
  check_error("m --output --quiet", "if it is the value, write --output=--quiet");
  check_error("m -o --help", "--output needs a value");
  check_error("m --threads 0", "--threads 0 is out of range: it goes from 1 to 64");
  check_error("m --threads 65", "out of range");
  check_error("m --threads 1.5", "needs a whole number, not '1.5'");
  check_error("m --threads=", "needs a whole number, not ''");
  check_error("m --temp -0.1", "it goes from 0 to 2.5");
  check_error("m --temp warm", "--temp needs a number, not 'warm'");
  check_error("m --emit libs", "did you mean 'lib'? (exe|lib|ir)");
  check_error("m --emit elephant", "is not one of exe|lib|ir");
  check_error("m --emit=", "is not one of");
  check_error("", "MODEL is missing: folder or .mlir file; see 'hone compile --help'");
  check_error("--quiet", "MODEL is missing");
}

static void test_too_many_strings(void **state) {
  (void)state;
  char dump[] = "--dump=x", *argv[HONE_STRINGS_LIMIT + 1];
  int argc = HONE_STRINGS_LIMIT + 1;
  for (int i = 0; i < argc; i++) argv[i] = dump;
  fields_t fields = {0};
  hone_status_t status = {0};
  bool help;
  assert_fails(hone_options_parse(&verb, "hone", argc, argv, &fields, &help, &status), &status,
               HONE_INVALID, "--dump is given more than 64 times");
}

static void test_unexpected_argument(void **state) {
  (void)state;
  static const hone_option_t none[] = {{0}};
  static const hone_verb_t bare = {"list", "list things", NULL, NULL, none};
  hone_status_t status = {0};
  assert_works(parse(&bare, "", NULL, &status), &status);
  assert_fails(parse(&bare, "x", NULL, &status), &status, HONE_INVALID,
               "unexpected argument 'x'; see 'hone list --help'");
}

typedef void print_fn(FILE *out);
static void print_help(FILE *out) { hone_options_help(&verb, "hone", out); }
static void print_plain_help(FILE *out) { hone_options_help(&plain, "./story", out); }
static void print_man(FILE *out) { hone_options_man(&verb, "hone", out); }

static char *capture(print_fn *print) {
  char *text = NULL;
  size_t bytes;
  FILE *out = open_memstream(&text, &bytes);
  print(out);
  fclose(out);
  return text;
}

static void test_help(void **state) {
  (void)state;
  char *text = capture(print_help);
  assert_string_equal(text,
                      "usage: hone compile MODEL [EXTRA] [REST...] [options]\n\n"
                      "turn a checkpoint into one program\n\nFirst line.\n.not a request\n\n\n"
                      "arguments:\n"
                      "  MODEL              folder or .mlir file\n"
                      "  EXTRA              one more\n"
                      "  REST...            and the others\n\n"
                      "options:\n"
                      "  -o, --output FILE  where to write\n"
                      "      --weights FMT  weight format\n"
                      "      --emit KIND    what to write (one of exe, lib, ir)\n"
                      "      --dump PHASE   IR after a phase (may be given again)\n"
                      "  -t, --threads N    worker threads (1 to 64)\n"
                      "      --temp T       0 is 'greedy' - \\ deterministic (0 to 2.5)\n"
                      "  -q, --quiet        say nothing\n"
                      "  -h, --help         show this help and leave\n\n"
                      "examples:\n  hone compile m -o out\n");
  free(text);
  text = capture(print_plain_help);
  assert_non_null(strstr(text, "usage: ./story [EXTRA] [REST...] [options]\n"));
  assert_null(strstr(text, "examples"));
  free(text);
}

static void print_wide(FILE *out) {
  static const hone_option_t wide[] = {
      {HONE_OPTION_STRING, "--a-very-long-option-name", "-a", "METAVARIABLE", 0,
       .help = "a line of help that is so long that it has to be broken at least once, at a blank"},
      {0}};
  static const hone_verb_t wide_verb = {"wide", "words", NULL, NULL, wide};
  hone_options_help(&wide_verb, "hone", out);
}

static void test_help_wraps(void **state) {
  (void)state;
  char *text = capture(print_wide);
  for (hone_slice_t rest = hone_slice(text); rest.data;)
    assert_true(hone_slice_cut(&rest, '\n').bytes <= 80);
  assert_non_null(strstr(text, "METAVARIABLE\n              a line of help"));
  free(text);
}

static void test_help_option(void **state) {
  (void)state;
  // --help prints to stdout and stops, whatever is missing.
  char *argv[] = {(char[]){"--help"}};
  fields_t fields = {0};
  hone_status_t status = {0};
  bool help = false;
  fflush(stdout);
  int saved = dup(STDOUT_FILENO), ends[2];
  assert_int_equal(pipe(ends), 0);
  dup2(ends[1], STDOUT_FILENO);
  bool ok = hone_options_parse(&verb, "hone", 1, argv, &fields, &help, &status);
  fflush(stdout);
  dup2(saved, STDOUT_FILENO);
  close(saved);
  close(ends[1]);
  char text[20] = "";
  assert_true(read(ends[0], text, sizeof text - 1) > 0);
  close(ends[0]);
  assert_true(ok && help);
  assert_string_equal(text, "usage: hone compile");
}

static void test_man(void **state) {
  (void)state;
  char *text = capture(print_man), *again = capture(print_man);
  assert_string_equal(text, again);
  static const char *const parts[] = {
      ".TH \"HONE-COMPILE\" 1 \"\" \"hone\" \"User Commands\"\n.SH NAME\nhone\\-compile \\- turn a",
      "\n.SH SYNOPSIS\nhone compile MODEL [EXTRA] [REST...] [options]\n",
      "First line.\n\\&.not a request\n",
      ".TP\n\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR\nwhere to write\n",
      "0 is 'greedy' \\- \\e deterministic (0 to 2.5)\n",
      ".SH EXAMPLES\n.nf\nhone compile m \\-o out\n.fi\n"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!strstr(text, parts[i])) fail_msg("no '%s' in:\n%s", parts[i], text);
  free(text), free(again);
}

static const char *shell_name;
static void print_completion(FILE *out) {
  static const hone_verb_t eval = {"eval", "it's measured", NULL, NULL, options};
  static const hone_verb_t *const verbs[] = {&verb, &eval};
  hone_status_t status = {0};
  assert_works(hone_options_completion(verbs, 2, "hone", shell_name, out, &status), &status);
}

static void check_completion(const char *shell, const char *part) {
  shell_name = shell;
  char *text = capture(print_completion);
  if (!strstr(text, part)) fail_msg("no '%s' in:\n%s", part, text);
  free(text);
}

static void test_completion(void **state) {
  (void)state;
  check_completion("bash", "compgen -W 'compile eval'");
  check_completion("bash", "--emit) COMPREPLY=($(compgen -W 'exe lib ir'");
  check_completion("bash", "-o|--output) COMPREPLY=($(compgen -f");
  check_completion("zsh", "'--emit[what to write]:value:(exe lib ir)'");
  check_completion("zsh", "'eval:it'\\''s measured'");
  check_completion("fish", "-n '__fish_seen_subcommand_from eval' -l emit -xa 'exe lib ir'");
  check_completion("fish", "-l output -s o -rF -d 'where to write'");
  hone_status_t status = {0};
  const hone_verb_t *const verbs[] = {&verb};
  assert_fails(hone_options_completion(verbs, 1, "hone", "tcsh", stdout, &status), &status,
               HONE_INVALID, "no completion for shell 'tcsh'");
}

// What bash itself says to the script, if bash is there.
static void test_bash_accepts(void **state) {
  (void)state;
  shell_name = "bash";
  char *text = capture(print_completion);
  char command[] =
      "bash -c 'eval \"$(cat)\"; COMP_WORDS=(hone compile --em); COMP_CWORD=2; _hone;"
      " [ \"${COMPREPLY[*]}\" = --emit ] &&"
      " COMP_WORDS=(hone compile --emit l) && COMP_CWORD=3 && _hone &&"
      " [ \"${COMPREPLY[*]}\" = lib ]'";
  FILE *bash = popen(command, "w");
  assert_non_null(bash);
  fputs(text, bash);
  int result = pclose(bash);
  free(text);
  if (result == 127 << 8) skip();
  assert_int_equal(result, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_kinds),
      cmocka_unit_test(test_defaults_and_last_wins),
      cmocka_unit_test(test_dashes),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_too_many_strings),
      cmocka_unit_test(test_unexpected_argument),
      cmocka_unit_test(test_help),
      cmocka_unit_test(test_help_wraps),
      cmocka_unit_test(test_help_option),
      cmocka_unit_test(test_man),
      cmocka_unit_test(test_completion),
      cmocka_unit_test(test_bash_accepts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
