// The produced program's parts: options, exit codes and the three things it can do. A thin layer
// over hone/hone.h. Thread rule: the main thread only, except hone_program_interrupted.
#ifndef HONE_RUNTIME_PROGRAM_H
#define HONE_RUNTIME_PROGRAM_H

#include <stddef.h>

#include "hone/hone.h"

// Exit codes. 141 and 130, 143 are what a shell shows for a program ended by SIGPIPE, SIGINT,
// SIGTERM.
enum {
  PROGRAM_OK = 0,
  PROGRAM_FAILED = 1,
  PROGRAM_USAGE = 2,
  PROGRAM_SIGNAL = 128,       // + signal number
  PROGRAM_BROKEN_PIPE = 141,  // the reader of our output went away; said without a message
};

typedef struct program_options {
  const char *prompt, *isa;
  int64_t tokens, seed, threads, context;
  double temperature, top_p;
  bool ids, echo, info, json, version;
  bool serve;  // not in the option table: for hone's own tools
} program_options_t;

// Reads all of standard input. Heap; the caller frees. NUL-terminated.
HONE_MUST_CHECK bool hone_program_read_stdin(char **out_text, size_t *out_bytes,
                                             hone_status_t *status);

// Token ids written as decimal numbers between blanks, commas or brackets. Heap; the caller frees.
HONE_MUST_CHECK bool hone_program_parse_ids(const char *text, size_t bytes, int32_t **out_ids,
                                            size_t *out_count, hone_status_t *status);

// Signals: from watch on, SIGINT and SIGTERM cancel the session; a second one ends the program at
// once. `session` NULL stops watching. hone_program_interrupted is the signal that came, 0 if none.
void hone_program_watch(hone_session_t *session);
int hone_program_interrupted(void);

// Each returns the exit code. On failure `status` holds the reason and the caller prints it.
int hone_program_generate(hone_model_t *model, const program_options_t *options,
                          hone_status_t *status);
int hone_program_info(const hone_model_t *model, const program_options_t *options,
                      hone_status_t *status);
int hone_program_serve(const program_options_t *options);
// The part of it after HELLO: answers requests on standard input until it ends.
int hone_program_answer(hone_model_t *model, hone_session_t *session);

// Parses the command line, runs one of the above and prints its failure.
int hone_program_run(int argc, char **argv);

#endif
