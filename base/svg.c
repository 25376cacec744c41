// Plots over two axes; see svg.h.
#include "base/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/axis.h"
#include "base/svg_internal.h"

enum { PLOT_HEIGHT = 260, X_TICKS = 8, Y_TICKS = 5 };

typedef struct canvas {
  const hone_svg_plot_t *plot;
  hone_axis_t x, y;                 // x: unused with names
  double left, right, top, bottom;  // of the plotting area
  hone_buffer_t *out;
  size_t marks;
} canvas_t;

// ---- from values to places

static double x_place(const canvas_t *canvas, double value) {
  const hone_svg_scale_t *scale = &canvas->plot->x;
  double place =
      scale->names ? (value + 0.5) / (double)scale->name_count : hone_axis_place(&canvas->x, value);
  return canvas->left + place * (canvas->right - canvas->left);
}

static double y_place(const canvas_t *canvas, double value) {
  return canvas->bottom - hone_axis_place(&canvas->y, value) * (canvas->bottom - canvas->top);
}

typedef struct range {
  double low, high;
  bool is_log;
} range_t;

static void widen(range_t *range, double value) {
  if (!isfinite(value) || (range->is_log && !(value > 0))) return;
  range->low = fmin(range->low, value);
  range->high = fmax(range->high, value);
}

static void cover_series(const hone_svg_series_t *series, range_t *x, range_t *y) {
  for (size_t i = 0; i < series->count; i++) {
    double error = series->error && isfinite(series->error[i]) ? series->error[i] : 0;
    widen(x, series->x[i]);
    if (series->x_end) widen(x, series->x_end[i]);
    widen(y, series->y[i] - error);
    widen(y, series->y[i] + error);
    widen(y, series->y[i]);
  }
}

static void make_axes(canvas_t *canvas) {
  const hone_svg_plot_t *plot = canvas->plot;
  range_t x = {INFINITY, -INFINITY, plot->x.is_log}, y = {INFINITY, -INFINITY, plot->y.is_log};
  for (size_t i = 0; i < plot->series_count; i++) cover_series(&plot->series[i], &x, &y);
  for (size_t i = 0; i < plot->rule_count; i++)
    widen(plot->rules[i].is_horizontal ? &y : &x, plot->rules[i].value);
  if (plot->x.from_zero) widen(&x, 0);
  if (plot->y.from_zero) widen(&y, 0);
  hone_axis_init(&canvas->x, plot->x.is_log, x.low, x.high, X_TICKS);
  hone_axis_init(&canvas->y, plot->y.is_log, y.low, y.high, Y_TICKS);
}

// ---- what is behind the marks

static void line(const canvas_t *canvas, double x1, double y1, double x2, double y2,
                 const char *classes) {
  hone_buffer_format(canvas->out,
                     "<line class=\"%s\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n",
                     classes, x1, y1, x2, y2);
}

static void draw_names(const canvas_t *canvas) {
  const hone_svg_scale_t *scale = &canvas->plot->x;
  double widest = 0, step = (canvas->right - canvas->left) / (double)scale->name_count;
  for (size_t i = 0; i < scale->name_count; i++)
    widest = fmax(widest, hone_svg_text_width(scale->names[i]) + 8);
  size_t stride = (size_t)fmax(1, ceil(widest / step));
  for (size_t i = 0; i < scale->name_count; i += stride)
    hone_svg_write(x_place(canvas, (double)i), canvas->bottom + 18, "middle", "tick",
                   scale->names[i], canvas->out);
}

