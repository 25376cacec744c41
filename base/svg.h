// Plots as inline SVG figures of a page (base/html.h gives their colours): points, lines and bars
// over linear, logarithmic or named axes; and horizontal bars in segments. Every figure has a
// title, a description and the tooltips of its marks, and says how many marks it drew
// (data-marks), so that a test can count them. Values that have no place (NaN, infinities, zero on
// a logarithmic axis) are left out. Thread rule: one thread per buffer.
#ifndef HONE_BASE_SVG_H
#define HONE_BASE_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum { HONE_SVG_COLORS = 8 };  // classes c0..c7; a colour has its own shape of point

typedef enum hone_svg_mark {  // may be added up
  HONE_SVG_POINTS = 1,
  HONE_SVG_LINE = 2,
  HONE_SVG_BARS = 4,  // from x to x_end, on the axis
} hone_svg_mark_t;

typedef struct hone_svg_series {
  const char *name;  // in the legend; NULL: not in it
  unsigned marks;    // hone_svg_mark_t
  size_t color;
  size_t count;
  const double *x, *y;
  const double *x_end;        // bars only
  const double *error;        // half the length of error bars; NULL: none
  const char *const *labels;  // tooltips; NULL: none
} hone_svg_series_t;

typedef struct hone_svg_scale {
  const char *name;
  bool is_log;
  bool from_zero;            // linear: zero belongs to the range
  const char *const *names;  // values are indices into these; NULL: they are numbers
  size_t name_count;
} hone_svg_scale_t;

typedef struct hone_svg_rule {  // a line across the plot
  double value;
  bool is_horizontal;
  const char *label;
} hone_svg_rule_t;

typedef struct hone_svg_plot {
  const char *id;  // unique within the page: letters, digits, '-'
  const char *title, *description;
  hone_svg_scale_t x, y;
  const hone_svg_series_t *series;
  size_t series_count;
  const hone_svg_rule_t *rules;
  size_t rule_count;
} hone_svg_plot_t;

typedef struct hone_svg_bars {
  const char *id, *title, *description;
  const char *const *rows;
  size_t row_count;
  const char *const *segments;  // in the legend
  size_t segment_count;
  const double *values;       // (row_count, segment_count); not positive: no segment
  const char *const *labels;  // (row_count, segment_count), tooltips; NULL: none
  const char *const *totals;  // (row_count), written behind the bars; NULL: none
} hone_svg_bars_t;

// Append a <figure> and return the number of marks: points, bars, and one per line.
size_t hone_svg_plot(const hone_svg_plot_t *plot, hone_buffer_t *out);
size_t hone_svg_bars(const hone_svg_bars_t *bars, hone_buffer_t *out);

#endif
