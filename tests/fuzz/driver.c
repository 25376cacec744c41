// Runs a fuzz target without libFuzzer: every seed, then a fixed number of mutations of seeds. The
// same inputs on every machine and every run, so a failure of the suite can be repeated; searching
// for new ones is `./dev fuzz`.
//
//   fuzz_NAME RUNS SEED-FILE-OR-FOLDER...
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SEED_LIMIT = 512, INPUT_LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct seed {
  char *path;
  uint8_t *data;
  size_t bytes;
} seed_t;

static seed_t seeds[SEED_LIMIT];
static size_t seed_count;

static uint64_t next_random(uint64_t *state) {  // splitmix64
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t limit) {
  return limit ? (size_t)(next_random(state) % limit) : 0;
}

static int read_seed(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || seed_count == SEED_LIMIT) {
    fprintf(stderr, "driver: cannot read '%s' as seed %zu\n", path, seed_count);
    if (file) fclose(file);
    return 1;
  }
  seed_t *seed = &seeds[seed_count++];
  seed->path = strdup(path);
  seed->data = malloc(INPUT_LIMIT);
  if (!seed->path || !seed->data) abort();
  seed->bytes = fread(seed->data, 1, INPUT_LIMIT, file);
  uint8_t *fitted = realloc(seed->data, seed->bytes ? seed->bytes : 1);
  if (fitted) seed->data = fitted;
  fclose(file);
  return 0;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static int read_seeds(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) {
    fprintf(stderr, "driver: there are no seeds at '%s'\n", path);
    return 1;
  }
  if (!S_ISDIR(info.st_mode)) return read_seed(path);
  struct dirent **entries;
  int count = scandir(path, &entries, is_visible, alphasort), failed = count < 0;
  for (int i = 0; i < count; i++) {
    char inner[4096];
    snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
    failed |= read_seed(inner);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
  return failed;
}

// One small change. `data` has room for INPUT_LIMIT bytes.
static size_t mutate(uint8_t *data, size_t bytes, uint64_t *state) {
  static const uint64_t numbers[] = {
      0,          1,         0x7f,     0x80,       0xff, 0xffff, 0x7fffffff, 0xffffffff,
      UINT64_MAX, INT64_MAX, 1u << 20, 100u << 20, '{',  '"',    '\\',       '0'};
  size_t at = below(state, bytes + 1), length = 1 + below(state, 16);
  if (length > bytes - at) length = bytes - at;
  switch (below(state, 7)) {
    case 0:
      if (bytes) data[below(state, bytes)] ^= (uint8_t)(1u << below(state, 8));
      return bytes;
    case 1:
      if (bytes) data[below(state, bytes)] = (uint8_t)next_random(state);
      return bytes;
    case 2: return at;  // cut off
    case 3:             // take a piece out
      memmove(data + at, data + at + length, bytes - at - length);
      return bytes - length;
    case 4:  // double a piece
      if (bytes + length > INPUT_LIMIT) return bytes;
      memmove(data + at + length, data + at, bytes - at);
      return bytes + length;
    case 5: {  // a telling number, little-endian
      uint64_t number = numbers[below(state, sizeof numbers / sizeof *numbers)];
      size_t width = (size_t)1 << below(state, 4);
      if (at + width <= bytes) memcpy(data + at, &number, width);
      return bytes;
    }
    default: {  // a piece of another seed
      const seed_t *other = &seeds[below(state, seed_count)];
      size_t from = below(state, other->bytes + 1), most = other->bytes - from;
      if (length > most) length = most;
      memcpy(data + at, other->data + from, length);
      return bytes;
    }
  }
}

static void run(const uint8_t *data, size_t bytes) {
  // An exact heap copy, so that reading one byte too far is seen.
  uint8_t *copy = malloc(bytes ? bytes : 1);
  if (!copy) abort();
  memcpy(copy, data, bytes);
  LLVMFuzzerTestOneInput(copy, bytes);
  free(copy);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s RUNS SEED-FILE-OR-FOLDER...\n", argv[0]);
    return 2;
  }
  for (int i = 2; i < argc; i++)
    if (read_seeds(argv[i])) return 1;
  if (seed_count == 0) {
    fprintf(stderr, "driver: no seeds\n");
    return 1;
  }
  for (size_t i = 0; i < seed_count; i++) run(seeds[i].data, seeds[i].bytes);
  long runs = strtol(argv[1], NULL, 10);
  uint8_t *work = malloc(INPUT_LIMIT);
  if (!work) abort();
  for (long i = 0; i < runs; i++) {
    uint64_t state = (uint64_t)i;
    const seed_t *seed = &seeds[below(&state, seed_count)];
    size_t bytes = seed->bytes;
    memcpy(work, seed->data, bytes);
    for (size_t changes = 1 + below(&state, 4); changes > 0; changes--)
      bytes = mutate(work, bytes, &state);
    run(work, bytes);
  }
  printf("%zu seeds, %ld mutations\n", seed_count, runs);
  free(work);
  for (size_t i = 0; i < seed_count; i++) free(seeds[i].path), free(seeds[i].data);
  return 0;
}
