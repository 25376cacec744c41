// Temporary folders, and removing a whole tree with system calls alone, so that a signal handler
// can do it too.
#include <dirent.h>
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

enum { SCRATCH_LIMIT = 32, PATH_BYTES = 512, DEPTH_LIMIT = 32, ENTRY_BYTES = 4096 };

typedef struct scratch {
  atomic_bool is_used, is_live;
  pid_t owner;  // a forked child must not remove its parent's folders
  char path[PATH_BYTES];
} scratch_t;

static scratch_t scratches[SCRATCH_LIMIT];  // for the signal handler, as the table in output.c

static bool is_dots(const char *name) {
  return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

// Removes what is in the folder; closes `fd`. Links are removed, never followed.
static void empty_folder(int fd, int depth) {
  char entries[ENTRY_BYTES] __attribute__((aligned(16)));
  for (bool removed = true; removed;) {  // removing while listing may skip entries: go round again
    removed = false;
    lseek(fd, 0, SEEK_SET);
    ssize_t got;
    while ((got = getdents64(fd, entries, sizeof entries)) > 0) {
      for (ssize_t at = 0; at < got;) {
        struct dirent64 *entry = (struct dirent64 *)(void *)(entries + at);
        at += entry->d_reclen;
        if (is_dots(entry->d_name)) continue;
        if (unlinkat(fd, entry->d_name, 0) == 0) {
          removed = true;
          continue;
        }
        if (depth == DEPTH_LIMIT) continue;
        int inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) continue;
        empty_folder(inner, depth + 1);
        if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) removed = true;
      }
    }
  }
  close(fd);
}

static void remove_tree(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  empty_folder(fd, 0);
  rmdir(path);
}

void hone_scratch_remove_all(void) {
  for (size_t i = 0; i < SCRATCH_LIMIT; i++)
    if (atomic_load(&scratches[i].is_live) && scratches[i].owner == getpid())
      remove_tree(scratches[i].path);
}

static bool create(const char *root, const char *name, const char *advice, hone_arena_t *arena,
                   char **out_path, hone_status_t *status) {
  scratch_t *scratch = NULL;
  for (size_t i = 0; !scratch && i < SCRATCH_LIMIT; i++)
    if (!atomic_exchange(&scratches[i].is_used, true)) scratch = &scratches[i];
  if (!scratch)
    return hone_fail(status, HONE_EXHAUSTED, "%d temporary folders are in use already",
                     SCRATCH_LIMIT);
  int length = snprintf(scratch->path, PATH_BYTES, "%s/%sXXXXXX", root, name);
  if (length >= PATH_BYTES) {
    atomic_store(&scratch->is_used, false);
    return hone_fail(
        status, HONE_INVALID,
        "cannot make a temporary folder in '%.100s...': its path has more than %d bytes", root,
        PATH_BYTES - 14);
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  scratch->owner = getpid();
  bool ok = mkdtemp(scratch->path) != NULL;
  int error = errno;
  atomic_store(&scratch->is_live, ok);
  atomic_store(&scratch->is_used, ok);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!ok)
    return hone_fail(status, error == ENOSPC ? HONE_EXHAUSTED : HONE_IO,
                     "cannot make a temporary folder in '%s': %s%s", root, strerror(error), advice);
  *out_path = hone_arena_strdup(arena, scratch->path);
  return true;
}

bool hone_scratch_create(hone_arena_t *arena, char **out_path, hone_status_t *status) {
  // TMPDIR is asked here: it says where the machine has room, not how hone is to behave.
  const char *root = getenv("TMPDIR");
  if (!root || !*root) root = "/tmp";
  return create(root, "hone-", "; set TMPDIR to another place", arena, out_path, status);
}

bool hone_scratch_create_in(const char *root, hone_arena_t *arena, char **out_path,
                            hone_status_t *status) {
  return create(root, ".hone-", "", arena, out_path, status);
}

void hone_scratch_remove(const char *path) {
  if (!path) return;
  remove_tree(path);
  for (size_t i = 0; i < SCRATCH_LIMIT; i++) {
    if (!atomic_load(&scratches[i].is_live) || strcmp(scratches[i].path, path) != 0) continue;
    atomic_store(&scratches[i].is_live, false);
    atomic_store(&scratches[i].is_used, false);
  }
}
