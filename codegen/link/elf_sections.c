// Appends sections to a linked ELF64 file: linked bytes, new sections, new section names, new
// section headers. Nothing appended is loaded. The old name table and headers stay in the file,
// unused.
//
// Loaders and debuggers need no program header for the new sections, and binutils' strip keeps
// them. llvm-strip removes every section that is neither loaded nor covered by a program header.
// There is no room for one more header, so the one that the linker made for the image's own note
// (.note.hone; it stays a section) is turned into one of a type that everybody ignores and that
// covers the new sections.
#include <elf.h>
#include <string.h>

#include "base/checked.h"
#include "codegen/link/link.h"

enum { SECTION_LIMIT = 8, SEGMENT_ALIGNMENT = 4096 };

struct hone_elf_writer {
  hone_output_t *output;
  Elf64_Ehdr header;
  Elf64_Shdr *sections;  // the linked file's, then ours
  size_t count;
  char *names;  // the linked file's section names, then ours
  size_t names_bytes;
  uint64_t begin, end;  // of the sections added so far
  uint64_t segment;     // file offset of the program header to turn, 0: none
  hone_arena_t *arena;
};

static void add_names(hone_elf_writer_t *writer, const void *names, size_t bytes) {
  char *all = hone_arena_alloc(writer->arena, writer->names_bytes + bytes);
  if (writer->names_bytes) memcpy(all, writer->names, writer->names_bytes);
  memcpy(all + writer->names_bytes, names, bytes);
  writer->names = all;
  writer->names_bytes += bytes;
}

static bool read_linked(hone_elf_writer_t *writer, const char *path, const hone_mapping_t *file,
                        hone_status_t *status) {
  if (file->bytes < sizeof writer->header)
    return hone_fail(status, HONE_INTERNAL, "%s: no ELF file", path);
  memcpy(&writer->header, file->data, sizeof writer->header);
  const Elf64_Ehdr *header = &writer->header;
  uint64_t headers_end;
  bool good = hone_checked_add(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr),
                               &headers_end) &&
              !memcmp(header->e_ident, ELFMAG, SELFMAG) &&
              header->e_ident[EI_CLASS] == ELFCLASS64 &&
              header->e_shentsize == sizeof(Elf64_Shdr) && header->e_shstrndx < header->e_shnum &&
              headers_end <= file->bytes;
  if (!good)
    return hone_fail(status, HONE_INTERNAL, "%s: the linker wrote an ELF file of another form",
                     path);
  writer->count = header->e_shnum;
  writer->sections = HONE_NEW_ARRAY(writer->arena, Elf64_Shdr, writer->count + SECTION_LIMIT);
  memcpy(writer->sections, file->data + header->e_shoff, writer->count * sizeof(Elf64_Shdr));
  const Elf64_Shdr *names = &writer->sections[header->e_shstrndx];
  if (names->sh_offset > file->bytes || names->sh_size > file->bytes - names->sh_offset)
    return hone_fail(status, HONE_INTERNAL, "%s: its section names lie outside", path);
  add_names(writer, file->data + names->sh_offset, names->sh_size);
  return true;
}

static bool is_our_note(const uint8_t *note) {
  uint32_t words[3];
  memcpy(words, note, sizeof words);
  return words[0] == sizeof HONE_LINK_NOTE_NAME && words[2] == HONE_LINK_NOTE_TYPE &&
         !memcmp(note + sizeof words, HONE_LINK_NOTE_NAME, sizeof HONE_LINK_NOTE_NAME);
}

static void find_segment(hone_elf_writer_t *writer, const hone_mapping_t *file) {
  const Elf64_Ehdr *header = &writer->header;
  for (uint64_t i = 0; i < header->e_phnum && header->e_phentsize == sizeof(Elf64_Phdr); i++) {
    Elf64_Phdr segment;
    uint64_t at = header->e_phoff + i * sizeof segment;
    if (at > file->bytes || file->bytes - at < sizeof segment) return;
    memcpy(&segment, file->data + at, sizeof segment);
    if (segment.p_type != PT_NOTE || segment.p_filesz != HONE_LINK_NOTE_BYTES) continue;
    if (segment.p_offset > file->bytes || file->bytes - segment.p_offset < HONE_LINK_NOTE_BYTES)
      continue;
    if (is_our_note(file->data + segment.p_offset)) writer->segment = at;
  }
}

bool hone_elf_writer_create(const char *path, hone_output_t *output, hone_arena_t *arena,
                            hone_elf_writer_t **out_writer, hone_status_t *status) {
  hone_mapping_t file;
  hone_elf_writer_t *writer = HONE_NEW(arena, hone_elf_writer_t);
  *writer = (hone_elf_writer_t){.output = output, .arena = arena};
  if (!hone_mapping_open(path, &file, status)) return false;
  bool ok = read_linked(writer, path, &file, status) &&
            hone_output_write_at(output, 0, file.data, file.bytes, status);
  if (ok) find_segment(writer, &file);
  writer->end = file.bytes;
  hone_mapping_close(&file);
  *out_writer = writer;
  return ok;
}

uint64_t hone_elf_writer_reserve(hone_elf_writer_t *writer, const char *name, uint64_t bytes,
                                 uint64_t alignment) {
  uint64_t offset = hone_round_up(writer->end, alignment);
  writer->sections[writer->count++] = (Elf64_Shdr){
      .sh_name = (Elf64_Word)writer->names_bytes,
      .sh_type = SHT_PROGBITS,
      .sh_offset = offset,
      .sh_size = bytes,
      .sh_addralign = alignment,
  };
  add_names(writer, name, strlen(name) + 1);
  if (!writer->begin) writer->begin = offset;
  writer->end = offset + bytes;
  return offset;
}

static bool write_segment(hone_elf_writer_t *writer, hone_status_t *status) {
  if (!writer->segment || !writer->begin) return true;
  const Elf64_Phdr segment = {
      .p_type = HONE_LINK_SEGMENT,
      .p_flags = PF_R,
      .p_offset = writer->begin,
      .p_filesz = writer->end - writer->begin,
      .p_align = SEGMENT_ALIGNMENT,
  };
  return hone_output_write_at(writer->output, writer->segment, &segment, sizeof segment, status);
}

bool hone_elf_writer_finish(hone_elf_writer_t *writer, hone_status_t *status) {
  Elf64_Shdr *names = &writer->sections[writer->header.e_shstrndx];
  names->sh_offset = writer->end;
  names->sh_size = writer->names_bytes;
  uint64_t headers = hone_round_up(writer->end + writer->names_bytes, 8);
  writer->header.e_shoff = headers;
  writer->header.e_shnum = (Elf64_Half)writer->count;
  return hone_output_write_at(writer->output, names->sh_offset, writer->names, writer->names_bytes,
                              status) &&
         hone_output_write_at(writer->output, headers, writer->sections,
                              writer->count * sizeof(Elf64_Shdr), status) &&
         hone_output_write_at(writer->output, 0, &writer->header, sizeof writer->header, status) &&
         write_segment(writer, status);
}
