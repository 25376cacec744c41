// The option table as text for people: --help and the man page. It parses nothing.
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/options_internal.h"

enum { COLUMNS = 80, INDENT = 2, NAME_COLUMNS_LIMIT = 28 };

static bool is_positional(const hone_option_t *option) {
  return option->kind >= HONE_OPTION_POSITIONAL;
}

static bool takes_value(const hone_option_t *option) {
  return !is_positional(option) && option->kind != HONE_OPTION_FLAG;
}

const char *hone_option_metavariable(const hone_option_t *option) {
  if (option->value) return option->value;
  switch (option->kind) {
    case HONE_OPTION_INT:
    case HONE_OPTION_FLOAT: return "N";
    case HONE_OPTION_CHOICE: return option->choices;
    default: return "TEXT";
  }
}

// "-o, --output FILE" or "MODEL".
static void format_names(const hone_option_t *option, hone_buffer_t *out) {
  if (is_positional(option)) {
    hone_buffer_format(out, "%s%s", option->name, option->kind == HONE_OPTION_REST ? "..." : "");
    return;
  }
  if (option->alias) {
    hone_buffer_format(out, "%s, ", option->alias);
  } else {
    hone_buffer_text(out, "    ");
  }
  hone_buffer_text(out, option->name);
  if (takes_value(option)) hone_buffer_format(out, " %s", hone_option_metavariable(option));
}

// The help line with what the table knows: choices, bounds, repetition.
static void format_help(const hone_option_t *option, hone_buffer_t *out) {
  hone_buffer_text(out, option->help ? option->help : "");
  if (option->kind == HONE_OPTION_CHOICE && option->value) {
    hone_buffer_text(out, " (one of ");
    hone_slice_t rest = hone_slice(option->choices);
    for (bool first = true; rest.data; first = false) {
      hone_slice_t choice = hone_slice_cut(&rest, '|');
      if (!first) hone_buffer_text(out, ", ");
      hone_buffer_add(out, choice.data, choice.bytes);
    }
    hone_buffer_text(out, ")");
  } else if (hone_option_is_bounded(option)) {
    hone_buffer_format(out, " (%.15g to %.15g)", option->low, option->high);
  } else if (option->kind == HONE_OPTION_STRINGS) {
    hone_buffer_text(out, " (may be given again)");
  }
}

// Words of `text` from column `column` on, later lines indented by `indent`; paragraphs at new
// lines.
static void print_wrapped(FILE *out, const char *text, size_t column, size_t indent) {
  size_t at = column;
  bool at_start = true;
  while (*text) {
    if (*text == '\n') {
      fprintf(out, "\n");
      text++;
      if (*text && *text != '\n') fprintf(out, "%*s", (int)indent, "");
      at = indent;
      at_start = true;
      continue;
    }
    size_t blanks = strspn(text, " "), bytes = strcspn(text + blanks, " \n");
    if (!at_start && bytes && at + blanks + bytes > COLUMNS) {
      fprintf(out, "\n%*s", (int)indent, "");
      at = indent;
      blanks = 0;
      text += strspn(text, " ");
    }
    fprintf(out, "%.*s", (int)(blanks + bytes), text);
    at += blanks + bytes;
    text += blanks + bytes;
    at_start = false;
  }
  fprintf(out, "\n");
}

static void print_row(FILE *out, const char *names, const char *help, size_t name_columns) {
  size_t bytes = strlen(names), help_column = INDENT + name_columns + 2;
  fprintf(out, "%*s%s", INDENT, "", names);
  if (!*help) {
    fprintf(out, "\n");
    return;
  }
  if (bytes > name_columns) {
    fprintf(out, "\n%*s", (int)help_column, "");
  } else {
    fprintf(out, "%*s", (int)(name_columns - bytes + 2), "");
  }
  print_wrapped(out, help, help_column, help_column);
}

static void print_section(const hone_option_t *options, bool positionals, size_t name_columns,
                          FILE *out) {
  hone_buffer_t names = {0}, help = {0};
  bool any = false;
  for (const hone_option_t *option = options; option->kind; option++) {
    if (is_positional(option) != positionals) continue;
    if (!any) fprintf(out, "\n%s:\n", positionals ? "arguments" : "options");
    any = true;
    names.bytes = help.bytes = 0;
    format_names(option, &names);
    format_help(option, &help);
    print_row(out, hone_buffer_cstr(&names), hone_buffer_cstr(&help), name_columns);
  }
  if (!positionals) {
    if (!any) fprintf(out, "\noptions:\n");
    print_row(out, "-h, --help", "show this help and leave", name_columns);
  }
  hone_buffer_deinit(&names);
  hone_buffer_deinit(&help);
}

