// The report as JSON, schema hone.report/1; see report.h.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report.h"

static void write_fields(hone_json_t *json, const char *key, const hone_report_fields_t *fields) {
  int64_t number;
  hone_json_object_begin(json, key);
  for (size_t i = 0; i < fields->count; i++) {
    const hone_report_field_t *field = &fields->items[i];
    if (field->is_number && hone_text_parse_i64(field->text, &number)) {
      hone_json_i64(json, field->name, number);
    } else if (field->is_number) {
      hone_json_f64(json, field->name, strtod(field->text, NULL));
    } else if (field->is_boolean) {
      hone_json_bool(json, field->name, !strcmp(field->text, "true"));
    } else {
      hone_json_string(json, field->name, field->text);
    }
  }
  hone_json_object_end(json);
}

static void write_sources(hone_json_t *json, const hone_report_fields_t *sources) {
  hone_json_array_begin(json, "sources");
  for (size_t i = 0; i < sources->count; i++) {
    hone_json_object_begin(json, NULL);
    hone_json_string(json, "file", sources->items[i].name);
    hone_json_string(json, "hash", sources->items[i].text);
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
}

// What a target size chose; as in the manifest.
static void write_allocation(hone_json_t *json, const hone_report_allocation_t *allocation) {
  enum { DIGITS = 9 };
  if (allocation->units.count == 0) return;
  hone_json_object_begin(json, "allocation");
  hone_json_f64_digits(json, "bits_per_weight", allocation->bits_per_weight, DIGITS);
  hone_json_f64_digits(json, "predicted_kl", allocation->predicted_kl, DIGITS);
  hone_json_f64_digits(json, "measured_kl", allocation->measured_kl, DIGITS);
  hone_json_u64(json, "held_out_tokens", allocation->held_out_tokens);
  hone_json_array_begin(json, "units");
  for (size_t i = 0; i < allocation->units.count; i++) {
    const hone_report_unit_t *unit = &allocation->units.items[i];
    hone_json_object_begin(json, NULL);
    hone_json_string(json, "name", unit->name);
    hone_json_string(json, "format", unit->format);
    hone_json_u64(json, "weights", unit->weights);
    hone_json_f64_digits(json, "sensitivity", unit->sensitivity, DIGITS);
    hone_json_f64_digits(json, "error", unit->error, DIGITS);
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
  hone_json_object_end(json);
}

static void write_error(hone_json_t *json, double signal, double noise, double mse) {
  hone_json_f64(json, "signal", signal);
  hone_json_f64(json, "noise", noise);
  hone_json_f64_digits(json, "relative_mse", mse, 9);
}

static void write_group(hone_json_t *json, const char *key, const hone_report_group_t *group) {
  hone_json_object_begin(json, key);
  hone_json_string(json, "name", group->name);
  hone_json_u64(json, "tensors", group->tensors);
  hone_json_u64(json, "quantized", group->measured);
  hone_json_u64(json, "parameters", group->parameters);
  hone_json_u64(json, "bytes", group->bytes);
  hone_json_u64(json, "bits", group->bits);
  hone_json_f64_digits(json, "bits_per_weight", hone_report_bits(group), 9);
  if (group->measured) write_error(json, group->signal, group->noise, hone_report_mse(group));
  hone_json_object_end(json);
}

static void write_groups(hone_json_t *json, const char *key, const hone_report_groups_t *groups) {
  hone_json_array_begin(json, key);
  for (size_t i = 0; i < groups->count; i++)
    if (groups->items[i].tensors) write_group(json, NULL, &groups->items[i]);
  hone_json_array_end(json);
}

static void write_tensors(hone_json_t *json, const hone_report_t *report) {
  hone_json_array_begin(json, "tensors");
  for (size_t i = 0; i < report->tensors.count; i++) {
    const hone_report_tensor_t *tensor = &report->tensors.items[i];
    hone_json_object_begin(json, NULL);
    hone_json_string(json, "name", tensor->name);
    hone_json_string(json, "role", report->roles.items[tensor->role].name);
    hone_json_string(json, "block", tensor->block);
    if (tensor->layer >= 0) hone_json_i64(json, "layer", tensor->layer);
    hone_json_string(json, "format", tensor->format);
    hone_json_u64(json, "N", tensor->N);
    hone_json_u64(json, "K", tensor->K);
    hone_json_f64_digits(json, "bits_per_weight",
                         (double)tensor->bits / ((double)tensor->N * (double)tensor->K), 9);
    hone_json_u64(json, "bytes", tensor->bytes);
    if (tensor->is_measured)
      write_error(json, tensor->signal, tensor->noise, hone_report_tensor_mse(tensor));
    if (!isnan(tensor->output_error)) hone_json_f64(json, "output_error", tensor->output_error);
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
}

static void write_sizes(hone_json_t *json, const hone_report_t *report) {
  hone_json_u64(json, "parameters", report->total.parameters);
  hone_json_f64_digits(json, "bits_per_weight", hone_report_bits(&report->total), 9);
  hone_json_u64(json, "tensor_bytes", report->total.bytes);
  hone_json_u64(json, "weight_bytes", report->weight_bytes);
  hone_json_u64(json, "file_bytes", report->file_bytes);
}

static void write_histogram(hone_json_t *json, const hone_score_histogram_t *histogram) {
  hone_json_object_begin(json, "kl_histogram");
  hone_json_u64(json, "per_decade", histogram->per_decade);
  hone_json_u64(json, "below", histogram->below);
  hone_json_array_begin(json, "edges");  // one more than counts
  for (size_t i = 0; i <= histogram->bins && histogram->bins; i++)
    hone_json_f64_digits(json, NULL,
                         histogram->low * pow(10, (double)i / (double)histogram->per_decade), 9);
  hone_json_array_end(json);
  hone_json_array_begin(json, "counts");
  for (size_t i = 0; i < histogram->bins; i++) hone_json_u64(json, NULL, histogram->counts[i]);
  hone_json_array_end(json);
  hone_json_object_end(json);
}

static void write_positions(hone_json_t *json, const hone_evaluation_t *evaluation) {
  hone_json_array_begin(json, "by_position");
  for (size_t i = 0; i < hone_report_bins(evaluation); i++) {
    size_t begin, end;
    hone_report_bin(evaluation, i, &begin, &end);
    hone_score_sums_t sums = hone_score_range(&evaluation->score, begin, end);
    double count = (double)sums.count;
    hone_json_object_begin(json, NULL);
    hone_json_u64(json, "first", evaluation->first + begin);
    hone_json_u64(json, "last", evaluation->first + end - 1);
    hone_json_u64(json, "tokens", sums.count);
    hone_json_f64(json, "perplexity", exp(sums.nll / count));
    if (evaluation->has_reference) {
      hone_json_f64(json, "kl_mean", sums.kl / count);
      hone_json_f64(json, "kl_mean_error", hone_score_error(sums.kl, sums.kl_squared, sums.count));
      hone_json_f64(json, "top1_agreement", (double)sums.agree / count);
    }
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
}

static void write_evaluation(hone_json_t *json, const hone_report_t *report) {
  if (!report->evaluation) return;
  hone_json_object_begin(json, "evaluation");
  hone_json_string(json, "text", report->text_name);
  hone_evaluate_json(report->evaluation, json);
  if (report->reference) write_histogram(json, &report->histogram);
  write_positions(json, report->evaluation);
  hone_json_object_end(json);
}

static void write_reference(hone_json_t *json, const hone_report_t *reference) {
  if (!reference) return;
  hone_json_object_begin(json, "reference");
  hone_json_string(json, "name", reference->name);
  write_fields(json, "options", &reference->options);
  write_sizes(json, reference);
  write_groups(json, "formats", &reference->formats);
  hone_json_object_end(json);
}

void hone_report_json(const hone_report_t *report, hone_buffer_t *out) {
  hone_json_t json = {.out = out};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "schema", "hone.report/1");
  hone_json_string(&json, "name", report->name);
  hone_json_string(&json, "hone", report->version);
  hone_json_string(&json, "llvm", report->llvm);
  hone_json_string(&json, "target", report->target);
  write_fields(&json, "model", &report->model);
  write_fields(&json, "options", &report->options);
  write_sources(&json, &report->sources);
  write_sizes(&json, report);
  write_allocation(&json, &report->allocation);
  hone_json_bool(&json, "head_is_tied", report->head_is_tied);
  write_group(&json, "total", &report->total);
  write_groups(&json, "roles", &report->roles);
  write_groups(&json, "formats", &report->formats);
  write_groups(&json, "parts", &report->parts);
  write_groups(&json, "kinds", &report->kinds);
  write_groups(&json, "layers", &report->layers);
  write_groups(&json, "blocks", &report->blocks);
  write_tensors(&json, report);
  write_reference(&json, report->reference);
  write_evaluation(&json, report);
  hone_json_object_end(&json);
  hone_buffer_text(out, "\n");
}
