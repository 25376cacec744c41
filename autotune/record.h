// A record of the tuning database: a key that holds everything which can change the answer, one
// candidate, and the evidence. As a line of JSON it is what export, import and merge exchange.
// Thread rule: values.
#ifndef HONE_AUTOTUNE_RECORD_H
#define HONE_AUTOTUNE_RECORD_H

#include "autotune/candidate.h"

typedef struct hone_tuning_key {
  const char *problem;   // hone_problem_name
  const char *isa;       // "avx512"
  uint32_t M, threads;   // rows of activations; threads that ran it together
  const char *cpu;       // hone_machine_cpu
  const char *compiler;  // hone_machine_compiler
} hone_tuning_key_t;

typedef struct hone_tuning_record {
  hone_tuning_key_t key;
  hone_candidate_t candidate;
  hone_evidence_t evidence;
} hone_tuning_record_t;

enum { HONE_TUNING_TEXT_LIMIT = 512, HONE_TUNING_LINE_LIMIT = 8192 };

// Fields in a fixed order, one line, no new line at its end. Equal records give equal bytes.
void hone_tuning_record_write(const hone_tuning_record_t *record, hone_buffer_t *out);
// HONE_INVALID says which field is wrong. Strings lie in the arena.
HONE_MUST_CHECK bool hone_tuning_record_parse(const char *line, size_t bytes, hone_arena_t *arena,
                                              hone_tuning_record_t *out_record,
                                              hone_status_t *status);
// Which of two pieces of evidence for one candidate a merge keeps: a rejection rather than a time
// (a kernel that was wrong once is not used), the time of more samples, then the shorter one; true
// if it is `a`. The order is total, so that merges give the same whatever comes first.
bool hone_evidence_prevails(const hone_evidence_t *a, const hone_evidence_t *b);

#endif
