// See machine.h. Linux tells about its processors in /proc/cpuinfo.
#include "autotune/machine.h"

#include <llvm-c/Core.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "codegen/cpu/space.h"

enum { LINE_LIMIT = 16384 };

// The value of "key : value" in the first processor's paragraph; NULL if the line is another.
static char *value_of(char *line, const char *key) {
  size_t bytes = strlen(key);
  if (strncmp(line, key, bytes)) return NULL;
  char *colon = line + bytes + strspn(line + bytes, " \t");
  if (*colon != ':') return NULL;
  char *value = colon + 1 + strspn(colon + 1, " \t");
  value[strcspn(value, "\n")] = '\0';
  return value;
}

const char *hone_machine_cpu(hone_arena_t *arena) {
  enum { FAMILY, MODEL, STEPPING, NAME, FLAGS, COUNT };
  static const char *const keys[] = {"cpu family", "model", "stepping", "model name", "flags"};
  const char *values[COUNT] = {"0", "0", "0", NULL, ""};
  char *line = hone_arena_alloc(arena, LINE_LIMIT);
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, LINE_LIMIT, file) && *line != '\n') {
    for (int i = 0; i < COUNT; i++) {
      const char *value = value_of(line, keys[i]);
      if (value) values[i] = hone_arena_strdup(arena, value);
    }
  }
  if (file) fclose(file);
  if (!values[NAME]) return "unknown";
  return hone_arena_format(arena, "%s %s-%s-%s features %08x", values[NAME], values[FAMILY],
                           values[MODEL], values[STEPPING],
                           (unsigned)hone_hash64(values[FLAGS], strlen(values[FLAGS])));
}

const char *hone_machine_compiler(hone_arena_t *arena) {
  unsigned major, minor, patch;
  LLVMGetVersion(&major, &minor, &patch);
  return hone_arena_format(arena, "hone %s LLVM %u.%u.%u space %d", HONE_VERSION, major, minor,
                           patch, (int)HONE_CPU_SPACE_VERSION);
}
