// The report as one page that needs nothing else: no scripts, fonts or images; see report.h. The
// page's frame, tables and style are base/html.h, its figures report_plots.c.
#include <math.h>
#include <string.h>

#include "base/html.h"
#include "tools/report.h"

typedef struct page {
  const hone_report_t *report;
  hone_arena_t *arena;
  hone_buffer_t *out;
} page_t;

// ---- pieces

static const char *bytes_text(page_t *page, uint64_t bytes) {
  char size[16];
  return hone_arena_strdup(page->arena, hone_text_bytes(bytes, size));
}

static const char *number_text(page_t *page, double value, int digits) {
  char number[40];
  return hone_arena_strdup(page->arena, hone_html_number(value, digits, number));
}

// "12.34 ± 0.56": the error with two digits, the value as far as the error goes.
static const char *measured_text(page_t *page, double value, double error) {
  if (!isfinite(value)) return "–";
  if (!(error > 0) || !isfinite(error)) return number_text(page, value, 5);
  int places = 1 - (int)floor(log10(error));
  if (places < 0) places = 0;
  if (places > 12) return number_text(page, value, 5);
  return hone_arena_format(page->arena, "%.*f ± %.*f", places, value, places, error);
}

static const char *decibels_text(page_t *page, double mse) {
  return mse > 0 ? hone_arena_format(page->arena, "%.1f", -10 * log10(mse)) : "";
}

static void heading(page_t *page, const char *id, const char *text) {
  hone_buffer_format(page->out, "<h2 id=\"%s\">", id);
  hone_html_text(page->out, text);
  hone_buffer_text(page->out, "</h2>\n");
}

static void paragraph(page_t *page, const char *text) {
  hone_buffer_text(page->out, "<p class=\"note\">");
  hone_html_text(page->out, text);
  hone_buffer_text(page->out, "</p>\n");
}

// A key figure: what it is, its value, and a remark.
static void figure(page_t *page, const char *name, const char *value, const char *detail) {
  hone_buffer_text(page->out, "<div><dt>");
  hone_html_text(page->out, name);
  hone_buffer_text(page->out, "</dt><dd class=\"value\">");
  hone_html_text(page->out, value);
  hone_buffer_text(page->out, "</dd><dd class=\"detail\">");
  hone_html_text(page->out, detail);
  hone_buffer_text(page->out, "</dd></div>\n");
}

// ---- head of the page

static int64_t model_number(const hone_report_t *report, const char *name) {
  int64_t value = 0;
  for (size_t i = 0; i < report->model.count; i++) {
    const hone_report_field_t *field = &report->model.items[i];
    if (field->is_number && !strcmp(field->name, name) && hone_text_parse_i64(field->text, &value))
      return value;
  }
  return 0;
}

// "260 k", "1.24 B"
static const char *count_text(page_t *page, uint64_t count) {
  static const char *const units[] = {"", " k", " M", " B", " T"};
  double value = (double)count;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) value /= 1000, unit++;
  int places = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return hone_arena_format(page->arena, "%.*f%s", places, value, units[unit]);
}

static void put_header(page_t *page) {
  const hone_report_t *report = page->report;
  hone_buffer_t *out = page->out;
  hone_buffer_text(out, "<header>\n<p class=\"eyebrow\">Quantization report</p>\n<h1>");
  hone_html_text(out, report->name);
  hone_buffer_text(out, "</h1>\n<p class=\"lead\">");
  hone_html_format(
      out, "%s, %s parameters: %lld layers of width %lld, vocabulary of %lld, context of %lld.",
      report->family, count_text(page, report->total.parameters),
      (long long)model_number(report, "layers"), (long long)model_number(report, "width"),
      (long long)model_number(report, "vocab"), (long long)model_number(report, "context"));
  if (report->reference) hone_html_format(out, " Compared with %s.", report->reference->name);
  hone_buffer_text(out, "</p>\n</header>\n");
}

