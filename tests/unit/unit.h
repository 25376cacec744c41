// What unit tests share: cmocka with the headers it wants, and short checks of a status.
// Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_H
#define HONE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hone/status.h"

// The call must succeed; its message is shown if not.
#define assert_works(call, status)                             \
  do {                                                         \
    if (!(call)) fail_msg("%s: %s", #call, (status)->message); \
  } while (0)

// The call must fail with `expected` and say `part`; the status is cleared for the next call.
#define assert_fails(call, status, expected, part)                                    \
  do {                                                                                \
    assert_false(call);                                                               \
    if ((status)->code != (expected) || !strstr((status)->message, (part)))           \
      fail_msg("%s: got %s '%s', not %s '%s'", #call, hone_code_name((status)->code), \
               (status)->message, hone_code_name(expected), (part));                  \
    *(status) = (hone_status_t){0};                                                   \
  } while (0)

#endif
