// The tuning database: what is put is there, merges do not depend on their order, and files that
// are none or are damaged are told and left as they are. Killed processes are tests/e2e/tune.sh's.
#include "autotune/database.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/autotune/fixture.h"

typedef struct place {
  hone_arena_t *arena;
  char *folder, *path;
} place_t;

static int setup(void **state) {
  hone_status_t status = {0};
  hone_arena_t *arena = hone_arena_create();
  place_t *place = HONE_NEW(arena, place_t);
  place->arena = arena;
  assert_works(hone_scratch_create(arena, &place->folder, &status), &status);
  place->path = hone_path_join(arena, place->folder, "deep/er/tuning.db");
  *state = place;
  return 0;
}

static int teardown(void **state) {
  place_t *place = *state;
  hone_scratch_remove(place->folder);
  hone_arena_destroy(place->arena);
  return 0;
}

static hone_database_t *open_to(const char *path, hone_database_mode_t mode) {
  hone_status_t status = {0};
  hone_database_t *database = NULL;
  assert_works(hone_database_open(path, mode, &database, &status), &status);
  return database;
}

static hone_tuning_record_t make(uint32_t M, uint32_t tokens, double ns, uint32_t samples) {
  hone_tuning_record_t record = {
      .key = {.problem = "linear.nf4<64>.q8 N=64 K=128",
              .isa = "avx2",
              .M = M,
              .threads = 2,
              .cpu = "a cpu",
              .compiler = "a compiler"},
      .candidate = {.family = HONE_FAMILY_GEMM, .schedule = {.tokens = tokens, .unroll = 1}},
      .evidence = {.median_ns = ns, .mad_ns = ns / 64, .samples = samples}};
  if (samples == 0)
    hone_evidence_reject(&record.evidence, HONE_VERDICT_WRONG, "row 3 \"column\" 4");
  return record;
}

static void put(hone_database_t *database, hone_tuning_record_t record) {
  hone_status_t status = {0};
  assert_works(hone_database_put(database, &record, 1, &status), &status);
}

static uint64_t count(hone_database_t *database) {
  hone_status_t status = {0};
  uint64_t result = 0;
  assert_works(hone_database_count(database, &result, &status), &status);
  return result;
}

