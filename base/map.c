// Map: entries in insertion order, and an open-addressing index over them (linear probing, at most
// 3/4 full). It never removes.
#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/hash.h"

typedef struct entry {
  const char *key;
  size_t key_bytes;
  uint64_t hash;
  void *value;
} entry_t;

struct hone_map {
  hone_arena_t *arena;
  HONE_LIST(entry_t) entries;
  uint32_t *slots;    // entry index + 1, 0 is free
  size_t slot_count;  // a power of two
};

hone_map_t *hone_map_create(hone_arena_t *arena) {
  hone_map_t *map = HONE_NEW(arena, hone_map_t);
  map->arena = arena;
  return map;
}

// The slot that holds the key, or the free one where it belongs.
static size_t find_slot(const hone_map_t *map, const char *key, size_t key_bytes, uint64_t hash) {
  size_t mask = map->slot_count - 1, slot = hash & mask;
  for (; map->slots[slot]; slot = (slot + 1) & mask) {
    const entry_t *entry = &map->entries.items[map->slots[slot] - 1];
    if (entry->hash == hash && entry->key_bytes == key_bytes &&
        (key_bytes == 0 || memcmp(entry->key, key, key_bytes) == 0))
      break;
  }
  return slot;
}

static void grow(hone_map_t *map) {
  map->slot_count = map->slot_count ? map->slot_count * 2 : 16;
  map->slots = HONE_NEW_ARRAY(map->arena, uint32_t, map->slot_count);
  for (size_t i = 0; i < map->entries.count; i++) {
    const entry_t *entry = &map->entries.items[i];
    map->slots[find_slot(map, entry->key, entry->key_bytes, entry->hash)] = (uint32_t)i + 1;
  }
}

static entry_t *find_entry(const hone_map_t *map, const char *key, size_t key_bytes) {
  if (map->entries.count == 0) return NULL;
  uint32_t index = map->slots[find_slot(map, key, key_bytes, hone_hash64(key, key_bytes))];
  return index ? &map->entries.items[index - 1] : NULL;
}

bool hone_map_insert(hone_map_t *map, const char *key, size_t key_bytes, void *value) {
  if (map->entries.count + 1 > map->slot_count / 4 * 3) grow(map);
  uint64_t hash = hone_hash64(key, key_bytes);
  size_t slot = find_slot(map, key, key_bytes, hash);
  if (map->slots[slot]) return false;
  if (map->entries.count >= UINT32_MAX - 1) hone_out_of_memory();
  entry_t entry = {hone_arena_strndup(map->arena, key, key_bytes), key_bytes, hash, value};
  hone_list_push(map->arena, &map->entries, entry);
  map->slots[slot] = (uint32_t)map->entries.count;
  return true;
}

void hone_map_put(hone_map_t *map, const char *key, void *value) {
  entry_t *entry = find_entry(map, key, strlen(key));
  if (entry) {
    entry->value = value;
  } else {
    hone_map_insert(map, key, strlen(key), value);
  }
}

void *hone_map_find(const hone_map_t *map, const char *key, size_t key_bytes) {
  const entry_t *entry = find_entry(map, key, key_bytes);
  return entry ? entry->value : NULL;
}

void *hone_map_get(const hone_map_t *map, const char *key) {
  return hone_map_find(map, key, strlen(key));
}

size_t hone_map_count(const hone_map_t *map) { return map->entries.count; }

const char *hone_map_key(const hone_map_t *map, size_t index) {
  return map->entries.items[index].key;
}

void *hone_map_value(const hone_map_t *map, size_t index) {
  return map->entries.items[index].value;
}
