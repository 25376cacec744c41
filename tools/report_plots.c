// The figures of a report's page; see report.h. What they show is chosen here, how in base/svg.c.
#include <math.h>
#include <string.h>

#include "base/html.h"
#include "base/svg.h"
#include "tools/report.h"

// ---- error of every tensor, by layer

typedef struct error_plot {
  const hone_report_t *report;
  hone_arena_t *arena;
  double least, largest;  // errors within the layers; least > largest: there are none
  size_t *slots;          // (layers of the report) places on the axis
  const char **names;     // of the places: "embed", "0", "1", ...
  size_t count;
} error_plot_t;

static void find_span(error_plot_t *plot) {
  plot->least = INFINITY;
  for (size_t i = 0; i < plot->report->tensors.count; i++) {
    const hone_report_tensor_t *tensor = &plot->report->tensors.items[i];
    double mse = hone_report_tensor_mse(tensor);
    if (tensor->layer < 0 || !(mse > 0)) continue;
    plot->least = fmin(plot->least, mse);
    plot->largest = fmax(plot->largest, mse);
  }
}

// An embedding in q8 beside layers in four bits would press all of them into one line: what lies
// far from the layers is told in words instead.
static bool is_drawn(const error_plot_t *plot, const hone_report_tensor_t *tensor) {
  enum { FAR = 5 };
  double mse = hone_report_tensor_mse(tensor);
  if (!tensor->is_measured) return false;
  if (tensor->layer >= 0 || plot->least > plot->largest) return true;
  return mse * FAR >= plot->least && mse <= plot->largest * FAR;
}

static const char *far_tensors(const error_plot_t *plot) {
  const char *text = "";
  char number[40];
  for (size_t i = 0; i < plot->report->tensors.count; i++) {
    const hone_report_tensor_t *tensor = &plot->report->tensors.items[i];
    if (!tensor->is_measured || is_drawn(plot, tensor)) continue;
    text = hone_arena_format(plot->arena, "%s%s %s (%s) %s", text,
                             *text ? "," : " Off the scale:", tensor->name, tensor->format,
                             hone_html_number(hone_report_tensor_mse(tensor), 3, number));
  }
  return *text ? hone_arena_format(plot->arena, "%s.", text) : text;
}

// A place for every layer with something to draw, in their order.
static void make_slots(error_plot_t *plot) {
  const hone_report_t *report = plot->report;
  size_t layers = report->layers.count;
  bool *is_used = HONE_NEW_ARRAY(plot->arena, bool, layers);
  plot->slots = HONE_NEW_ARRAY(plot->arena, size_t, layers);
  plot->names = HONE_NEW_ARRAY(plot->arena, const char *, layers);
  for (size_t i = 0; i < report->tensors.count; i++)
    if (is_drawn(plot, &report->tensors.items[i]))
      is_used[report->tensors.items[i].layer_index] = true;
  for (size_t i = 0; i < layers; i++) {
    const char *name = report->layers.items[i].name;
    if (!is_used[i]) continue;
    plot->slots[i] = plot->count;
    plot->names[plot->count++] = hone_text_starts(name, "layers.") ? strchr(name, '.') + 1 : name;
  }
}

static hone_svg_series_t kind_series(const error_plot_t *plot, const hone_report_group_t *kind) {
  char number[40];
  double *x = HONE_NEW_ARRAY(plot->arena, double, kind->measured);
  double *y = HONE_NEW_ARRAY(plot->arena, double, kind->measured);
  const char **labels = HONE_NEW_ARRAY(plot->arena, const char *, kind->measured);
  hone_svg_series_t series = {.name = kind->name,
                              .marks = HONE_SVG_POINTS | HONE_SVG_LINE,
                              .x = x,
                              .y = y,
                              .labels = labels};
  for (size_t i = 0; i < plot->report->tensors.count && series.count < kind->measured; i++) {
    const hone_report_tensor_t *tensor = &plot->report->tensors.items[i];
    if (!is_drawn(plot, tensor) || strcmp(tensor->kind, kind->name)) continue;
    x[series.count] = (double)plot->slots[tensor->layer_index];
    y[series.count] = hone_report_tensor_mse(tensor);
    labels[series.count++] =
        hone_arena_format(plot->arena, "%s (%s): %s", tensor->name, tensor->format,
                          hone_html_number(hone_report_tensor_mse(tensor), 3, number));
  }
  return series;
}

