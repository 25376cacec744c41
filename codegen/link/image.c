// The image object: plan and tokenizer as constants, a table of kernel addresses per ISA, and
// hone_image that points at them. Made with LLVM so that it is an ordinary relocatable object.
#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <string.h>

#include "codegen/link/link.h"

typedef struct image {
  const hone_image_spec_t *spec;
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTypeRef pointer, i32, i64;
} image_t;

static LLVMValueRef add_constant(image_t *image, const char *name, LLVMValueRef value,
                                 unsigned alignment) {
  LLVMValueRef global = LLVMAddGlobal(image->module, LLVMTypeOf(value), name);
  LLVMSetInitializer(global, value);
  LLVMSetGlobalConstant(global, 1);
  LLVMSetLinkage(global, LLVMInternalLinkage);
  LLVMSetAlignment(global, alignment);
  return global;
}

static LLVMValueRef add_bytes(image_t *image, const char *name, hone_slice_t bytes,
                              bool terminated) {
  if (!bytes.bytes) return LLVMConstNull(image->pointer);
  LLVMValueRef value =
      LLVMConstStringInContext2(image->context, bytes.data, bytes.bytes, !terminated);
  return add_constant(image, name, value, terminated ? 1 : 64);
}

static LLVMValueRef add_table(image_t *image, size_t isa, hone_arena_t *arena) {
  size_t count = image->spec->kernel_count;
  LLVMValueRef *entries = HONE_NEW_ARRAY(arena, LLVMValueRef, count);
  LLVMTypeRef function = LLVMFunctionType(LLVMVoidTypeInContext(image->context), NULL, 0, 0);
  for (size_t i = 0; i < count; i++) {
    entries[i] = LLVMConstNull(image->pointer);
    const char *symbol = image->spec->symbols[isa][i];
    if (!symbol) continue;
    entries[i] = LLVMGetNamedFunction(image->module, symbol);  // levels share kernels
    if (entries[i]) continue;
    entries[i] = LLVMAddFunction(image->module, symbol, function);
    LLVMSetVisibility(entries[i], LLVMHiddenVisibility);
  }
  return add_constant(image, "kernels", LLVMConstArray2(image->pointer, entries, count), 16);
}

// hone_image_t, field by field (base/artefact.h).
static void add_image(image_t *image, hone_arena_t *arena) {
  const hone_image_spec_t *spec = image->spec;
  LLVMTypeRef entry_types[] = {image->pointer, image->pointer};
  LLVMTypeRef entry_type = LLVMStructTypeInContext(image->context, entry_types, 2, 0);
  LLVMValueRef isas[HONE_ISA_LIMIT];
  for (size_t i = 0; i < HONE_ISA_LIMIT; i++) {
    isas[i] = LLVMConstNull(entry_type);
    if (i >= spec->isa_count) continue;
    LLVMValueRef fields[] = {add_bytes(image, "isa", hone_slice(spec->isa_names[i]), true),
                             add_table(image, i, arena)};
    isas[i] = LLVMConstStructInContext(image->context, fields, 2, 0);
  }
  LLVMValueRef fields[] = {
      add_bytes(image, "plan", spec->plan, false),
      add_bytes(image, "tokenizer", spec->tokenizer, false),
      LLVMConstInt(image->i64, spec->tokenizer.bytes, 0),
      LLVMConstInt(image->i32, spec->isa_count, 0),
      LLVMConstArray2(entry_type, isas, HONE_ISA_LIMIT),
  };
  LLVMValueRef global =
      add_constant(image, "hone_image", LLVMConstStructInContext(image->context, fields, 5, 0), 16);
  LLVMSetLinkage(global, LLVMExternalLinkage);
}

// An ELF note with the plan's version. Its alignment differs from that of other notes, so it gets a
// program header of its own, which elf_sections.c takes for the sections it adds.
static void add_note(image_t *image) {
  const uint32_t words[] = {sizeof HONE_LINK_NOTE_NAME, sizeof(uint32_t), HONE_LINK_NOTE_TYPE};
  char note[32] = {0};
  uint32_t version = HONE_PLAN_VERSION;
  memcpy(note, words, sizeof words);
  memcpy(note + sizeof words, HONE_LINK_NOTE_NAME, sizeof HONE_LINK_NOTE_NAME);
  memcpy(note + 24, &version, sizeof version);  // 12 + 5, rounded up to 8
  LLVMValueRef value = LLVMConstStringInContext2(image->context, note, sizeof note, 1);
  LLVMSetSection(add_constant(image, "note", value, 8), ".note.hone");
}

static bool generate(image_t *image, hone_buffer_t *out, hone_status_t *status) {
  LLVMTargetRef target;
  LLVMMemoryBufferRef code;
  char *message = NULL;
  if (LLVMGetTargetFromTriple(image->spec->triple, &target, &message)) {
    hone_fail(status, HONE_INTERNAL, "LLVM has no target %s: %.200s", image->spec->triple, message);
    LLVMDisposeMessage(message);
    return false;
  }
  LLVMTargetMachineRef machine =
      LLVMCreateTargetMachine(target, image->spec->triple, "x86-64", "", LLVMCodeGenLevelNone,
                              LLVMRelocPIC, LLVMCodeModelSmall);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  LLVMSetTarget(image->module, image->spec->triple);
  LLVMSetModuleDataLayout(image->module, layout);
  LLVMDisposeTargetData(layout);
  bool ok =
      !LLVMTargetMachineEmitToMemoryBuffer(machine, image->module, LLVMObjectFile, &message, &code);
  if (ok) {
    hone_buffer_add(out, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    LLVMDisposeMemoryBuffer(code);
  } else {
    hone_fail(status, HONE_INTERNAL, "the image object cannot be made: %.300s", message);
    LLVMDisposeMessage(message);
  }
  LLVMDisposeTargetMachine(machine);
  return ok;
}

bool hone_image_build(const hone_image_spec_t *spec, hone_buffer_t *out_object,
                      hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  LLVMContextRef context = LLVMContextCreate();
  image_t image = {.spec = spec,
                   .context = context,
                   .module = LLVMModuleCreateWithNameInContext("image", context)};
  image.pointer = LLVMPointerTypeInContext(context, 0);
  image.i32 = LLVMInt32TypeInContext(context);
  image.i64 = LLVMInt64TypeInContext(context);
  add_image(&image, arena);
  add_note(&image);
  bool ok = generate(&image, out_object, status);
  LLVMDisposeModule(image.module);
  LLVMContextDispose(context);
  hone_arena_destroy(arena);
  return ok;
}
