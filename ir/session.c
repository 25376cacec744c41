// Session: the MLIR context, the loading of the hone dialect from its embedded IRDL text, and the
// translation of MLIR's diagnostics into ours. It knows nothing of models.
#include "ir/session.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/Diagnostics.h>
#include <mlir-c/Dialect/IRDL.h>
#include <mlir-c/IR.h>
#include <mlir-c/RegisterEverything.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/dialect_internal.h"

enum {
  MESSAGE_BYTES = 600,  // of an error; a note that prints a whole function can be many KB
  NOTE_BYTES = 200,
  PLACE_BYTES = 300,
  PLACE_DEPTH = 16,
};

struct ir_session {
  MlirContext context;
  hone_arena_t *arena;
  hone_diagnostics_t *diagnostics;  // borrowed; may be NULL
  MlirDiagnosticHandlerID handler;
  char error[MESSAGE_BYTES + PLACE_BYTES + 8];
};

static const char *const loaded_dialects[] = {"func", "arith", "scf", "vector", "llvm"};

typedef struct capped_text {
  char *data;
  size_t bytes, limit_bytes;  // limit: without the NUL
  bool cut;
} capped_text_t;

static void append_capped(MlirStringRef chunk, void *user) {
  capped_text_t *text = user;
  size_t room = text->limit_bytes - text->bytes;
  size_t bytes = chunk.length < room ? chunk.length : room;
  memcpy(text->data + text->bytes, chunk.data, bytes);
  text->bytes += bytes;
  text->data[text->bytes] = '\0';
  if (bytes < chunk.length) text->cut = true;
}

