// Horizontal bars in segments; see svg.h. The longest bar fills the width, and each bar's total
// stands behind it, so there is no axis to read.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/svg_internal.h"

enum { ROW = 30, BAR = 20 };

static double value_at(const hone_svg_bars_t *bars, size_t row, size_t segment) {
  double value = bars->values[row * bars->segment_count + segment];
  return isfinite(value) && value > 0 ? value : 0;
}

static double widest(const char *const *texts, size_t count) {
  double most = 0;
  for (size_t i = 0; texts && i < count; i++) most = fmax(most, hone_svg_text_width(texts[i]));
  return most;
}

static size_t draw_row(const hone_svg_bars_t *bars, size_t row, double x, double y, double scale,
                       hone_buffer_t *out) {
  size_t marks = 0;
  char classes[32];
  hone_svg_write(x - 10, y + 15, "end", "name", bars->rows[row], out);
  for (size_t s = 0; s < bars->segment_count; s++) {
    double width = value_at(bars, row, s) * scale;
    if (!(width > 0)) continue;
    snprintf(classes, sizeof classes, "mark bar c%zu", s % HONE_SVG_COLORS);
    // A hair of paper between segments; what is too small to see is drawn half a unit wide.
    hone_svg_box(x, y, fmax(width - 1, 0.5), BAR, classes,
                 bars->labels ? bars->labels[row * bars->segment_count + s] : NULL, out);
    x += width;
    marks++;
  }
  if (bars->totals) hone_svg_write(x + 8, y + 15, "start", "tick", bars->totals[row], out);
  return marks;
}

size_t hone_svg_bars(const hone_svg_bars_t *bars, hone_buffer_t *out) {
  hone_buffer_t body = {0};
  double left = widest(bars->rows, bars->row_count) + 14, most = 0;
  double right = widest(bars->totals, bars->row_count) + 16;
  for (size_t r = 0; r < bars->row_count; r++) {
    double sum = 0;
    for (size_t s = 0; s < bars->segment_count; s++) sum += value_at(bars, r, s);
    most = fmax(most, sum);
  }
  hone_svg_key_t *keys = calloc(bars->segment_count + 1, sizeof *keys);
  if (!keys) hone_out_of_memory();
  for (size_t s = 0; s < bars->segment_count; s++)
    keys[s] = (hone_svg_key_t){bars->segments[s], s, true};
  double y = hone_svg_legend(keys, bars->segment_count, &body);
  free(keys);
  size_t marks = 0;
  double scale = most > 0 ? fmax(HONE_SVG_WIDTH - left - right, 100) / most : 0;
  for (size_t r = 0; r < bars->row_count; r++, y += ROW)
    marks += draw_row(bars, r, left, y, scale, &body);
  if (!marks) hone_svg_write(HONE_SVG_WIDTH / 2, y + 15, "middle", "name", "no data", &body);
  hone_svg_frame(bars->id, bars->title, bars->description, y + (marks ? 0 : ROW), marks, &body,
                 out);
  hone_buffer_deinit(&body);
  return marks;
}