static void draw_axes(const canvas_t *canvas) {
  char label[HONE_AXIS_LABEL_BYTES];
  for (size_t i = 0; i < canvas->y.tick_count; i++) {
    double y = y_place(canvas, canvas->y.ticks[i]);
    line(canvas, canvas->left, y, canvas->right, y, i ? "grid" : "axis");
    hone_svg_write(canvas->left - 8, y + 4, "end", "tick",
                   hone_axis_label(&canvas->y, canvas->y.ticks[i], label), canvas->out);
  }
  if (canvas->plot->x.names) {
    draw_names(canvas);
  } else {
    for (size_t i = 0; i < canvas->x.tick_count; i++) {
      double x = x_place(canvas, canvas->x.ticks[i]);
      line(canvas, x, canvas->bottom, x, canvas->bottom + 5, "axis");
      hone_svg_write(x, canvas->bottom + 18, "middle", "tick",
                     hone_axis_label(&canvas->x, canvas->x.ticks[i], label), canvas->out);
    }
  }
  hone_svg_write(0, canvas->top - 15, "start", "name", canvas->plot->y.name, canvas->out);
  hone_svg_write(canvas->right, canvas->bottom + 38, "end", "name", canvas->plot->x.name,
                 canvas->out);
}

static double rule_place(const canvas_t *canvas, const hone_svg_rule_t *rule) {
  return rule->is_horizontal ? y_place(canvas, rule->value) : x_place(canvas, rule->value);
}

// Labels come after all lines, which would cross them. Those of upright rules stand in rows, so
// that neighbours do not hide each other.
static void draw_rules(const canvas_t *canvas) {
  size_t row = 0;
  for (size_t i = 0; i < canvas->plot->rule_count; i++) {
    const hone_svg_rule_t *rule = &canvas->plot->rules[i];
    double at = rule_place(canvas, rule);
    if (!isfinite(at)) continue;
    if (rule->is_horizontal)
      line(canvas, canvas->left, at, canvas->right, at, "rule");
    else
      line(canvas, at, canvas->top, at, canvas->bottom, "rule");
  }
  for (size_t i = 0; i < canvas->plot->rule_count; i++) {
    const hone_svg_rule_t *rule = &canvas->plot->rules[i];
    double at = rule_place(canvas, rule);
    if (!isfinite(at)) continue;
    if (rule->is_horizontal) {
      hone_svg_write(canvas->right + 6, at + 4, "start", "note", rule->label, canvas->out);
      continue;
    }
    bool fits = at + 6 + hone_svg_text_width(rule->label) < canvas->right;
    hone_svg_write(fits ? at + 5 : at - 5, canvas->top + 11 + 16 * (double)row++,
                   fits ? "start" : "end", "note", rule->label, canvas->out);
  }
}

// ---- marks

static void draw_bars(canvas_t *canvas, const hone_svg_series_t *series) {
  char classes[32];
  snprintf(classes, sizeof classes, "mark bar c%zu", series->color % HONE_SVG_COLORS);
  for (size_t i = 0; i < series->count; i++) {
    double x = x_place(canvas, series->x[i]), end = x_place(canvas, series->x_end[i]);
    double y = y_place(canvas, series->y[i]);
    if (!isfinite(x) || !isfinite(end) || !isfinite(y)) continue;
    double gap = end - x > 4 ? 1 : 0;
    hone_svg_box(x, y, fmax(end - x - gap, 0.5), fmax(canvas->bottom - y, 0), classes,
                 series->labels ? series->labels[i] : NULL, canvas->out);
    canvas->marks++;
  }
}

static void draw_line(canvas_t *canvas, const hone_svg_series_t *series) {
  bool open = false, any = false;
  hone_buffer_t path = {0};
  for (size_t i = 0; i < series->count; i++) {
    double x = x_place(canvas, series->x[i]), y = y_place(canvas, series->y[i]);
    bool is_placed = isfinite(x) && isfinite(y);
    if (is_placed) hone_buffer_format(&path, "%s%.2f,%.2f", open ? "L" : "M", x, y);
    any = any || (is_placed && open);  // one point makes no line
    open = is_placed;
  }
  if (any) {
    hone_buffer_format(canvas->out, "<path class=\"mark line c%zu\" d=\"%s\"/>\n",
                       series->color % HONE_SVG_COLORS, hone_buffer_cstr(&path));
    canvas->marks++;
  }
  hone_buffer_deinit(&path);
}

