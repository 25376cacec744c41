// Status: how a call that can fail says why. Public (installed as hone/status.h).
//
// A function that can fail returns bool and takes `hone_status_t *status` as its last argument. The
// storage is the caller's, nothing is to be freed, and the first failure wins: a second hone_fail
// on a failed status keeps the first code and place. Thread rule: one status per thread.
#ifndef HONE_STATUS_H
#define HONE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hone_code {
  HONE_OK = 0,
  HONE_INVALID,      // the input is wrong: a file, a tensor, an option's value
  HONE_UNSUPPORTED,  // the input is right, but this build cannot do it; to a search "rejected"
  HONE_NOT_FOUND,    // a file, symbol, tensor or device that is not there
  HONE_EXHAUSTED,    // memory, disk, context length
  HONE_IO,           // the operating system refused a read or a write
  HONE_CANCELLED,    // Ctrl-C, a time limit
  HONE_INTERNAL,     // our own bug
} hone_code_t;

enum { HONE_STATUS_MESSAGE_BYTES = 1024 };

typedef struct hone_status {
  hone_code_t code;
  const char *file;  // where hone_fail was called; static storage
  int line;
  char message[HONE_STATUS_MESSAGE_BYTES];
} hone_status_t;

// "invalid", "unsupported", ... for messages and JSON.
const char *hone_code_name(hone_code_t code);

// Records a failure (if `status` holds none yet) and returns false. The message is one line, lower
// case, without a full stop; it names the tensor, op, file or option, and says what to do where
// that is not plain.
bool hone_fail_at(hone_status_t *status, const char *file, int line, hone_code_t code,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

// Prefixes context to a failed status ("while lowering @layers.3.ffn: ...") and returns false.
bool hone_note(hone_status_t *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define hone_fail(status, code, ...) hone_fail_at((status), __FILE__, __LINE__, (code), __VA_ARGS__)

// Put in front of declarations of functions that can fail.
#define HONE_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
}
#endif
#endif