static void put_size_figures(page_t *page) {
  const hone_report_t *report = page->report, *reference = report->reference;
  const hone_report_group_t *total = &report->total;
  const char *detail =
      hone_arena_format(page->arena, "over %zu tensors, scales included", total->tensors);
  if (reference)
    detail = hone_arena_format(page->arena, "reference %.3f", hone_report_bits(&reference->total));
  figure(page, "Bits per weight", hone_arena_format(page->arena, "%.3f", hone_report_bits(total)),
         detail);
  detail = hone_arena_format(page->arena, "in a file of %s", bytes_text(page, report->file_bytes));
  if (reference)
    detail =
        hone_arena_format(page->arena, "%.2f× smaller than %s",
                          (double)reference->weight_bytes / fmax(1, (double)report->weight_bytes),
                          bytes_text(page, reference->weight_bytes));
  figure(page, "Weights", bytes_text(page, report->weight_bytes), detail);
  double mse = hone_report_mse(total);
  const char *decibels = decibels_text(page, mse);
  detail = !total->measured ? "no tensor is quantized"
           : *decibels      ? hone_arena_format(page->arena, "signal to noise %s dB", decibels)
                            : "exact";
  figure(page, "Relative MSE of weights", isnan(mse) ? "–" : number_text(page, mse, 3), detail);
}

static void put_score_figures(page_t *page) {
  const hone_evaluation_t *evaluation = page->report->evaluation;
  if (!evaluation) return;
  const hone_score_result_t *result = &evaluation->result;
  const char *detail = hone_arena_format(page->arena, "%zu tokens", result->count);
  if (evaluation->has_reference)
    detail = hone_arena_format(page->arena, "reference %s",
                               number_text(page, result->reference_perplexity, 4));
  figure(page, "Perplexity", number_text(page, result->perplexity, 4), detail);
  if (!evaluation->has_reference) return;
  figure(page, "Mean KL divergence", number_text(page, result->kl_mean, 3),
         hone_arena_format(page->arena, "nats per token; 99 %%: %s",
                           number_text(page, result->kl_p99, 3)));
  figure(page, "Same top token",
         hone_arena_format(page->arena, "%.2f %%", 100 * result->top1_agreement),
         hone_arena_format(page->arena, "of %zu tokens", result->count));
}

// ---- predictions

static void put_score_row(hone_html_table_t *table, const char *name, const char *value,
                          const char *meaning) {
  hone_html_cell(table, name);
  hone_html_cell(table, value);
  hone_html_cell(table, meaning);
}

static void put_scores(page_t *page) {
  static const hone_html_column_t columns[] = {
      {"Measure"}, {"Value", .is_number = true}, {"Meaning"}};
  const hone_report_t *report = page->report;
  const hone_evaluation_t *evaluation = report->evaluation;
  const hone_score_result_t *result = &evaluation->result;
  hone_html_table_t table = {.out = page->out, .columns = columns, .column_count = 3};
  hone_html_table_begin(
      &table,
      hone_arena_format(page->arena, "Scores of %zu tokens, with standard errors", result->count));
  put_score_row(&table, "Perplexity",
                measured_text(page, result->perplexity, result->perplexity_error),
                "lower is better");
  if (evaluation->has_reference) {
    put_score_row(
        &table, "Perplexity of the reference",
        measured_text(page, result->reference_perplexity, result->reference_perplexity_error),
        report->reference->name);
    put_score_row(&table, "Ratio of the two",
                  measured_text(page, result->perplexity_ratio, result->perplexity_ratio_error),
                  "paired token by token, hence the small error");
    put_score_row(&table, "KL divergence, mean",
                  measured_text(page, result->kl_mean, result->kl_mean_error), "nats per token");
    put_score_row(&table, "KL divergence, median", number_text(page, result->kl_median, 3),
                  "half of the tokens are below");
    put_score_row(&table, "KL divergence, 99 %", number_text(page, result->kl_p99, 3),
                  "one token in 100 is above");
    put_score_row(&table, "KL divergence, 99.9 %", number_text(page, result->kl_p999, 3),
                  "one token in 1000 is above");
    put_score_row(&table, "KL divergence, largest", number_text(page, result->kl_max, 3), "");
    put_score_row(&table, "Same top token",
                  hone_arena_format(
                      page->arena, "%s %%",
                      measured_text(page, 100 * result->top1_agreement, 100 * result->top1_error)),
                  "both models prefer the same token");
  }
  hone_html_table_end(&table);
}

