// Creation of operations with checks that MLIR leaves to the verifier, and the sticky failure. No
// dialect is known here.
#include "ir/builder.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/Diagnostics.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static MlirStringRef text_ref(const char *text) { return mlirStringRefCreateFromCString(text); }

bool ir_failed(const ir_builder_t *b) {
  return b->failed || (b->status && b->status->code != HONE_OK);
}

void ir_reject(ir_builder_t *b, const char *format, ...) {
  if (ir_failed(b)) return;
  b->failed = true;
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  const char *file = b->file ? b->file : __FILE__;
  int line = b->file ? b->line : __LINE__;
  if (b->status) hone_fail_at(b->status, file, line, HONE_INTERNAL, "%s", message);
}

MlirLocation ir_location(const ir_builder_t *b) {
  if (!b->file) return mlirLocationUnknownGet(b->context);
  return mlirLocationFileLineColGet(b->context, text_ref(b->file), (unsigned)b->line, 1);
}

ir_value_t ir_result(MlirOperation op, size_t index) {
  if (mlirOperationIsNull(op)) return (ir_value_t){0};
  return mlirOperationGetResult(op, (intptr_t)index);
}

static void drop_regions(const ir_op_spec_t *spec) {
  for (size_t i = 0; i < spec->region_count; i++) mlirRegionDestroy(spec->regions[i]);
}

// What would crash inside MLIR instead of failing in the verifier.
static bool check(ir_builder_t *b, const ir_op_spec_t *spec) {
  if (ir_failed(b)) return false;
  if (!mlirContextIsRegisteredOperation(b->context, text_ref(spec->name))) {
    ir_reject(b, "unknown op %s: is its dialect loaded?", spec->name);
    return false;
  }
  for (size_t i = 0; i < spec->operand_count; i++) {
    if (!spec->operands[i].ptr) {
      ir_reject(b, "operand %zu of %s is null", i, spec->name);
      return false;
    }
  }
  for (size_t i = 0; i < spec->result_count; i++) {
    if (!spec->results[i].ptr) {
      ir_reject(b, "result type %zu of %s is null", i, spec->name);
      return false;
    }
  }
  for (size_t i = 0; i < spec->attribute_count; i++) {
    if (!spec->attributes[i].value.ptr) {
      ir_reject(b, "attribute %s of %s is null", spec->attributes[i].name, spec->name);
      return false;
    }
  }
  return true;
}

MlirOperation ir_create(ir_builder_t *b, const ir_op_spec_t *spec) {
  MlirOperation none = {0};
  if (!check(b, spec)) {
    drop_regions(spec);
    return none;
  }
  MlirOperationState state = mlirOperationStateGet(text_ref(spec->name), ir_location(b));
  mlirOperationStateAddOperands(&state, (intptr_t)spec->operand_count, spec->operands);
  mlirOperationStateAddResults(&state, (intptr_t)spec->result_count, spec->results);
  for (size_t i = 0; i < spec->attribute_count; i++) {
    MlirIdentifier name = mlirIdentifierGet(b->context, text_ref(spec->attributes[i].name));
    MlirNamedAttribute named = mlirNamedAttributeGet(name, spec->attributes[i].value);
    mlirOperationStateAddAttributes(&state, 1, &named);
  }
  mlirOperationStateAddOwnedRegions(&state, (intptr_t)spec->region_count, spec->regions);
  MlirOperation op = mlirOperationCreate(&state);
  if (mlirOperationIsNull(op)) {
    ir_reject(b, "%s cannot be created", spec->name);
    return none;
  }
  if (b->block.ptr) mlirBlockAppendOwnedOperation(b->block, op);
  return op;
}

typedef struct first_error {
  char text[600];
  size_t bytes;
} first_error_t;

static void append_text(MlirStringRef text, void *user) {
  first_error_t *error = user;
  size_t room = sizeof error->text - 1 - error->bytes;
  size_t bytes = text.length < room ? text.length : room;
  memcpy(error->text + error->bytes, text.data, bytes);
  error->bytes += bytes;
}

// Keeps the first error; hands every diagnostic on to the session's handler.
static MlirLogicalResult keep_first(MlirDiagnostic diagnostic, void *user) {
  first_error_t *error = user;
  if (error->bytes == 0 && mlirDiagnosticGetSeverity(diagnostic) == MlirDiagnosticError) {
    mlirLocationPrint(mlirDiagnosticGetLocation(diagnostic), append_text, error);
    append_text(text_ref(": "), error);
    mlirDiagnosticPrint(diagnostic, append_text, error);
  }
  return mlirLogicalResultFailure();
}

bool ir_finish(ir_builder_t *b, MlirOperation op) {
  if (b->open_regions != 0) ir_reject(b, "%d region(s) left open", b->open_regions);
  if (ir_failed(b)) return false;
  first_error_t error = {0};
  MlirDiagnosticHandlerID id =
      mlirContextAttachDiagnosticHandler(b->context, keep_first, &error, NULL);
  bool valid = mlirOperationVerify(op);
  mlirContextDetachDiagnosticHandler(b->context, id);
  if (valid) return true;
  for (char *c = error.text; *c; c++) {
    if (*c == '\n') *c = ' ';
  }
  ir_reject(b, "the emitted IR does not verify: %s", error.bytes ? error.text : "no diagnostic");
  return false;
}