static void draw_error(const canvas_t *canvas, const hone_svg_series_t *series, size_t i) {
  double x = x_place(canvas, series->x[i]);
  double low = y_place(canvas, series->y[i] - series->error[i]);
  double high = y_place(canvas, series->y[i] + series->error[i]);
  char classes[32];
  if (!isfinite(high)) return;
  if (!isfinite(low)) low = canvas->bottom;  // it reaches below a logarithmic axis
  snprintf(classes, sizeof classes, "whisker c%zu", series->color % HONE_SVG_COLORS);
  line(canvas, x, low, x, high, classes);
  line(canvas, x - 3, low, x + 3, low, classes);
  line(canvas, x - 3, high, x + 3, high, classes);
}

static void draw_points(canvas_t *canvas, const hone_svg_series_t *series) {
  for (size_t i = 0; i < series->count; i++) {
    double x = x_place(canvas, series->x[i]), y = y_place(canvas, series->y[i]);
    if (!isfinite(x) || !isfinite(y)) continue;
    if (series->error) draw_error(canvas, series, i);
    hone_buffer_text(canvas->out, "<g class=\"mark\">");
    hone_svg_point(x, y, series->color, series->labels ? series->labels[i] : NULL, canvas->out);
    hone_buffer_text(canvas->out, "</g>\n");
    canvas->marks++;
  }
}

static double draw_legend(const hone_svg_plot_t *plot, hone_buffer_t *out) {
  hone_svg_key_t *keys = calloc(plot->series_count + 1, sizeof *keys);
  size_t count = 0;
  if (!keys) hone_out_of_memory();
  for (size_t i = 0; i < plot->series_count; i++) {
    const hone_svg_series_t *series = &plot->series[i];
    if (!series->name) continue;
    keys[count++] =
        (hone_svg_key_t){series->name, series->color, (series->marks & HONE_SVG_BARS) != 0};
  }
  double height = hone_svg_legend(keys, count, out);
  free(keys);
  return height;
}

static double label_width(const hone_axis_t *axis) {
  double widest = 0;
  char label[HONE_AXIS_LABEL_BYTES];
  for (size_t i = 0; i < axis->tick_count; i++)
    widest = fmax(widest, hone_svg_text_width(hone_axis_label(axis, axis->ticks[i], label)));
  return widest;
}

// Labels of level rules stand to the right of the plot.
static double right_margin(const hone_svg_plot_t *plot) {
  double widest = 24;
  for (size_t i = 0; i < plot->rule_count; i++)
    if (plot->rules[i].is_horizontal)
      widest = fmax(widest, hone_svg_text_width(plot->rules[i].label) + 8);
  return widest;
}

size_t hone_svg_plot(const hone_svg_plot_t *plot, hone_buffer_t *out) {
  hone_buffer_t body = {0};
  canvas_t canvas = {.plot = plot, .out = &body};
  make_axes(&canvas);
  canvas.left = label_width(&canvas.y) + 12;
  canvas.right = HONE_SVG_WIDTH - right_margin(plot);
  canvas.top = draw_legend(plot, &body) + 32;
  canvas.bottom = canvas.top + PLOT_HEIGHT;
  draw_axes(&canvas);
  for (size_t i = 0; i < plot->series_count; i++)
    if (plot->series[i].marks & HONE_SVG_BARS) draw_bars(&canvas, &plot->series[i]);
  draw_rules(&canvas);
  for (size_t i = 0; i < plot->series_count; i++)
    if (plot->series[i].marks & HONE_SVG_LINE) draw_line(&canvas, &plot->series[i]);
  for (size_t i = 0; i < plot->series_count; i++)
    if (plot->series[i].marks & HONE_SVG_POINTS) draw_points(&canvas, &plot->series[i]);
  if (!canvas.marks)
    hone_svg_write((canvas.left + canvas.right) / 2, (canvas.top + canvas.bottom) / 2, "middle",
                   "name", "no data", &body);
  hone_svg_frame(plot->id, plot->title, plot->description, canvas.bottom + 48, canvas.marks, &body,
                 out);
  hone_buffer_deinit(&body);
  return canvas.marks;
}
