// What both kinds of operands share. See operands.h.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/operands_internal.h"

float hone_operand_at(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0xd1342543de82ef95u + index * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((float)(z >> 40) + 0.5f) / 8388608.0f - 1.0f;
}

bool hone_operands_repeat(const void *data, size_t bytes, uint64_t cold_bytes,
                          hone_operands_t *operands, int index, hone_status_t *status) {
  size_t copies = (size_t)((cold_bytes + bytes - 1) / bytes);
  operands->copies = copies ? copies : 1;
  operands->cold_bytes[index] = bytes;
  hone_guarded_t *cold = &operands->cold[index];
  if (!hone_guarded_create(bytes * operands->copies, cold, status)) return false;
  for (size_t i = 0; i < operands->copies; i++) memcpy(cold->data + i * bytes, data, bytes);
  hone_guarded_protect(cold, true);
  return true;
}

bool hone_operands_create(const hone_operands_spec_t *spec, hone_operands_t *out_operands,
                          hone_status_t *status) {
  *out_operands = (hone_operands_t){.spec = *spec->problem, .position = spec->position};
  bool ok = hone_family_is_linear(spec->problem->family)
                ? hone_operands_linear(spec, out_operands, status)
            : hone_family_is_attention(spec->problem->family)
                ? hone_operands_attend(spec, out_operands, status)
                : hone_fail(status, HONE_UNSUPPORTED, "kernels of %s are not tuned",
                            hone_family_name(spec->problem->family));
  if (!ok) hone_operands_destroy(out_operands);
  return ok;
}

void hone_operands_destroy(hone_operands_t *operands) {
  for (int i = 0; i < 2; i++) hone_guarded_destroy(&operands->cold[i]);
  hone_guarded_destroy(&operands->counters);
  hone_guarded_destroy(&operands->chunks);
  hone_guarded_destroy(&operands->bias);
  free(operands->sample_values);
  *operands = (hone_operands_t){0};
}

bool hone_step_create(const hone_operands_t *operands, uint32_t M, bool is_hard,
                      hone_step_t *out_step, hone_status_t *status) {
  *out_step = (hone_step_t){.M = M};
  bool ok = hone_family_is_linear(operands->spec.family)
                ? hone_step_linear(operands, is_hard, out_step, status)
                : hone_step_attend(operands, is_hard, out_step, status);
  if (!ok) hone_step_destroy(out_step);
  return ok;
}

void hone_step_destroy(hone_step_t *step) {
  hone_guarded_destroy(&step->x);
  hone_guarded_destroy(&step->residual);
  hone_guarded_destroy(&step->parts);
  free(step->values);
  *step = (hone_step_t){0};
}

hone_kernel_args_t hone_step_args(const hone_operands_t *operands, const hone_step_t *step,
                                  size_t copy, void *out) {
  hone_kernel_args_t args = {
      .M = step->M, .position = operands->position, .capacity = operands->capacity};
  args.ptr[0] = step->x.data;
  args.ptr[1] = operands->cold[0].data + copy * operands->cold_bytes[0];
  if (hone_family_is_attention(operands->spec.family)) {
    args.ptr[2] = operands->cold[1].data + copy * operands->cold_bytes[1];
    args.ptr[3] = out;
    args.ptr[4] = operands->counters.data;
    args.ptr[5] = operands->chunks.data;
    return args;
  }
  args.ptr[2] = operands->spec.bias ? operands->bias.data : NULL;
  args.ptr[3] = operands->spec.residual ? step->residual.data : NULL;
  args.ptr[4] = out;
  args.ptr[8] = step->parts.data;
  return args;
}

// Rows whose sums are made: all of a few, else some spread over them, the first and the last too.
enum { CHECKED_ROWS = 13 };

static bool check_row(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                      const float *row, hone_evidence_t *evidence) {
  hone_expected_t expected[HONE_OPERANDS_SAMPLES];
  size_t count = hone_family_is_linear(operands->spec.family)
                     ? hone_expect_linear(operands, step, m, expected)
                     : hone_expect_attend(operands, step, m, expected);
  for (size_t i = 0; i < count; i++) {
    double got = (double)row[expected[i].column];
    if (fabs(got - expected[i].value) <= expected[i].tolerance) continue;  // false for NaN
    hone_evidence_reject(evidence, HONE_VERDICT_WRONG,
                         "M = %u: row %u column %u is %.7g, should be %.7g within %.2g", step->M, m,
                         expected[i].column, got, expected[i].value, expected[i].tolerance);
    return false;
  }
  return true;
}

bool hone_step_check(const hone_operands_t *operands, const hone_step_t *step, const void *out,
                     hone_evidence_t *evidence) {
  size_t stride = hone_row_bytes(HONE_F32, step->columns) / sizeof(float);
  for (uint32_t m = 0; m < step->M; m++) {
    const float *row = (const float *)out + m * stride;
    for (size_t n = step->columns; n < stride; n++) {
      if (row[n] == 0) continue;
      hone_evidence_reject(evidence, HONE_VERDICT_WRONG,
                           "M = %u: row %u: the pad at column %zu is %.7g, not 0", step->M, m, n,
                           (double)row[n]);
      return false;
    }
  }
  uint32_t checked = step->M < CHECKED_ROWS ? step->M : CHECKED_ROWS;
  for (uint32_t i = 0; i < checked; i++) {
    uint32_t m = checked > 1 ? (uint32_t)((uint64_t)i * (step->M - 1) / (checked - 1)) : 0;
    if (!check_row(operands, step, m, (const float *)out + m * stride, evidence)) return false;
  }
  return true;
}

double hone_step_tolerance(const hone_operands_t *operands, const hone_step_t *step, uint32_t m) {
  return hone_family_is_linear(operands->spec.family) ? hone_tolerance_linear(operands, step, m)
                                                      : 1e-4;
}
