// The option table as completion scripts for bash, zsh and fish. Values whose metavariable names a
// file or folder, and positionals, complete to paths; choices to their words.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/options_internal.h"

static bool is_positional(const hone_option_t *option) {
  return option->kind >= HONE_OPTION_POSITIONAL;
}

// A name for shell functions: anything but letters and digits becomes '_'.
static const char *identifier(const char *program, char out[64]) {
  size_t at = 0;
  for (; program[at] && at < 63; at++)
    out[at] = isalnum((unsigned char)program[at]) ? program[at] : '_';
  out[at] = '\0';
  return out;
}

// Text inside single quotes; `special` characters get a backslash besides.
static void print_quoted(FILE *out, const char *text, const char *special) {
  for (; text && *text; text++) {
    if (*text == '\'') {
      fprintf(out, "'\\''");
    } else {
      if (strchr(special, *text)) fputc('\\', out);
      fputc(*text, out);
    }
  }
}

static void print_choices(FILE *out, const char *choices) {
  for (; *choices; choices++) fputc(*choices == '|' ? ' ' : *choices, out);
}

static bool has_name(const hone_verb_t *verb) { return verb->name && *verb->name; }

// ---- bash

static void print_bash_verb(const hone_verb_t *verb, FILE *out) {
  fprintf(out, "      case $previous in\n");
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    if (is_positional(option) || option->kind == HONE_OPTION_FLAG) continue;
    fprintf(out, "        %s%s%s) ", option->alias ? option->alias : "", option->alias ? "|" : "",
            option->name);
    if (option->kind == HONE_OPTION_CHOICE) {
      fprintf(out, "COMPREPLY=($(compgen -W '");
      print_choices(out, option->choices);
      fprintf(out, "' -- \"$word\")); return ;;\n");
    } else {
      fprintf(out, "COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n");
    }
  }
  fprintf(out, "      esac\n      options='--help");
  for (const hone_option_t *option = verb->options; option->kind; option++)
    if (!is_positional(option)) fprintf(out, " %s", option->name);
  fprintf(out, "'\n");
}

static void print_bash(const hone_verb_t *const *verbs, size_t count, const char *program,
                       FILE *out) {
  char id[64];
  identifier(program, id);
  fprintf(out,
          "# bash completion for %s\n_%s() {\n"
          "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options=\n",
          program, id);
  if (count == 1 && !has_name(verbs[0])) {
    print_bash_verb(verbs[0], out);
  } else {
    fprintf(out, "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < count; i++) fprintf(out, "%s%s", i ? " " : "", verbs[i]->name);
    fprintf(out, "' -- \"$word\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < count; i++) {
      fprintf(out, "    %s)\n", verbs[i]->name);
      print_bash_verb(verbs[i], out);
      fprintf(out, "      ;;\n");
    }
    fprintf(out, "  esac\n");
  }
  fprintf(out,
          "  case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n  esac\n}\n"
          "complete -o filenames -F _%s %s\n",
          id, program);
}

// ---- zsh

static void print_zsh_option(const hone_option_t *option, const char *name, FILE *out) {
  fprintf(out, " \\\n        '%s%s[", option->kind == HONE_OPTION_STRINGS ? "*" : "", name);
  print_quoted(out, option->help, "[]:\\");
  fprintf(out, "]");
  if (option->kind == HONE_OPTION_CHOICE) {
    fprintf(out, ":value:(");
    print_choices(out, option->choices);
    fprintf(out, ")");
  } else if (option->kind != HONE_OPTION_FLAG) {
    fprintf(out, ":");
    print_quoted(out, hone_option_metavariable(option), ":\\");
    fprintf(out, ":_files");
  }
  fprintf(out, "'");
}

static void print_zsh_verb(const hone_verb_t *verb, FILE *out) {
  fprintf(out, "      _arguments -s '(-h --help)'{-h,--help}'[show the help]'");
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    if (is_positional(option)) {
      fprintf(out, " \\\n        '%s%s:_files'",
              option->kind == HONE_OPTION_REST       ? "*:"
              : option->kind == HONE_OPTION_OPTIONAL ? "::"
                                                     : ":",
              option->name);
    } else {
      if (option->alias) print_zsh_option(option, option->alias, out);
      print_zsh_option(option, option->name, out);
    }
  }
  fprintf(out, "\n");
}

