// The table of instruction set levels. What the host has: runtime/cpu.h.
#include "codegen/cpu/isa.h"

#include <string.h>

#include "base/text.h"

static const hone_cpu_isa_t levels[] = {
#define ISA(name, ENUM, base, lanes, bytes, registers, vnni, tiles, cpu, features, summary) \
  {#name, &levels[HONE_CPU_ISA_##base], lanes, bytes,    registers, vnni,                   \
   tiles, "x86_64-unknown-linux-gnu",   cpu,   features, summary},
#include "codegen/cpu/isa.def"
#undef ISA
};

size_t hone_cpu_isa_count(void) { return HONE_CPU_ISA_COUNT; }

const hone_cpu_isa_t *hone_cpu_isa_at(size_t index) {
  return index < HONE_CPU_ISA_COUNT ? &levels[index] : NULL;
}

const hone_cpu_isa_t *hone_cpu_isa_find(const char *name) {
  for (size_t i = 0; i < HONE_CPU_ISA_COUNT; i++) {
    if (strcmp(levels[i].name, name) == 0) return &levels[i];
  }
  return NULL;
}

static bool refuse(hone_slice_t word, hone_status_t *status) {
  hone_buffer_t known = {0};
  for (size_t i = 0; i < HONE_CPU_ISA_COUNT; i++)
    hone_buffer_format(&known, "%s%s", i ? ", " : "", levels[i].name);
  hone_fail(status, HONE_INVALID, "'%.*s' is no instruction set level; there are %s",
            (int)word.bytes, word.data ? word.data : "", hone_buffer_cstr(&known));
  hone_buffer_deinit(&known);
  return false;
}

bool hone_cpu_levels_read(const char *text, hone_cpu_levels_t *out, hone_status_t *status) {
  bool wanted[HONE_CPU_ISA_COUNT] = {0};
  hone_slice_t rest = hone_slice(text ? text : "");
  *out = (hone_cpu_levels_t){0};
  for (bool more = text != NULL; more; more = rest.data != NULL) {
    hone_slice_t word = hone_slice_cut(&rest, ',');
    size_t i = 0;
    while (i < HONE_CPU_ISA_COUNT && !hone_slice_is(word, levels[i].name)) i++;
    if (i == HONE_CPU_ISA_COUNT) return refuse(word, status);
    wanted[i] = true;
  }
  for (size_t i = 0; i < HONE_CPU_ISA_COUNT; i++)
    if (!text || wanted[i]) out->items[out->count++] = &levels[i];
  return true;
}
