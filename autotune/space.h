// The space of a problem: every legal candidate of every family that can do it, as the product of
// the rows of codegen/cpu/space.def. Spaces are hundreds of candidates, so they are listed, and
// searches speak of candidates by their index; of schedules that build the same kernel the first is
// listed. Deterministic: equal problems give equal lists,
// equal seeds equal draws. Thread rule: one arena, one thread; a listed space is const.
#ifndef HONE_AUTOTUNE_SPACE_H
#define HONE_AUTOTUNE_SPACE_H

#include "autotune/candidate.h"
#include "codegen/cpu/isa.h"

typedef struct hone_candidates {
  hone_candidate_t *items;
  size_t count;
} hone_candidates_t;

enum { HONE_CANDIDATE_NONE = -1 };

// `problem`: family and schedule do not count but to tell linears from attention. HONE_UNSUPPORTED
// for other ops.
HONE_MUST_CHECK bool hone_space_list(const hone_kernel_spec_t *problem, const hone_cpu_isa_t *isa,
                                     hone_arena_t *arena, hone_candidates_t *out_space,
                                     hone_status_t *status);
// Index of a candidate, HONE_CANDIDATE_NONE if it is none of the space.
int64_t hone_space_find(const hone_candidates_t *space, const hone_candidate_t *candidate);
// Whether one field differs, by one step of its row, and nothing else.
bool hone_space_adjoins(const hone_candidate_t *a, const hone_candidate_t *b);

// splitmix64 (Steele, Lea, Flood 2014); `state` is any number.
uint64_t hone_random(uint64_t *state);
// Uniform draw of [0, limit), limit > 0.
size_t hone_random_below(uint64_t *state, size_t limit);
// For evolution: a candidate like `index` with one field moved to another value of its row, and one
// whose fields come from either parent (from the first where families differ). Both legal; the
// candidate itself where no other can be found.
size_t hone_space_mutate(const hone_candidates_t *space, size_t index, uint64_t *random);
size_t hone_space_cross(const hone_candidates_t *space, size_t a, size_t b, uint64_t *random);

#endif
