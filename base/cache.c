// See cache.h. An entry is a file named by its key: a header that repeats the key and has a
// checksum, then the data. It is written under another name and renamed, so that readers see all of
// it or nothing. Last use is the file's time of modification.
#include "base/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

enum {
  KEY_DIGITS = HONE_CACHE_KEY_BYTES - 1,
  PAGE_BYTES = 4096,
  ENTRY_LIMIT = 64 << 20,
  ORPHAN_SECONDS = 3600,  // a temporary file this old has no writer any more
};

typedef struct header {
  char magic[8];
  uint64_t bytes, hash;  // of the data behind the header
  char key[KEY_DIGITS];
} header_t;

static const char magic[8] = "HONECAC1";

struct hone_cache {
  hone_arena_t *arena;
  const char *folder;
  uint64_t limit_bytes;
  atomic_bool has_put;
  pthread_mutex_t mutex;  // of problem
  hone_status_t problem;
};

hone_cache_t *hone_cache_open(const char *folder, uint64_t limit_bytes) {
  hone_arena_t *arena = hone_arena_create();
  hone_cache_t *cache = HONE_NEW(arena, hone_cache_t);
  *cache = (hone_cache_t){.arena = arena, .limit_bytes = limit_bytes};
  cache->folder = hone_arena_strdup(arena, folder);
  pthread_mutex_init(&cache->mutex, NULL);
  return cache;
}

static char *entry_path(const hone_cache_t *cache, const char *key, hone_arena_t *arena) {
  return hone_path_join(arena, cache->folder, key);
}

// ---- reading