static void format_usage(const hone_verb_t *verb, const char *program, hone_buffer_t *out) {
  hone_buffer_text(out, program);
  if (verb->name && *verb->name) hone_buffer_format(out, " %s", verb->name);
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    if (option->kind == HONE_OPTION_POSITIONAL) hone_buffer_format(out, " %s", option->name);
    if (option->kind == HONE_OPTION_OPTIONAL) hone_buffer_format(out, " [%s]", option->name);
    if (option->kind == HONE_OPTION_REST) hone_buffer_format(out, " [%s...]", option->name);
  }
  hone_buffer_text(out, " [options]");
}

void hone_options_help(const hone_verb_t *verb, const char *program, FILE *out) {
  hone_buffer_t text = {0};
  format_usage(verb, program, &text);
  fprintf(out, "usage: %s\n\n", hone_buffer_cstr(&text));
  print_wrapped(out, verb->summary, 0, 0);
  if (verb->details) {
    fprintf(out, "\n");
    print_wrapped(out, verb->details, 0, 0);
  }
  size_t name_columns = strlen("-h, --help");
  for (const hone_option_t *option = verb->options; option->kind; option++) {
    text.bytes = 0;
    format_names(option, &text);
    if (text.bytes > name_columns && text.bytes <= NAME_COLUMNS_LIMIT) name_columns = text.bytes;
  }
  hone_buffer_deinit(&text);
  print_section(verb->options, true, name_columns, out);
  print_section(verb->options, false, name_columns, out);
  if (verb->examples) {
    fprintf(out, "\nexamples:\n");
    for (hone_slice_t rest = hone_slice(verb->examples); rest.bytes;) {
      hone_slice_t line = hone_slice_cut(&rest, '\n');
      bool is_indented = line.bytes == 0 || line.data[0] == ' ';
      fprintf(out, "%*s%.*s\n", is_indented ? 0 : INDENT, "", (int)line.bytes, line.data);
    }
  }
}

// ---- man page

// Text safe for roff: backslashes and hyphens escaped, no line that starts as a request.
static void print_roff(FILE *out, const char *text) {
  bool at_start = true;
  for (; *text; text++) {
    if (at_start && (*text == '.' || *text == '\'')) fprintf(out, "\\&");
    at_start = *text == '\n';
    if (*text == '\\') {
      fprintf(out, "\\e");
    } else if (*text == '-') {
      fprintf(out, "\\-");
    } else {
      fputc(*text, out);
    }
  }
}

static void print_man_title(const hone_verb_t *verb, const char *program, FILE *out) {
  hone_buffer_t name = {0};
  hone_buffer_text(&name, program);
  if (verb->name && *verb->name) hone_buffer_format(&name, "-%s", verb->name);
  fprintf(out, ".TH \"");
  for (const char *c = hone_buffer_cstr(&name); *c; c++)
    fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
  fprintf(out, "\" 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\n", program);
  print_roff(out, hone_buffer_cstr(&name));
  fprintf(out, " \\- ");
  print_roff(out, verb->summary);
  hone_buffer_deinit(&name);
}

static void print_man_options(const hone_option_t *options, FILE *out) {
  hone_buffer_t help = {0};
  for (const hone_option_t *option = options; option->kind; option++) {
    fprintf(out, ".TP\n");
    if (is_positional(option)) {
      fprintf(out, "\\fI%s\\fR\n", option->name);
    } else {
      fprintf(out, "\\fB");
      if (option->alias) print_roff(out, option->alias), fprintf(out, "\\fR, \\fB");
      print_roff(out, option->name);
      fprintf(out, "\\fR");
      if (takes_value(option)) {
        fprintf(out, " \\fI");
        print_roff(out, hone_option_metavariable(option));
        fprintf(out, "\\fR");
      }
      fprintf(out, "\n");
    }
    help.bytes = 0;
    format_help(option, &help);
    print_roff(out, hone_buffer_cstr(&help));
    fprintf(out, "\n");
  }
  fprintf(out, ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow the help and leave\n");
  hone_buffer_deinit(&help);
}

void hone_options_man(const hone_verb_t *verb, const char *program, FILE *out) {
  print_man_title(verb, program, out);
  hone_buffer_t usage = {0};
  format_usage(verb, program, &usage);
  fprintf(out, "\n.SH SYNOPSIS\n");
  print_roff(out, hone_buffer_cstr(&usage));
  hone_buffer_deinit(&usage);
  if (verb->details) {
    fprintf(out, "\n.SH DESCRIPTION\n");
    print_roff(out, verb->details);
  }
  fprintf(out, "\n.SH OPTIONS\n");
  print_man_options(verb->options, out);
  if (verb->examples) {
    fprintf(out, ".SH EXAMPLES\n.nf\n");
    print_roff(out, verb->examples);
    fprintf(out, "%s.fi\n",
            *verb->examples && verb->examples[strlen(verb->examples) - 1] == '\n' ? "" : "\n");
  }
}
