// Map from byte strings to pointers, in an arena, in insertion order (so walking it is
// deterministic). Thread rule: one thread.
#ifndef HONE_BASE_MAP_H
#define HONE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef struct hone_map hone_map_t;

hone_map_t *hone_map_create(hone_arena_t *arena);
// Copies the key. False if the key was there already (then nothing changes).
bool hone_map_insert(hone_map_t *map, const char *key, size_t key_bytes, void *value);
void hone_map_put(hone_map_t *map, const char *key, void *value);  // inserts or replaces
void *hone_map_get(const hone_map_t *map, const char *key);        // NULL if absent
void *hone_map_find(const hone_map_t *map, const char *key, size_t key_bytes);
size_t hone_map_count(const hone_map_t *map);
const char *hone_map_key(const hone_map_t *map, size_t index);  // insertion order
void *hone_map_value(const hone_map_t *map, size_t index);

#endif
