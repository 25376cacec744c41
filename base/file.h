// Files: read-only maps, whole small files, and outputs that appear only when complete.
// Thread rule: a handle belongs to one thread, except hone_output_write_at (any thread, disjoint
// ranges).
#ifndef HONE_BASE_FILE_H
#define HONE_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "hone/status.h"

typedef struct hone_mapping {  // zero is "nothing mapped"
  const uint8_t *data;
  size_t bytes;
  int fd;
} hone_mapping_t;

// Maps a regular file read-only. Errors name the path: missing, a directory, empty, unreadable.
HONE_MUST_CHECK bool hone_mapping_open(const char *path, hone_mapping_t *out_mapping,
                                       hone_status_t *status);
void hone_mapping_close(hone_mapping_t *mapping);
// Tells the kernel that [offset, offset + bytes) is not needed again, so it stops counting as
// resident.
void hone_mapping_release(const hone_mapping_t *mapping, size_t offset, size_t bytes);

// Reads a whole file of at most `limit_bytes` into the arena, NUL-terminated (the NUL is not
// counted).
HONE_MUST_CHECK bool hone_file_read(const char *path, size_t limit_bytes, hone_arena_t *arena,
                                    char **out_data, size_t *out_bytes, hone_status_t *status);
bool hone_file_exists(const char *path);
bool hone_file_is_folder(const char *path);
// dir + "/" + name, in the arena.
char *hone_path_join(hone_arena_t *arena, const char *folder, const char *name);
const char *hone_path_base(const char *path);  // the part after the last '/'

// An output file: written as a temporary file beside `path` (same file system), made durable
// (fsync) and renamed by commit. Until then `path` is untouched; destroy without commit, a full
// disk and a signal whose handler calls hone_output_unlink_all leave nothing behind. `mode` as in
// chmod, e.g. 0755, less the umask. A link is followed; a folder or a device is refused. Another
// program (a linker) may replace the temporary file: then only commit and destroy may follow.
// Programs that obey `ulimit -f` politely ignore SIGXFSZ.
typedef struct hone_output hone_output_t;
HONE_MUST_CHECK bool hone_output_create(const char *path, unsigned mode, hone_output_t **out_output,
                                        hone_status_t *status);
HONE_MUST_CHECK bool hone_output_write(hone_output_t *output, const void *data, size_t bytes,
                                       hone_status_t *status);
HONE_MUST_CHECK bool hone_output_write_at(hone_output_t *output, uint64_t offset, const void *data,
                                          size_t bytes, hone_status_t *status);
const char *hone_output_temporary_path(const hone_output_t *output);
HONE_MUST_CHECK bool hone_output_commit(hone_output_t *output, hone_status_t *status);
void hone_output_destroy(hone_output_t *output);  // removes the temporary file unless committed
// Async-signal-safe: removes every temporary file and scratch folder this process has open. Called
// by tools' signal handler.
void hone_output_unlink_all(void);

// A private temporary folder (in TMPDIR or /tmp), removed with everything in it by the matching
// call.
HONE_MUST_CHECK bool hone_scratch_create(hone_arena_t *arena, char **out_path,
                                         hone_status_t *status);
// The same beside what will be made of it: in `root`, so that its contents can be renamed into
// place.
HONE_MUST_CHECK bool hone_scratch_create_in(const char *root, hone_arena_t *arena, char **out_path,
                                            hone_status_t *status);
void hone_scratch_remove(const char *path);
// For tools' signal handler: removes what hone_scratch_create made and nobody removed yet.
void hone_scratch_remove_all(void);

#endif
