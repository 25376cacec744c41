// Whether a kernel computes what it should: on random and on hard rows, against plain sums and
// against a kernel that is right already, whole and in pieces, between guarded pages. Thread rule:
// one thread.
#ifndef HONE_AUTOTUNE_VERIFY_H
#define HONE_AUTOTUNE_VERIFY_H

#include "autotune/operands.h"

// Steps that kernels are checked with, and what a right kernel makes of them.
enum { HONE_VERIFY_STEPS = 3 };
typedef struct hone_verifier {
  const hone_operands_t *operands;
  hone_step_t steps[HONE_VERIFY_STEPS];  // M random rows; an odd number of random and of hard rows
  hone_guarded_t out[HONE_VERIFY_STEPS], pieces[HONE_VERIFY_STEPS], right[HONE_VERIFY_STEPS];
  bool has_right;
} hone_verifier_t;

HONE_MUST_CHECK bool hone_verifier_create(const hone_operands_t *operands, uint32_t M,
                                          hone_verifier_t *out_verifier, hone_status_t *status);
void hone_verifier_destroy(hone_verifier_t *verifier);
// `spec`: the kernel's own. False: *evidence says what is wrong. The first right kernel becomes the
// one that later ones are compared with.
HONE_MUST_CHECK bool hone_verifier_check(hone_verifier_t *verifier, const hone_kernel_spec_t *spec,
                                         hone_kernel_fn *kernel, hone_evidence_t *evidence);

#endif
