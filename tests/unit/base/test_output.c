// Outputs: they appear whole or not at all, whatever ends them.
#include "tests/unit/base/output_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_files(fixture_t *f) {
  DIR *folder = opendir(f->folder);
  assert_non_null(folder);
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(folder));)
    count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(folder);
  return count;
}

static void check_content(fixture_t *f, const char *expected) {
  char *data;
  size_t bytes;
  assert_works(hone_file_read(f->path, 1 << 20, f->arena, &data, &bytes, &f->status), &f->status);
  assert_string_equal(data, expected);
}

static hone_output_t *create(fixture_t *f) {
  hone_output_t *output;
  assert_works(hone_output_create(f->path, 0755, &output, &f->status), &f->status);
  return output;
}

static void write_text(fixture_t *f, hone_output_t *output, const char *text) {
  assert_works(hone_output_write(output, text, strlen(text), &f->status), &f->status);
}

static void put(fixture_t *f, const char *text) {
  hone_output_t *output = create(f);
  write_text(f, output, text);
  assert_works(hone_output_commit(output, &f->status), &f->status);
  hone_output_destroy(output);
}

static void test_commit(void **state) {
  fixture_t *f = *state;
  hone_output_t *output = create(f);
  write_text(f, output, "one ");
  write_text(f, output, "two");
  assert_works(hone_output_write_at(output, 4, "2", 1, &f->status), &f->status);
  write_text(f, output, "!");  // write_at does not move where write goes on
  assert_false(hone_file_exists(f->path));
  assert_int_equal(count_files(f), 1);
  assert_works(hone_output_commit(output, &f->status), &f->status);
  hone_output_destroy(output);
  check_content(f, "one 2wo!");
  assert_int_equal(count_files(f), 1);
  struct stat info;
  assert_int_equal(stat(f->path, &info), 0);
  mode_t mask = umask(0);
  umask(mask);
  assert_int_equal(info.st_mode & 0777, 0755 & ~mask);
}

static void test_replace_and_abort(void **state) {
  fixture_t *f = *state;
  put(f, "first");
  put(f, "second");
  check_content(f, "second");
  hone_output_t *output = create(f);
  write_text(f, output, "third");
  hone_output_destroy(output);
  check_content(f, "second");
  assert_int_equal(count_files(f), 1);
  hone_output_destroy(NULL);
}

static void test_refused_paths(void **state) {
  fixture_t *f = *state;
  hone_output_t *output;
  assert_fails(hone_output_create(f->folder, 0644, &output, &f->status), &f->status, HONE_INVALID,
               "is a folder");
  assert_fails(hone_output_create("", 0644, &output, &f->status), &f->status, HONE_INVALID,
               "empty");
  char *slash = hone_path_join(f->arena, f->folder, "new/");
  assert_fails(hone_output_create(slash, 0644, &output, &f->status), &f->status, HONE_INVALID,
               "names a folder");
  char *absent = hone_path_join(f->arena, f->folder, "absent/out");
  assert_fails(hone_output_create(absent, 0644, &output, &f->status), &f->status, HONE_NOT_FOUND,
               "folder does not exist");
  assert_fails(hone_output_create("/dev/null", 0644, &output, &f->status), &f->status, HONE_INVALID,
               "not a regular file");
  char *name = hone_arena_format(f->arena, "%s/%0300d", f->folder, 0);
  assert_fails(hone_output_create(name, 0644, &output, &f->status), &f->status, HONE_IO,
               "File name too long");
  assert_null(output);
  assert_int_equal(count_files(f), 0);
}

