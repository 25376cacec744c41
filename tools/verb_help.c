// hone help, man and completion: everything that is made from the option tables.
#include <string.h>

#include "tools/verb.h"

typedef struct fields {
  const char *name;
} fields_t;

static const hone_option_t help_options[] = {
    {HONE_OPTION_OPTIONAL, "VERB", .field = offsetof(fields_t, name),
     .help = "the verb to explain"},
    {0}};
const hone_verb_t hone_verb_help = {"help", "explain a verb", NULL, "  hone help compile\n",
                                    help_options};

static const hone_option_t man_options[] = {
    {HONE_OPTION_POSITIONAL, "VERB", .field = offsetof(fields_t, name),
     .help = "the verb whose page to print"},
    {0}};
const hone_verb_t hone_verb_man = {"man", "print a verb's man page (roff)", NULL,
                                   "  hone man compile | man -l -\n", man_options};

static const hone_option_t completion_options[] = {
    {HONE_OPTION_POSITIONAL, "SHELL", .field = offsetof(fields_t, name),
     .help = "bash, zsh or fish"},
    {0}};
const hone_verb_t hone_verb_completion = {"completion", "print shell completion", NULL,
                                          "  source <(hone completion bash)\n", completion_options};

static const hone_verb_t *find_verb(const char *name) {
  for (size_t i = 0; i < hone_verb_count(); i++)
    if (!strcmp(hone_verb_at(i)->name, name)) return hone_verb_at(i);
  fprintf(stderr, "hone: unknown verb '%s'\n", name);
  return NULL;
}

int hone_verb_help_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {0};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_help, argc, argv, &fields, &code)) return code;
  if (!fields.name) {
    puts("hone VERB [OPTIONS]\n");
    for (size_t i = 0; i < hone_verb_count(); i++)
      printf("  %-12s %s\n", hone_verb_at(i)->name, hone_verb_at(i)->summary);
    return HONE_EXIT_OK;
  }
  const hone_verb_t *verb = find_verb(fields.name);
  if (!verb) return HONE_EXIT_USAGE;
  hone_options_help(verb, "hone", stdout);
  return HONE_EXIT_OK;
}

int hone_verb_man_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {0};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_man, argc, argv, &fields, &code)) return code;
  const hone_verb_t *verb = find_verb(fields.name);
  if (!verb) return HONE_EXIT_USAGE;
  hone_options_man(verb, "hone", stdout);
  return HONE_EXIT_OK;
}

int hone_verb_completion_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {0};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_completion, argc, argv, &fields, &code)) return code;
  const hone_verb_t *all[16];
  size_t count = hone_verb_count();
  for (size_t i = 0; i < count; i++) all[i] = hone_verb_at(i);
  hone_status_t status = {0};
  if (hone_options_completion(all, count, "hone", fields.name, stdout, &status))
    return HONE_EXIT_OK;
  hone_tool_report(tool, &status);
  return HONE_EXIT_USAGE;
}
