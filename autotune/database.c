// See database.h. Every statement is prepared where it is used: tuning takes seconds per record,
// and a compile asks once per problem.
#include "autotune/database.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"

enum { APPLICATION = 0x486f6e65, SCHEMA = 1, PATIENCE_MS = 20000, PAUSE_MS = 5 };

struct hone_database {
  sqlite3 *handle;
  char *path;
};

static const char schema[] =
    "CREATE TABLE record(problem TEXT NOT NULL, isa TEXT NOT NULL, M INTEGER NOT NULL,"
    " threads INTEGER NOT NULL, cpu TEXT NOT NULL, compiler TEXT NOT NULL,"
    " candidate TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,"
    " median_ns REAL NOT NULL, mad_ns REAL NOT NULL, samples INTEGER NOT NULL,"
    " PRIMARY KEY(problem, isa, M, threads, cpu, compiler, candidate)) WITHOUT ROWID;";

#define COLUMNS                                                                              \
  "problem, isa, M, threads, cpu, compiler, candidate, verdict, reason, median_ns, mad_ns, " \
  "samples"

static bool fail(hone_database_t *database, int code, hone_status_t *status) {
  const char *path = database->path, *text = sqlite3_errmsg(database->handle);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return hone_fail(status, HONE_INVALID, "%s is no tuning database; give another --db", path);
    case SQLITE_CORRUPT:
      return hone_fail(status, HONE_INVALID,
                       "%s is damaged (%s); move it away, or import an export of it", path, text);
    case SQLITE_FULL:
      return hone_fail(status, HONE_EXHAUSTED, "%s cannot grow: the disk is full", path);
    case SQLITE_BUSY:
      return hone_fail(status, HONE_IO, "%s is being written by another process for too long",
                       path);
    default: return hone_fail(status, HONE_IO, "%s: %s", path, text);
  }
}

// SQLite does not wait by itself where it changes to the write-ahead log, or recovers one.
static bool run(hone_database_t *database, const char *sql, hone_status_t *status) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
  int code = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited < PATIENCE_MS; waited += PAUSE_MS) {
    nanosleep(&pause, NULL);
    code = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
  }
  return code == SQLITE_OK || fail(database, code, status);
}

static bool prepare(hone_database_t *database, const char *sql, sqlite3_stmt **out,
                    hone_status_t *status) {
  int code = sqlite3_prepare_v2(database->handle, sql, -1, out, NULL);
  return code == SQLITE_OK || fail(database, code, status);
}

// The only number that a statement gives.
static bool ask(hone_database_t *database, const char *sql, int64_t *out, hone_status_t *status) {
  sqlite3_stmt *statement = NULL;
  if (!prepare(database, sql, &statement, status)) return false;
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return code == SQLITE_ROW || fail(database, code, status);
}

// ---- opening
static bool make_folders(const char *path, hone_status_t *status) {
  char *folder = strdup(path);
  if (!folder) hone_out_of_memory();
  bool ok = true;
  for (char *slash = strchr(folder + 1, '/'); slash && ok; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(folder, 0777) && errno != EEXIST)
      ok = hone_fail(status, HONE_IO, "cannot make folder %s: %s", folder, strerror(errno));
    *slash = '/';
  }
  free(folder);
  return ok;
}

// A new file has no tables and no number of ours; an SQLite file of another program has.
static bool create_tables(hone_database_t *database, hone_status_t *status) {
  int64_t tables, application;
  if (!run(database, "BEGIN IMMEDIATE", status)) return false;
  bool ok = ask(database, "SELECT count(*) FROM sqlite_master", &tables, status) &&
            ask(database, "PRAGMA application_id", &application, status);
  if (ok && tables == 0 && application == 0) {
    char numbers[96];
    snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION, SCHEMA);
    ok = run(database, schema, status) && run(database, numbers, status);
  }
  return ok ? run(database, "COMMIT", status)
            : (sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL), false);
}

static bool check_file(hone_database_t *database, hone_status_t *status) {
  int64_t application, version;
  if (!ask(database, "PRAGMA application_id", &application, status) ||
      !ask(database, "PRAGMA user_version", &version, status))
    return false;
  if (application != APPLICATION)
    return hone_fail(status, HONE_INVALID, "%s is a database of another program; give another --db",
                     database->path);
  if (version != SCHEMA)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s is a tuning database of version %" PRId64 ", this hone reads version %d",
                     database->path, version, SCHEMA);
  sqlite3_stmt *statement = NULL;
  if (!prepare(database, "PRAGMA quick_check(1)", &statement, status)) return false;
  int code = sqlite3_step(statement);
  const char *answer = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
  bool ok = answer && !strcmp(answer, "ok");
  sqlite3_finalize(statement);
  return ok || fail(database, SQLITE_CORRUPT, status);
}

