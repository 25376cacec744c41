// Linking: kernels, plan, tokenizer and runtime become an ELF file, to which sections that are not
// loaded (weights, checksums, manifest) are appended. Thread rule: the session's thread.
#ifndef HONE_CODEGEN_LINK_LINK_H
#define HONE_CODEGEN_LINK_LINK_H

#include "base/file.h"
#include "base/json.h"
#include "codegen/pack/pack.h"
#include "codegen/plan/plan.h"

// The note `.note.hone`: 32 bytes, 8-aligned, plan version as its description.
#define HONE_LINK_NOTE_NAME "hone"
enum { HONE_LINK_NOTE_TYPE = 1, HONE_LINK_NOTE_BYTES = 32 };
// Type of the program header that covers the added sections: in the range for operating systems,
// ignored by all.
enum { HONE_LINK_SEGMENT = 0x686f6e65 };

// ---- image.c: the object that defines `hone_image`
typedef struct hone_image_spec {
  const char *triple;
  hone_slice_t plan, tokenizer;  // an empty tokenizer is a null pointer in the image
  size_t isa_count, kernel_count;
  const char *isa_names[HONE_ISA_LIMIT];
  const char *const *symbols[HONE_ISA_LIMIT];  // (kernel_count) per level; NULL: not built for it
} hone_image_spec_t;
HONE_MUST_CHECK bool hone_image_build(const hone_image_spec_t *spec, hone_buffer_t *out_object,
                                      hone_status_t *status);

// ---- elf_link.c: ld.lld
typedef struct hone_link_job {
  const char *runtime_folder;   // holds libhone_rt.a and libhone_program.a
  const char *scratch;          // folder for temporary files
  const char *name;             // soname of a library
  const hone_slice_t *objects;  // (object_count) relocatable ELF files
  size_t object_count;
  bool is_library;
} hone_link_job_t;
// Writes the linked file to `scratch`/linked and returns its path.
HONE_MUST_CHECK bool hone_link_run(const hone_link_job_t *job, hone_arena_t *arena,
                                   const char **out_path, hone_status_t *status);

// Kernels alone as a shared object, for running them in this process: `symbols` of the objects
// become its functions "kernel_0", "kernel_1", ... Returns its path in `scratch`, where it is
// called `name`: dlopen takes a name for what it has loaded under it before.
typedef struct hone_link_kernels {
  const char *scratch, *name;
  const hone_slice_t *objects;
  size_t object_count;
  const char *const *symbols;
  size_t symbol_count;
} hone_link_kernels_t;
HONE_MUST_CHECK bool hone_link_kernels(const hone_link_kernels_t *job, hone_arena_t *arena,
                                       const char **out_path, hone_status_t *status);

// ---- elf_sections.c: appending sections to a linked ELF file while it is copied to its output
typedef struct hone_elf_writer hone_elf_writer_t;
// Copies the linked file at `path` into the output. Errors if it is no ELF file we can extend.
HONE_MUST_CHECK bool hone_elf_writer_create(const char *path, hone_output_t *output,
                                            hone_arena_t *arena, hone_elf_writer_t **out_writer,
                                            hone_status_t *status);
// Reserves a section of `bytes` at the next multiple of `alignment` and returns its file offset;
// its contents are the caller's to write. At most 8 sections.
uint64_t hone_elf_writer_reserve(hone_elf_writer_t *writer, const char *name, uint64_t bytes,
                                 uint64_t alignment);
// Writes section names, section headers and the ELF header. Nothing may be reserved afterwards.
HONE_MUST_CHECK bool hone_elf_writer_finish(hone_elf_writer_t *writer, hone_status_t *status);

// ---- manifest.c
typedef struct hone_manifest_spec {
  const hone_compile_t *compile;
  const hone_draft_t *draft;
  const uint64_t *hashes;            // per tensor
  const hone_quant_error_t *errors;  // per tensor; zero where nothing was quantized
  size_t isa_count;
  const char *const *isa_names;
  void (*write_dataflow)(void *user, hone_json_t *json);  // the member "dataflow"
  void *user;
} hone_manifest_spec_t;
void hone_manifest_write(const hone_manifest_spec_t *spec, hone_buffer_t *out);

// ---- header.c: OUT.h beside a library
extern const char hone_public_header[];
// Appends the version script that exports every function the public header declares, and nothing
// else.
void hone_header_exports(hone_buffer_t *out);
HONE_MUST_CHECK bool hone_header_write(const char *library, hone_arena_t *arena,
                                       hone_status_t *status);

#endif
