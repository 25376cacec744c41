// Kernels to object code: emit, lower to LLVM IR, optimise, write an ELF object or text into
// memory.
//
// LLVM ends the process on some bad input (an intrinsic the features do not cover, an ill-formed
// pass text), so all of that is fixed here or checked before: specifications by
// hone_cpu_kernel_check, IR by MLIR's and LLVM's verifiers.
#include "codegen/cpu/object.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <mlir-c/Pass.h>
#include <mlir-c/Target/LLVMIR.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "codegen/cpu/kernel_emit.h"

static const char lowering[] =
    "convert-scf-to-cf,convert-vector-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,"
    "convert-func-to-llvm,reconcile-unrealized-casts";
// Kernels are vectorised, unrolled and blocked by hand; what is left is redundancy. default<O3>
// nearly doubles the compile time and showed no difference in bench_kernels beyond its noise.
static const char optimisation[] =
    "function(sroa,early-cse<memssa>,instcombine,simplifycfg,loop-mssa(licm),early-cse<memssa>)";

static void append_mlir(MlirStringRef text, void *user) {
  hone_buffer_add(user, text.data, text.length);
}

// ---- MLIR
static bool check_kernels(const hone_cpu_isa_t *isa, const hone_cpu_kernel_t *kernels, size_t count,
                          hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_map_t *seen = hone_map_create(arena);
  bool good = true;
  for (size_t i = 0; i < count && good; i++) {
    const char *symbol = kernels[i].symbol;
    if (!hone_map_insert(seen, symbol, strlen(symbol), (void *)symbol)) {
      good = hone_fail(status, HONE_INTERNAL, "two kernels are called %s", symbol);
    } else if (!hone_cpu_kernel_check(&kernels[i].spec, isa, status)) {
      good = hone_note(status, "kernel %s", symbol);
    }
  }
  hone_arena_destroy(arena);
  return good;
}

static bool emit_module(ir_session_t *session, const hone_cpu_isa_t *isa,
                        const hone_cpu_kernel_t *kernels, size_t count, MlirModule module,
                        hone_status_t *status) {
  ir_builder_t b = {
      .context = ir_session_context(session), .block = mlirModuleGetBody(module), .status = status};
  for (size_t i = 0; i < count; i++) {
    if (!hone_cpu_kernel_emit(&b, &kernels[i].spec, isa, kernels[i].symbol, status)) return false;
  }
  return ir_finish(&b, mlirModuleGetOperation(module));
}

static bool lower_module(ir_session_t *session, MlirModule module, hone_status_t *status) {
  hone_buffer_t error = {0};
  MlirPassManager manager = mlirPassManagerCreateOnOperation(
      ir_session_context(session), mlirStringRefCreateFromCString("builtin.module"));
  MlirOpPassManager passes = mlirPassManagerGetAsOpPassManager(manager);
  MlirLogicalResult parsed = mlirOpPassManagerAddPipeline(
      passes, mlirStringRefCreateFromCString(lowering), append_mlir, &error);
  bool good = mlirLogicalResultIsSuccess(parsed);
  if (!good)
    hone_fail(status, HONE_INTERNAL, "the lowering of kernels: %s", hone_buffer_cstr(&error));
  if (good &&
      mlirLogicalResultIsFailure(mlirPassManagerRunOnOp(manager, mlirModuleGetOperation(module)))) {
    good = hone_fail(status, HONE_INTERNAL, "kernels do not lower to LLVM: %s",
                     ir_session_error(session));
  }
  mlirPassManagerDestroy(manager);
  hone_buffer_deinit(&error);
  return good;
}

// ---- LLVM
// Keeps LLVM's first error. Its own handler would end the process.
static void keep_error(LLVMDiagnosticInfoRef info, void *user) {
  hone_status_t *status = user;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
  char *text = LLVMGetDiagInfoDescription(info);
  hone_fail(status, HONE_INTERNAL, "LLVM: %s", text);
  LLVMDisposeMessage(text);
}

static void initialise(void) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
}

void hone_cpu_llvm_initialise(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, initialise);
}

static bool create_machine(const hone_cpu_isa_t *isa, LLVMTargetMachineRef *out_machine,
                           hone_status_t *status) {
  hone_cpu_llvm_initialise();
  LLVMTargetRef target = NULL;
  char *error = NULL;
  if (LLVMGetTargetFromTriple(isa->triple, &target, &error)) {
    hone_fail(status, HONE_UNSUPPORTED, "this LLVM has no %s: %s", isa->triple, error);
    LLVMDisposeMessage(error);
    return false;
  }
  *out_machine =
      LLVMCreateTargetMachine(target, isa->triple, isa->cpu, isa->features,
                              LLVMCodeGenLevelAggressive, LLVMRelocPIC, LLVMCodeModelSmall);
  return true;
}

