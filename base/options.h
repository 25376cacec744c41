// Options: one table per verb makes parsing, --help, the man page and shell completion.
//
// A table is an array of hone_option_t ended by a zero row. Values are stored into the verb's plain
// options struct at `field` (an offset). Thread rule: tables are const; parsing is one thread's.
#ifndef HONE_BASE_OPTIONS_H
#define HONE_BASE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "hone/status.h"

typedef enum hone_option_kind {
  HONE_OPTION_END = 0,
  HONE_OPTION_FLAG,        // bool
  HONE_OPTION_STRING,      // const char *
  HONE_OPTION_STRINGS,     // hone_strings_t, may be given many times
  HONE_OPTION_INT,         // int64_t, within [low, high]
  HONE_OPTION_FLOAT,       // double, within [low, high]
  HONE_OPTION_CHOICE,      // const char *, one of `choices` ("a|b|c")
  HONE_OPTION_POSITIONAL,  // const char *, required, in order
  HONE_OPTION_OPTIONAL,    // const char *, positional that may be left out
  HONE_OPTION_REST,        // hone_strings_t, all remaining positionals
} hone_option_kind_t;

enum { HONE_STRINGS_LIMIT = 64 };
typedef struct hone_strings {
  const char *items[HONE_STRINGS_LIMIT];
  size_t count;
} hone_strings_t;

typedef struct hone_option {
  hone_option_kind_t kind;
  const char *name;     // "--weights", or "MODEL" for positionals
  const char *alias;    // "-o", or NULL
  const char *value;    // metavariable: "FMT", "N", "FILE"; NULL for flags
  size_t field;         // offsetof(struct, member)
  const char *choices;  // CHOICE: "a|b|c"
  double low, high;     // INT, FLOAT; low == high == 0 means no bounds
  const char *help;     // one line
} hone_option_t;

typedef struct hone_verb {
  const char *name;      // "compile"
  const char *summary;   // one line
  const char *details;   // a paragraph or two for --help and the man page; may be NULL
  const char *examples;  // lines; may be NULL
  const hone_option_t *options;
} hone_verb_t;

// Parses argv[0..argc) (without the verb itself) into `fields` (defaults already set by the
// caller). Accepts `--name value`, `--name=value`, `-x value`, and `--` before positionals that
// start with '-'. On --help (or -h) prints the help to stdout and sets *out_help. Errors are
// HONE_INVALID with the nearest option as a hint; the caller exits with 2.
HONE_MUST_CHECK bool hone_options_parse(const hone_verb_t *verb, const char *program, int argc,
                                        char **argv, void *fields, bool *out_help,
                                        hone_status_t *status);
void hone_options_help(const hone_verb_t *verb, const char *program, FILE *out);
// roff, section 1. It carries no date: same input, same bytes.
void hone_options_man(const hone_verb_t *verb, const char *program, FILE *out);
// Completion for all verbs of a program; shell is "bash", "zsh" or "fish".
HONE_MUST_CHECK bool hone_options_completion(const hone_verb_t *const *verbs, size_t count,
                                             const char *program, const char *shell, FILE *out,
                                             hone_status_t *status);

#endif
