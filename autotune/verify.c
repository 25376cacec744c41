// See verify.h.
#include "autotune/verify.h"

#include <math.h>
#include <string.h>

enum { ODD_ROWS = 13, FILL = 0x7f };  // 0x7f7f7f7f: 3.4e38, which no sum here is

bool hone_verifier_create(const hone_operands_t *operands, uint32_t M,
                          hone_verifier_t *out_verifier, hone_status_t *status) {
  const uint32_t rows[HONE_VERIFY_STEPS] = {M, ODD_ROWS, ODD_ROWS};
  *out_verifier = (hone_verifier_t){.operands = operands};
  bool ok = true;
  for (int i = 0; i < HONE_VERIFY_STEPS && ok; i++) {
    hone_step_t *step = &out_verifier->steps[i];
    ok = hone_step_create(operands, rows[i], i == 2, step, status) &&
         hone_guarded_create(step->out_bytes, &out_verifier->out[i], status) &&
         hone_guarded_create(step->out_bytes, &out_verifier->pieces[i], status) &&
         hone_guarded_create(step->out_bytes, &out_verifier->right[i], status);
  }
  if (!ok) hone_verifier_destroy(out_verifier);
  return ok;
}

void hone_verifier_destroy(hone_verifier_t *verifier) {
  for (int i = 0; i < HONE_VERIFY_STEPS; i++) {
    hone_step_destroy(&verifier->steps[i]);
    hone_guarded_destroy(&verifier->out[i]);
    hone_guarded_destroy(&verifier->pieces[i]);
    hone_guarded_destroy(&verifier->right[i]);
  }
  *verifier = (hone_verifier_t){0};
}

static int64_t units_of(const hone_kernel_spec_t *spec, uint32_t M) {
  uint32_t count, rows;
  hone_kernel_spec_units(spec, &count, &rows);
  return count * (rows ? ((int64_t)M + rows - 1) / rows : 1);
}

// Pieces of 1, 2, 3, ... units, the last piece first: what threads do must not matter.
static void run_pieces(hone_kernel_fn *kernel, const hone_kernel_args_t *args, int64_t units) {
  int64_t piece = 1;
  for (int64_t end = units; end > 0; piece = piece % 7 + 1) {
    int64_t begin = end > piece ? end - piece : 0;
    kernel(args, begin, end);
    end = begin;
  }
}

// Against the right kernel's output, every element.
static bool compare(const hone_verifier_t *verifier, int index, hone_evidence_t *evidence) {
  const hone_step_t *step = &verifier->steps[index];
  size_t stride = hone_row_bytes(HONE_F32, step->columns) / sizeof(float);
  for (uint32_t m = 0; m < step->M; m++) {
    const float *got = (const float *)(const void *)verifier->out[index].data + m * stride;
    const float *want = (const float *)(const void *)verifier->right[index].data + m * stride;
    double tolerance = hone_step_tolerance(verifier->operands, step, m);
    for (uint32_t n = 0; n < step->columns; n++) {
      if (fabs((double)got[n] - (double)want[n]) <= tolerance) continue;
      hone_evidence_reject(evidence, HONE_VERDICT_WRONG,
                           "M = %u: row %u column %u is %.7g, another kernel's %.7g", step->M, m, n,
                           (double)got[n], (double)want[n]);
      return false;
    }
  }
  return true;
}

static bool check_step(hone_verifier_t *verifier, int index, const hone_kernel_spec_t *spec,
                       hone_kernel_fn *kernel, hone_evidence_t *evidence) {
  const hone_step_t *step = &verifier->steps[index];
  hone_guarded_t *out = &verifier->out[index], *pieces = &verifier->pieces[index];
  int64_t units = units_of(spec, step->M);
  hone_kernel_args_t args = hone_step_args(verifier->operands, step, 0, out->data);
  memset(out->data, FILL, out->bytes);
  kernel(&args, 0, units);
  args = hone_step_args(verifier->operands, step, 0, pieces->data);
  memset(pieces->data, FILL, pieces->bytes);
  run_pieces(kernel, &args, units);
  bool is_intact = hone_guarded_intact(out);
  if (!hone_guarded_intact(pieces) || !is_intact) {
    hone_evidence_reject(evidence, HONE_VERDICT_WRONG, "M = %u: writes before its output", step->M);
    return false;
  }
  if (memcmp(out->data, pieces->data, step->out_bytes)) {
    hone_evidence_reject(evidence, HONE_VERDICT_WRONG,
                         "M = %u: splitting the units changes the result", step->M);
    return false;
  }
  return hone_step_check(verifier->operands, step, out->data, evidence) &&
         (!verifier->has_right || compare(verifier, index, evidence));
}

bool hone_verifier_check(hone_verifier_t *verifier, const hone_kernel_spec_t *spec,
                         hone_kernel_fn *kernel, hone_evidence_t *evidence) {
  for (int i = 0; i < HONE_VERIFY_STEPS; i++)
    if (!check_step(verifier, i, spec, kernel, evidence)) return false;
  for (int i = 0; i < HONE_VERIFY_STEPS && !verifier->has_right; i++)
    memcpy(verifier->right[i].data, verifier->out[i].data, verifier->out[i].bytes);
  verifier->has_right = true;
  return true;
}
