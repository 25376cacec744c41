// Files that are read: maps, whole small files, paths. Writing is output.c's, temporary folders are
// scratch.c's.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static hone_code_t code_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return HONE_NOT_FOUND;
  return error == ENOMEM || error == EMFILE || error == ENFILE ? HONE_EXHAUSTED : HONE_IO;
}

// Opens for reading and refuses folders. Returns -1 and fails the status otherwise.
static int open_for_read(const char *path, struct stat *out_stat, hone_status_t *status) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    hone_fail(status, code_of(errno), "cannot open '%s': %s", path, strerror(errno));
    return -1;
  }
  if (fstat(fd, out_stat) != 0) {
    hone_fail(status, HONE_IO, "cannot examine '%s': %s", path, strerror(errno));
  } else if (S_ISDIR(out_stat->st_mode)) {
    hone_fail(status, HONE_INVALID, "'%s' is a folder, not a file", path);
  } else {
    return fd;
  }
  close(fd);
  return -1;
}

bool hone_mapping_open(const char *path, hone_mapping_t *out_mapping, hone_status_t *status) {
  *out_mapping = (hone_mapping_t){.fd = -1};
  struct stat info;
  int fd = open_for_read(path, &info, status);
  if (fd < 0) return false;
  if (!S_ISREG(info.st_mode)) {
    hone_fail(status, HONE_INVALID, "'%s' is not a regular file and cannot be mapped", path);
  } else if (info.st_size == 0) {
    hone_fail(status, HONE_INVALID, "'%s' is empty", path);
  } else {
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data != MAP_FAILED) {
      *out_mapping = (hone_mapping_t){.data = data, .bytes = (size_t)info.st_size, .fd = fd};
      return true;
    }
    hone_fail(status, code_of(errno), "cannot map '%s': %s", path, strerror(errno));
  }
  close(fd);
  return false;
}

void hone_mapping_close(hone_mapping_t *mapping) {
  if (!mapping->data) return;
  munmap((void *)(uintptr_t)mapping->data, mapping->bytes);
  close(mapping->fd);
  *mapping = (hone_mapping_t){.fd = -1};
}

void hone_mapping_release(const hone_mapping_t *mapping, size_t offset, size_t bytes) {
  if (!mapping->data || offset >= mapping->bytes) return;
  if (bytes > mapping->bytes - offset) bytes = mapping->bytes - offset;
  // Whole pages only; the last page of the file counts as whole.
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t begin = (offset + page - 1) / page * page, end = (offset + bytes) / page * page;
  if (offset + bytes == mapping->bytes) end = mapping->bytes;
  if (begin >= end) return;
  madvise((void *)(uintptr_t)(mapping->data + begin), end - begin, MADV_DONTNEED);
}

bool hone_file_read(const char *path, size_t limit_bytes, hone_arena_t *arena, char **out_data,
                    size_t *out_bytes, hone_status_t *status) {
  struct stat info;
  int fd = open_for_read(path, &info, status);
  if (fd < 0) return false;
  bool ok = false;
  hone_buffer_t buffer = {0};
  size_t chunk_bytes = 1 << 16;
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    if ((uint64_t)info.st_size > limit_bytes) {
      hone_fail(status, HONE_INVALID, "'%s' has %lld bytes, more than the %zu that are read", path,
                (long long)info.st_size, limit_bytes);
      goto done;
    }
    chunk_bytes = (size_t)info.st_size + 1;  // one read sees the end too
  }
  for (;;) {  // not by size: pipes have none, and files may grow meanwhile
    hone_buffer_reserve(&buffer, chunk_bytes);
    ssize_t got = read(fd, buffer.data + buffer.bytes, chunk_bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      hone_fail(status, HONE_IO, "cannot read '%s': %s", path, strerror(errno));
      goto done;
    }
    if (got == 0) break;
    buffer.bytes += (size_t)got;
    if (buffer.bytes > limit_bytes) {
      hone_fail(status, HONE_INVALID, "'%s' has more than the %zu bytes that are read", path,
                limit_bytes);
      goto done;
    }
    chunk_bytes = buffer.bytes < (1 << 16) ? 1 << 16 : buffer.bytes;
  }
  *out_data = hone_arena_strndup(arena, buffer.data, buffer.bytes);
  *out_bytes = buffer.bytes;
  ok = true;
done:
  hone_buffer_deinit(&buffer);
  close(fd);
  return ok;
}

bool hone_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool hone_file_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *hone_path_join(hone_arena_t *arena, const char *folder, const char *name) {
  if (!*folder) return hone_arena_strdup(arena, name);
  return hone_arena_format(arena, "%s%s%s", folder, hone_text_ends(folder, "/") ? "" : "/", name);
}

const char *hone_path_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}
