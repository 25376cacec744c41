// What the tests of frontend/ share: a scratch folder, writers of files and safetensors, copies of
// checkpoints under tests/fixtures, and checks of a failure's message. Not a test.
#ifndef TESTS_UNIT_FRONTEND_FIXTURE_H
#define TESTS_UNIT_FRONTEND_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/unit/unit.h"

typedef struct fixture {
  hone_arena_t *arena;
  char *folder;  // scratch
  hone_status_t status;
} fixture_t;

static inline int fixture_setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  f->arena = hone_arena_create();
  if (!hone_scratch_create(f->arena, &f->folder, &f->status)) return -1;
  *state = f;
  return 0;
}

static inline int fixture_teardown(void **state) {
  fixture_t *f = *state;
  hone_scratch_remove(f->folder);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

#define assert_ok(f, call)                  assert_works(call, &(f)->status)
#define assert_refuses(f, call, code, part) assert_fails(call, &(f)->status, code, part)

static inline const char *fixture_path(fixture_t *f, const char *name) {
  return hone_path_join(f->arena, f->folder, name);
}

static inline void fixture_write(fixture_t *f, const char *name, const void *data, size_t bytes) {
  FILE *file = fopen(fixture_path(f, name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

static inline void fixture_text(fixture_t *f, const char *name, const char *text) {
  fixture_write(f, name, text, strlen(text));
}

// A safetensors file in memory: length, header, `bytes` of data (zeros if NULL).
static inline hone_buffer_t safetensors_bytes(const char *header, const void *data, size_t bytes) {
  hone_buffer_t out = {0};
  uint64_t length = strlen(header);
  for (int i = 0; i < 8; i++) {
    char byte = (char)(length >> (8 * i));
    hone_buffer_add(&out, &byte, 1);
  }
  hone_buffer_text(&out, header);
  hone_buffer_reserve(&out, bytes);
  if (data) {
    hone_buffer_add(&out, data, bytes);
  } else {
    for (size_t i = 0; i < bytes; i++) hone_buffer_add(&out, "", 1);
  }
  return out;
}

static inline void fixture_safetensors(fixture_t *f, const char *name, const char *header,
                                       const void *data, size_t bytes) {
  hone_buffer_t out = safetensors_bytes(header, data, bytes);
  fixture_write(f, name, out.data, out.bytes);
  hone_buffer_deinit(&out);
}

// The folder of a checkpoint in the source tree.
static inline const char *checkpoint_folder(fixture_t *f, const char *name) {
  const char *root = getenv("HONE_SOURCE_DIR");
  if (!root) fail_msg("HONE_SOURCE_DIR is not set");
  return hone_arena_format(f->arena, "%s/tests/fixtures/%s", root, name);
}

static inline hone_slice_t read_file(fixture_t *f, const char *path) {
  char *data;
  size_t bytes;
  assert_ok(f, hone_file_read(path, 1 << 26, f->arena, &data, &bytes, &f->status));
  return (hone_slice_t){data, bytes};
}

// Copies a checkpoint into the scratch folder as `copy`, and returns the copy's path.
static inline const char *copy_checkpoint(fixture_t *f, const char *name, const char *copy) {
  const char *from = checkpoint_folder(f, name);
  mkdir(fixture_path(f, copy), 0755);
  DIR *folder = opendir(from);
  if (!folder) fail_msg("cannot open %s", from);
  for (struct dirent *item = readdir(folder); item; item = readdir(folder)) {
    if (item->d_name[0] == '.') continue;
    hone_slice_t data = read_file(f, hone_path_join(f->arena, from, item->d_name));
    fixture_write(f, hone_path_join(f->arena, copy, item->d_name), data.data, data.bytes);
  }
  closedir(folder);
  return fixture_path(f, copy);
}

// Replaces the first `old` in a file of the scratch folder; it must be there.
static inline void edit_file(fixture_t *f, const char *name, const char *old, const char *new) {
  hone_slice_t data = read_file(f, fixture_path(f, name));
  const char *at = memmem(data.data, data.bytes, old, strlen(old));
  if (!at) fail_msg("%s does not hold \"%s\"", name, old);
  hone_buffer_t out = {0};
  hone_buffer_add(&out, data.data, (size_t)(at - data.data));
  hone_buffer_text(&out, new);
  hone_buffer_add(&out, at + strlen(old), data.bytes - (size_t)(at - data.data) - strlen(old));
  fixture_write(f, name, out.data, out.bytes);
  hone_buffer_deinit(&out);
}

#endif
