// Files that are read: mappings, whole files with a limit, scratch folders, paths.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/unit.h"

typedef struct fixture {
  hone_arena_t *arena;
  char *folder;
  hone_status_t status;
} fixture_t;

static int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  *state = f;
  f->arena = hone_arena_create();
  return hone_scratch_create(f->arena, &f->folder, &f->status) ? 0 : -1;
}

static int teardown(void **state) {
  fixture_t *f = *state;
  hone_scratch_remove(f->folder);
  int left = hone_file_exists(f->folder);
  hone_arena_destroy(f->arena);
  free(f);
  return left ? -1 : 0;
}

static char *write_file(fixture_t *f, const char *name, const void *data, size_t bytes) {
  char *path = hone_path_join(f->arena, f->folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
  return path;
}

static void test_mapping(void **state) {
  fixture_t *f = *state;
  enum { BYTES = 5 * 4096 + 17 };
  static unsigned char data[BYTES];
  for (size_t i = 0; i < BYTES; i++) data[i] = (unsigned char)(i % 251);
  char *path = write_file(f, "data", data, BYTES);
  hone_mapping_t mapping;
  assert_works(hone_mapping_open(path, &mapping, &f->status), &f->status);
  assert_int_equal(mapping.bytes, BYTES);
  assert_memory_equal(mapping.data, data, BYTES);
  hone_mapping_release(&mapping, 0, BYTES);
  hone_mapping_release(&mapping, 1, 4096);
  hone_mapping_release(&mapping, BYTES - 1, SIZE_MAX);
  hone_mapping_release(&mapping, BYTES, 1);
  hone_mapping_release(&mapping, SIZE_MAX, SIZE_MAX);
  assert_memory_equal(mapping.data, data, BYTES);  // released pages come back from the file
  hone_mapping_close(&mapping);
  assert_null(mapping.data);
  hone_mapping_close(&mapping);
}

static void test_mapping_errors(void **state) {
  fixture_t *f = *state;
  hone_mapping_t mapping;
  char *absent = hone_path_join(f->arena, f->folder, "absent");
  assert_fails(hone_mapping_open(absent, &mapping, &f->status), &f->status, HONE_NOT_FOUND, absent);
  assert_fails(hone_mapping_open(f->folder, &mapping, &f->status), &f->status, HONE_INVALID,
               "is a folder");
  char *empty = write_file(f, "empty", "", 0);
  assert_fails(hone_mapping_open(empty, &mapping, &f->status), &f->status, HONE_INVALID,
               "is empty");
  assert_fails(hone_mapping_open("/dev/null", &mapping, &f->status), &f->status, HONE_INVALID,
               "not a regular file");
  assert_null(mapping.data);
  hone_mapping_close(&mapping);
  char *below = hone_path_join(f->arena, empty, "below-a-file");
  assert_fails(hone_mapping_open(below, &mapping, &f->status), &f->status, HONE_NOT_FOUND, below);
}

static void test_read(void **state) {
  fixture_t *f = *state;
  char *data;
  size_t bytes;
  char *path = write_file(f, "text", "one\0two", 7);
  assert_works(hone_file_read(path, 7, f->arena, &data, &bytes, &f->status), &f->status);
  assert_int_equal(bytes, 7);
  assert_memory_equal(data, "one\0two\0", 8);
  assert_fails(hone_file_read(path, 6, f->arena, &data, &bytes, &f->status), &f->status,
               HONE_INVALID, "7 bytes, more than the 6");
  char *empty = write_file(f, "empty", "", 0);
  assert_works(hone_file_read(empty, 0, f->arena, &data, &bytes, &f->status), &f->status);
  assert_int_equal(bytes, 0);
  assert_string_equal(data, "");
  assert_fails(hone_file_read(f->folder, 100, f->arena, &data, &bytes, &f->status), &f->status,
               HONE_INVALID, "is a folder");
  // No size, no end: the limit holds all the same.
  assert_fails(hone_file_read("/dev/zero", 1 << 20, f->arena, &data, &bytes, &f->status),
               &f->status, HONE_INVALID, "more than the 1048576");
  assert_works(hone_file_read("/proc/self/stat", 1 << 20, f->arena, &data, &bytes, &f->status),
               &f->status);
  assert_true(bytes > 10);
}

static void test_unreadable(void **state) {
  fixture_t *f = *state;
  if (geteuid() == 0) {
    print_message("skipped: root may read everything\n");
    skip();
  }
  char *path = write_file(f, "secret", "x", 1), *data;
  size_t bytes;
  chmod(path, 0);
  assert_fails(hone_file_read(path, 9, f->arena, &data, &bytes, &f->status), &f->status, HONE_IO,
               "Permission denied");
}

static void test_scratch_tree(void **state) {
  fixture_t *f = *state;
  char *folder;
  assert_works(hone_scratch_create(f->arena, &folder, &f->status), &f->status);
  assert_true(hone_file_is_folder(folder));
  struct stat info;
  assert_int_equal(stat(folder, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0700);
  char *kept = write_file(f, "kept", "kept", 4);
  char *inner = folder;
  for (int depth = 0; depth < 10; depth++) {
    for (int i = 0; i < 50; i++) {
      char *path = hone_arena_format(f->arena, "%s/file-with-a-rather-long-name-%d", inner, i);
      FILE *file = fopen(path, "wb");
      assert_non_null(file);
      fclose(file);
    }
    assert_int_equal(symlink(f->folder, hone_path_join(f->arena, inner, "link")), 0);
    inner = hone_path_join(f->arena, inner, "folder");
    assert_int_equal(mkdir(inner, 0700), 0);
  }
  hone_scratch_remove(folder);
  assert_false(hone_file_exists(folder));
  assert_true(hone_file_exists(kept));  // links are not followed
  hone_scratch_remove(folder);          // gone already: nothing happens
  hone_scratch_remove(NULL);
}

static void test_scratch_without_room(void **state) {
  fixture_t *f = *state;
  const char *before = getenv("TMPDIR");
  char *saved = before ? hone_arena_strdup(f->arena, before) : NULL, *path;
  setenv("TMPDIR", "/nowhere/at/all", 1);
  assert_fails(hone_scratch_create(f->arena, &path, &f->status), &f->status, HONE_IO,
               "'/nowhere/at/all'");
  if (saved) {
    setenv("TMPDIR", saved, 1);
  } else {
    unsetenv("TMPDIR");
  }
}

static void test_paths(void **state) {
  fixture_t *f = *state;
  assert_string_equal(hone_path_join(f->arena, "a", "b"), "a/b");
  assert_string_equal(hone_path_join(f->arena, "a/", "b"), "a/b");
  assert_string_equal(hone_path_join(f->arena, "", "b"), "b");
  assert_string_equal(hone_path_base("/a/b.c"), "b.c");
  assert_string_equal(hone_path_base("b.c"), "b.c");
  assert_string_equal(hone_path_base("a/"), "");
  assert_true(hone_file_exists(f->folder) && hone_file_is_folder(f->folder));
  assert_false(hone_file_is_folder("/dev/null"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_mapping, setup, teardown),
      cmocka_unit_test_setup_teardown(test_mapping_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read, setup, teardown),
      cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
      cmocka_unit_test_setup_teardown(test_scratch_tree, setup, teardown),
      cmocka_unit_test_setup_teardown(test_scratch_without_room, setup, teardown),
      cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