static void put_predictions(page_t *page) {
  const hone_report_t *report = page->report;
  const hone_evaluation_t *evaluation = report->evaluation;
  if (!evaluation) return;
  heading(page, "predictions", "Predictions");
  paragraph(page,
            hone_arena_format(
                page->arena,
                "Measured on %s: %lld windows of %lld tokens, of which the second half "
                "is scored.%s",
                report->text_name, (long long)evaluation->windows, (long long)evaluation->context,
                report->reference ? " KL divergence is Σ p·log(p/q) with p the reference." : ""));
  put_scores(page);
  if (!report->reference) return;
  hone_report_plot_histogram(report, page->arena, page->out);
  hone_report_plot_positions(report, page->arena, page->out);
}

// ---- weights

static void put_groups(page_t *page, const char *caption, const char *name,
                       const hone_report_groups_t *groups) {
  const hone_html_column_t columns[] = {
      {name},
      {"Tensors", .is_number = true},
      {"Parameters", .is_number = true},
      {"Bits/weight", .is_number = true, .hint = "codes, scales and tables, no padding"},
      {"Bytes", .is_number = true, .hint = "in the file, padding included"},
      {"Share", .is_number = true, .hint = "of the bytes"},
      {"Rel. MSE", .is_number = true, .hint = "sum of noise over sum of signal"},
      {"SNR (dB)", .is_number = true, .hint = "signal to noise ratio"},
  };
  hone_html_table_t table = {
      .out = page->out, .columns = columns, .column_count = sizeof columns / sizeof *columns};
  double all = fmax(1, (double)page->report->total.bytes);
  hone_html_table_begin(&table, caption);
  for (size_t i = 0; i < groups->count; i++) {
    const hone_report_group_t *group = &groups->items[i];
    if (!group->tensors) continue;
    hone_html_cell(&table, group->name);
    hone_html_cell_format(&table, "%zu", group->tensors);
    hone_html_cell(&table, count_text(page, group->parameters));
    hone_html_cell_format(&table, "%.3f", hone_report_bits(group));
    hone_html_cell(&table, bytes_text(page, group->bytes));
    hone_html_cell_format(&table, "%.1f %%", 100 * (double)group->bytes / all);
    hone_html_cell_number(&table, hone_report_mse(group), 3);
    hone_html_cell(&table, decibels_text(page, hone_report_mse(group)));
  }
  hone_html_table_end(&table);
}

static const hone_report_group_t *find_group(const hone_report_groups_t *groups, const char *name) {
  for (size_t i = 0; i < groups->count; i++)
    if (!strcmp(groups->items[i].name, name)) return &groups->items[i];
  return NULL;
}

// Parts that occur within layers: attention, ffn.
static size_t layer_parts(const hone_report_t *report, const char **parts, size_t limit) {
  size_t count = 0;
  for (size_t i = 0; i < report->parts.count && count < limit; i++) {
    const char *name = report->parts.items[i].name;
    for (size_t t = 0; t < report->tensors.count; t++) {
      const hone_report_tensor_t *tensor = &report->tensors.items[t];
      if (tensor->layer < 0 || strcmp(tensor->part, name)) continue;
      parts[count++] = name;
      break;
    }
  }
  return count;
}

