// The cache: what was put is found, damage is not; the bound holds and spares what was used last;
// foreign files stay; a folder that cannot be written is told of and nothing breaks; many threads.
#include "base/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "tests/unit/unit.h"

enum { BIG = 1 << 30, ENTRY_BYTES = 3000 };  // an entry counts as one page

typedef struct fixture {
  hone_arena_t *arena;
  char *scratch, *folder;
  hone_status_t status;
} fixture_t;

static int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  *state = f;
  f->arena = hone_arena_create();
  if (!hone_scratch_create(f->arena, &f->scratch, &f->status)) return -1;
  f->folder = hone_path_join(f->arena, f->scratch, "deep/er/cache");
  return 0;
}

static int teardown(void **state) {
  fixture_t *f = *state;
  hone_scratch_remove(f->scratch);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

// The key and the content of entry `number`.
static const char *key_of(fixture_t *f, int number) {
  char key[HONE_CACHE_KEY_BYTES];
  hone_hash128_hex(&number, sizeof number, key);
  return hone_arena_strdup(f->arena, key);
}

static void fill(int number, char data[ENTRY_BYTES]) {
  for (int i = 0; i < ENTRY_BYTES; i++) data[i] = (char)(number * 31 + i * 7);
}

static void put(fixture_t *f, hone_cache_t *cache, int number) {
  char data[ENTRY_BYTES];
  fill(number, data);
  hone_cache_put(cache, key_of(f, number), data, sizeof data);
}

static bool has(fixture_t *f, hone_cache_t *cache, int number) {
  char data[ENTRY_BYTES];
  hone_buffer_t out = {0};
  hone_buffer_text(&out, "before ");
  bool found = hone_cache_get(cache, key_of(f, number), &out);
  fill(number, data);
  if (found) {
    assert_int_equal(out.bytes, 7 + ENTRY_BYTES);
    assert_memory_equal(out.data + 7, data, ENTRY_BYTES);
  } else {
    assert_string_equal(out.data, "before ");
  }
  hone_buffer_deinit(&out);
  return found;
}

static void close_cache(fixture_t *f, hone_cache_t *cache) {
  assert_works(hone_cache_close(cache, &f->status), &f->status);
}

static size_t count_files(const char *path) {
  DIR *folder = opendir(path);
  size_t count = 0;
  assert_non_null(folder);
  for (struct dirent *entry; (entry = readdir(folder));)
    count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(folder);
  return count;
}

static void what_was_put_is_found(void **state) {
  fixture_t *f = *state;
  hone_cache_t *cache = hone_cache_open(f->folder, BIG);
  assert_false(has(f, cache, 1));
  put(f, cache, 1);
  put(f, cache, 2);
  put(f, cache, 2);
  assert_true(has(f, cache, 1));
  assert_true(has(f, cache, 2));
  close_cache(f, cache);
  cache = hone_cache_open(f->folder, BIG);
  assert_true(has(f, cache, 1));
  assert_false(has(f, cache, 3));
  close_cache(f, cache);
  assert_int_equal(count_files(f->folder), 2);
}

// Every way an entry can be wrong: cut anywhere, longer, one bit changed anywhere, another's.
static void damage_is_missing(void **state) {
  fixture_t *f = *state;
  hone_cache_t *cache = hone_cache_open(f->folder, BIG);
  put(f, cache, 1);
  put(f, cache, 2);
  const char *path = hone_path_join(f->arena, f->folder, key_of(f, 1));
  const char *other = hone_path_join(f->arena, f->folder, key_of(f, 2));
  char *good;
  size_t bytes;
  assert_works(hone_file_read(path, BIG, f->arena, &good, &bytes, &f->status), &f->status);
  for (size_t i = 0; i < bytes; i += i < 64 ? 1 : 499) {
    assert_int_equal(truncate(path, (off_t)i), 0);
    assert_false(has(f, cache, 1));
    put(f, cache, 1);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    char flipped = (char)(good[i] ^ 4);
    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
    close(fd);
    assert_false(has(f, cache, 1));
    put(f, cache, 1);
    assert_true(has(f, cache, 1));
  }
  assert_int_equal(truncate(path, (off_t)bytes + 1), 0);
  assert_false(has(f, cache, 1));
  assert_int_equal(rename(other, path), 0);
  assert_false(has(f, cache, 1));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0777), 0);
  assert_false(has(f, cache, 1));
  assert_int_equal(rmdir(path), 0);
  close_cache(f, cache);
}

