// Outputs that appear only when complete: a temporary file beside the final path, made durable,
// then renamed. The table of open outputs is this project's one mutable global, because a signal
// handler can be handed nothing else.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_internal.h"

enum { OPEN_LIMIT = 16, NAME_TRIES = 1000, PATH_BYTES = PATH_MAX };

enum slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_LIVE };

typedef struct slot {
  atomic_int state;  // enum slot_state; path and owner are fixed while it is SLOT_LIVE
  pid_t owner;       // a forked child must not remove its parent's files
  char path[PATH_BYTES];
} slot_t;

static slot_t slots[OPEN_LIMIT];

struct hone_output {
  slot_t *slot;  // holds the temporary path
  char *path;    // final, links resolved
  int fd;
  uint64_t position;  // of hone_output_write
  bool is_committed;
};

void hone_output_unlink_all(void) {
  int saved = errno;
  for (size_t i = 0; i < OPEN_LIMIT; i++)
    if (atomic_load(&slots[i].state) == SLOT_LIVE && slots[i].owner == getpid())
      unlink(slots[i].path);
  hone_scratch_remove_all();
  errno = saved;
}

static slot_t *claim_slot(void) {
  for (size_t i = 0; i < OPEN_LIMIT; i++) {
    int expected = SLOT_FREE;
    if (atomic_compare_exchange_strong(&slots[i].state, &expected, SLOT_CLAIMED)) return &slots[i];
  }
  return NULL;
}

static void fail_write(const hone_output_t *output, int error, hone_status_t *status) {
  if (error == ENOSPC || error == EDQUOT) {
    hone_fail(status, HONE_EXHAUSTED, "no room to write '%s': %s; free some and run again",
              output->path, strerror(error));
  } else if (error == EFBIG) {
    hone_fail(status, HONE_EXHAUSTED, "cannot write '%s': %s (see ulimit -f)", output->path,
              strerror(error));
  } else {
    hone_fail(status, HONE_IO, "cannot write '%s': %s", output->path, strerror(error));
  }
}

// The final path with a symbolic link at its end followed, so that the link survives. Heap; NULL on
// failure.
static char *resolve_path(const char *path, hone_status_t *status) {
  struct stat info;
  size_t bytes = strlen(path);
  char *resolved = NULL;
  if (bytes == 0) {
    hone_fail(status, HONE_INVALID, "the output path is empty");
  } else if (stat(path, &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      hone_fail(status, HONE_INVALID, "'%s' is a folder; name a file to write", path);
    } else if (!S_ISREG(info.st_mode)) {
      hone_fail(status, HONE_INVALID, "'%s' is not a regular file and cannot be replaced", path);
    } else if (!(resolved = realpath(path, NULL))) {
      hone_fail(status, HONE_IO, "cannot resolve '%s': %s", path, strerror(errno));
    }
  } else if (errno != ENOENT && errno != ENOTDIR) {  // better now than after an hour of packing
    hone_fail(status, HONE_IO, "cannot write '%s': %s", path, strerror(errno));
  } else if (path[bytes - 1] == '/') {
    hone_fail(status, HONE_INVALID, "'%s' names a folder; name a file to write", path);
  } else if (!(resolved = strdup(path))) {
    hone_out_of_memory();
  }
  return resolved;
}

static size_t folder_length(const char *path) { return (size_t)(hone_path_base(path) - path); }

// Creates the temporary file and makes the slot live. Signals are held back so that none falls in
// between.
static int open_temporary(slot_t *slot, const char *path, unsigned mode) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int fd = -1;
  slot->owner = getpid();
  for (int i = 0; fd < 0 && i < NAME_TRIES; i++) {
    int length = snprintf(slot->path, sizeof slot->path, "%.*s.hone-%ld-%td-%d.tmp",
                          (int)folder_length(path), path, (long)slot->owner, slot - slots, i);
    if (length >= (int)sizeof slot->path) {
      errno = ENAMETOOLONG;
      break;
    }
    fd = open(slot->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST) break;
  }
  int error = errno;
  atomic_store(&slot->state, fd < 0 ? SLOT_FREE : SLOT_LIVE);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return fd;
}