static void put_layers(page_t *page) {
  enum { PARTS = 4 };
  const hone_report_t *report = page->report;
  const char *parts[PARTS];
  hone_html_column_t columns[5 + PARTS] = {
      {"Layer"}, {"Bits/weight", .is_number = true}, {"Bytes", .is_number = true}};
  size_t part_count = layer_parts(report, parts, PARTS), count = 3;
  for (size_t p = 0; p < part_count; p++)
    columns[count++] = (hone_html_column_t){parts[p], true, "relative MSE of this part"};
  columns[count++] = (hone_html_column_t){"Rel. MSE", true, "sum of noise over sum of signal"};
  columns[count++] = (hone_html_column_t){"SNR (dB)", true, "signal to noise ratio"};
  hone_html_table_t table = {.out = page->out, .columns = columns, .column_count = count};
  hone_html_table_begin(&table, "By layer: relative MSE of the parts and of the whole");
  for (size_t i = 0; i < report->layers.count; i++) {
    const hone_report_group_t *layer = &report->layers.items[i];
    hone_html_cell(&table, layer->name);
    hone_html_cell_format(&table, "%.3f", hone_report_bits(layer));
    hone_html_cell(&table, bytes_text(page, layer->bytes));
    for (size_t p = 0; p < part_count; p++) {
      const hone_report_group_t *block = find_group(
          &report->blocks, hone_arena_format(page->arena, "%s.%s", layer->name, parts[p]));
      hone_html_cell_number(&table, block ? hone_report_mse(block) : NAN, 3);
    }
    hone_html_cell_number(&table, hone_report_mse(layer), 3);
    hone_html_cell(&table, decibels_text(page, hone_report_mse(layer)));
  }
  hone_html_table_end(&table);
}

static void put_tensors(page_t *page) {
  static const hone_html_column_t all[] = {
      {"Tensor"},
      {"Format"},
      {"N", .is_number = true, .hint = "rows: outputs"},
      {"K", .is_number = true, .hint = "columns: inputs"},
      {"Bits/weight", .is_number = true},
      {"Bytes", .is_number = true},
      {"Rel. MSE", .is_number = true, .hint = "noise over signal"},
      {"SNR (dB)", .is_number = true},
      {"Output error", .is_number = true, .hint = "relative, on the calibration text"},
  };
  const hone_report_t *report = page->report;
  size_t count = sizeof all / sizeof *all - (report->has_output_error ? 0 : 1);
  hone_html_table_t table = {.out = page->out, .columns = all, .column_count = count};
  hone_html_table_begin(&table, "Every tensor, in the order of the file");
  for (size_t i = 0; i < report->tensors.count; i++) {
    const hone_report_tensor_t *tensor = &report->tensors.items[i];
    double mse = hone_report_tensor_mse(tensor);
    hone_html_cell(&table, tensor->name);
    hone_html_cell(&table, tensor->format);
    hone_html_cell_format(&table, "%llu", (unsigned long long)tensor->N);
    hone_html_cell_format(&table, "%llu", (unsigned long long)tensor->K);
    hone_html_cell_format(&table, "%.3f",
                          (double)tensor->bits / ((double)tensor->N * (double)tensor->K));
    hone_html_cell(&table, bytes_text(page, tensor->bytes));
    hone_html_cell_number(&table, mse, 3);
    hone_html_cell(&table, decibels_text(page, mse));
    if (report->has_output_error) hone_html_cell_number(&table, tensor->output_error, 3);
  }
  hone_html_table_end(&table);
}