static void add_text_attribute(LLVMContextRef context, LLVMValueRef function, const char *key,
                               const char *value) {
  LLVMAttributeRef attribute = LLVMCreateStringAttribute(context, key, (unsigned)strlen(key), value,
                                                         (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, attribute);
}

// Features on the functions themselves, so that neither merging modules nor another target machine
// can change them. No builtins: loops must not become calls of memset.
static void prepare_function(LLVMContextRef context, LLVMValueRef function,
                             const hone_cpu_isa_t *isa) {
  size_t bytes = 0;
  hone_buffer_t section = {0};
  hone_buffer_format(&section, ".text.%s", LLVMGetValueName2(function, &bytes));
  LLVMSetSection(function, hone_buffer_cstr(&section));
  hone_buffer_deinit(&section);
  LLVMSetVisibility(function, LLVMHiddenVisibility);
  unsigned unwinds = LLVMGetEnumAttributeKindForName("nounwind", strlen("nounwind"));
  LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(context, unwinds, 0));
  add_text_attribute(context, function, "target-cpu", isa->cpu);
  add_text_attribute(context, function, "target-features", isa->features);
  add_text_attribute(context, function, "no-builtins", "");
  add_text_attribute(context, function, "prefer-vector-width", isa->lanes == 16 ? "512" : "256");
  add_text_attribute(context, function, "min-legal-vector-width", isa->lanes == 16 ? "512" : "256");
}

static bool prepare_module(LLVMModuleRef module, const hone_cpu_isa_t *isa,
                           LLVMTargetMachineRef machine, hone_status_t *status) {
  LLVMContextRef context = LLVMGetModuleContext(module);
  hone_buffer_t name = {0};
  hone_buffer_format(&name, "hone.%s", isa->name);
  LLVMSetModuleIdentifier(module, name.data, name.bytes);
  LLVMSetSourceFileName(module, name.data, name.bytes);
  hone_buffer_deinit(&name);
  LLVMSetTarget(module, isa->triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  LLVMSetModuleDataLayout(module, layout);
  LLVMDisposeTargetData(layout);
  for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
    if (!LLVMIsDeclaration(f)) {
      prepare_function(context, f, isa);
    } else if (LLVMGetIntrinsicID(f) == 0) {
      size_t bytes = 0;
      return hone_fail(status, HONE_INTERNAL, "kernels call %s, which is not an intrinsic",
                       LLVMGetValueName2(f, &bytes));
    }
  }
  char *error = NULL;
  bool broken = LLVMVerifyModule(module, LLVMReturnStatusAction, &error);
  if (broken)
    hone_fail(status, HONE_INTERNAL, "kernels give LLVM IR that does not verify: %s", error);
  LLVMDisposeMessage(error);
  return !broken;
}

static bool optimise(LLVMModuleRef module, LLVMTargetMachineRef machine, hone_status_t *status) {
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(module, optimisation, machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (!error) return status->code == HONE_OK;
  char *text = LLVMGetErrorMessage(error);
  hone_fail(status, HONE_INTERNAL, "LLVM's optimiser: %s", text);
  LLVMDisposeErrorMessage(text);
  return false;
}

static bool write_module(LLVMModuleRef module, LLVMTargetMachineRef machine, hone_cpu_emit_t form,
                         hone_buffer_t *out, hone_status_t *status) {
  if (form == HONE_CPU_EMIT_LLVM) {
    char *text = LLVMPrintModuleToString(module);
    hone_buffer_text(out, text);
    LLVMDisposeMessage(text);
    return true;
  }
  LLVMCodeGenFileType type = form == HONE_CPU_EMIT_ASM ? LLVMAssemblyFile : LLVMObjectFile;
  LLVMMemoryBufferRef memory = NULL;
  char *error = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, type, &error, &memory)) {
    hone_fail(status, HONE_INTERNAL, "LLVM's code generator: %s", error);
    LLVMDisposeMessage(error);
    return false;
  }
  if (status->code == HONE_OK)
    hone_buffer_add(out, LLVMGetBufferStart(memory), LLVMGetBufferSize(memory));
  LLVMDisposeMemoryBuffer(memory);
  return status->code == HONE_OK;
}

static bool generate(const hone_cpu_isa_t *isa, MlirModule lowered, hone_cpu_emit_t form,
                     hone_buffer_t *out, hone_status_t *status) {
  LLVMTargetMachineRef machine = NULL;
  if (!create_machine(isa, &machine, status)) return false;
  LLVMContextRef context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(context, keep_error, status);
  LLVMModuleRef module = mlirTranslateModuleToLLVMIR(mlirModuleGetOperation(lowered), context);
  bool good = module != NULL;
  if (!good) hone_fail(status, HONE_INTERNAL, "kernels do not translate to LLVM IR");
  good = good && prepare_module(module, isa, machine, status) &&
         optimise(module, machine, status) && write_module(module, machine, form, out, status);
  if (module) LLVMDisposeModule(module);
  LLVMContextDispose(context);
  LLVMDisposeTargetMachine(machine);
  return good;
}

bool hone_cpu_object_build(ir_session_t *session, const hone_cpu_isa_t *isa,
                           const hone_cpu_kernel_t *kernels, size_t count, hone_cpu_emit_t form,
                           hone_buffer_t *out, hone_status_t *status) {
  if (!check_kernels(isa, kernels, count, status)) return false;
  MlirModule module = mlirModuleCreateEmpty(mlirLocationUnknownGet(ir_session_context(session)));
  bool good = emit_module(session, isa, kernels, count, module, status);
  if (good && form == HONE_CPU_EMIT_MLIR) {
    mlirOperationPrint(mlirModuleGetOperation(module), append_mlir, out);
  } else {
    good =
        good && lower_module(session, module, status) && generate(isa, module, form, out, status);
  }
  mlirModuleDestroy(module);
  return good ? true : hone_note(status, "for %s", isa->name);
}
