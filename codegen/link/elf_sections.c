// Appends sections to a linked ELF64 file: linked bytes, new sections, new section names, new section headers. Program
// headers stay as they are, so nothing appended is loaded. The old name table and headers stay in the file, unused.
#include <elf.h>
#include <string.h>

#include "base/checked.h"
#include "codegen/link/link.h"

enum { SECTION_LIMIT = 8 };

struct hone_elf_writer {
  hone_output_t *output;
  Elf64_Ehdr header;
  Elf64_Shdr *sections;  // the linked file's, then ours
  size_t count;
  hone_buffer_t names;
  uint64_t end;  // of the output so far
  hone_arena_t *arena;
};

static bool read_linked(hone_elf_writer_t *writer, const char *path, const hone_mapping_t *file, hone_status_t *status) {
  if (file->bytes < sizeof writer->header) return hone_fail(status, HONE_INTERNAL, "%s: no ELF file", path);
  memcpy(&writer->header, file->data, sizeof writer->header);
  const Elf64_Ehdr *header = &writer->header;
  uint64_t headers_end = header->e_shoff + (uint64_t)header->e_shnum * sizeof(Elf64_Shdr);
  bool good = !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
              header->e_shentsize == sizeof(Elf64_Shdr) && header->e_shstrndx < header->e_shnum && headers_end <= file->bytes;
  if (!good) return hone_fail(status, HONE_INTERNAL, "%s: the linker wrote an ELF file of another form", path);
  writer->count = header->e_shnum;
  writer->sections = HONE_NEW_ARRAY(writer->arena, Elf64_Shdr, writer->count + SECTION_LIMIT);
  memcpy(writer->sections, file->data + header->e_shoff, writer->count * sizeof(Elf64_Shdr));
  const Elf64_Shdr *names = &writer->sections[header->e_shstrndx];
  if (names->sh_offset > file->bytes || names->sh_size > file->bytes - names->sh_offset)
    return hone_fail(status, HONE_INTERNAL, "%s: its section names lie outside", path);
  hone_buffer_add(&writer->names, file->data + names->sh_offset, names->sh_size);
  return true;
}

bool hone_elf_writer_create(const char *path, hone_output_t *output, hone_arena_t *arena, hone_elf_writer_t **out_writer,
                            hone_status_t *status) {
  hone_mapping_t file;
  hone_elf_writer_t *writer = HONE_NEW(arena, hone_elf_writer_t);
  *writer = (hone_elf_writer_t){.output = output, .arena = arena};
  if (!hone_mapping_open(path, &file, status)) return false;
  bool ok = read_linked(writer, path, &file, status) && hone_output_write_at(output, 0, file.data, file.bytes, status);
  writer->end = file.bytes;
  hone_mapping_close(&file);
  *out_writer = writer;
  return ok;
}

uint64_t hone_elf_writer_reserve(hone_elf_writer_t *writer, const char *name, uint64_t bytes, uint64_t alignment) {
  uint64_t offset = hone_round_up(writer->end, alignment);
  writer->sections[writer->count++] = (Elf64_Shdr){
      .sh_name = (Elf64_Word)writer->names.bytes,
      .sh_type = SHT_PROGBITS,
      .sh_offset = offset,
      .sh_size = bytes,
      .sh_addralign = alignment,
  };
  hone_buffer_add(&writer->names, name, strlen(name) + 1);
  writer->end = offset + bytes;
  return offset;
}

bool hone_elf_writer_finish(hone_elf_writer_t *writer, hone_status_t *status) {
  Elf64_Shdr *names = &writer->sections[writer->header.e_shstrndx];
  names->sh_offset = writer->end;
  names->sh_size = writer->names.bytes;
  uint64_t headers = hone_round_up(writer->end + writer->names.bytes, 8);
  writer->header.e_shoff = headers;
  writer->header.e_shnum = (Elf64_Half)writer->count;
  bool ok = hone_output_write_at(writer->output, names->sh_offset, writer->names.data, writer->names.bytes, status) &&
            hone_output_write_at(writer->output, headers, writer->sections, writer->count * sizeof(Elf64_Shdr), status) &&
            hone_output_write_at(writer->output, 0, &writer->header, sizeof writer->header, status);
  hone_buffer_deinit(&writer->names);
  return ok;
}