static void print_zsh(const hone_verb_t *const *verbs, size_t count, const char *program,
                      FILE *out) {
  char id[64];
  identifier(program, id);
  fprintf(out, "#compdef %s\n_%s() {\n", program, id);
  if (count == 1 && !has_name(verbs[0])) {
    print_zsh_verb(verbs[0], out);
  } else {
    fprintf(out, "  if (( CURRENT == 2 )); then\n    local -a verbs=(");
    for (size_t i = 0; i < count; i++) {
      fprintf(out, "\n      '%s:", verbs[i]->name);
      print_quoted(out, verbs[i]->summary, "");
      fprintf(out, "'");
    }
    fprintf(out,
            ")\n    _describe verb verbs\n    return\n  fi\n"
            "  local verb=${words[2]}\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n");
    for (size_t i = 0; i < count; i++) {
      fprintf(out, "    %s)\n", verbs[i]->name);
      print_zsh_verb(verbs[i], out);
      fprintf(out, "      ;;\n");
    }
    fprintf(out, "  esac\n");
  }
  fprintf(out, "}\ncompdef _%s %s\n", id, program);
}

// ---- fish

static void print_fish_verb(const hone_verb_t *verb, const char *program, FILE *out) {
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    if (is_positional(option)) continue;
    fprintf(out, "complete -c %s", program);
    if (has_name(verb)) fprintf(out, " -n '__fish_seen_subcommand_from %s'", verb->name);
    fprintf(out, " -l %s", option->name + strspn(option->name, "-"));
    if (option->alias) fprintf(out, " -s %s", option->alias + strspn(option->alias, "-"));
    if (option->kind == HONE_OPTION_CHOICE) {
      fprintf(out, " -xa '");
      print_choices(out, option->choices);
      fprintf(out, "'");
    } else if (option->kind != HONE_OPTION_FLAG) {
      fprintf(out, " -rF");
    }
    fprintf(out, " -d '");
    for (const char *c = option->help; c && *c; c++) {
      if (*c == '\'' || *c == '\\') fputc('\\', out);
      fputc(*c, out);
    }
    fprintf(out, "'\n");
  }
}

static void print_fish(const hone_verb_t *const *verbs, size_t count, const char *program,
                       FILE *out) {
  fprintf(out, "# fish completion for %s\ncomplete -c %s -l help -s h -d 'show the help'\n",
          program, program);
  for (size_t i = 0; i < count; i++) {
    if (has_name(verbs[i])) {
      fprintf(out, "complete -c %s -f -n __fish_use_subcommand -a %s -d '", program,
              verbs[i]->name);
      for (const char *c = verbs[i]->summary; c && *c; c++) {
        if (*c == '\'' || *c == '\\') fputc('\\', out);
        fputc(*c, out);
      }
      fprintf(out, "'\n");
    }
    print_fish_verb(verbs[i], program, out);
  }
}

bool hone_options_completion(const hone_verb_t *const *verbs, size_t count, const char *program,
                             const char *shell, FILE *out, hone_status_t *status) {
  if (strcmp(shell, "bash") == 0) {
    print_bash(verbs, count, program, out);
  } else if (strcmp(shell, "zsh") == 0) {
    print_zsh(verbs, count, program, out);
  } else if (strcmp(shell, "fish") == 0) {
    print_fish(verbs, count, program, out);
  } else {
    return hone_fail(status, HONE_INVALID,
                     "no completion for shell '%s'; there is bash, zsh and fish", shell);
  }
  return true;
}
