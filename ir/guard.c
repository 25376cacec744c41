// Parsing of textual models, behind a guard. MLIR's parser is recursive and has no depth limit, so
// text that nests brackets (or affine expressions, which nest without brackets) a million times
// overflows the stack. The guard reads the text once, as a lexer does, and refuses what no model
// needs.
#include <mlir-c/BuiltinAttributes.h>
#include <string.h>

#include "ir/attribute_internal.h"

enum {
  TEXT_LIMIT_BYTES = 256 << 20,
  NESTING_LIMIT = 64,  // a model needs 6: module, function, op, attribute, array, type
};

typedef struct scanner {
  const char *text;
  size_t bytes, at;
  int line;
  int depth[4];  // of ( [ { <
} scanner_t;

static char peek(const scanner_t *scanner, size_t ahead) {
  size_t at = scanner->at + ahead;
  return at < scanner->bytes ? scanner->text[at] : '\0';
}

// At a quote: skips the string. Strings end at the line's end in MLIR, so an open one is MLIR's
// error.
static void skip_string(scanner_t *scanner) {
  for (scanner->at++; scanner->at < scanner->bytes; scanner->at++) {
    char c = scanner->text[scanner->at];
    if (c == '"' || c == '\n') return;
    if (c == '\\' && peek(scanner, 1) != '\n') scanner->at++;
  }
}

static void skip_comment(scanner_t *scanner) {
  const char *end = memchr(scanner->text + scanner->at, '\n', scanner->bytes - scanner->at);
  scanner->at = end ? (size_t)(end - scanner->text) : scanner->bytes;
}

// Counts one character; false when it nests too deep.
static bool count_bracket(scanner_t *scanner) {
  static const char open[] = "([{<", close[] = ")]}>";
  char c = peek(scanner, 0);
  const char *opens = memchr(open, c, 4), *closes = memchr(close, c, 4);
  if (opens) return ++scanner->depth[opens - open] <= NESTING_LIMIT;
  if (!closes) return true;
  bool arrow = c == '>' && scanner->at > 0 && scanner->text[scanner->at - 1] == '-';
  bool relation = c == '>' && peek(scanner, 1) == '=';
  int *depth = &scanner->depth[closes - close];
  if (*depth > 0 && !arrow && !relation) --*depth;
  return true;
}

static bool refuse(const scanner_t *scanner, const char *name, const char *what,
                   hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "%s:%d: %s", name, scanner->line, what);
}

static bool guard(const char *text, const char *name, hone_status_t *status) {
  static const char affine[] = "affine_";
  scanner_t scanner = {.text = text, .bytes = strlen(text), .line = 1};
  if (scanner.bytes > TEXT_LIMIT_BYTES) {
    return refuse(&scanner, name, "textual models may have 256 MB at most", status);
  }
  for (; scanner.at < scanner.bytes; scanner.at++) {
    char c = text[scanner.at];
    if (c == '"') skip_string(&scanner);
    if (c == '/' && peek(&scanner, 1) == '/') skip_comment(&scanner);
    if (peek(&scanner, 0) == '\n') scanner.line++;
    if (c == '"' || c == '/') continue;
    if (c == 'a' && strncmp(text + scanner.at, affine, sizeof affine - 1) == 0) {
      return refuse(&scanner, name, "affine maps and sets are not part of hone IR", status);
    }
    if (!count_bracket(&scanner)) {
      return refuse(&scanner, name, "brackets nest more than 64 deep", status);
    }
  }
  return true;
}

bool ir_model_parse(ir_session_t *session, const char *text, const char *name,
                    ir_model_t *out_model, hone_status_t *status) {
  if (!guard(text, name, status)) return false;
  ir_session_clear_error(session);
  MlirContext context = ir_session_context(session);
  MlirOperation op = mlirOperationCreateParse(context, ir_ref(text), ir_ref(name));
  if (mlirOperationIsNull(op)) {
    const char *error = ir_session_error(session);
    // Custom syntax of IRDL ops fails without a diagnostic.
    if (!*error)
      return hone_fail(status, HONE_INVALID,
                       "%s: not valid IR (write hone ops in generic form, \"hone.add\"(...))",
                       name);
    return hone_fail(status, HONE_INVALID, "%s", error);
  }
  if (!ir_op_is(op, "builtin.module")) {
    mlirOperationDestroy(op);
    return hone_fail(status, HONE_INVALID, "%s: a model is one module {...}", name);
  }
  *out_model = (ir_model_t){session, mlirModuleFromOperation(op)};
  return true;
}
