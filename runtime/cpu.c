// CPU features by CPUID and XGETBV (Intel SDM vol. 1, 13.3 and 15.2), and the number of usable CPUs
// on Linux.
#include "runtime/cpu.h"

#include <cpuid.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Bits of the register image below; each feature is one bit of one CPUID output.
enum { LEAF1_C, EXTENDED_C, LEAF7_B, LEAF7_C, STATE, WORD_COUNT };

typedef struct cpu_feature {
  const char *level, *name;
  int word;
  uint32_t mask;
} cpu_feature_t;

// State bits of XCR0: 1-2 are XMM and YMM; 5-7 are the mask registers and both halves of ZMM.
static const cpu_feature_t FEATURES[] = {
    {"avx2", "avx", LEAF1_C, 1u << 28},
    {"avx2", "fma", LEAF1_C, 1u << 12},
    {"avx2", "f16c", LEAF1_C, 1u << 29},
    {"avx2", "avx2", LEAF7_B, 1u << 5},
    {"avx2", "bmi1", LEAF7_B, 1u << 3},
    {"avx2", "bmi2", LEAF7_B, 1u << 8},
    {"avx2", "lzcnt", EXTENDED_C, 1u << 5},
    {"avx2", "popcnt", LEAF1_C, 1u << 23},
    {"avx2", "operating-system support for AVX registers", STATE, 0x6},
    {"avx512", "avx512f", LEAF7_B, 1u << 16},
    {"avx512", "avx512dq", LEAF7_B, 1u << 17},
    {"avx512", "avx512bw", LEAF7_B, 1u << 30},
    {"avx512", "avx512vl", LEAF7_B, 1u << 31},
    {"avx512", "avx512vnni", LEAF7_C, 1u << 11},
    {"avx512", "operating-system support for AVX-512 registers", STATE, 0xe6},
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
  }
}

bool hone_cpu_has(const char *isa, char *out_missing, size_t limit) {
  uint32_t words[WORD_COUNT];
  bool is_avx512 = strcmp(isa, "avx512") == 0;
  if (!is_avx512 && strcmp(isa, "avx2") != 0) {
    snprintf(out_missing, limit, "%s", isa);
    return false;
  }
  read_cpu(words);
  size_t used = 0;
  if (limit > 0) out_missing[0] = 0;
  bool has_all = true;
  for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; ++i) {
    const cpu_feature_t *feature = &FEATURES[i];
    if (!is_avx512 && strcmp(feature->level, "avx2") != 0) continue;
    if ((words[feature->word] & feature->mask) == feature->mask) continue;
    has_all = false;
    if (used >= limit) continue;
    int n = snprintf(out_missing + used, limit - used, "%s%s", used > 0 ? ", " : "", feature->name);
    used += n > 0 ? (size_t)n : 0;
  }
  return has_all;
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
