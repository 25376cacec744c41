// What goes back through the pipe. Never included outside autotune.
#ifndef HONE_AUTOTUNE_WORKER_INTERNAL_H
#define HONE_AUTOTUNE_WORKER_INTERNAL_H

#include <unistd.h>

#include "autotune/worker.h"

enum { HONE_WORKER_MAGIC = 0x686a6f62, HONE_WORKER_TEXT_BYTES = 256 };

typedef enum hone_worker_kind {
  HONE_WORKER_ALIVE = 1,  // candidate; text: the activity
  HONE_WORKER_RESULT,     // candidate, evidence
  HONE_WORKER_DONE,
  HONE_WORKER_FAILED,  // code, text
} hone_worker_kind_t;

typedef struct hone_worker_message {
  uint32_t magic, kind, candidate, code;
  hone_evidence_t evidence;
  char text[HONE_WORKER_TEXT_BYTES];
} hone_worker_message_t;

// All bytes, or false at the end of the pipe or on an error.
bool hone_worker_read(int fd, void *data, size_t bytes);
bool hone_worker_write(int fd, const void *data, size_t bytes);

#endif
