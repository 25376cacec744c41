// Progress: silent in a pipe and when switched off, drawn on a terminal, gone at the end.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/progress.h"
#include "tests/unit/unit.h"

// Runs a bar with standard error at `fd`.
static void run(int fd, bool enabled) {
  int saved = dup(STDERR_FILENO);
  dup2(fd, STDERR_FILENO);
  hone_progress_t *progress = hone_progress_create("packing", 4000000, true, enabled);
  hone_progress_add(progress, 1000000, "layers.0.ffn.gate");
  hone_progress_add(progress, 5000000, NULL);  // more than there is: stays at 100%
  hone_progress_destroy(progress);
  dup2(saved, STDERR_FILENO);
  close(saved);
}

// A third of a run that takes some seconds.
static void run_long(int fd) {
  int saved = dup(STDERR_FILENO);
  dup2(fd, STDERR_FILENO);
  hone_progress_t *progress = hone_progress_create("packing", 3000000, true, true);
  usleep(2100000);
  hone_progress_add(progress, 1000000, "layers.0.ffn.gate");
  hone_progress_destroy(progress);
  dup2(saved, STDERR_FILENO);
  close(saved);
}

static void test_pipe(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  run(ends[1], true);
  close(ends[1]);
  char text[16];
  assert_int_equal(read(ends[0], text, sizeof text), 0);
  close(ends[0]);
}

static int open_terminal(unsigned short columns, int *out_master) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  const char *name = NULL;
  if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0) name = ptsname(master);
  int terminal = name ? open(name, O_RDWR | O_NOCTTY) : -1;
  if (terminal < 0) {
    print_message("skipped: no pseudo terminals here\n");
    skip();
  }
  struct winsize size = {.ws_row = 24, .ws_col = columns};
  assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
  *out_master = master;
  return terminal;
}

static void test_terminal(void **state) {
  (void)state;
  int master, terminal = open_terminal(70, &master);
  run(terminal, false);
  run(terminal, true);
  close(terminal);
  char text[2000] = "";
  ssize_t got = 0, piece;  // a terminal hands over what was written in pieces
  while ((piece = read(master, text + got, sizeof text - 1 - (size_t)got)) > 0) got += piece;
  assert_true(got > 4);
  text[got] = '\0';
  const char *line = strstr(text, "\rpacking [####............]  25%  1.0 MB / 4.0 MB");
  assert_ptr_equal(line, text);  // nothing was drawn while it was off
  assert_true(strcspn(line + 1, "\033") < 70);
  assert_string_equal(text + got - 4, "\r\033[K");
  close(master);
}

static void test_forecast(void **state) {
  (void)state;
  int master, terminal = open_terminal(70, &master);
  run_long(terminal);
  close(terminal);
  char text[2000] = "";
  ssize_t got = 0, piece;
  while ((piece = read(master, text + got, sizeof text - 1 - (size_t)got)) > 0) got += piece;
  text[got] = '\0';
  // Too narrow for the amounts, which go first.
  assert_non_null(strstr(text, " left  layers.0.ffn.gate\033"));
  assert_null(strstr(text, "MB"));
  close(master);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pipe), cmocka_unit_test(test_terminal),
                                     cmocka_unit_test(test_forecast)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