static void put_allocation(page_t *page) {
  static const hone_html_column_t columns[] = {
      {"Weights"},
      {"Format"},
      {"Count", .is_number = true},
      {"Rel. MSE", .is_number = true, .hint = "in this format, before calibrated solving"},
      {"Loss", .is_number = true, .hint = "predicted KL divergence in nats"},
  };
  const hone_report_allocation_t *allocation = &page->report->allocation;
  if (allocation->units.count == 0) return;
  heading(page, "allocation", "Choice of formats");
  paragraph(page, hone_arena_format(
                      page->arena,
                      "Formats were chosen for a target size. Before calibrated solving the losses "
                      "add up to a KL divergence of %s nats; %s were measured on %llu tokens that "
                      "nothing else had read.",
                      number_text(page, allocation->predicted_kl, 3),
                      number_text(page, allocation->measured_kl, 3),
                      (unsigned long long)allocation->held_out_tokens));
  hone_html_table_t table = {.out = page->out, .columns = columns, .column_count = 5};
  hone_html_table_begin(&table, "Weights that share a format");
  for (size_t i = 0; i < allocation->units.count; i++) {
    const hone_report_unit_t *unit = &allocation->units.items[i];
    hone_html_cell(&table, unit->name);
    hone_html_cell(&table, unit->format);
    hone_html_cell(&table, count_text(page, unit->weights));
    hone_html_cell_number(&table, unit->error, 3);
    hone_html_cell_number(&table, unit->error * unit->sensitivity, 3);
  }
  hone_html_table_end(&table);
}

// ---- how it was made

static void put_fields(page_t *page, const char *caption, const char *name, const char *value,
                       const hone_report_fields_t *fields, const char *none) {
  const hone_html_column_t columns[] = {{name}, {value}};
  hone_html_table_t table = {.out = page->out, .columns = columns, .column_count = 2};
  if (!fields->count) return;
  hone_html_table_begin(&table, caption);
  for (size_t i = 0; i < fields->count; i++) {
    hone_html_cell(&table, fields->items[i].name);
    hone_html_cell(&table, fields->items[i].text ? fields->items[i].text : none);
  }
  hone_html_table_end(&table);
}

static void put_origin(page_t *page) {
  const hone_report_t *report = page->report;
  heading(page, "origin", "How it was made");
  paragraph(page, hone_arena_format(page->arena, "Compiled by hone %s with LLVM %s for target %s.",
                                    report->version, report->llvm, report->target));
  put_fields(page, "Options of the compilation", "Option", "Value", &report->options, "default");
  put_fields(page, "The model", "Property", "Value", &report->model, NULL);
  put_fields(page, "Files it was made from", "File", "Hash", &report->sources, NULL);
}

static void put_notes(page_t *page) {
  hone_buffer_text(page->out, "<footer>\n<p>");
  hone_html_text(
      page->out,
      "Relative MSE is Σ(w − ŵ)² / Σw² over the weights of quantized tensors, w as in the "
      "checkpoint and ŵ as decoded; SNR is −10·log₁₀ of it. Bits per weight count codes, scales "
      "and "
      "tables of all tensors, norms included, but no padding; bytes are those of the file. "
      "Standard "
      "errors take tokens as independent.");
  hone_buffer_text(page->out, "</p>\n</footer>\n");
}

void hone_report_html(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out) {
  page_t page = {report, arena, out};
  hone_html_page_begin(out, hone_arena_format(arena, "%s: quantization report", report->name),
                       "What quantization did to a model: size, error of its weights, and how far "
                       "its predictions moved.");
  put_header(&page);
  hone_buffer_text(out, "<dl class=\"figures\">\n");
  put_size_figures(&page);
  put_score_figures(&page);
  hone_buffer_text(out, "</dl>\n");
  put_predictions(&page);
  put_allocation(&page);
  heading(&page, "bytes-of-roles", "Size");
  hone_report_plot_bytes(report, arena, out);
  put_groups(&page, "By role", "Role", &report->roles);
  if (report->head_is_tied)
    paragraph(&page, "The head has no weights of its own: it uses the embedding's.");
  put_groups(&page, "By format", "Format", &report->formats);
  heading(&page, "error-of-weights", "Error of the weights");
  if (report->total.measured) {
    hone_report_plot_errors(report, arena, out);
  } else {
    paragraph(&page, "No tensor is quantized, so there is no error to show.");
  }
  put_layers(&page);
  heading(&page, "tensors", "Tensors");
  put_tensors(&page);
  put_origin(&page);
  put_notes(&page);
  hone_html_page_end(out);
}
