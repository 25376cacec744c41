// CPU features by CPUID and XGETBV (Intel SDM vol. 1, 13.3 and 15.2), and the number of usable CPUs
// on Linux.
#include "runtime/cpu.h"

#include <cpuid.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Bits of the register image below; each feature is one bit of one CPUID output.
enum { LEAF1_C, EXTENDED_C, LEAF7_B, LEAF7_C, LEAF7_D, STATE, WORD_COUNT };

// Each level has what those before it have.
enum { AVX2, AVX512, AMX, LEVEL_COUNT };
static const char *const LEVELS[LEVEL_COUNT] = {"avx2", "avx512", "amx"};

typedef struct cpu_feature {
  int level;
  const char *name;
  int word;
  uint32_t mask;
} cpu_feature_t;

// State bits of XCR0: 1-2 are XMM and YMM; 5-7 are the mask registers and both halves of ZMM; 17-18
// are the configuration and the data of tiles.
static const cpu_feature_t FEATURES[] = {
    {AVX2, "avx", LEAF1_C, 1u << 28},
    {AVX2, "fma", LEAF1_C, 1u << 12},
    {AVX2, "f16c", LEAF1_C, 1u << 29},
    {AVX2, "avx2", LEAF7_B, 1u << 5},
    {AVX2, "bmi1", LEAF7_B, 1u << 3},
    {AVX2, "bmi2", LEAF7_B, 1u << 8},
    {AVX2, "lzcnt", EXTENDED_C, 1u << 5},
    {AVX2, "popcnt", LEAF1_C, 1u << 23},
    {AVX2, "operating-system support for AVX registers", STATE, 0x6},
    {AVX512, "avx512f", LEAF7_B, 1u << 16},
    {AVX512, "avx512dq", LEAF7_B, 1u << 17},
    {AVX512, "avx512bw", LEAF7_B, 1u << 30},
    {AVX512, "avx512vl", LEAF7_B, 1u << 31},
    {AVX512, "avx512vnni", LEAF7_C, 1u << 11},
    {AVX512, "operating-system support for AVX-512 registers", STATE, 0xe6},
    {AMX, "amx-tile", LEAF7_D, 1u << 24},
    {AMX, "amx-int8", LEAF7_D, 1u << 25},
    {AMX, "operating-system support for AMX tiles", STATE, 0x60000},
};

static void read_cpu(uint32_t words[WORD_COUNT]) {
  uint32_t a, b, c, d;
  memset(words, 0, WORD_COUNT * sizeof *words);
  if (!__get_cpuid(1, &a, &b, &c, &d)) return;
  words[LEAF1_C] = c;
  if (c & (1u << 27)) {  // OSXSAVE: XGETBV may be executed
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    words[STATE] = low;
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) words[EXTENDED_C] = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    words[LEAF7_B] = b;
    words[LEAF7_C] = c;
    words[LEAF7_D] = d;
  }
}

// Linux saves no tiles of a process that did not ask (Documentation/arch/x86/xstate.rst).
static bool ask_for_tiles(void) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

typedef struct missing {
  char *text;
  size_t limit, used;
  bool is_any;
} missing_t;

static void add_missing(missing_t *missing, const char *name) {
  missing->is_any = true;
  if (missing->used >= missing->limit) return;
  int n = snprintf(missing->text + missing->used, missing->limit - missing->used, "%s%s",
                   missing->used > 0 ? ", " : "", name);
  missing->used += n > 0 ? (size_t)n : 0;
}

bool hone_cpu_has(const char *isa, char *out_missing, size_t limit) {
  uint32_t words[WORD_COUNT];
  missing_t missing = {.text = out_missing, .limit = limit};
  int level = 0;
  while (level < LEVEL_COUNT && strcmp(isa, LEVELS[level]) != 0) level++;
  if (limit > 0) out_missing[0] = 0;
  if (level == LEVEL_COUNT) add_missing(&missing, isa);
  read_cpu(words);
  for (size_t i = 0; level < LEVEL_COUNT && i < sizeof FEATURES / sizeof *FEATURES; ++i) {
    const cpu_feature_t *feature = &FEATURES[i];
    if (feature->level > level) continue;
    if ((words[feature->word] & feature->mask) != feature->mask)
      add_missing(&missing, feature->name);
  }
  if (level == AMX && !missing.is_any && !ask_for_tiles())
    add_missing(&missing, "the operating system's permission to use AMX tiles");
  return !missing.is_any;
}

// Control group v2: "max 100000" or "QUOTA PERIOD" in microseconds. 0: no limit known.
static uint32_t quota_count(void) {
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file == NULL) return 0;
  long quota = 0, period = 0;
  int fields = fscanf(file, "%ld %ld", &quota, &period);
  fclose(file);
  if (fields != 2 || quota <= 0 || period <= 0) return 0;
  long count = (quota + period - 1) / period;
  return count > 0 && count < 65536 ? (uint32_t)count : 0;
}

uint32_t hone_cpu_count(void) {
  // The kernel's mask may be wider than cpu_set_t: grow until it fits.
  uint32_t count = 1;
  for (int cpus = 1024; cpus <= 1 << 16; cpus *= 4) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (set == NULL) break;
    size_t bytes = CPU_ALLOC_SIZE(cpus);
    bool ok = sched_getaffinity(0, bytes, set) == 0;
    if (ok) count = (uint32_t)CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    if (ok) break;
  }
  uint32_t quota = quota_count();
  if (quota > 0 && quota < count) count = quota;
  return count > 0 ? count : 1;
}
