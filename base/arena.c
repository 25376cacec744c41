// Arena: a chain of zeroed blocks handed out front to back. It does not run destructors and frees
// nothing singly. Also home of the process-wide out-of-memory policy.
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

// Under AddressSanitizer the unused part of a block, and a gap behind every allocation, are
// poisoned, so that overruns inside an arena are found like those on the heap.
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { GAP_BYTES = 16 };
#define POISON(start, bytes)   __asan_poison_memory_region((start), (bytes))
#define UNPOISON(start, bytes) __asan_unpoison_memory_region((start), (bytes))
#else
enum { GAP_BYTES = 0 };
#define POISON(start, bytes)   ((void)0)
#define UNPOISON(start, bytes) ((void)0)
#endif

enum { ALIGNMENT = 16, FIRST_BLOCK_BYTES = 4096, LAST_BLOCK_BYTES = 1 << 20 };

typedef struct block {
  struct block *next;
  size_t bytes, used;
  _Alignas(ALIGNMENT) unsigned char data[];
} block_t;

struct hone_arena {
  block_t *blocks;  // the one being filled comes first
  size_t block_bytes;
  size_t used_bytes;
};

void hone_out_of_memory(void) {
  static const char text[] = "hone: out of memory\n";
  hone_output_unlink_all();
  ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
  (void)ignored;
  _exit(1);
}

hone_arena_t *hone_arena_create(void) {
  hone_arena_t *arena = calloc(1, sizeof *arena);
  if (!arena) hone_out_of_memory();
  arena->block_bytes = FIRST_BLOCK_BYTES;
  return arena;
}

void hone_arena_destroy(hone_arena_t *arena) {
  if (!arena) return;
  for (block_t *block = arena->blocks, *next; block; block = next) {
    next = block->next;
    UNPOISON(block->data, block->bytes);
    free(block);
  }
  free(arena);
}

static block_t *create_block(size_t bytes) {
  block_t *block = calloc(1, sizeof *block + bytes);
  if (!block) hone_out_of_memory();
  block->bytes = bytes;
  POISON(block->data, bytes);
  return block;
}

void *hone_arena_alloc(hone_arena_t *arena, size_t bytes) {
  if (bytes > PTRDIFF_MAX - sizeof(block_t) - 2 * ALIGNMENT) hone_out_of_memory();
  size_t step = ((bytes ? bytes : 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP_BYTES;
  block_t *block = arena->blocks;
  if (!block || block->bytes - block->used < step) {
    if (block && step > arena->block_bytes / 4) {
      // Large: a block of its own, behind the one that is still being filled.
      block = create_block(step);
      block->next = arena->blocks->next;
      arena->blocks->next = block;
    } else {
      block = create_block(step > arena->block_bytes ? step : arena->block_bytes);
      block->next = arena->blocks;
      arena->blocks = block;
      if (arena->block_bytes < LAST_BLOCK_BYTES) arena->block_bytes *= 2;
    }
  }
  void *memory = block->data + block->used;
  block->used += step;
  arena->used_bytes += step;
  UNPOISON(memory, bytes);
  return memory;
}

void *hone_arena_array(hone_arena_t *arena, size_t count, size_t item_bytes) {
  size_t bytes;
  if (__builtin_mul_overflow(count, item_bytes, &bytes)) hone_out_of_memory();
  return hone_arena_alloc(arena, bytes);
}

char *hone_arena_strndup(hone_arena_t *arena, const char *text, size_t bytes) {
  char *copy = hone_arena_alloc(arena, bytes + 1);
  if (bytes) memcpy(copy, text, bytes);
  return copy;
}

char *hone_arena_strdup(hone_arena_t *arena, const char *text) {
  return hone_arena_strndup(arena, text, strlen(text));
}

char *hone_arena_vformat(hone_arena_t *arena, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  size_t bytes = length < 0 ? 0 : (size_t)length;
  char *text = hone_arena_alloc(arena, bytes + 1);
  if (length > 0) vsnprintf(text, bytes + 1, format, again);
  va_end(again);
  return text;
}

char *hone_arena_format(hone_arena_t *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = hone_arena_vformat(arena, format, args);
  va_end(args);
  return text;
}

size_t hone_arena_used_bytes(const hone_arena_t *arena) { return arena->used_bytes; }

void *hone_list_grow(hone_arena_t *arena, void *items, size_t count, size_t *capacity,
                     size_t item_bytes) {
  size_t wanted = *capacity ? *capacity * 2 : 8;
  if (wanted < *capacity) hone_out_of_memory();
  void *grown = hone_arena_array(arena, wanted, item_bytes);
  if (count) memcpy(grown, items, count * item_bytes);
  *capacity = wanted;
  return grown;
}