static void test_link_is_followed(void **state) {
  fixture_t *f = *state;
  put(f, "old");
  char *link = hone_path_join(f->arena, f->folder, "link");
  assert_int_equal(symlink("out", link), 0);
  hone_output_t *output;
  assert_works(hone_output_create(link, 0644, &output, &f->status), &f->status);
  write_text(f, output, "new");
  assert_works(hone_output_commit(output, &f->status), &f->status);
  hone_output_destroy(output);
  check_content(f, "new");
  struct stat info;
  assert_int_equal(lstat(link, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
}

static void test_relative_path(void **state) {
  fixture_t *f = *state;
  int before = open(".", O_RDONLY | O_DIRECTORY);
  assert_int_equal(chdir(f->folder), 0);
  f->path = hone_arena_strdup(f->arena, "here");
  put(f, "text");
  check_content(f, "text");
  assert_int_equal(fchdir(before), 0);
  close(before);
}

// As a linker does: writes a file of its own and renames it over the temporary one.
static void test_replaced_by_linker(void **state) {
  fixture_t *f = *state;
  hone_output_t *output = create(f);
  write_text(f, output, "ours");
  char *theirs = hone_path_join(f->arena, f->folder, "theirs");
  FILE *file = fopen(theirs, "wb");
  fputs("theirs", file);
  fclose(file);
  chmod(theirs, 0600);
  assert_int_equal(rename(theirs, hone_output_temporary_path(output)), 0);
  assert_works(hone_output_commit(output, &f->status), &f->status);
  hone_output_destroy(output);
  check_content(f, "theirs");
  assert_int_equal(access(f->path, X_OK), 0);
}

static void test_temporary_file_gone(void **state) {
  fixture_t *f = *state;
  hone_output_t *output = create(f);
  unlink(hone_output_temporary_path(output));
  assert_fails(hone_output_commit(output, &f->status), &f->status, HONE_IO, "is gone");
  hone_output_destroy(output);
  assert_int_equal(count_files(f), 0);
}

static void test_full_disk(void **state) {
  fixture_t *f = *state;
  put(f, "old");
  limit_room(f, 1 << 16);
  hone_output_t *output = create(f);
  static char data[1 << 17];
  bool wrote = hone_output_write(output, data, sizeof data, &f->status);
  restore_room(f);
  assert_fails(wrote, &f->status, HONE_EXHAUSTED, f->path);
  assert_fails(hone_output_write_at(output, UINT64_MAX, "x", 1, &f->status), &f->status,
               HONE_EXHAUSTED, f->path);
  hone_output_destroy(output);
  check_content(f, "old");
  assert_int_equal(count_files(f), 1);
}

static void end_politely(int signal_number) {
  (void)signal_number;
  hone_output_unlink_all();
  _exit(130);
}

static void test_signal(void **state) {
  fixture_t *f = *state;
  put(f, "old");
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGINT, end_politely);
    char *scratch;
    setenv("TMPDIR", f->folder, 1);
    hone_output_t *output;
    bool ok = hone_output_create(f->path, 0755, &output, &f->status) &&
              hone_output_write(output, "half", 4, &f->status) &&
              hone_scratch_create(f->arena, &scratch, &f->status);
    FILE *file = ok ? fopen(hone_path_join(f->arena, scratch, "file"), "wb") : NULL;
    if (file) fputs("x", file), fclose(file);
    if (write(ready[1], file ? "y" : "n", 1) == 1) pause();
    _exit(1);
  }
  char answer = 'n';
  assert_int_equal(read(ready[0], &answer, 1), 1);
  assert_int_equal(answer, 'y');
  assert_int_equal(count_files(f), 3);
  kill(child, SIGINT);
  int status;
  waitpid(child, &status, 0);
  assert_int_equal(WEXITSTATUS(status), 130);
  assert_int_equal(count_files(f), 1);
  check_content(f, "old");
  close(ready[0]), close(ready[1]);
}

static void test_child_keeps_parents_files(void **state) {
  fixture_t *f = *state;
  hone_output_t *output = create(f);
  pid_t child = fork();
  if (child == 0) {
    hone_output_unlink_all();
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  assert_true(hone_file_exists(hone_output_temporary_path(output)));
  assert_true(hone_file_is_folder(f->folder));
  hone_output_destroy(output);
}

static void test_many(void **state) {
  fixture_t *f = *state;
  hone_output_t *outputs[100], *one_more = NULL;
  size_t count = 0;
  for (; count < 100; count++) {
    char *path = hone_arena_format(f->arena, "%s/%zu", f->folder, count);
    if (!hone_output_create(path, 0644, &outputs[count], &f->status)) break;
  }
  assert_true(count >= 8 && count < 100);
  assert_int_equal(f->status.code, HONE_EXHAUSTED);
  f->status = (hone_status_t){0};
  hone_output_destroy(outputs[--count]);
  assert_works(hone_output_create(f->path, 0644, &one_more, &f->status), &f->status);
  hone_output_destroy(one_more);
  while (count) hone_output_destroy(outputs[--count]);
  assert_int_equal(count_files(f), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_commit),        TEST(test_replace_and_abort),
      TEST(test_refused_paths), TEST(test_link_is_followed),
      TEST(test_relative_path), TEST(test_replaced_by_linker),
      TEST(test_full_disk),     TEST(test_temporary_file_gone),
      TEST(test_signal),        TEST(test_child_keeps_parents_files),
      TEST(test_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
