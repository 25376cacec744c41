// See kernels.h.
#include "autotune/kernels.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "codegen/cpu/object.h"
#include "codegen/link/link.h"

typedef struct kernel {
  const char *symbol;
  hone_buffer_t object;  // empty once it is loaded
  hone_kernel_fn *function;
} kernel_t;

struct hone_kernels {
  hone_arena_t *arena;
  ir_session_t *session;
  hone_map_t *known;  // level and spec name -> kernel_t
  HONE_LIST(kernel_t *) pending;
  HONE_LIST(void *) libraries;
};

bool hone_kernels_create(hone_kernels_t **out_kernels, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_kernels_t *kernels = HONE_NEW(arena, hone_kernels_t);
  kernels->arena = arena;
  kernels->known = hone_map_create(arena);
  *out_kernels = kernels;
  if (ir_session_create(NULL, &kernels->session, status)) return true;
  hone_kernels_destroy(kernels);
  *out_kernels = NULL;
  return false;
}

void hone_kernels_destroy(hone_kernels_t *kernels) {
  if (!kernels) return;
  for (size_t i = 0; i < kernels->libraries.count; i++) dlclose(kernels->libraries.items[i]);
  for (size_t i = 0; i < kernels->pending.count; i++)
    hone_buffer_deinit(&kernels->pending.items[i]->object);
  if (kernels->session) ir_session_destroy(kernels->session);
  hone_arena_destroy(kernels->arena);
}

static const char *name_of(const hone_kernels_t *kernels, const hone_kernel_spec_t *spec,
                           const hone_cpu_isa_t *isa) {
  return hone_arena_format(kernels->arena, "%s %s", isa->name,
                           hone_kernel_spec_name(spec, kernels->arena));
}

bool hone_kernels_build(hone_kernels_t *kernels, const hone_kernel_spec_t *spec,
                        const hone_cpu_isa_t *isa, hone_status_t *status) {
  const char *name = name_of(kernels, spec, isa);
  if (hone_map_get(kernels->known, name)) return true;
  kernel_t *kernel = HONE_NEW(kernels->arena, kernel_t);
  kernel->symbol =
      hone_arena_format(kernels->arena, "candidate_%zu", hone_map_count(kernels->known));
  hone_cpu_kernel_t built = {*spec, kernel->symbol};
  if (!hone_cpu_object_build(kernels->session, isa, &built, 1, HONE_CPU_EMIT_OBJECT,
                             &kernel->object, status)) {
    hone_buffer_deinit(&kernel->object);
    return false;
  }
  hone_map_put(kernels->known, name, kernel);
  hone_list_push(kernels->arena, &kernels->pending, kernel);
  return true;
}

static bool take_functions(hone_kernels_t *kernels, const char *path, hone_status_t *status) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return hone_fail(status, HONE_INTERNAL, "kernels do not load: %s", dlerror());
  hone_list_push(kernels->arena, &kernels->libraries, library);
  for (size_t i = 0; i < kernels->pending.count; i++) {
    void *symbol = dlsym(library, hone_arena_format(kernels->arena, "kernel_%zu", i));
    if (!symbol) return hone_fail(status, HONE_INTERNAL, "a kernel was lost: %s", dlerror());
    memcpy(&kernels->pending.items[i]->function, &symbol, sizeof symbol);
  }
  return true;
}

bool hone_kernels_load(hone_kernels_t *kernels, const char *scratch, hone_status_t *status) {
  size_t count = kernels->pending.count;
  const char **symbols = HONE_NEW_ARRAY(kernels->arena, const char *, count);
  hone_slice_t *objects = HONE_NEW_ARRAY(kernels->arena, hone_slice_t, count);
  const char *path = NULL;
  if (count == 0) return true;
  for (size_t i = 0; i < count; i++) {
    symbols[i] = kernels->pending.items[i]->symbol;
    objects[i] = (hone_slice_t){kernels->pending.items[i]->object.data,
                                kernels->pending.items[i]->object.bytes};
  }
  const char *name = hone_arena_format(kernels->arena, "kernels%zu.so", kernels->libraries.count);
  hone_link_kernels_t job = {scratch, name, objects, count, symbols, count};
  bool ok = hone_link_kernels(&job, kernels->arena, &path, status) &&
            take_functions(kernels, path, status);
  if (path) unlink(path);
  for (size_t i = 0; i < count; i++) hone_buffer_deinit(&kernels->pending.items[i]->object);
  kernels->pending.count = 0;
  return ok;
}

hone_kernel_fn *hone_kernels_find(const hone_kernels_t *kernels, const hone_kernel_spec_t *spec,
                                  const hone_cpu_isa_t *isa) {
  const kernel_t *kernel = hone_map_get(kernels->known, name_of(kernels, spec, isa));
  return kernel ? kernel->function : NULL;
}
