// Pages of memory: anonymous ones and those of a file. Internal to the runtime.
// Thread rule: any thread; a mapping belongs to who made it.
#ifndef HONE_RUNTIME_PAGES_H
#define HONE_RUNTIME_PAGES_H

#include <stdbool.h>
#include <stdint.h>

// Zeroed, private, taking memory only when touched: by huge pages where asked for, which suits what
// is touched whole. NULL if there is no room.
void *hone_pages_map(uint64_t bytes, bool is_huge);
// Bytes [offset, offset + bytes) of a file, offset a multiple of the page size: read-only and
// shared, or a private copy that can be written. From 2 MiB on, the address agrees with the offset
// modulo 2 MiB and huge pages are asked for, so that a page cache of large folios (ext4, xfs) is
// mapped with them. NULL and errno on failure.
void *hone_pages_map_file(int fd, uint64_t offset, uint64_t bytes, bool is_private);
void hone_pages_unmap(void *pages, uint64_t bytes);  // NULL is fine

#endif