void hone_report_plot_errors(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out) {
  error_plot_t errors = {.report = report, .arena = arena};
  hone_svg_series_t *series = HONE_NEW_ARRAY(arena, hone_svg_series_t, report->kinds.count);
  size_t count = 0;
  find_span(&errors);
  make_slots(&errors);
  for (size_t i = 0; i < report->kinds.count; i++) {
    series[count] = kind_series(&errors, &report->kinds.items[i]);
    series[count].color = count;
    if (series[count].count) count++;
  }
  hone_svg_plot_t plot = {
      .id = "errors",
      .title = "Weight error by layer.",
      .description = hone_arena_format(arena,
                                       "Relative mean squared error of every quantized tensor, Σ(w "
                                       "− ŵ)² / Σw², on a logarithmic "
                                       "axis; tensors of one kind are joined across the layers.%s",
                                       far_tensors(&errors)),
      .x = {.name = "layer", .names = errors.names, .name_count = errors.count},
      .y = {.name = "relative MSE", .is_log = true},
      .series = series,
      .series_count = count,
  };
  hone_svg_plot(&plot, out);
}

// ---- bytes by role and format

void hone_report_plot_bytes(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out) {
  size_t formats = report->formats.count, roles = report->roles.count, rows = 0;
  const char **names = HONE_NEW_ARRAY(arena, const char *, roles);
  const char **totals = HONE_NEW_ARRAY(arena, const char *, roles);
  const char **segments = HONE_NEW_ARRAY(arena, const char *, formats);
  const char **labels = HONE_NEW_ARRAY(arena, const char *, roles *formats);
  double *values = HONE_NEW_ARRAY(arena, double, roles *formats);
  char size[16];
  for (size_t f = 0; f < formats; f++) segments[f] = report->formats.items[f].name;
  for (size_t r = 0; r < roles; r++) {
    const hone_report_group_t *role = &report->roles.items[r];
    if (!role->tensors) continue;
    for (size_t i = 0; i < report->tensors.count; i++) {
      const hone_report_tensor_t *tensor = &report->tensors.items[i];
      if (tensor->role == r) values[rows * formats + tensor->format_index] += (double)tensor->bytes;
    }
    for (size_t f = 0; f < formats; f++)
      labels[rows * formats + f] =
          hone_arena_format(arena, "%s, %s: %s", role->name, segments[f],
                            hone_text_bytes((uint64_t)values[rows * formats + f], size));
    names[rows] = role->name;
    totals[rows++] =
        hone_arena_format(arena, "%s · %.1f %%", hone_text_bytes(role->bytes, size),
                          100 * (double)role->bytes / fmax(1, (double)report->total.bytes));
  }
  hone_svg_bars_t bars = {
      .id = "bytes",
      .title = "Where the bytes are.",
      .description =
          "Bytes of the weights section by the tensors' role, coloured by format; "
          "scales and padding included.",
      .rows = names,
      .row_count = rows,
      .segments = segments,
      .segment_count = formats,
      .values = values,
      .labels = labels,
      .totals = totals,
  };
  hone_svg_bars(&bars, out);
}

// ---- KL divergence

static const char *rule_label(const char *name, double value, hone_arena_t *arena) {
  char number[40];
  return hone_arena_format(arena, "%s %s", name, hone_html_number(value, 3, number));
}

