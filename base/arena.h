// Arena: memory whose life is a phase (session, module, pass, candidate). Allocating never fails
// from the caller's view: on exhaustion the process-wide policy is hone's one allowed exit,
// reported as "out of memory" (exit 1). Nothing is freed singly. Thread rule: one arena per thread.
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct hone_arena hone_arena_t;

// The process-wide policy when memory is gone, and the only exit outside tools/: removes unfinished
// outputs (hone_output_unlink_all), prints "hone: out of memory" and leaves with status 1. Arenas
// and buffers call it.
_Noreturn void hone_out_of_memory(void);

hone_arena_t *hone_arena_create(void);
void hone_arena_destroy(hone_arena_t *arena);  // NULL is fine

// Zeroed memory, aligned to 16 bytes. size 0 gives a unique valid pointer.
void *hone_arena_alloc(hone_arena_t *arena, size_t bytes);
// A zeroed array; count * size is checked for overflow.
void *hone_arena_array(hone_arena_t *arena, size_t count, size_t item_bytes);
char *hone_arena_strdup(hone_arena_t *arena, const char *text);
char *hone_arena_strndup(hone_arena_t *arena, const char *text, size_t bytes);  // adds the NUL
char *hone_arena_format(hone_arena_t *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *hone_arena_vformat(hone_arena_t *arena, const char *format, va_list args);
size_t hone_arena_used_bytes(const hone_arena_t *arena);

#define HONE_NEW(arena, type) ((type *)hone_arena_alloc((arena), sizeof(type)))
#define HONE_NEW_ARRAY(arena, type, count) \
  ((type *)hone_arena_array((arena), (count), sizeof(type)))

// A growable list inside an arena: HONE_LIST(type) is a struct of items, count and capacity;
// hone_list_push(arena, list, value) appends. Zero is the empty list.
#define HONE_LIST(type)     \
  struct {                  \
    type *items;            \
    size_t count, capacity; \
  }
void *hone_list_grow(hone_arena_t *arena, void *items, size_t count, size_t *capacity,
                     size_t item_bytes);
#define hone_list_push(arena, list, ...)                                                       \
  do {                                                                                         \
    if ((list)->count == (list)->capacity)                                                     \
      (list)->items = hone_list_grow((arena), (list)->items, (list)->count, &(list)->capacity, \
                                     sizeof *(list)->items);                                   \
    (list)->items[(list)->count++] = (__VA_ARGS__);                                            \
  } while (0)

#endif
