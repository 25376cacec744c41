// Maps .hone.weights and checks it against .hone.checks. XXH3 guards against torn copies, bad disks
// and careless edits, not against an attacker.
#include "runtime/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "runtime/cpu.h"
#include "runtime/elf_file.h"
#include "runtime/pages.h"
#include "runtime/plan.h"
#include "runtime/thread_pool.h"

enum {
  MANIFEST_LIMIT_BYTES = 64 << 20,
  VERIFY_THREADS_LIMIT = 8,
  VERIFY_INLINE_BYTES = 8 << 20,  // below this, starting threads costs more than it saves
  HASH_PIECE_BYTES = 1 << 20,
};

typedef struct extent_search {
  uintptr_t address;
  uint64_t extent;
  char *path;
  size_t limit;
  bool is_first;  // the first object reported is the main program
} extent_search_t;

static int visit_object(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  extent_search_t *search = data;
  bool is_main = search->is_first;
  search->is_first = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + header->p_vaddr;
    if (header->p_type != PT_LOAD || search->address < begin ||
        search->address - begin >= header->p_memsz)
      continue;
    search->extent = begin + header->p_memsz - search->address;
    snprintf(search->path, search->limit, "%s", is_main ? "/proc/self/exe" : info->dlpi_name);
    return 1;
  }
  return 0;
}

uint64_t hone_object_extent(const void *data, char *out_path, size_t limit) {
  extent_search_t search = {
      .address = (uintptr_t)data, .path = out_path, .limit = limit, .is_first = true};
  out_path[0] = 0;
  if (dl_iterate_phdr(visit_object, &search) != 0) return search.extent;
  return UINT64_MAX;
}

static bool read_at(int fd, const char *path, uint64_t offset, void *out, uint64_t bytes,
                    hone_status_t *status) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t n = pread(fd, (char *)out + done, bytes - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return hone_fail(status, HONE_IO, "%s: cannot read: %s", path, strerror(errno));
    if (n == 0) return hone_fail(status, HONE_INVALID, "%s: truncated", path);
    done += (uint64_t)n;
  }
  return true;
}

static bool map_weights(hone_model_t *model, int fd, const char *path,
                        const hone_elf_section_t *section, bool is_private, hone_status_t *status) {
  if (section->bytes != model->plan->weight_bytes) {
    return hone_fail(status, HONE_INVALID,
                     "%s: %s has %llu bytes, the plan wants %llu: not the file of this model", path,
                     HONE_SECTION_WEIGHTS, (unsigned long long)section->bytes,
                     (unsigned long long)model->plan->weight_bytes);
  }
  if (section->offset % 64 != 0) {
    return hone_fail(status, HONE_INVALID,
                     "%s: %s is no longer aligned; the file was rewritten by some tool", path,
                     HONE_SECTION_WEIGHTS);
  }
  if (section->bytes == 0) return true;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), skip = section->offset % page;
  model->mapping_bytes = section->bytes + skip;
  void *pages = hone_pages_map_file(fd, section->offset - skip, model->mapping_bytes, is_private);
  if (pages == NULL) {
    return hone_fail(status, errno == ENOMEM ? HONE_EXHAUSTED : HONE_IO,
                     "%s: cannot map %llu bytes of weights: %s", path,
                     (unsigned long long)section->bytes, strerror(errno));
  }
  model->mapping = pages;
  model->weights = (const uint8_t *)pages + skip;
  return true;
}

// Threads take tensors one after another; the first damaged one (in the plan's order) is reported.
typedef struct verify_work {
  const hone_model_t *model;
  const hone_checks_t *checks;
  _Atomic uint32_t next;
  _Atomic uint32_t bad;  // lowest index of a damaged tensor, UINT32_MAX: none
} verify_work_t;

static void verify_tensors(void *data, int64_t begin, int64_t end) {
  (void)begin;
  (void)end;
  verify_work_t *work = data;
  const hone_plan_t *plan = work->model->plan;
  const hone_tensor_t *tensors = hone_plan_tensors(plan);
  for (;;) {
    uint32_t i = atomic_fetch_add(&work->next, 1);
    if (i >= plan->tensor_count) return;
    uint64_t hash = hone_hash64(work->model->weights + tensors[i].offset, tensors[i].bytes);
    if (hash == work->checks->tensor[i]) continue;
    uint32_t bad = atomic_load(&work->bad);
    while (i < bad && !atomic_compare_exchange_weak(&work->bad, &bad, i)) {}
  }
}

