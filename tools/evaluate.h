// Running a text through a compiled program, and through a reference to compare it with: windows,
// tokens, scores. Shared by `hone eval` and `hone report`.
//
// Perplexity follows llama.cpp's protocol: the file is tokenized whole without BOS and cut into
// windows of `context` tokens; the first token of each window is replaced by BOS (where the model
// has one); positions context/2 .. context-2 are scored. KL divergence is sum p log(p / q) with p
// the reference and q the artefact. Thread rule: the main thread.
#ifndef HONE_TOOLS_EVALUATE_H
#define HONE_TOOLS_EVALUATE_H

#include "tools/score.h"
#include "tools/verb.h"

enum { HONE_EVALUATE_CONTEXT = 512 };  // default window

typedef struct hone_evaluate_options {
  const char *artefact, *against, *text;  // against: NULL without a reference
  int64_t context, chunks, threads;       // chunks 0: all windows; threads 0: all CPUs
} hone_evaluate_options_t;

typedef struct hone_evaluation {
  int64_t context, windows;
  size_t first;  // position of the window that is scored first
  bool has_reference;
  hone_score_t score;  // finished
  hone_score_result_t result;
} hone_evaluation_t;

HONE_MUST_CHECK bool hone_evaluate(hone_tool_t *tool, const hone_evaluate_options_t *options,
                                   hone_evaluation_t *out_evaluation, hone_status_t *status);
// Adds the members of the result to an open object.
void hone_evaluate_json(const hone_evaluation_t *evaluation, hone_json_t *json);

#endif
