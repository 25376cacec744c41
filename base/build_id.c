// Build ids as the linker leaves them in memory: the note "GNU", type 3, of a loaded object.
#include "base/build_id.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "base/file.h"

typedef struct search {
  const char *const *prefixes;
  size_t count;
  hone_buffer_t *out;
  hone_status_t *status;
} search_t;

// The program itself has no name.
static bool is_wanted(const search_t *search, const char *name) {
  if (!*name) return true;
  for (size_t i = 0; i < search->count; i++)
    if (hone_text_starts(hone_path_base(name), search->prefixes[i])) return true;
  return false;
}

// Notes are aligned to 4 bytes, or to 8 in segments that say so.
static bool add_id(const uint8_t *at, size_t bytes, size_t alignment, hone_buffer_t *out) {
  Elf64_Nhdr note;
  while (bytes >= sizeof note) {
    memcpy(&note, at, sizeof note);
    size_t name = (note.n_namesz + alignment - 1) / alignment * alignment;
    size_t description = (note.n_descsz + alignment - 1) / alignment * alignment;
    if (name > bytes - sizeof note || description > bytes - sizeof note - name) return false;
    const uint8_t *id = at + sizeof note + name;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        !memcmp(at + sizeof note, "GNU", 4)) {
      for (size_t i = 0; i < note.n_descsz; i++) hone_buffer_format(out, "%02x", id[i]);
      hone_buffer_text(out, "\n");
      return true;
    }
    at = id + description;
    bytes -= sizeof note + name + description;
  }
  return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *user) {
  const search_t *search = user;
  (void)size;
  if (!is_wanted(search, info->dlpi_name)) return 0;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    const void *notes = (const void *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
    size_t alignment = segment->p_align == 8 ? 8 : 4;
    if (segment->p_type == PT_NOTE && add_id(notes, segment->p_memsz, alignment, search->out))
      return 0;
  }
  hone_fail(search->status, HONE_UNSUPPORTED, "%s was linked without a build id",
            *info->dlpi_name ? info->dlpi_name : "this program");
  return 1;
}

bool hone_build_ids(const char *const *prefixes, size_t count, hone_buffer_t *out,
                    hone_status_t *status) {
  search_t search = {prefixes, count, out, status};
  return dl_iterate_phdr(visit, &search) == 0;
}