bool hone_database_open(const char *path, hone_database_mode_t mode, hone_database_t **out_database,
                        hone_status_t *status) {
  bool writes = mode == HONE_DATABASE_WRITE;
  *out_database = NULL;
  if (hone_file_is_folder(path)) return hone_fail(status, HONE_INVALID, "%s is a folder", path);
  if (!writes && !hone_file_exists(path))
    return hone_fail(status, HONE_NOT_FOUND, "there is no tuning database %s", path);
  if (writes && !make_folders(path, status)) return false;
  hone_database_t *database = calloc(1, sizeof *database);
  if (!database || !(database->path = strdup(path))) hone_out_of_memory();
  int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  int code = sqlite3_open_v2(path, &database->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
  bool ok = code == SQLITE_OK || fail(database, code, status);
  if (ok) sqlite3_busy_timeout(database->handle, PATIENCE_MS);
  ok = ok && (!writes || create_tables(database, status)) && check_file(database, status) &&
       (!writes || run(database, "PRAGMA journal_mode = WAL", status));
  if (!ok) {
    hone_database_close(database);
    return false;
  }
  *out_database = database;
  return true;
}

void hone_database_close(hone_database_t *database) {
  if (!database) return;
  sqlite3_close(database->handle);
  free(database->path);
  free(database);
}

// ---- records
static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
  sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

static void bind_key(sqlite3_stmt *statement, const hone_tuning_key_t *key) {
  bind_text(statement, 1, key->problem);
  bind_text(statement, 2, key->isa);
  sqlite3_bind_int64(statement, 3, key->M);
  sqlite3_bind_int64(statement, 4, key->threads);
  bind_text(statement, 5, key->cpu);
  bind_text(statement, 6, key->compiler);
}

static bool put_record(hone_database_t *database, sqlite3_stmt *statement,
                       const hone_tuning_record_t *record, hone_status_t *status) {
  char candidate[HONE_CANDIDATE_TEXT_BYTES];
  const hone_evidence_t *evidence = &record->evidence;
  hone_candidate_write(&record->candidate, candidate);
  bind_key(statement, &record->key);
  bind_text(statement, 7, candidate);
  bind_text(statement, 8, hone_verdict_name(evidence->verdict));
  bind_text(statement, 9, evidence->reason);
  sqlite3_bind_double(statement, 10, evidence->median_ns);
  sqlite3_bind_double(statement, 11, evidence->mad_ns);
  sqlite3_bind_int64(statement, 12, evidence->samples);
  int code = sqlite3_step(statement);
  sqlite3_reset(statement);
  return code == SQLITE_DONE || fail(database, code, status);
}

static bool put_all(hone_database_t *database, const hone_tuning_record_t *records, size_t count,
                    hone_status_t *status) {
  static const char sql[] = "INSERT OR REPLACE INTO record(" COLUMNS
                            ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
  sqlite3_stmt *statement = NULL;
  bool ok = prepare(database, sql, &statement, status);
  for (size_t i = 0; i < count && ok; i++)
    ok = put_record(database, statement, &records[i], status);
  sqlite3_finalize(statement);
  return ok;
}

static bool end(hone_database_t *database, bool ok, hone_status_t *status) {
  if (ok && run(database, "COMMIT", status)) return true;
  sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

bool hone_database_put(hone_database_t *database, const hone_tuning_record_t *records, size_t count,
                       hone_status_t *status) {
  if (!run(database, "BEGIN IMMEDIATE", status)) return false;
  return end(database, put_all(database, records, count, status), status);
}

static const char *read_column(sqlite3_stmt *statement, int column, hone_arena_t *arena) {
  const unsigned char *text = sqlite3_column_text(statement, column);
  return hone_arena_strdup(arena, text ? (const char *)text : "");
}

static bool read_record(hone_database_t *database, sqlite3_stmt *statement, hone_arena_t *arena,
                        hone_tuning_record_t *out, hone_status_t *status) {
  const char *candidate = read_column(statement, 6, arena);
  const char *verdict = read_column(statement, 7, arena),
             *reason = read_column(statement, 8, arena);
  *out = (hone_tuning_record_t){
      .key = {.problem = read_column(statement, 0, arena),
              .isa = read_column(statement, 1, arena),
              .M = (uint32_t)sqlite3_column_int64(statement, 2),
              .threads = (uint32_t)sqlite3_column_int64(statement, 3),
              .cpu = read_column(statement, 4, arena),
              .compiler = read_column(statement, 5, arena)},
      .evidence = {.median_ns = sqlite3_column_double(statement, 9),
                   .mad_ns = sqlite3_column_double(statement, 10),
                   .samples = (uint32_t)sqlite3_column_int64(statement, 11)}};
  snprintf(out->evidence.reason, sizeof out->evidence.reason, "%s", reason);
  if (!hone_candidate_parse(hone_slice(candidate), &out->candidate, status))
    return hone_note(status, "%s holds a record that cannot be read", database->path);
  if (hone_verdict_find(verdict, &out->evidence.verdict)) return true;
  return hone_fail(status, HONE_INVALID, "%s holds a record with the unknown verdict '%.40s'",
                   database->path, verdict);
}

typedef HONE_LIST(hone_tuning_record_t) record_list_t;

static bool read_all(hone_database_t *database, sqlite3_stmt *statement, hone_arena_t *arena,
                     record_list_t *list, hone_status_t *status) {
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    hone_tuning_record_t record;
    if (!read_record(database, statement, arena, &record, status)) return false;
    hone_list_push(arena, list, record);
  }
  return code == SQLITE_DONE || fail(database, code, status);
}

static bool select_records(hone_database_t *database, const char *sql, const hone_tuning_key_t *key,
                           hone_arena_t *arena, hone_tuning_record_t **out_records,
                           size_t *out_count, hone_status_t *status) {
  sqlite3_stmt *statement = NULL;
  record_list_t list = {0};
  if (!prepare(database, sql, &statement, status)) return false;
  if (key) bind_key(statement, key);
  bool ok = read_all(database, statement, arena, &list, status);
  sqlite3_finalize(statement);
  *out_records = list.items;
  *out_count = list.count;
  return ok;
}

#define SAME_PROBLEM "problem = ?1 AND isa = ?2 AND cpu = ?5 AND compiler = ?6"

bool hone_database_get(hone_database_t *database, const hone_tuning_key_t *key, hone_arena_t *arena,
                       hone_tuning_record_t **out_records, size_t *out_count,
                       hone_status_t *status) {
  return select_records(database,
                        "SELECT " COLUMNS " FROM record WHERE " SAME_PROBLEM
                        " AND M = ?3 AND threads = ?4 ORDER BY candidate",
                        key, arena, out_records, out_count, status);
}

bool hone_database_get_problem(hone_database_t *database, const hone_tuning_key_t *key,
                               hone_arena_t *arena, hone_tuning_record_t **out_records,
                               size_t *out_count, hone_status_t *status) {
  return select_records(database,
                        "SELECT " COLUMNS " FROM record WHERE " SAME_PROBLEM
                        " ORDER BY M, threads, candidate",
                        key, arena, out_records, out_count, status);
}

bool hone_database_count(hone_database_t *database, uint64_t *out_count, hone_status_t *status) {
  int64_t count = 0;
  bool ok = ask(database, "SELECT count(*) FROM record", &count, status);
  *out_count = (uint64_t)count;
  return ok;
}

// ---- lines of JSON
bool hone_database_export(hone_database_t *database, hone_buffer_t *out, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_tuning_record_t *records;
  size_t count;
  bool ok = select_records(database,
                           "SELECT " COLUMNS
                           " FROM record ORDER BY problem, isa, M, threads, cpu,"
                           " compiler, candidate",
                           NULL, arena, &records, &count, status);
  for (size_t i = 0; i < count && ok; i++) {
    hone_tuning_record_write(&records[i], out);
    hone_buffer_text(out, "\n");
  }
  hone_arena_destroy(arena);
  return ok;
}

static bool merge_record(hone_database_t *database, const hone_tuning_record_t *record,
                         hone_arena_t *arena, uint64_t *changed, hone_status_t *status) {
  hone_tuning_record_t *known;
  size_t count;
  if (!hone_database_get(database, &record->key, arena, &known, &count, status)) return false;
  for (size_t i = 0; i < count; i++)
    if (hone_candidate_equal(&known[i].candidate, &record->candidate) &&
        !hone_evidence_prevails(&record->evidence, &known[i].evidence))
      return true;
  ++*changed;
  return put_all(database, record, 1, status);
}

static bool import_lines(hone_database_t *database, const char *name, hone_slice_t text,
                         uint64_t *changed, hone_status_t *status) {
  bool ok = true;
  for (uint64_t number = 1; text.data && ok; number++) {
    hone_slice_t line = hone_slice_cut(&text, '\n');
    hone_tuning_record_t record;
    if (line.bytes == 0) continue;
    hone_arena_t *arena = hone_arena_create();
    ok = hone_tuning_record_parse(line.data, line.bytes, arena, &record, status) ||
         hone_note(status, "%s, line %" PRIu64, name, number);
    ok = ok && merge_record(database, &record, arena, changed, status);
    hone_arena_destroy(arena);
  }
  return ok;
}

bool hone_database_import(hone_database_t *database, const char *name, hone_slice_t text,
                          uint64_t *out_changed, hone_status_t *status) {
  *out_changed = 0;
  if (!run(database, "BEGIN IMMEDIATE", status)) return false;
  return end(database, import_lines(database, name, text, out_changed, status), status);
}
