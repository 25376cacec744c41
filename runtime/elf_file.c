// Reads the section headers of an ELF64 file with pread. Works on stripped files (strip keeps
// section headers) and says "truncated" for files cut at any byte.
#include "runtime/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"

enum { SECTION_LIMIT = 1 << 16, NAMES_LIMIT_BYTES = 1 << 24 };

typedef struct elf_reader {
  int fd;
  const char *path;
  uint64_t file_bytes;
} elf_reader_t;

static bool fail_truncated(const elf_reader_t *reader, uint64_t end, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID,
                   "%s: truncated: the file has %llu bytes but its headers speak of byte %llu; "
                   "copy or compile it again",
                   reader->path, (unsigned long long)reader->file_bytes, (unsigned long long)end);
}

// Reads exactly `bytes` at `offset`, after checking the range against the file's size.
static bool read_range(const elf_reader_t *reader, uint64_t offset, void *out, uint64_t bytes,
                       hone_status_t *status) {
  uint64_t end;
  if (!hone_checked_add(offset, bytes, &end)) {
    return hone_fail(status, HONE_INVALID, "%s: damaged ELF headers (an offset overflows)",
                     reader->path);
  }
  if (end > reader->file_bytes) return fail_truncated(reader, end, status);
  for (uint64_t done = 0; done < bytes;) {
    ssize_t n = pread(reader->fd, (char *)out + done, bytes - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return hone_fail(status, HONE_IO, "%s: cannot read: %s", reader->path, strerror(errno));
    if (n == 0) return fail_truncated(reader, end, status);  // it shrank while we looked
    done += (uint64_t)n;
  }
  return true;
}

static bool read_header(elf_reader_t *reader, Elf64_Ehdr *out_header, hone_status_t *status) {
  struct stat info;
  if (fstat(reader->fd, &info) != 0) {
    return hone_fail(status, HONE_IO, "%s: cannot stat: %s", reader->path, strerror(errno));
  }
  if (!S_ISREG(info.st_mode))
    return hone_fail(status, HONE_INVALID, "%s: not a regular file", reader->path);
  reader->file_bytes = (uint64_t)info.st_size;
  if (!read_range(reader, 0, out_header, sizeof *out_header, status)) return false;
  if (memcmp(out_header->e_ident, ELFMAG, SELFMAG) != 0) {
    return hone_fail(status, HONE_INVALID, "%s: not an ELF file", reader->path);
  }
  if (out_header->e_ident[EI_CLASS] != ELFCLASS64 || out_header->e_ident[EI_DATA] != ELFDATA2LSB) {
    return hone_fail(status, HONE_INVALID, "%s: not a 64-bit little-endian ELF file", reader->path);
  }
  if (out_header->e_shoff == 0) {
    return hone_fail(status, HONE_INVALID, "%s: no section headers, so its weights cannot be found",
                     reader->path);
  }
  if (out_header->e_shentsize != sizeof(Elf64_Shdr)) {
    return hone_fail(status, HONE_INVALID, "%s: damaged ELF headers (section header size %u)",
                     reader->path, (unsigned)out_header->e_shentsize);
  }
  return true;
}

// Number of sections and index of the names section, following the escape for more than 0xff00
// sections.
static bool read_counts(const elf_reader_t *reader, const Elf64_Ehdr *header, uint64_t *out_count,
                        uint64_t *out_names, hone_status_t *status) {
  Elf64_Shdr first;
  *out_count = header->e_shnum;
  *out_names = header->e_shstrndx;
  if (header->e_shnum == 0 || header->e_shstrndx == SHN_XINDEX) {
    if (!read_range(reader, header->e_shoff, &first, sizeof first, status)) return false;
    if (header->e_shnum == 0) *out_count = first.sh_size;
    if (header->e_shstrndx == SHN_XINDEX) *out_names = first.sh_link;
  }
  if (*out_count == 0 || *out_count > SECTION_LIMIT || *out_names >= *out_count) {
    return hone_fail(status, HONE_INVALID,
                     "%s: damaged ELF headers (%llu sections, names in section %llu)", reader->path,
                     (unsigned long long)*out_count, (unsigned long long)*out_names);
  }
  return true;
}

static bool match_sections(const elf_reader_t *reader, const Elf64_Shdr *headers,
                           uint64_t header_count, const char *strings, uint64_t string_bytes,
                           const char *const *names, size_t count, hone_elf_section_t *out_sections,
                           hone_status_t *status) {
  for (uint64_t i = 0; i < header_count; ++i) {
    const Elf64_Shdr *header = &headers[i];
    if (header->sh_type == SHT_NULL) continue;
    if (header->sh_name >= string_bytes) {
      return hone_fail(status, HONE_INVALID, "%s: damaged ELF headers (name of section %llu)",
                       reader->path, (unsigned long long)i);
    }
    const char *name =
        strings + header->sh_name;  // terminated: the table's last byte is forced to 0
    for (size_t j = 0; j < count; ++j) {
      if (out_sections[j].found || strcmp(name, names[j]) != 0) continue;
      if (header->sh_type == SHT_NOBITS) {
        return hone_fail(status, HONE_INVALID,
                         "%s: section %s has no bytes in this file (is it a debug file?)",
                         reader->path, name);
      }
      uint64_t end;
      if (!hone_checked_add(header->sh_offset, header->sh_size, &end)) {
        return hone_fail(status, HONE_INVALID, "%s: damaged ELF headers (size of section %s)",
                         reader->path, name);
      }
      if (end > reader->file_bytes) return fail_truncated(reader, end, status);
      out_sections[j] = (hone_elf_section_t){
          .found = true, .offset = header->sh_offset, .bytes = header->sh_size};
    }
  }
  return true;
}

bool hone_elf_find(int fd, const char *path, const char *const *names, size_t count,
                   hone_elf_section_t *out_sections, hone_status_t *status) {
  elf_reader_t reader = {.fd = fd, .path = path};
  Elf64_Ehdr header;
  uint64_t section_count, names_index;
  memset(out_sections, 0, count * sizeof *out_sections);
  if (!read_header(&reader, &header, status)) return false;
  if (!read_counts(&reader, &header, &section_count, &names_index, status)) return false;

  bool ok = false;
  char *strings = NULL;
  Elf64_Shdr *headers = malloc(section_count * sizeof *headers);
  if (headers == NULL) {
    hone_fail(status, HONE_EXHAUSTED, "%s: out of memory for %llu section headers", path,
              (unsigned long long)section_count);
    goto done;
  }
  if (!read_range(&reader, header.e_shoff, headers, section_count * sizeof *headers, status))
    goto done;
  uint64_t string_bytes = headers[names_index].sh_size;
  if (headers[names_index].sh_type != SHT_STRTAB || string_bytes == 0 ||
      string_bytes > NAMES_LIMIT_BYTES) {
    hone_fail(status, HONE_INVALID, "%s: damaged ELF headers (section names)", path);
    goto done;
  }
  strings = malloc(string_bytes);
  if (strings == NULL) {
    hone_fail(status, HONE_EXHAUSTED, "%s: out of memory for section names", path);
    goto done;
  }
  if (!read_range(&reader, headers[names_index].sh_offset, strings, string_bytes, status))
    goto done;
  strings[string_bytes - 1] = 0;
  ok = match_sections(&reader, headers, section_count, strings, string_bytes, names, count,
                      out_sections, status);
done:
  free(strings);
  free(headers);
  return ok;
}