static bool verify(const hone_model_t *model, const hone_checks_t *checks, const char *path,
                   hone_status_t *status) {
  const hone_plan_t *plan = model->plan;
  const hone_image_t *image = model->image;
  if (hone_hash64(plan, plan->bytes) != checks->plan) {
    return hone_fail(status, HONE_INVALID,
                     "%s: the plan does not match its checksum: the file is damaged, or belongs to "
                     "another model",
                     path);
  }
  if (image->tokenizer_bytes != 0 &&
      hone_hash64(image->tokenizer, image->tokenizer_bytes) != checks->tokenizer) {
    return hone_fail(status, HONE_INVALID,
                     "%s: the tokenizer does not match its checksum: the file is damaged", path);
  }
  verify_work_t work = {.model = model, .checks = checks, .bad = UINT32_MAX};
  uint32_t threads = 1;
  if (plan->weight_bytes >= VERIFY_INLINE_BYTES) {
    threads = hone_cpu_count();
    if (threads > VERIFY_THREADS_LIMIT) threads = VERIFY_THREADS_LIMIT;
  }
  hone_pool_t *pool = NULL;
  if (threads > 1 && !hone_pool_create(threads, &pool, &(hone_status_t){0}))
    pool = NULL;  // then alone
  hone_pool_run(pool, threads, threads, verify_tensors, &work);
  hone_pool_destroy(pool);
  if (work.bad == UINT32_MAX) return true;
  return hone_fail(status, HONE_INVALID,
                   "%s: tensor %s does not match its checksum: the file is torn or was edited; "
                   "copy or compile it again",
                   path, hone_plan_string(plan, hone_plan_tensors(plan)[work.bad].name));
}

static bool check_checks(const hone_model_t *model, int fd, const char *path,
                         const hone_elf_section_t *section, hone_status_t *status) {
  uint64_t expected =
      sizeof(hone_checks_t) + (uint64_t)model->plan->tensor_count * sizeof(uint64_t);
  if (section->bytes != expected) {
    return hone_fail(status, HONE_INVALID, "%s: %s has %llu bytes, expected %llu", path,
                     HONE_SECTION_CHECKS, (unsigned long long)section->bytes,
                     (unsigned long long)expected);
  }
  hone_checks_t *checks = malloc(expected);
  if (checks == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "%s: out of memory for checksums", path);
  bool ok = read_at(fd, path, section->offset, checks, expected, status);
  if (ok && (checks->magic != HONE_PLAN_MAGIC || checks->count != model->plan->tensor_count)) {
    ok = hone_fail(status, HONE_INVALID, "%s: %s is damaged", path, HONE_SECTION_CHECKS);
  }
  if (ok) ok = verify(model, checks, path, status);
  free(checks);
  return ok;
}

static bool read_manifest(hone_model_t *model, int fd, const char *path,
                          const hone_elf_section_t *section, hone_status_t *status) {
  uint64_t bytes = section->found ? section->bytes : 0;
  if (bytes > MANIFEST_LIMIT_BYTES) {
    return hone_fail(status, HONE_INVALID, "%s: %s has %llu bytes, too many", path,
                     HONE_SECTION_MANIFEST, (unsigned long long)bytes);
  }
  model->manifest = malloc(bytes + 1);
  if (model->manifest == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "%s: out of memory for the manifest", path);
  model->manifest[bytes] = 0;
  return read_at(fd, path, section->offset, model->manifest, bytes, status);
}

// "/proc/self/exe" is right for opening a file but tells the reader of a message nothing.
static void name_file(const char *path, char *out_name, size_t limit) {
  ssize_t n = strcmp(path, "/proc/self/exe") == 0 ? readlink(path, out_name, limit - 1) : -1;
  if (n > 0) {
    out_name[n] = 0;
  } else {
    snprintf(out_name, limit, "%s", path);
  }
}

bool hone_weights_open(hone_model_t *model, const char *file, const hone_model_options_t *options,
                       hone_status_t *status) {
  enum { WEIGHTS, CHECKS, MANIFEST, COUNT };
  static const char *const names[COUNT] = {HONE_SECTION_WEIGHTS, HONE_SECTION_CHECKS,
                                           HONE_SECTION_MANIFEST};
  hone_elf_section_t sections[COUNT];
  char path[512];
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  name_file(file, path, sizeof path);
  if (fd < 0) {
    return hone_fail(status, errno == ENOENT ? HONE_NOT_FOUND : HONE_IO, "%s: cannot open: %s",
                     path, strerror(errno));
  }
  bool ok = hone_elf_find(fd, path, names, COUNT, sections, status);
  for (int i = WEIGHTS; ok && i <= CHECKS; ++i) {
    if (sections[i].found) continue;
    ok = hone_fail(status, HONE_INVALID, "%s: no section %s: not made by hone, or it was removed",
                   path, names[i]);
  }
  ok = ok && map_weights(model, fd, path, &sections[WEIGHTS], options->is_private, status) &&
       (options->is_trusted || check_checks(model, fd, path, &sections[CHECKS], status)) &&
       read_manifest(model, fd, path, &sections[MANIFEST], status);
  close(fd);
  return ok;
}

void hone_weights_close(hone_model_t *model) {
  hone_pages_unmap(model->mapping, model->mapping_bytes);
  free(model->manifest);
  model->mapping = NULL;
  model->weights = NULL;
  model->manifest = NULL;
}