// One line: runs of white space become one blank, other control characters '?', the end "..." if
// cut.
static void make_line(capped_text_t *text) {
  size_t out = 0;
  for (size_t i = 0; i < text->bytes; i++) {
    unsigned char c = (unsigned char)text->data[i];
    if (c == '\n' || c == '\t' || c == ' ') {
      if (out > 0 && text->data[out - 1] != ' ') text->data[out++] = ' ';
    } else {
      text->data[out++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
  }
  if (out > 0 && text->data[out - 1] == ' ') out--;
  if (text->cut && out >= 3) memcpy(text->data + out - 3, "...", 3);
  text->data[out] = '\0';
}

// "file:line:col" of the first place a location holds; false where there is none.
static bool place_of(MlirLocation location, char *out, size_t out_bytes) {
  for (int depth = 0; depth < PLACE_DEPTH; depth++) {
    if (mlirLocationIsAFileLineColRange(location)) {
      MlirStringRef file = mlirIdentifierStr(mlirLocationFileLineColRangeGetFilename(location));
      int shown = file.length > 200 ? 200 : (int)file.length;
      int line = mlirLocationFileLineColRangeGetStartLine(location);
      int column = mlirLocationFileLineColRangeGetStartColumn(location);
      if (line == 0) {  // the file as a whole
        snprintf(out, out_bytes, "%.*s", shown, file.data);
      } else {
        snprintf(out, out_bytes, "%.*s:%d:%d", shown, file.data, line, column);
      }
      return true;
    }
    if (mlirLocationIsAName(location)) {
      location = mlirLocationNameGetChildLoc(location);
    } else if (mlirLocationIsACallSite(location)) {
      location = mlirLocationCallSiteGetCallee(location);
    } else if (mlirLocationIsAFused(location)) {
      unsigned count = mlirLocationFusedGetNumLocations(location);
      if (count == 0 || count > 64) return false;
      MlirLocation parts[64];
      mlirLocationFusedGetLocations(location, parts);
      location = parts[0];
    } else {
      return false;
    }
  }
  return false;
}

static void report(ir_session_t *session, MlirDiagnostic diagnostic, hone_severity_t severity,
                   size_t limit_bytes) {
  char place[PLACE_BYTES];
  bool placed = place_of(mlirDiagnosticGetLocation(diagnostic), place, sizeof place);
  char message[MESSAGE_BYTES + 1] = "";
  capped_text_t text = {.data = message, .limit_bytes = limit_bytes};
  mlirDiagnosticPrint(diagnostic, append_capped, &text);
  make_line(&text);
  if (severity == HONE_ERROR && session->error[0] == '\0') {
    snprintf(session->error, sizeof session->error, "%s%s%s", placed ? place : "",
             placed ? ": " : "", message);
  }
  if (!session->diagnostics) return;
  const char *kept = placed ? hone_arena_strdup(session->diagnostics->arena, place) : NULL;
  hone_diagnose(session->diagnostics, severity, kept, "%s", message);
}

static MlirLogicalResult handle(MlirDiagnostic diagnostic, void *user) {
  ir_session_t *session = user;
  MlirDiagnosticSeverity severity = mlirDiagnosticGetSeverity(diagnostic);
  report(session, diagnostic,
         severity == MlirDiagnosticError     ? HONE_ERROR
         : severity == MlirDiagnosticWarning ? HONE_WARNING
                                             : HONE_REMARK,
         MESSAGE_BYTES);
  for (intptr_t i = 0; i < mlirDiagnosticGetNumNotes(diagnostic); i++) {
    report(session, mlirDiagnosticGetNote(diagnostic, i), HONE_REMARK, NOTE_BYTES);
  }
  return mlirLogicalResultSuccess();
}

static bool load_dialect(ir_session_t *session, hone_status_t *status) {
  MlirOperation op =
      mlirOperationCreateParse(session->context, mlirStringRefCreateFromCString(ir_dialect_text()),
                               mlirStringRefCreateFromCString("hone.irdl.mlir"));
  if (mlirOperationIsNull(op)) {
    return hone_fail(status, HONE_INTERNAL, "the hone dialect does not parse: %s", session->error);
  }
  // The text holds one irdl.dialect; the loader wants a module around it.
  MlirModule module = mlirModuleCreateEmpty(mlirLocationUnknownGet(session->context));
  mlirBlockAppendOwnedOperation(mlirModuleGetBody(module), op);
  bool loaded = mlirLogicalResultIsSuccess(mlirLoadIRDLDialects(module));
  mlirModuleDestroy(module);
  if (loaded) return true;
  return hone_fail(status, HONE_INTERNAL, "the hone dialect does not load: %s", session->error);
}

bool ir_session_create(hone_diagnostics_t *diagnostics, ir_session_t **out_session,
                       hone_status_t *status) {
  // MLIR's registry of passes is one per process.
  static pthread_once_t passes_once = PTHREAD_ONCE_INIT;
  pthread_once(&passes_once, mlirRegisterAllPasses);

  hone_arena_t *arena = hone_arena_create();
  ir_session_t *session = HONE_NEW(arena, ir_session_t);
  session->arena = arena;
  session->diagnostics = diagnostics;
  session->context = mlirContextCreateWithThreading(false);
  MlirDialectRegistry registry = mlirDialectRegistryCreate();
  mlirRegisterAllDialects(registry);
  mlirContextAppendDialectRegistry(session->context, registry);
  mlirDialectRegistryDestroy(registry);
  mlirRegisterAllLLVMTranslations(session->context);
  session->handler = mlirContextAttachDiagnosticHandler(session->context, handle, session, NULL);
  for (size_t i = 0; i < sizeof loaded_dialects / sizeof *loaded_dialects; i++) {
    MlirStringRef name = mlirStringRefCreateFromCString(loaded_dialects[i]);
    mlirContextGetOrLoadDialect(session->context, name);
  }
  if (!load_dialect(session, status)) {
    ir_session_destroy(session);
    return false;
  }
  *out_session = session;
  return true;
}

void ir_session_destroy(ir_session_t *session) {
  if (!session) return;
  mlirContextDetachDiagnosticHandler(session->context, session->handler);
  mlirContextDestroy(session->context);
  hone_arena_destroy(session->arena);
}

MlirContext ir_session_context(const ir_session_t *session) { return session->context; }

hone_arena_t *ir_session_arena(const ir_session_t *session) { return session->arena; }

const char *ir_session_error(const ir_session_t *session) { return session->error; }

void ir_session_clear_error(ir_session_t *session) { session->error[0] = '\0'; }

const char *ir_dialect_text(void) { return ir_dialect_bytes; }
