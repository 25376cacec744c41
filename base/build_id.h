// Which build of this program is running. Thread rule: pure functions.
#ifndef HONE_BASE_BUILD_ID_H
#define HONE_BASE_BUILD_ID_H

#include "base/text.h"
#include "hone/status.h"

// Appends the build ids (hexadecimal, a line each) of the program and of the shared objects it runs
// with whose file names begin with one of `prefixes` (count): whatever could change what the code
// of those does changes the text. HONE_UNSUPPORTED names an object that was linked without a build
// id.
HONE_MUST_CHECK bool hone_build_ids(const char *const *prefixes, size_t count, hone_buffer_t *out,
                                    hone_status_t *status);

#endif
