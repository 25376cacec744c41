// Parsing argv by a table. Help and completion are made from the same table in options_help.c and
// options_complete.c.
#include "base/options.h"

#include <string.h>

#include "base/options_internal.h"

enum { CANDIDATE_LIMIT = 128 };

typedef struct parser {
  const hone_verb_t *verb;
  const char *program;
  int argc, at;
  char **argv;
  char *fields;
  const hone_option_t *next_positional;  // NULL when all are taken
  hone_status_t *status;
} parser_t;

static bool is_positional(const hone_option_t *option) {
  return option->kind >= HONE_OPTION_POSITIONAL;
}

// " (see 'hone compile --help')"
static const char *see_help(const parser_t *parser, char out[128]) {
  bool has_name = parser->verb->name && *parser->verb->name;
  snprintf(out, 128, "see '%.40s%s%.40s --help'", parser->program, has_name ? " " : "",
           has_name ? parser->verb->name : "");
  return out;
}

static const hone_option_t *find_option(const hone_verb_t *verb, hone_slice_t name) {
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    if (is_positional(option)) continue;
    if (hone_slice_is(name, option->name)) return option;
    if (option->alias && hone_slice_is(name, option->alias)) return option;
  }
  return NULL;
}

static bool is_help(hone_slice_t name) {
  return hone_slice_is(name, "--help") || hone_slice_is(name, "-h");
}

static bool fail_unknown(parser_t *parser, hone_slice_t name) {
  const char *candidates[CANDIDATE_LIMIT] = {"--help"};
  size_t count = 1;
  for (const hone_option_t *option = parser->verb->options; option->kind; option++)
    if (!is_positional(option) && count < CANDIDATE_LIMIT) candidates[count++] = option->name;
  char text[64], help[128];
  snprintf(text, sizeof text, "%.*s", (int)name.bytes, name.data);
  const char *closest = hone_text_closest(text, candidates, count);
  if (closest)
    return hone_fail(parser->status, HONE_INVALID, "unknown option '%.*s'; did you mean '%s'?",
                     (int)name.bytes, name.data, closest);
  return hone_fail(parser->status, HONE_INVALID, "unknown option '%.*s'; %s", (int)name.bytes,
                   name.data, see_help(parser, help));
}

static bool add_string(parser_t *parser, const hone_option_t *option, const char *text) {
  hone_strings_t *strings = (hone_strings_t *)(void *)(parser->fields + option->field);
  if (strings->count == HONE_STRINGS_LIMIT)
    return hone_fail(parser->status, HONE_INVALID, "%s is given more than %d times", option->name,
                     HONE_STRINGS_LIMIT);
  strings->items[strings->count++] = text;
  return true;
}

static bool check_bounds(parser_t *parser, const hone_option_t *option, const char *text,
                         double value) {
  if (!hone_option_is_bounded(option) || (value >= option->low && value <= option->high))
    return true;
  return hone_fail(parser->status, HONE_INVALID,
                   "%s %s is out of range: it goes from %.15g to %.15g", option->name, text,
                   option->low, option->high);
}

static bool store_choice(parser_t *parser, const hone_option_t *option, const char *text) {
  char names[512];
  snprintf(names, sizeof names, "%s", option->choices);
  const char *candidates[CANDIDATE_LIMIT];
  size_t count = 0;
  for (char *rest = names, *name; (name = strsep(&rest, "|")) && count < CANDIDATE_LIMIT;)
    candidates[count++] = name;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(candidates[i], text) != 0) continue;
    *(const char **)(void *)(parser->fields + option->field) = text;
    return true;
  }
  const char *closest = hone_text_closest(text, candidates, count);
  if (closest)
    return hone_fail(parser->status, HONE_INVALID, "%s '%s' is not known; did you mean '%s'? (%s)",
                     option->name, text, closest, option->choices);
  return hone_fail(parser->status, HONE_INVALID, "%s '%s' is not one of %s", option->name, text,
                   option->choices);
}

