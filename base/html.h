// Pages of HTML: escaping, the frame of a self-contained page with its style sheet, and tables.
// What is written is well-formed XML too, so that any XML tool can check it. No scripts, nothing
// fetched; light, dark and print. Thread rule: one thread per buffer.
#ifndef HONE_BASE_HTML_H
#define HONE_BASE_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

// Text between tags or inside quotes: & < > " ' escaped; control characters and invalid UTF-8
// become U+FFFD. NULL writes nothing.
void hone_html_text(hone_buffer_t *out, const char *text);
void hone_html_format(hone_buffer_t *out, const char *format, ...)  // formats, then escapes
    __attribute__((format(printf, 2, 3)));

// Everything up to <main>, style sheet included; and from </main> on.
void hone_html_page_begin(hone_buffer_t *out, const char *title, const char *description);
void hone_html_page_end(hone_buffer_t *out);

typedef struct hone_html_column {
  const char *name;
  bool is_number;    // right-aligned, digits of one width
  const char *hint;  // a longer name, shown by the pointer; may be NULL
} hone_html_column_t;

typedef struct hone_html_table {
  hone_buffer_t *out;
  const hone_html_column_t *columns;
  size_t column_count;
  size_t at;  // private: the next cell's column
} hone_html_table_t;

// A table that scrolls by itself where it is too wide. Cells come row after row and every row has
// one per column; the first of a row is its heading.
void hone_html_table_begin(hone_html_table_t *table, const char *caption);
void hone_html_table_end(hone_html_table_t *table);
void hone_html_cell(hone_html_table_t *table, const char *text);  // NULL or "": a dash
void hone_html_cell_format(hone_html_table_t *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// A measured number with `digits` significant digits, as 0.0123 or 1.23×10⁻⁵; a dash unless finite.
void hone_html_cell_number(hone_html_table_t *table, double value, int digits);

// The text of such a number, "" unless finite; `out` holds at least 40 bytes.
const char *hone_html_number(double value, int digits, char out[40]);

#endif
