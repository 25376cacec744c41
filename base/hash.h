// Hashes: XXH3 (64 and 128 bit) for integrity against damage and for cache keys; not for security.
#ifndef HONE_BASE_HASH_H
#define HONE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hone_hash64(const void *data, size_t bytes);

// Streaming form of hone_hash64: same value whatever the pieces. Heap-owned by the caller.
typedef struct hone_hasher hone_hasher_t;
hone_hasher_t *hone_hasher_create(void);
void hone_hasher_add(hone_hasher_t *hasher, const void *data, size_t bytes);
uint64_t hone_hasher_result(const hone_hasher_t *hasher);
void hone_hasher_reset(hone_hasher_t *hasher);
void hone_hasher_destroy(hone_hasher_t *hasher);

// 128 bits as 32 hexadecimal digits, for source files and cache keys.
void hone_hash128_hex(const void *data, size_t bytes, char out[33]);

#endif