void hone_report_plot_histogram(const hone_report_t *report, hone_arena_t *arena,
                                hone_buffer_t *out) {
  const hone_score_histogram_t *histogram = &report->histogram;
  const hone_score_result_t *result = &report->evaluation->result;
  size_t bins = histogram->bins;
  double *x = HONE_NEW_ARRAY(arena, double, bins), *end = HONE_NEW_ARRAY(arena, double, bins);
  double *y = HONE_NEW_ARRAY(arena, double, bins);
  const char **labels = HONE_NEW_ARRAY(arena, const char *, bins);
  char low[40], high[40];
  for (size_t i = 0; i < bins; i++) {
    double steps = (double)histogram->per_decade;
    x[i] = histogram->low * pow(10, (double)i / steps);
    end[i] = histogram->low * pow(10, (double)(i + 1) / steps);
    y[i] = (double)histogram->counts[i];
    labels[i] =
        hone_arena_format(arena, "%s to %s nats: %zu tokens", hone_html_number(x[i], 2, low),
                          hone_html_number(end[i], 2, high), histogram->counts[i]);
  }
  hone_svg_series_t series = {
      .marks = HONE_SVG_BARS, .count = bins, .x = x, .x_end = end, .y = y, .labels = labels};
  hone_svg_rule_t rules[] = {
      {.value = result->kl_median, .label = rule_label("median", result->kl_median, arena)},
      {.value = result->kl_mean, .label = rule_label("mean", result->kl_mean, arena)},
      {.value = result->kl_p99, .label = rule_label("99 %", result->kl_p99, arena)},
      {.value = result->kl_p999, .label = rule_label("99.9 %", result->kl_p999, arena)},
  };
  hone_svg_plot_t plot = {
      .id = "histogram",
      .title = "KL divergence per token.",
      .description = histogram->below
                         ? hone_arena_format(arena,
                                             "How many tokens have which divergence from the "
                                             "reference; bins are equally wide on the logarithmic "
                                             "axis. %zu tokens lie below the first.",
                                             histogram->below)
                         : "How many tokens have which divergence from the reference; bins are "
                           "equally wide on the logarithmic axis.",
      .x = {.name = "KL divergence (nats)", .is_log = true},
      .y = {.name = "tokens", .from_zero = true},
      .series = &series,
      .series_count = 1,
      .rules = rules,
      .rule_count = bins ? sizeof rules / sizeof *rules : 0,
  };
  hone_svg_plot(&plot, out);
}

void hone_report_plot_positions(const hone_report_t *report, hone_arena_t *arena,
                                hone_buffer_t *out) {
  const hone_evaluation_t *evaluation = report->evaluation;
  size_t bins = hone_report_bins(evaluation);
  double *x = HONE_NEW_ARRAY(arena, double, bins), *y = HONE_NEW_ARRAY(arena, double, bins);
  double *error = HONE_NEW_ARRAY(arena, double, bins);
  const char **labels = HONE_NEW_ARRAY(arena, const char *, bins);
  char number[40];
  for (size_t i = 0; i < bins; i++) {
    size_t begin, end;
    hone_report_bin(evaluation, i, &begin, &end);
    hone_score_sums_t sums = hone_score_range(&evaluation->score, begin, end);
    x[i] = (double)evaluation->first + (double)(begin + end - 1) / 2;
    y[i] = sums.kl / (double)sums.count;
    error[i] = hone_score_error(sums.kl, sums.kl_squared, sums.count);
    labels[i] = hone_arena_format(arena, "positions %zu to %zu: %s nats", evaluation->first + begin,
                                  evaluation->first + end - 1, hone_html_number(y[i], 3, number));
  }
  hone_svg_series_t series = {.marks = HONE_SVG_POINTS | HONE_SVG_LINE,
                              .count = bins,
                              .x = x,
                              .y = y,
                              .error = error,
                              .labels = labels};
  double mean = evaluation->result.kl_mean;
  hone_svg_rule_t rule = {
      .value = mean, .is_horizontal = true, .label = rule_label("mean", mean, arena)};
  hone_svg_plot_t plot = {
      .id = "positions",
      .title = "KL divergence by position in the window.",
      .description =
          "Mean over neighbouring positions with its standard error. A rise to the right "
          "means that errors add up with the context, in the KV cache for instance.",
      .x = {.name = "position in the window"},
      .y = {.name = "mean KL divergence (nats)", .from_zero = true},
      .series = &series,
      .series_count = 1,
      .rules = &rule,
      .rule_count = 1,
  };
  hone_svg_plot(&plot, out);
}