static char *export_of(hone_database_t *database, hone_arena_t *arena) {
  hone_status_t status = {0};
  hone_buffer_t text = {0};
  assert_works(hone_database_export(database, &text, &status), &status);
  char *copy = hone_arena_strdup(arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return copy;
}

static uint64_t merge(hone_database_t *database, const char *text) {
  hone_status_t status = {0};
  uint64_t changed = 0;
  assert_works(hone_database_import(database, "text", hone_slice(text), &changed, &status),
               &status);
  return changed;
}

static void test_round_trip(void **state) {
  place_t *place = *state;
  hone_status_t status = {0};
  hone_database_t *database = open_to(place->path, HONE_DATABASE_WRITE);
  put(database, make(8, 4, 1234.5678901234567, 9));
  put(database, make(8, 2, 0, 0));
  put(database, make(1, 2, 77, 3));
  put(database, make(1, 2, 66, 5));  // replaces
  assert_int_equal(count(database), 3);
  hone_database_close(database);

  database = open_to(place->path, HONE_DATABASE_READ);
  hone_tuning_record_t *records, key = make(8, 0, 1, 1);
  size_t found = 0;
  assert_works(hone_database_get(database, &key.key, place->arena, &records, &found, &status),
               &status);
  assert_int_equal(found, 2);
  assert_int_equal(records[0].candidate.schedule.tokens, 2);
  assert_int_equal(records[0].evidence.verdict, HONE_VERDICT_WRONG);
  assert_string_equal(records[0].evidence.reason, "row 3 \"column\" 4");
  assert_int_equal(records[1].candidate.schedule.tokens, 4);
  assert_true(records[1].evidence.median_ns == 1234.5678901234567);
  assert_int_equal(records[1].evidence.samples, 9);
  assert_works(
      hone_database_get_problem(database, &key.key, place->arena, &records, &found, &status),
      &status);
  assert_int_equal(found, 3);
  assert_int_equal(records[0].key.M, 1);
  assert_true(records[0].evidence.median_ns == 66);
  key.key.cpu = "another";
  assert_works(
      hone_database_get_problem(database, &key.key, place->arena, &records, &found, &status),
      &status);
  assert_int_equal(found, 0);
  hone_database_close(database);
}

// Two databases merged into each other in both orders become the same.
static void test_merge(void **state) {
  place_t *place = *state;
  hone_database_t *a = open_to(hone_path_join(place->arena, place->folder, "a.db"), 1),
                  *b = open_to(hone_path_join(place->arena, place->folder, "b.db"), 1);
  put(a, make(1, 2, 50, 9)), put(b, make(1, 2, 40, 5));     // more samples: a's
  put(a, make(1, 3, 50, 5)), put(b, make(1, 3, 40, 5));     // the shorter: b's
  put(a, make(1, 4, 50, 5)), put(b, make(1, 4, 0, 0));      // wrong once: b's
  put(a, make(16, 2, 1, 5)), put(b, make(32, 2, 1.25, 5));  // one each
  char *from_a = export_of(a, place->arena), *from_b = export_of(b, place->arena);
  assert_int_equal(merge(a, from_b), 3);
  assert_int_equal(merge(b, from_a), 2);
  char *merged = export_of(a, place->arena);
  assert_string_equal(merged, export_of(b, place->arena));
  assert_int_equal(merge(a, merged), 0);
  assert_int_equal(count(a), 5);
  assert_non_null(strstr(merged,
                         "\"candidate\":\"gemm tokens=2 unroll=1\",\"verdict\":\"ok\","
                         "\"median_ns\":50,"));
  assert_non_null(
      strstr(merged, "\"candidate\":\"gemm tokens=4 unroll=1\",\"verdict\":\"wrong\","));
  hone_database_close(a);
  hone_database_close(b);
}

// All or nothing, with the line named.
static void test_bad_lines(void **state) {
  place_t *place = *state;
  hone_status_t status = {0};
  hone_database_t *database = open_to(place->path, HONE_DATABASE_WRITE);
  put(database, make(1, 2, 50, 9));
  char *good = export_of(database, place->arena);
  put(database, make(1, 2, 40, 11));
  char *before = export_of(database, place->arena);
  static const struct {
    const char *line, *message;
  } cases[] = {
      {"{\"problem\": \"x\"", "text, line 2: no JSON"},
      {"[]", "no JSON object"},
      {"{}", "\"problem\" must be a text"},
      {"{\"problem\":\"p\",\"isa\":\"i\",\"M\":0}", "\"M\" must be an integer in 1.."},
      {"{\"problem\":\"p\",\"isa\":\"i\",\"M\":1,\"M\":1}", "no JSON: duplicate"},
      {"{\"problem\":\"p\",\"isa\":\"i\",\"M\":1,\"threads\":1,\"cpu\":\"c\",\"compiler\":\"l\","
       "\"candidate\":\"gemm tokens=x\"}",
       "'tokens=x' is none of"},
      {"{\"problem\":\"p\",\"isa\":\"i\",\"M\":1,\"threads\":1,\"cpu\":\"c\",\"compiler\":\"l\","
       "\"candidate\":\"gemm\",\"verdict\":\"fine\"}",
       "no verdict 'fine'"},
      {"{\"problem\":\"p\",\"isa\":\"i\",\"M\":1,\"threads\":1,\"cpu\":\"c\",\"compiler\":\"l\","
       "\"candidate\":\"gemm\",\"verdict\":\"ok\",\"median_ns\":-1}",
       "\"median_ns\" must be a time"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t changed;
    char *text = hone_arena_format(place->arena, "%s%s\n", good, cases[i].line);
    text[strlen(good) - 1] = '\n';
    assert_fails(hone_database_import(database, "text", hone_slice(text), &changed, &status),
                 &status, HONE_INVALID, cases[i].message);
    assert_string_equal(before, export_of(database, place->arena));
  }
  hone_database_close(database);
}

static void write_bytes(const char *path, const void *data, size_t bytes) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
}

static void test_foreign(void **state) {
  place_t *place = *state;
  hone_status_t status = {0};
  hone_database_t *database;
  const char *path = hone_path_join(place->arena, place->folder, "foreign.db");
  char text[4096], *back;
  size_t bytes;
  memset(text, 'x', sizeof text);
  write_bytes(path, text, sizeof text);
  for (int mode = 0; mode < 2; mode++)
    assert_fails(hone_database_open(path, mode, &database, &status), &status, HONE_INVALID,
                 "is no tuning database");
  assert_works(hone_file_read(path, 1 << 20, place->arena, &back, &bytes, &status), &status);
  assert_int_equal(bytes, sizeof text);
  assert_memory_equal(back, text, sizeof text);
  assert_fails(hone_database_open(place->folder, HONE_DATABASE_WRITE, &database, &status), &status,
               HONE_INVALID, "is a folder");
  assert_fails(hone_database_open(place->path, HONE_DATABASE_READ, &database, &status), &status,
               HONE_NOT_FOUND, "no tuning database");
}

// Of a file cut short the records are refused, not read as fewer.
static void test_truncated(void **state) {
  place_t *place = *state;
  hone_status_t status = {0};
  hone_database_t *database = open_to(place->path, HONE_DATABASE_WRITE);
  hone_tuning_record_t records[400];
  for (uint32_t i = 0; i < 400; i++) records[i] = make(1 + i, 2, 10, 5);
  assert_works(hone_database_put(database, records, 400, &status), &status);
  hone_database_close(database);
  char *data;
  size_t bytes;
  assert_works(hone_file_read(place->path, 1 << 24, place->arena, &data, &bytes, &status), &status);
  assert_true(bytes > 3 * 4096);
  const char *cut = hone_path_join(place->arena, place->folder, "cut.db");
  write_bytes(cut, data, bytes / 4096 / 2 * 4096);
  for (int mode = 0; mode < 2; mode++)
    assert_fails(hone_database_open(cut, mode, &database, &status), &status, HONE_INVALID,
                 "is damaged");
  write_bytes(cut, data, 1000);
  for (int mode = 0; mode < 2; mode++) {
    assert_false(hone_database_open(cut, mode, &database, &status));
    assert_int_equal(status.code, HONE_INVALID);
    status = (hone_status_t){0};
  }
  memset(data + 4096 + 200, 0x5a, 3000);  // a page of records overwritten
  write_bytes(cut, data, bytes);
  assert_fails(hone_database_open(cut, HONE_DATABASE_WRITE, &database, &status), &status,
               HONE_INVALID, "is damaged");
}

static void test_writers(void **state) {
  enum { WRITERS = 4, RECORDS = 25 };
  place_t *place = *state;
  for (uint32_t w = 0; w < WRITERS; w++) {
    if (fork()) continue;
    hone_status_t status = {0};
    hone_database_t *database = NULL;
    bool ok = hone_database_open(place->path, HONE_DATABASE_WRITE, &database, &status);
    for (uint32_t i = 0; i < RECORDS && ok; i++) {
      hone_tuning_record_t record = make(1 + w * RECORDS + i, 2, 10, 5);
      ok = hone_database_put(database, &record, 1, &status);
    }
    if (!ok) fprintf(stderr, "%s\n", status.message);
    hone_database_close(database);
    _exit(ok ? 0 : 1);
  }
  for (int w = 0; w < WRITERS; w++) {
    int result;
    wait(&result);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
  }
  hone_database_t *database = open_to(place->path, HONE_DATABASE_READ);
  assert_int_equal(count(database), WRITERS * RECORDS);
  hone_database_close(database);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
      cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
      cmocka_unit_test_setup_teardown(test_bad_lines, setup, teardown),
      cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
      cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
      cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
  };
  return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
