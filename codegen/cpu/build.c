// See build.h. The key of a cached object is a hash over the kernel's name, its symbol, the
// instruction set level, and the build ids of this program and of LLVM: everything else that
// changes an object (emitters, passes, feature lists, code generator) is code or data of those.
#include "codegen/cpu/build.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/build_id.h"
#include "base/cache.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/parallel.h"

typedef struct work {
  const hone_cpu_build_job_t *job;
  hone_cache_t *cache;      // NULL: none
  hone_buffer_t generator;  // build ids
  atomic_size_t next;
  atomic_bool failed;
  hone_status_t *statuses;  // (job->count)
} work_t;

const char *hone_cpu_symbol(const hone_cpu_isa_t *isa, hone_family_t family, const char *name,
                            hone_arena_t *arena) {
  return hone_arena_format(arena, "hone_%s_%s_%016" PRIx64, isa->name, hone_family_name(family),
                           hone_hash64(name, strlen(name)));
}

static void make_key(const work_t *work, const hone_cpu_build_t *item, char *key) {
  hone_buffer_t text = {0};
  hone_buffer_format(&text, "%s%s\n%s\n%s\n", hone_buffer_cstr(&work->generator), item->isa->name,
                     item->symbol, item->name);
  hone_hash128_hex(text.data, text.bytes, key);
  hone_buffer_deinit(&text);
}

// A thread's own session is made when it has the first kernel to build: one that finds all it needs
// never pays for it.
static bool build_item(work_t *work, hone_cpu_build_t *item, ir_session_t **session,
                       hone_status_t *status) {
  char key[HONE_CACHE_KEY_BYTES];
  if (work->cache) {
    make_key(work, item, key);
    if (hone_cache_get(work->cache, key, &item->object)) return true;
  }
  hone_cpu_kernel_t kernel = {item->spec, item->symbol};
  if (!*session && !ir_session_create(NULL, session, status)) return false;
  if (!hone_cpu_object_build(*session, item->isa, &kernel, 1, HONE_CPU_EMIT_OBJECT, &item->object,
                             status))
    return hone_note(status, "kernel %s", item->name);
  if (work->cache) hone_cache_put(work->cache, key, item->object.data, item->object.bytes);
  return true;
}

// Items are taken in order and finished once taken, so the first that fails is always reached.
static void run_thread(void *user, int index) {
  work_t *work = user;
  const hone_cpu_build_job_t *job = work->job;
  ir_session_t *own = NULL, **session = &own, *given = job->session;
  if (index == 0) session = &given;
  while (!atomic_load(&work->failed)) {
    size_t i = atomic_fetch_add(&work->next, 1);
    if (i >= job->count) break;
    if (!build_item(work, &job->items[i], session, &work->statuses[i]))
      atomic_store(&work->failed, true);
  }
  ir_session_destroy(own);
}

static void tell(hone_diagnostics_t *sink, const char *message) {
  for (size_t i = 0; sink && i < sink->list.count; i++)
    if (!strcmp(sink->list.items[i].message, message)) return;
  if (sink) hone_diagnose(sink, HONE_REMARK, "kernel cache", "%s", message);
}

static void open_cache(work_t *work) {
  static const char *const code_generators[] = {"libLLVM", "libMLIR"};
  hone_status_t status = {0};
  if (!work->job->cache) return;
  if (hone_build_ids(code_generators, 2, &work->generator, &status))
    work->cache = hone_cache_open(work->job->cache, work->job->cache_bytes);
  else
    tell(work->job->diagnostics, status.message);
}

static bool check_symbols(const hone_cpu_build_job_t *job, hone_arena_t *arena,
                          hone_status_t *status) {
  hone_map_t *seen = hone_map_create(arena);
  for (size_t i = 0; i < job->count; i++) {
    const char *symbol = job->items[i].symbol;
    if (!hone_map_insert(seen, symbol, strlen(symbol), (void *)(uintptr_t)symbol))
      return hone_fail(status, HONE_INTERNAL, "two kernels are called %s", symbol);
  }
  return true;
}

bool hone_cpu_build_run(const hone_cpu_build_job_t *job, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_status_t ignored = {0};
  work_t work = {.job = job, .statuses = HONE_NEW_ARRAY(arena, hone_status_t, job->count)};
  bool ok = check_symbols(job, arena, status);
  if (ok) {
    int threads = hone_parallel_count(job->threads);
    open_cache(&work);
    if ((size_t)threads > job->count) threads = (int)job->count;
    hone_parallel_run(threads, run_thread, &work);
    if (!hone_cache_close(work.cache, &ignored)) tell(job->diagnostics, ignored.message);
  }
  for (size_t i = 0; ok && i < job->count; i++) {
    ok = work.statuses[i].code == HONE_OK;
    if (!ok) *status = work.statuses[i];
  }
  hone_buffer_deinit(&work.generator);
  hone_arena_destroy(arena);
  return ok;
}
