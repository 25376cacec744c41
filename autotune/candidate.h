// A candidate: one way to do a problem, a kernel family and its schedule, as plain data. Its text
// is an entry of dataflow text, "gemm tokens=4 unroll=1". Thread rule: values.
#ifndef HONE_AUTOTUNE_CANDIDATE_H
#define HONE_AUTOTUNE_CANDIDATE_H

#include "codegen/kernel.h"

typedef struct hone_candidate {
  hone_family_t family;
  hone_schedule_t schedule;
} hone_candidate_t;

// What became of a candidate that was tried.
typedef enum hone_verdict {
#define VERDICT(name, ENUM, summary) HONE_VERDICT_##ENUM,
#include "autotune/verdicts.def"
#undef VERDICT
  HONE_VERDICT_COUNT
} hone_verdict_t;

enum { HONE_REASON_BYTES = 160, HONE_CANDIDATE_TEXT_BYTES = 160 };

typedef struct hone_evidence {
  hone_verdict_t verdict;
  uint32_t samples;                // 0 unless the verdict is ok
  double median_ns, mad_ns;        // of one call; mad: median absolute deviation
  char reason[HONE_REASON_BYTES];  // "" if the verdict is ok
} hone_evidence_t;

void hone_candidate_write(const hone_candidate_t *candidate, char out[HONE_CANDIDATE_TEXT_BYTES]);
// HONE_INVALID names the word that is wrong, or that fields are not in the order they are written.
HONE_MUST_CHECK bool hone_candidate_parse(hone_slice_t text, hone_candidate_t *out_candidate,
                                          hone_status_t *status);
bool hone_candidate_equal(const hone_candidate_t *a, const hone_candidate_t *b);
// The problem's kernel done this way.
hone_kernel_spec_t hone_candidate_spec(const hone_kernel_spec_t *problem,
                                       const hone_candidate_t *candidate);

const char *hone_verdict_name(hone_verdict_t verdict);
bool hone_verdict_find(const char *name, hone_verdict_t *out_verdict);
// Fills a verdict other than ok.
void hone_evidence_reject(hone_evidence_t *evidence, hone_verdict_t verdict, const char *format,
                          ...) __attribute__((format(printf, 3, 4)));

#endif
