// Finds sections of an ELF64 file by name, reading only its section headers. Trusts nothing in the
// file: every offset is checked against the file's true size. It does not map anything. Thread
// rule: any thread; the file descriptor's position is not used.
#ifndef HONE_RUNTIME_ELF_FILE_H
#define HONE_RUNTIME_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

typedef struct hone_elf_section {
  bool found;
  uint64_t offset, bytes;  // within the file
} hone_elf_section_t;

// Looks up `count` section names in the open file `fd`; out_sections[i] answers names[i] (the first
// section of that name; found == false if there is none). `path` is for messages. Errors:
// HONE_INVALID if the file is no 64-bit little-endian ELF file, is truncated (says so) or has
// damaged headers; HONE_IO if it cannot be read.
HONE_MUST_CHECK bool hone_elf_find(int fd, const char *path, const char *const *names, size_t count,
                                   hone_elf_section_t *out_sections, hone_status_t *status);

#endif
