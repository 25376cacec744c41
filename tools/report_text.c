// The report as text for a terminal: sums and the tensors with the largest error; see report.h.
#include <math.h>
#include <stdlib.h>

#include "tools/report.h"

enum { WORST = 8 };

static void print_groups(const char *title, const hone_report_groups_t *groups,
                         hone_buffer_t *out) {
  char size[16];
  hone_buffer_format(out, "\n%-28s %7s %9s %6s %11s\n", title, "tensors", "bytes", "bits", "MSE");
  for (size_t i = 0; i < groups->count; i++) {
    const hone_report_group_t *group = &groups->items[i];
    if (!group->tensors) continue;
    hone_buffer_format(out, "  %-26s %7zu %9s %6.3f", group->name, group->tensors,
                       hone_text_bytes(group->bytes, size), hone_report_bits(group));
    if (group->measured) hone_buffer_format(out, " %11.3e", hone_report_mse(group));
    hone_buffer_text(out, "\n");
  }
}

static int compare_mse(const void *a, const void *b) {
  const hone_report_tensor_t *s = *(const hone_report_tensor_t *const *)a;
  const hone_report_tensor_t *t = *(const hone_report_tensor_t *const *)b;
  double x = hone_report_tensor_mse(s), y = hone_report_tensor_mse(t);
  return x != y ? (x < y) - (x > y) : (s > t) - (s < t);  // equal ones as in the file
}

static void print_worst(const hone_report_t *report, hone_buffer_t *out) {
  size_t count = 0;
  const hone_report_tensor_t **tensors = calloc(report->tensors.count, sizeof *tensors);
  if (!tensors) hone_out_of_memory();
  for (size_t i = 0; i < report->tensors.count; i++)
    if (!isnan(hone_report_tensor_mse(&report->tensors.items[i])))
      tensors[count++] = &report->tensors.items[i];
  qsort(tensors, count, sizeof *tensors, compare_mse);
  if (count) hone_buffer_format(out, "\n%-36s %-12s %11s\n", "largest error", "format", "MSE");
  for (size_t i = 0; i < count && i < WORST; i++)
    hone_buffer_format(out, "  %-34s %-12s %11.3e\n", tensors[i]->name, tensors[i]->format,
                       hone_report_tensor_mse(tensors[i]));
  free(tensors);
}

static void print_allocation(const hone_report_allocation_t *allocation, hone_buffer_t *out) {
  if (allocation->units.count == 0) return;
  hone_buffer_format(out, "\n%-36s %-12s %11s %11s\n", "chosen for a target size", "format",
                     "error", "loss");
  for (size_t i = 0; i < allocation->units.count; i++) {
    const hone_report_unit_t *unit = &allocation->units.items[i];
    hone_buffer_format(out, "  %-34s %-12s %11.3e %11.3e\n", unit->name, unit->format, unit->error,
                       unit->error * unit->sensitivity);
  }
  hone_buffer_format(out,
                     "before calibrated solving: %.4g nats predicted, %.4g measured on %llu tokens "
                     "held out\n",
                     allocation->predicted_kl, allocation->measured_kl,
                     (unsigned long long)allocation->held_out_tokens);
}

static void print_evaluation(const hone_report_t *report, hone_buffer_t *out) {
  const hone_evaluation_t *evaluation = report->evaluation;
  const hone_score_result_t *result = &evaluation->result;
  hone_buffer_format(out, "\n%s: %zu tokens in %lld windows of %lld\n", report->text_name,
                     result->count, (long long)evaluation->windows, (long long)evaluation->context);
  hone_buffer_format(out, "perplexity      %.4f +- %.4f\n", result->perplexity,
                     result->perplexity_error);
  if (!report->reference) return;
  hone_buffer_format(out,
                     "reference       %.4f +- %.4f (%s)\nratio           %.5f +- %.5f\n"
                     "KL divergence   mean %.4g +- %.2g  median %.4g  99%% %.4g  99.9%% %.4g nats\n"
                     "same top-1      %.3f +- %.3f %%\n",
                     result->reference_perplexity, result->reference_perplexity_error,
                     report->reference->name, result->perplexity_ratio,
                     result->perplexity_ratio_error, result->kl_mean, result->kl_mean_error,
                     result->kl_median, result->kl_p99, result->kl_p999,
                     100 * result->top1_agreement, 100 * result->top1_error);
}

void hone_report_text(const hone_report_t *report, hone_buffer_t *out) {
  char weights[16], file[16];
  hone_buffer_format(
      out, "%s: %s, %llu parameters\n%.4f bits per weight, %s of weights in a file of %s",
      report->name, report->family, (unsigned long long)report->total.parameters,
      hone_report_bits(&report->total), hone_text_bytes(report->weight_bytes, weights),
      hone_text_bytes(report->file_bytes, file));
  if (report->total.measured)
    hone_buffer_format(out, ", relative MSE %.3e", hone_report_mse(&report->total));
  hone_buffer_text(out, "\n");
  print_groups("role", &report->roles, out);
  print_groups("format", &report->formats, out);
  print_groups("layer", &report->layers, out);
  print_worst(report, out);
  print_allocation(&report->allocation, out);
  if (report->evaluation) print_evaluation(report, out);
}