static bool store(parser_t *parser, const hone_option_t *option, const char *text) {
  void *field = parser->fields + option->field;
  int64_t whole;
  double real;
  switch (option->kind) {
    case HONE_OPTION_INT:
      if (!hone_text_parse_i64(text, &whole))
        return hone_fail(parser->status, HONE_INVALID, "%s needs a whole number, not '%s'",
                         option->name, text);
      if (!check_bounds(parser, option, text, (double)whole)) return false;
      *(int64_t *)field = whole;
      return true;
    case HONE_OPTION_FLOAT:
      if (!hone_text_parse_f64(text, &real))
        return hone_fail(parser->status, HONE_INVALID, "%s needs a number, not '%s'", option->name,
                         text);
      if (!check_bounds(parser, option, text, real)) return false;
      *(double *)field = real;
      return true;
    case HONE_OPTION_CHOICE: return store_choice(parser, option, text);
    case HONE_OPTION_STRINGS:
    case HONE_OPTION_REST: return add_string(parser, option, text);
    default: *(const char **)field = text; return true;
  }
}

static bool parse_option(parser_t *parser, const char *argument) {
  hone_slice_t rest = hone_slice(argument), name = rest;
  const char *inline_value = NULL;
  if (hone_text_starts(argument, "--")) {
    name = hone_slice_cut(&rest, '=');
    if (rest.data) inline_value = rest.data;
  }
  const hone_option_t *option = find_option(parser->verb, name);
  if (!option) return fail_unknown(parser, name);
  if (option->kind == HONE_OPTION_FLAG) {
    if (inline_value)
      return hone_fail(parser->status, HONE_INVALID, "%s takes no value; leave out '=%s'",
                       option->name, inline_value);
    *(bool *)(parser->fields + option->field) = true;
    return true;
  }
  if (inline_value) return store(parser, option, inline_value);
  const char *metavariable = hone_option_metavariable(option);
  if (parser->at == parser->argc)
    return hone_fail(parser->status, HONE_INVALID, "%s needs a value: %s %s", option->name,
                     option->name, metavariable);
  const char *value = parser->argv[parser->at++];
  hone_slice_t value_rest = hone_slice(value), value_name = hone_slice_cut(&value_rest, '=');
  if (find_option(parser->verb, value_name) || is_help(value_name))
    return hone_fail(parser->status, HONE_INVALID,
                     "%s needs a value, and '%s' is an option; if it is the value, write %s=%s",
                     option->name, value, option->name, value);
  return store(parser, option, value);
}

static bool parse_positional(parser_t *parser, const char *argument) {
  const hone_option_t *option = parser->next_positional;
  while (option && option->kind && !is_positional(option)) option++;
  if (!option || !option->kind) {
    char help[128];
    return hone_fail(parser->status, HONE_INVALID, "unexpected argument '%s'; %s", argument,
                     see_help(parser, help));
  }
  parser->next_positional = option->kind == HONE_OPTION_REST ? option : option + 1;
  return store(parser, option, argument);
}

static bool check_complete(parser_t *parser) {
  for (const hone_option_t *option = parser->next_positional; option->kind; option++) {
    if (option->kind != HONE_OPTION_POSITIONAL) continue;
    char help[128];
    return hone_fail(parser->status, HONE_INVALID, "%s is missing%s%s; %s", option->name,
                     option->help ? ": " : "", option->help ? option->help : "",
                     see_help(parser, help));
  }
  return true;
}

bool hone_options_parse(const hone_verb_t *verb, const char *program, int argc, char **argv,
                        void *fields, bool *out_help, hone_status_t *status) {
  parser_t parser = {.verb = verb,
                     .program = program,
                     .argc = argc,
                     .argv = argv,
                     .fields = fields,
                     .next_positional = verb->options,
                     .status = status};
  *out_help = false;
  bool only_positionals = false;
  while (parser.at < argc) {
    const char *argument = argv[parser.at++];
    bool is_option = !only_positionals && argument[0] == '-' && argument[1] != '\0';
    if (is_option && strcmp(argument, "--") == 0) {
      only_positionals = true;
    } else if (is_option && is_help(hone_slice(argument)) &&
               !find_option(verb, hone_slice(argument))) {
      hone_options_help(verb, program, stdout);
      *out_help = true;
      return true;
    } else if (!(is_option ? parse_option(&parser, argument)
                           : parse_positional(&parser, argument))) {
      return false;
    }
  }
  return check_complete(&parser);
}
