// See html.h. The style sheet is html_style.c.
#include "base/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/html_internal.h"

static const char *entity(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
  }
}

// Neither XML 1.0 nor HTML has a way to write these.
static bool is_forbidden(uint32_t code) {
  return (code < 0x20 && code != '\t' && code != '\n') || (code >= 0x7f && code < 0xa0) ||
         code == 0xfffe || code == 0xffff;
}

void hone_html_text(hone_buffer_t *out, const char *text) {
  size_t bytes = text ? strlen(text) : 0;
  for (size_t at = 0; at < bytes;) {
    uint32_t code = 0;
    size_t length = hone_utf8_decode(text + at, bytes - at, &code);
    const char *escaped = entity(text[at]);
    if (escaped) {
      hone_buffer_text(out, escaped);
    } else if (length == 0 || is_forbidden(code)) {
      hone_buffer_text(out, "\xef\xbf\xbd");
    } else {
      hone_buffer_add(out, text + at, length);
    }
    at += length ? length : 1;
  }
}

static void format_text(hone_buffer_t *out, const char *format, va_list arguments) {
  char *text = NULL;
  if (vasprintf(&text, format, arguments) < 0) hone_out_of_memory();
  hone_html_text(out, text);
  free(text);
}

void hone_html_format(hone_buffer_t *out, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  format_text(out, format, arguments);
  va_end(arguments);
}

void hone_html_page_begin(hone_buffer_t *out, const char *title, const char *description) {
  hone_buffer_text(out,
                   "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                   "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
  hone_html_text(out, title);
  hone_buffer_text(out, "</title>\n<meta name=\"description\" content=\"");
  hone_html_text(out, description);
  hone_buffer_text(out, "\"/>\n<style>\n");
  for (size_t i = 0; hone_html_style[i]; i++) hone_buffer_format(out, "%s\n", hone_html_style[i]);
  hone_buffer_text(out, "</style>\n</head>\n<body>\n<main>\n");
}

void hone_html_page_end(hone_buffer_t *out) {
  hone_buffer_text(out, "</main>\n</body>\n</html>\n");
}

void hone_html_table_begin(hone_html_table_t *table, const char *caption) {
  hone_buffer_t *out = table->out;
  table->at = 0;
  hone_buffer_text(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
  hone_html_text(out, caption);
  hone_buffer_text(out, "\">\n<table>\n<caption>");
  hone_html_text(out, caption);
  hone_buffer_text(out, "</caption>\n<thead><tr>");
  for (size_t i = 0; i < table->column_count; i++) {
    const hone_html_column_t *column = &table->columns[i];
    hone_buffer_text(
        out, column->is_number ? "<th scope=\"col\" class=\"number\"" : "<th scope=\"col\"");
    if (column->hint) {
      hone_buffer_text(out, " title=\"");
      hone_html_text(out, column->hint);
      hone_buffer_text(out, "\"");
    }
    hone_buffer_text(out, ">");
    hone_html_text(out, column->name);
    hone_buffer_text(out, "</th>");
  }
  hone_buffer_text(out, "</tr></thead>\n<tbody>\n");
}

void hone_html_table_end(hone_html_table_t *table) {
  hone_buffer_text(table->out, "</tbody>\n</table>\n</div>\n");
}

void hone_html_cell(hone_html_table_t *table, const char *text) {
  hone_buffer_t *out = table->out;
  bool is_number = table->columns[table->at].is_number;
  const char *tag = table->at == 0 ? "th" : "td";
  if (table->at == 0) hone_buffer_text(out, "<tr>");
  hone_buffer_format(out, "<%s%s%s>", tag, table->at == 0 ? " scope=\"row\"" : "",
                     is_number ? " class=\"number\"" : "");
  hone_html_text(out, text && *text ? text : "–");
  hone_buffer_format(out, "</%s>", tag);
  if (++table->at < table->column_count) return;
  hone_buffer_text(out, "</tr>\n");
  table->at = 0;
}

void hone_html_cell_format(hone_html_table_t *table, const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&text, format, arguments) < 0) hone_out_of_memory();
  va_end(arguments);
  hone_html_cell(table, text);
  free(text);
}

const char *hone_html_number(double value, int digits, char out[40]) {
  double size = fabs(value);
  out[0] = '\0';
  if (!isfinite(value)) return out;
  if (value == 0) return strcpy(out, "0");
  if (size < 1e-3 || size >= 1e6) return hone_text_power(value, digits, false, out);
  int whole = (int)floor(log10(size)) + 1, places = digits - whole;
  snprintf(out, 40, "%s%.*f", value < 0 ? "−" : "", places > 0 ? places : 0, size);
  return out;
}

void hone_html_cell_number(hone_html_table_t *table, double value, int digits) {
  char text[40];
  hone_html_cell(table, hone_html_number(value, digits, text));
}