static void the_bound_spares_what_was_used_last(void **state) {
  fixture_t *f = *state;
  hone_cache_t *cache = hone_cache_open(f->folder, BIG);
  for (int i = 0; i < 10; i++) {
    put(f, cache, i);
    const struct timespec used[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
    const char *path = hone_path_join(f->arena, f->folder, key_of(f, i));
    assert_int_equal(utimensat(AT_FDCWD, path, used, 0), 0);
  }
  close_cache(f, cache);
  const char *foreign = hone_path_join(f->arena, f->folder, "precious");
  FILE *file = fopen(foreign, "wb");
  for (int i = 0; i < 100000; i++) fputc(i, file);
  assert_int_equal(fclose(file), 0);
  cache = hone_cache_open(f->folder, 4 * 4096);
  assert_true(has(f, cache, 0));  // used now
  put(f, cache, 20);
  close_cache(f, cache);
  cache = hone_cache_open(f->folder, 4 * 4096);
  for (int i = 1; i < 8; i++) assert_false(has(f, cache, i));
  assert_true(has(f, cache, 0) && has(f, cache, 8) && has(f, cache, 9) && has(f, cache, 20));
  close_cache(f, cache);
  assert_true(hone_file_exists(foreign));
  assert_int_equal(count_files(f->folder), 5);
  cache = hone_cache_open(f->folder, 100);  // less than an entry
  put(f, cache, 21);
  close_cache(f, cache);
  assert_int_equal(count_files(f->folder), 1);
}

static void orphans_go(void **state) {
  fixture_t *f = *state;
  hone_cache_t *cache = hone_cache_open(f->folder, BIG);
  put(f, cache, 1);
  const char *names[] = {"oldold", "newnew"};
  for (int i = 0; i < 2; i++) {
    const char *path = hone_arena_format(f->arena, "%s/.%s.%s", f->folder, key_of(f, 2), names[i]);
    fclose(fopen(path, "wb"));
    const struct timespec used[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    if (i == 0) assert_int_equal(utimensat(AT_FDCWD, path, used, 0), 0);
  }
  close_cache(f, cache);
  assert_int_equal(count_files(f->folder), 2);
}

// A folder nobody can make: in a file. (Permissions would not stop root.)
static void what_cannot_be_kept_is_told(void **state) {
  fixture_t *f = *state;
  const char *file = hone_path_join(f->arena, f->scratch, "file");
  fclose(fopen(file, "wb"));
  hone_cache_t *cache = hone_cache_open(hone_path_join(f->arena, file, "cache"), BIG);
  put(f, cache, 1);
  put(f, cache, 2);
  assert_false(has(f, cache, 1));
  assert_fails(hone_cache_close(cache, &f->status), &f->status, HONE_IO, "file/cache");
  cache = hone_cache_open(hone_path_join(f->arena, file, "cache"), BIG);
  assert_false(has(f, cache, 1));
  close_cache(f, cache);  // nothing was asked to be kept
}

// A file that may not grow stands for a full disk: the half-written entry goes.
static void a_full_disk_leaves_nothing_behind(void **state) {
  fixture_t *f = *state;
  struct rlimit before, small;
  hone_cache_t *cache = hone_cache_open(f->folder, BIG);
  put(f, cache, 1);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = (struct rlimit){1000, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  put(f, cache, 2);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_true(has(f, cache, 1));
  assert_false(has(f, cache, 2));
  assert_int_equal(count_files(f->folder), 1);
  assert_fails(hone_cache_close(cache, &f->status), &f->status, HONE_IO, f->folder);
}

typedef struct crowd {
  fixture_t *f;
  hone_cache_t *cache;
} crowd_t;

static void join_crowd(void *user, int index) {
  const crowd_t *crowd = user;
  fixture_t own = {.arena = hone_arena_create(), .folder = crowd->f->folder};
  hone_cache_t *cache = index % 2 ? crowd->cache : hone_cache_open(own.folder, BIG);
  for (int i = 0; i < 100; i++) {
    put(&own, cache, i % 10);
    assert_true(has(&own, cache, i % 10));
  }
  if (cache != crowd->cache) close_cache(&own, cache);
  hone_arena_destroy(own.arena);
}

static void many_at_once(void **state) {
  fixture_t *f = *state;
  crowd_t crowd = {f, hone_cache_open(f->folder, BIG)};
  hone_parallel_run(8, join_crowd, &crowd);
  close_cache(f, crowd.cache);
  assert_int_equal(count_files(f->folder), 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_was_put_is_found, setup, teardown),
      cmocka_unit_test_setup_teardown(damage_is_missing, setup, teardown),
      cmocka_unit_test_setup_teardown(the_bound_spares_what_was_used_last, setup, teardown),
      cmocka_unit_test_setup_teardown(orphans_go, setup, teardown),
      cmocka_unit_test_setup_teardown(what_cannot_be_kept_is_told, setup, teardown),
      cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_behind, setup, teardown),
      cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
