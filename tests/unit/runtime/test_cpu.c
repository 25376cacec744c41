// Instruction set levels: each needs what those below it need, unknown names are missing, and Linux
// refusing tiles is a level that is not there.
#include "runtime/cpu.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const char *const levels[] = {"avx2", "avx512", "amx"};

static void levels_have_what_lower_ones_have(void **state) {
  (void)state;
  bool lower = true;
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    char missing[256] = "?";
    bool has = hone_cpu_has(levels[i], missing, sizeof missing);
    assert_int_equal(has, missing[0] == 0);
    assert_int_equal(has, hone_cpu_has(levels[i], NULL, 0));
    if (has) assert_true(lower);
    lower = has;
  }
}

static void unknown_levels_are_missing(void **state) {
  (void)state;
  char missing[256], tight[4] = "???";
  assert_false(hone_cpu_has("avx1024", missing, sizeof missing));
  assert_string_equal(missing, "avx1024");
  assert_false(hone_cpu_has("avx1024", tight, sizeof tight));
  assert_string_equal(tight, "avx");
  assert_false(hone_cpu_has("", NULL, 0));
}

// A process whose signal stack has no room for tiles is not allowed to use them. 0: refused, and
// said so; 1: this machine has no tiles to refuse; 2: allowed, or refused without a word.
static int ask_with_a_small_stack(void) {
  static uint8_t stack[8192];
  char missing[256];
  stack_t small = {.ss_sp = stack, .ss_size = sizeof stack};
  if (sigaltstack(&small, NULL)) return 1;
  if (hone_cpu_has("amx", missing, sizeof missing)) return 2;
  if (strstr(missing, "amx") || strstr(missing, "support for AMX")) return 1;
  return strcmp(missing, "the operating system's permission to use AMX tiles") ? 2 : 0;
}

// In a child: what was allowed once stays allowed. So it comes before any other test asks.
static void refusal_is_a_missing_level(void **state) {
  (void)state;
  int status = 0;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(ask_with_a_small_stack());
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 1) {
    printf("not run: this machine has no AMX that could be refused\n");
    skip();
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusal_is_a_missing_level),
      cmocka_unit_test(levels_have_what_lower_ones_have),
      cmocka_unit_test(unknown_levels_are_missing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
