// The tuning database: an SQLite file in write-ahead mode, one record per key and candidate.
// Several processes may write at once; what hone_database_put returned from stays, whatever becomes
// of the process. A file that is no tuning database, or a damaged one, is an error that says so,
// and is left as it is. Thread rule: a handle belongs to one thread.
#ifndef HONE_AUTOTUNE_DATABASE_H
#define HONE_AUTOTUNE_DATABASE_H

#include "autotune/record.h"

typedef struct hone_database hone_database_t;

// Opens `path`; to write, it is made if it is missing, with the folder it lies in. To read,
// HONE_NOT_FOUND if it is missing.
typedef enum hone_database_mode { HONE_DATABASE_READ, HONE_DATABASE_WRITE } hone_database_mode_t;
HONE_MUST_CHECK bool hone_database_open(const char *path, hone_database_mode_t mode,
                                        hone_database_t **out_database, hone_status_t *status);
void hone_database_close(hone_database_t *database);  // NULL is fine

// Stores records, all or none; a record for the same key and candidate is replaced.
HONE_MUST_CHECK bool hone_database_put(hone_database_t *database,
                                       const hone_tuning_record_t *records, size_t count,
                                       hone_status_t *status);
// Everything known for a key, ordered by candidate text; in the arena.
HONE_MUST_CHECK bool hone_database_get(hone_database_t *database, const hone_tuning_key_t *key,
                                       hone_arena_t *arena, hone_tuning_record_t **out_records,
                                       size_t *out_count, hone_status_t *status);
// The same for every M and number of threads of the key's problem (its M and threads do not count),
// ordered by M, threads and candidate text.
HONE_MUST_CHECK bool hone_database_get_problem(hone_database_t *database,
                                               const hone_tuning_key_t *key, hone_arena_t *arena,
                                               hone_tuning_record_t **out_records,
                                               size_t *out_count, hone_status_t *status);
HONE_MUST_CHECK bool hone_database_count(hone_database_t *database, uint64_t *out_count,
                                         hone_status_t *status);

// All records as lines of JSON, ordered by all fields of the key and candidate: equal contents give
// equal bytes.
HONE_MUST_CHECK bool hone_database_export(hone_database_t *database, hone_buffer_t *out,
                                          hone_status_t *status);
// Merges lines of JSON: all or none. Of two records for one key and candidate the one that
// hone_evidence_prevails stays. Errors name `name` and the line. *out_changed: records that are new
// or replaced others.
HONE_MUST_CHECK bool hone_database_import(hone_database_t *database, const char *name,
                                          hone_slice_t text, uint64_t *out_changed,
                                          hone_status_t *status);

#endif
