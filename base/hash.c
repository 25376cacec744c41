// XXH3 under our names, so that nobody else includes xxhash and nothing links to it.
#define XXH_INLINE_ALL
#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

#include "base/arena.h"

uint64_t hone_hash64(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }

// hone_hasher_t is never defined: it is XXH3_state_t, which wants 64-byte alignment that only
// xxhash arranges for.
static XXH3_state_t *state_of(hone_hasher_t *hasher) { return (XXH3_state_t *)(void *)hasher; }

hone_hasher_t *hone_hasher_create(void) {
  XXH3_state_t *state = XXH3_createState();
  if (!state) hone_out_of_memory();
  XXH3_64bits_reset(state);
  return (hone_hasher_t *)(void *)state;
}

void hone_hasher_add(hone_hasher_t *hasher, const void *data, size_t bytes) {
  if (bytes) XXH3_64bits_update(state_of(hasher), data, bytes);
}

uint64_t hone_hasher_result(const hone_hasher_t *hasher) {
  return XXH3_64bits_digest((const XXH3_state_t *)(const void *)hasher);
}

void hone_hasher_reset(hone_hasher_t *hasher) { XXH3_64bits_reset(state_of(hasher)); }

void hone_hasher_destroy(hone_hasher_t *hasher) {
  if (hasher) XXH3_freeState(state_of(hasher));
}

void hone_hash128_hex(const void *data, size_t bytes, char out[33]) {
  XXH128_hash_t hash = XXH3_128bits(data, bytes);
  snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}
