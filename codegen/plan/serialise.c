// Draft to blob: header, arrays, strings, each aligned to 8 bytes, offsets from the blob's start.
// Strings are stored once, in order of first use.
#include <string.h>

#include "base/map.h"
#include "codegen/plan/plan.h"

typedef struct strings {
  hone_arena_t *arena;
  hone_map_t *places;  // text -> uint32_t *offset
  hone_buffer_t text;
} strings_t;

static uint32_t intern(strings_t *strings, const char *text) {
  uint32_t *place = hone_map_get(strings->places, text);
  if (place) return *place;
  place = HONE_NEW(strings->arena, uint32_t);
  *place = (uint32_t)strings->text.bytes;
  hone_buffer_add(&strings->text, text, strlen(text) + 1);
  hone_map_put(strings->places, text, place);
  return *place;
}

// Begins an array: its offset.
static uint64_t begin(hone_buffer_t *out) {
  hone_buffer_align(out, 8);
  return out->bytes;
}

static void add_launches(const hone_draft_t *draft, strings_t *strings, hone_buffer_t *out) {
  for (size_t i = 0; i < draft->launches.count; i++) {
    const hone_draft_launch_t *from = &draft->launches.items[i];
    hone_launch_t launch = {.name = intern(strings, from->name), .flow = from->flow};
    memcpy(launch.operands, from->operands, sizeof launch.operands);
    hone_buffer_add(out, &launch, sizeof launch);
  }
}

static void add_tensors(const hone_draft_t *draft, strings_t *strings, hone_buffer_t *out) {
  for (size_t i = 0; i < draft->tensors.count; i++) {
    const hone_pack_item_t *item = &draft->tensors.items[i];
    hone_tensor_t tensor = {
        .name = intern(strings, item->recipe.name),
        .storage = (uint32_t)item->format.storage,
        .group = item->format.group,
        .offset = item->offset,
        .bytes = item->bytes,
        .N = (uint32_t)item->recipe.N,
        .K = (uint32_t)item->recipe.K,
    };
    hone_buffer_add(out, &tensor, sizeof tensor);
  }
}

static void add_kernels(const hone_draft_t *draft, strings_t *strings, hone_buffer_t *out) {
  for (size_t i = 0; i < draft->kernels.count; i++) {
    const hone_draft_kernel_t *kernel = &draft->kernels.items[i];
    hone_kernel_info_t info = {
        .name = intern(strings, kernel->name),
        .family = intern(strings, hone_family_name(kernel->spec.family)),
    };
    hone_buffer_add(out, &info, sizeof info);
  }
}

void hone_plan_serialise(const hone_draft_t *draft, hone_arena_t *arena, hone_buffer_t *out) {
  strings_t strings = {.arena = arena, .places = hone_map_create(arena)};
  hone_plan_t plan = draft->header;
  plan.magic = HONE_PLAN_MAGIC;
  plan.version = HONE_PLAN_VERSION;
  plan.launch_count = (uint32_t)draft->launches.count;
  plan.flow_count = (uint32_t)draft->flows[0].count;
  plan.tensor_count = (uint32_t)draft->tensors.count;
  plan.kernel_count = (uint32_t)draft->kernels.count;
  plan.family_name = intern(&strings, draft->family);
  hone_buffer_add(out, &plan, sizeof plan);
  plan.launches = begin(out);
  add_launches(draft, &strings, out);
  plan.flows = begin(out);
  for (uint32_t isa = 0; isa < plan.isa_count; isa++)
    hone_buffer_add(out, draft->flows[isa].items, draft->flows[isa].count * sizeof(hone_flow_t));
  plan.tensors = begin(out);
  add_tensors(draft, &strings, out);
  plan.kernels = begin(out);
  add_kernels(draft, &strings, out);
  plan.rope = begin(out);
  hone_buffer_add(out, draft->rope, plan.rope_count * sizeof(double));
  plan.strings = begin(out);
  hone_buffer_add(out, strings.text.data, strings.text.bytes);
  hone_buffer_align(out, 64);
  plan.bytes = out->bytes;
  memcpy(out->data, &plan, sizeof plan);
  hone_buffer_deinit(&strings.text);
}