static bool read_exactly(int fd, void *data, size_t bytes) {
  char *to = data;
  while (bytes) {
    ssize_t got = read(fd, to, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    bytes -= (size_t)got;
  }
  return true;
}

static bool read_entry(int fd, const char *key, hone_buffer_t *out) {
  struct stat info;
  header_t header;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (!read_exactly(fd, &header, sizeof header)) return false;
  if (memcmp(header.magic, magic, sizeof magic) || memcmp(header.key, key, KEY_DIGITS) ||
      header.bytes > ENTRY_LIMIT || header.bytes + sizeof header != (uint64_t)info.st_size)
    return false;
  size_t bytes = (size_t)header.bytes;
  hone_buffer_reserve(out, bytes + 1);
  char *data = out->data + out->bytes;
  if (!read_exactly(fd, data, bytes) || hone_hash64(data, bytes) != header.hash) {
    *data = '\0';
    return false;
  }
  out->bytes += bytes;
  data[bytes] = '\0';
  return true;
}

bool hone_cache_get(hone_cache_t *cache, const char *key, hone_buffer_t *out) {
  hone_arena_t *arena = hone_arena_create();
  int fd = open(entry_path(cache, key, arena), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  hone_arena_destroy(arena);
  if (fd < 0) return false;
  bool found = read_entry(fd, key, out);
  if (found) (void)futimens(fd, NULL);  // in a folder of somebody else's, order of use is lost
  close(fd);
  return found;
}

// ---- writing

static bool make_folders(char *path) {
  for (char *at = path + 1;; at++) {
    char end = *at;
    if (end && end != '/') continue;
    *at = '\0';
    bool ok = mkdir(path, 0700) == 0 || errno == EEXIST || hone_file_is_folder(path);
    *at = end;
    if (!ok || !end) return ok;
  }
}

static bool write_exactly(int fd, const void *data, size_t bytes) {
  const char *from = data;
  while (bytes) {
    ssize_t written = write(fd, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    from += written;
    bytes -= (size_t)written;
  }
  return true;
}

static bool write_entry(hone_cache_t *cache, hone_arena_t *arena, const char *key, const void *data,
                        size_t bytes) {
  header_t header = {.bytes = bytes, .hash = hone_hash64(data, bytes)};
  memcpy(header.magic, magic, sizeof magic);
  memcpy(header.key, key, KEY_DIGITS);
  char *temporary = hone_arena_format(arena, "%s/.%s.XXXXXX", cache->folder, key);
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0 && errno == ENOENT && make_folders(hone_arena_strdup(arena, cache->folder))) {
    temporary = hone_arena_format(arena, "%s/.%s.XXXXXX", cache->folder, key);
    fd = mkostemp(temporary, O_CLOEXEC);
  }
  if (fd < 0) return false;
  bool ok = write_exactly(fd, &header, sizeof header) && write_exactly(fd, data, bytes);
  ok = close(fd) == 0 && ok && rename(temporary, entry_path(cache, key, arena)) == 0;
  int error = errno;
  if (!ok) unlink(temporary);
  errno = error;
  return ok;
}

void hone_cache_put(hone_cache_t *cache, const char *key, const void *data, size_t bytes) {
  if (bytes > ENTRY_LIMIT) return;
  atomic_store(&cache->has_put, true);
  hone_arena_t *arena = hone_arena_create();
  if (!write_entry(cache, arena, key, data, bytes)) {
    int error = errno;
    pthread_mutex_lock(&cache->mutex);
    if (cache->problem.code == HONE_OK)
      hone_fail(&cache->problem, error == ENOSPC || error == EDQUOT ? HONE_EXHAUSTED : HONE_IO,
                "nothing can be kept in '%s': %s", cache->folder, strerror(error));
    pthread_mutex_unlock(&cache->mutex);
  }
  hone_arena_destroy(arena);
}

// ---- the bound

typedef struct entry {
  const char *path;
  struct timespec used;
  uint64_t bytes;
} entry_t;

typedef HONE_LIST(entry_t) entries_t;

static bool is_key(const char *name) {
  return strlen(name) == KEY_DIGITS && strspn(name, "0123456789abcdef") == KEY_DIGITS;
}

static bool is_orphan(const char *name, const struct stat *info) {
  char key[HONE_CACHE_KEY_BYTES] = "";
  if (*name != '.' || strlen(name) != KEY_DIGITS + 8 || name[KEY_DIGITS + 1] != '.') return false;
  memcpy(key, name + 1, KEY_DIGITS);
  return is_key(key) && info->st_mtime + ORPHAN_SECONDS < time(NULL);
}

static int compare_use(const void *a, const void *b) {
  const entry_t *x = a, *y = b;
  if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
  if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
  return strcmp(x->path, y->path);
}

static uint64_t list_entries(const hone_cache_t *cache, DIR *folder, entries_t *out) {
  uint64_t total = 0;
  struct dirent *item;
  struct stat info;
  while ((item = readdir(folder))) {
    if (fstatat(dirfd(folder), item->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (is_orphan(item->d_name, &info)) unlinkat(dirfd(folder), item->d_name, 0);
    if (!is_key(item->d_name) || !S_ISREG(info.st_mode)) continue;
    entry_t entry = {.path = hone_path_join(cache->arena, cache->folder, item->d_name),
                     .used = info.st_mtim,
                     .bytes = ((uint64_t)info.st_size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES};
    hone_list_push(cache->arena, out, entry);
    total += entry.bytes;
  }
  return total;
}

static void keep_bound(hone_cache_t *cache) {
  entries_t entries = {0};
  DIR *folder = opendir(cache->folder);
  if (!folder) return;
  uint64_t total = list_entries(cache, folder, &entries);
  closedir(folder);
  if (total <= cache->limit_bytes) return;
  qsort(entries.items, entries.count, sizeof *entries.items, compare_use);
  for (size_t i = 0; i < entries.count && total > cache->limit_bytes; i++) {
    unlink(entries.items[i].path);
    total -= entries.items[i].bytes;
  }
}

bool hone_cache_close(hone_cache_t *cache, hone_status_t *status) {
  if (!cache) return true;
  if (atomic_load(&cache->has_put)) keep_bound(cache);
  bool ok = cache->problem.code == HONE_OK;
  if (!ok) *status = cache->problem;
  pthread_mutex_destroy(&cache->mutex);
  hone_arena_destroy(cache->arena);
  return ok;
}