bool hone_output_create(const char *path, unsigned mode, hone_output_t **out_output,
                        hone_status_t *status) {
  *out_output = NULL;
  char *resolved = resolve_path(path, status);
  if (!resolved) return false;
  slot_t *slot = claim_slot();
  if (!slot) {
    free(resolved);
    return hone_fail(status, HONE_EXHAUSTED, "cannot write '%s': %d outputs are open already", path,
                     OPEN_LIMIT);
  }
  int fd = open_temporary(slot, resolved, mode);
  if (fd < 0) {
    int error = errno;
    free(resolved);
    if (error == ENOENT || error == ENOTDIR)
      return hone_fail(status, HONE_NOT_FOUND, "cannot write '%s': its folder does not exist",
                       path);
    hone_code_t code = error == ENOSPC || error == EDQUOT ? HONE_EXHAUSTED : HONE_IO;
    return hone_fail(status, code, "cannot write '%s': %s", path, strerror(error));
  }
  hone_output_t *output = calloc(1, sizeof *output);
  if (!output) hone_out_of_memory();
  *output = (hone_output_t){.slot = slot, .path = resolved, .fd = fd};
  *out_output = output;
  return true;
}

bool hone_output_write_at(hone_output_t *output, uint64_t offset, const void *data, size_t bytes,
                          hone_status_t *status) {
  const char *from = data;
  if (offset > INT64_MAX || bytes > INT64_MAX - offset) {
    fail_write(output, EFBIG, status);
    return false;
  }
  while (bytes) {
    ssize_t written = pwrite(output->fd, from, bytes, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      fail_write(output, written < 0 ? errno : EIO, status);
      return false;
    }
    from += written;
    offset += (uint64_t)written;
    bytes -= (size_t)written;
  }
  return true;
}

bool hone_output_write(hone_output_t *output, const void *data, size_t bytes,
                       hone_status_t *status) {
  if (!hone_output_write_at(output, output->position, data, bytes, status)) return false;
  output->position += bytes;
  return true;
}

const char *hone_output_temporary_path(const hone_output_t *output) { return output->slot->path; }

// A linker may have replaced the temporary file by one of its own: then that one is what is
// committed.
static bool follow_replacement(hone_output_t *output, hone_status_t *status) {
  struct stat ours, there;
  if (fstat(output->fd, &ours) == 0 && stat(output->slot->path, &there) == 0 &&
      ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
    return true;
  int fd = open(output->slot->path, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return hone_fail(status, HONE_IO, "the temporary file for '%s' is gone: %s", output->path,
                     strerror(errno));
  bool ok = fchmod(fd, ours.st_mode & 07777) == 0;
  if (!ok)
    hone_fail(status, HONE_IO, "cannot set the mode of '%s': %s", output->path, strerror(errno));
  close(output->fd);
  output->fd = fd;
  return ok;
}

static bool sync_folder(const hone_output_t *output, hone_status_t *status) {
  char folder[PATH_BYTES];
  size_t length = folder_length(output->path);
  snprintf(folder, sizeof folder, "%.*s", (int)length, length ? output->path : "");
  int fd = open(length ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return true;  // a folder one may write but not read: nothing can be asked of it
  bool ok = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;  // some file systems cannot
  int error = errno;
  close(fd);
  return ok ||
         hone_fail(status, HONE_IO, "cannot make '%s' durable: %s", output->path, strerror(error));
}

bool hone_output_commit(hone_output_t *output, hone_status_t *status) {
  if (!follow_replacement(output, status)) return false;
  if (fsync(output->fd) != 0 && errno != EINVAL) {
    fail_write(output, errno, status);
    return false;
  }
  if (rename(output->slot->path, output->path) != 0)
    return hone_fail(status, HONE_IO, "cannot put '%s' in place: %s", output->path,
                     strerror(errno));
  output->is_committed = true;
  atomic_store(&output->slot->state, SLOT_CLAIMED);
  return sync_folder(output, status);
}

void hone_output_destroy(hone_output_t *output) {
  if (!output) return;
  if (!output->is_committed) unlink(output->slot->path);
  close(output->fd);
  atomic_store(&output->slot->state, SLOT_FREE);
  free(output->path);
  free(output);
}
