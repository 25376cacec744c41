// Candidates and verdicts as text.
#include "autotune/candidate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codegen/plan/flow.h"

static const char *const verdicts[] = {
#define VERDICT(name, ENUM, summary) #name,
#include "autotune/verdicts.def"
#undef VERDICT
};

void hone_candidate_write(const hone_candidate_t *candidate, char out[HONE_CANDIDATE_TEXT_BYTES]) {
  hone_buffer_t text = {0};
  hone_buffer_text(&text, hone_family_name(candidate->family));
  hone_schedule_write(&candidate->schedule, &text);
  snprintf(out, HONE_CANDIDATE_TEXT_BYTES, "%s", hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
}

bool hone_candidate_parse(hone_slice_t text, hone_candidate_t *out_candidate,
                          hone_status_t *status) {
  char written[HONE_CANDIDATE_TEXT_BYTES], name[32] = "";
  hone_slice_t words = text, family = hone_slice_cut(&words, ' ');
  *out_candidate = (hone_candidate_t){0};
  if (family.bytes && family.bytes < sizeof name) memcpy(name, family.data, family.bytes);
  if (!hone_family_find(name, &out_candidate->family))
    return hone_fail(status, HONE_INVALID, "there is no kernel family '%s'", name);
  while (words.data) {
    hone_slice_t word = hone_slice_cut(&words, ' ');
    if (!hone_schedule_read_word(word, &out_candidate->schedule, status)) return false;
  }
  hone_candidate_write(out_candidate, written);
  if (hone_slice_is(text, written)) return true;
  return hone_fail(status, HONE_INVALID, "'%.*s' is written '%s'",
                   (int)(text.bytes < 80 ? text.bytes : 80), text.data, written);
}

bool hone_candidate_equal(const hone_candidate_t *a, const hone_candidate_t *b) {
  return a->family == b->family && !memcmp(&a->schedule, &b->schedule, sizeof a->schedule);
}

hone_kernel_spec_t hone_candidate_spec(const hone_kernel_spec_t *problem,
                                       const hone_candidate_t *candidate) {
  hone_kernel_spec_t spec = *problem;
  spec.family = candidate->family;
  spec.schedule = candidate->schedule;
  return spec;
}

const char *hone_verdict_name(hone_verdict_t verdict) {
  return (unsigned)verdict < HONE_VERDICT_COUNT ? verdicts[verdict] : "unknown";
}

bool hone_verdict_find(const char *name, hone_verdict_t *out_verdict) {
  for (int i = 0; i < HONE_VERDICT_COUNT; i++) {
    if (strcmp(verdicts[i], name)) continue;
    *out_verdict = (hone_verdict_t)i;
    return true;
  }
  return false;
}

void hone_evidence_reject(hone_evidence_t *evidence, hone_verdict_t verdict, const char *format,
                          ...) {
  va_list args;
  *evidence = (hone_evidence_t){.verdict = verdict};
  va_start(args, format);
  vsnprintf(evidence->reason, sizeof evidence->reason, format, args);
  va_end(args);
}
