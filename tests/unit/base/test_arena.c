// Arenas: alignment, zeroing, growth, lists; and what happens when memory is gone.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "tests/unit/unit.h"

static void test_alignment_and_zero(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  unsigned char *last = NULL;
  for (size_t bytes = 0; bytes < 3000; bytes += 7) {
    unsigned char *memory = hone_arena_alloc(arena, bytes);
    assert_int_equal((uintptr_t)memory % 16, 0);
    assert_ptr_not_equal(memory, last);
    for (size_t i = 0; i < bytes; i++) assert_int_equal(memory[i], 0);
    memset(memory, 0xff, bytes);
    last = memory;
  }
  hone_arena_destroy(arena);
  hone_arena_destroy(NULL);
}

static void test_large_blocks(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  char *small = hone_arena_strdup(arena, "small");
  char *large = hone_arena_alloc(arena, 10 << 20);
  large[(10 << 20) - 1] = 1;
  char *after = hone_arena_strdup(arena, "after");
  assert_string_equal(small, "small");
  assert_string_equal(after, "after");
  assert_true(hone_arena_used_bytes(arena) >= (10 << 20) + 12);
  hone_arena_destroy(arena);
}

static void test_text(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  assert_string_equal(hone_arena_strndup(arena, "abcdef", 3), "abc");
  assert_string_equal(hone_arena_strndup(arena, NULL, 0), "");
  assert_string_equal(hone_arena_format(arena, "%s.%d", "layers", 12), "layers.12");
  char *wide = hone_arena_format(arena, "%9000d", 1);
  assert_int_equal(strlen(wide), 9000);
  hone_arena_destroy(arena);
}

static void test_list(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  HONE_LIST(int) list = {0};
  for (int i = 0; i < 1000; i++) hone_list_push(arena, &list, i * 3);
  assert_int_equal(list.count, 1000);
  for (int i = 0; i < 1000; i++) assert_int_equal(list.items[i], i * 3);
  hone_arena_destroy(arena);
}

static void allocate_overflow(hone_arena_t *arena) { hone_arena_array(arena, SIZE_MAX / 8, 64); }
static void allocate_all(hone_arena_t *arena) { hone_arena_alloc(arena, SIZE_MAX - 64); }

// Runs `allocate` in a child; it must say "out of memory" and leave with 1.
static void check_exit(void (*allocate)(hone_arena_t *)) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    allocate(hone_arena_create());
    _exit(0);
  }
  close(ends[1]);
  char text[100] = "";
  ssize_t got = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(got > 0 && WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 1);
  assert_string_equal(text, "hone: out of memory\n");
}

static void test_out_of_memory(void **state) {
  (void)state;
  check_exit(allocate_overflow);
  check_exit(allocate_all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_alignment_and_zero),
      cmocka_unit_test(test_large_blocks),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_list),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
