// The registry of passes, and pipelines as text: own passes by name, others handed to MLIR's pass
// manager.
#include "passes/pass_internal.h"

#include <mlir-c/Pass.h>
#include <string.h>

#include "base/map.h"

static const hone_pass_t passes[] = {
#define PASS(name, function, options, summary) {name, summary, options, function},
#include "passes/passes.def"
#undef PASS
};

size_t hone_pass_count(void) { return sizeof passes / sizeof *passes; }

const hone_pass_t *hone_pass_at(size_t index) { return &passes[index]; }

static const hone_pass_t *find_pass(const char *name) {
  for (size_t i = 0; i < hone_pass_count(); i++)
    if (!strcmp(passes[i].name, name)) return &passes[i];
  return NULL;
}

const char *hone_pass_option(const ir_model_t *model, const char *options, const char *name) {
  hone_slice_t rest = hone_slice(options);
  size_t length = strlen(name);
  while (rest.data) {
    hone_slice_t item = hone_slice_trim(hone_slice_cut(&rest, ' '));
    if (item.bytes > length && item.data[length] == '=' && !memcmp(item.data, name, length)) {
      return hone_arena_strndup(ir_session_arena(model->session), item.data + length + 1,
                                item.bytes - length - 1);
    }
  }
  return NULL;
}

// The names in a pass's "weights=FMT head=FMT".
enum { OPTION_LIMIT = 8 };
static size_t option_names(hone_arena_t *arena, const hone_pass_t *pass,
                           const char *out_names[OPTION_LIMIT]) {
  hone_slice_t rest = hone_slice(pass->options);
  size_t count = 0;
  while (rest.data && count < OPTION_LIMIT) {
    hone_slice_t item = hone_slice_cut(&rest, ' ');
    hone_slice_t name = hone_slice_cut(&item, '=');
    if (name.bytes) out_names[count++] = hone_arena_strndup(arena, name.data, name.bytes);
  }
  return count;
}

static bool unknown_option(hone_arena_t *arena, const hone_pass_t *pass, const char *name,
                           hone_status_t *status) {
  const char *names[OPTION_LIMIT];
  size_t count = option_names(arena, pass, names);
  if (!count)
    return hone_fail(status, HONE_INVALID, "pass %s takes no options, not '%s'", pass->name, name);
  const char *closest = hone_text_closest(name, names, count);
  if (closest)
    return hone_fail(status, HONE_INVALID, "pass %s has no option '%s'; did you mean '%s'?",
                     pass->name, name, closest);
  return hone_fail(status, HONE_INVALID, "pass %s has no option '%s'; it takes %s", pass->name,
                   name, pass->options);
}

// Every option of `text` is one the pass knows, has a value, and is given once.
static bool check_options(const ir_model_t *model, const hone_pass_t *pass, const char *text,
                          hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(model->session);
  hone_map_t *given = hone_map_create(arena);
  hone_slice_t rest = hone_slice(text);
  while (rest.data) {
    hone_slice_t value = hone_slice_trim(hone_slice_cut(&rest, ' '));
    if (!value.bytes) continue;
    hone_slice_t key = hone_slice_cut(&value, '=');
    const char *name = hone_arena_strndup(arena, key.data, key.bytes);
    if (!hone_pass_option(model, pass->options, name))
      return unknown_option(arena, pass, name, status);
    if (!value.data || !value.bytes)
      return hone_fail(status, HONE_INVALID, "pass %s: option '%s' needs a value: %s=...",
                       pass->name, name, name);
    if (!hone_map_insert(given, key.data, key.bytes, given))
      return hone_fail(status, HONE_INVALID, "pass %s: option '%s' is given twice", pass->name,
                       name);
  }
  return true;
}

static void add_text(MlirStringRef text, void *buffer) {
  hone_buffer_add(buffer, text.data, text.length);
}

// `message` is what MLIR says of a pipeline item that it could not add.
static bool refuse_upstream(const char *item, const char *message, hone_status_t *status) {
  if (!strcmp(item, "select-dataflow"))
    return hone_fail(status, HONE_INVALID,
                     "select-dataflow needs a target: it is the phase dataflow of hone compile "
                     "(--to dataflow --dump dataflow:DIR shows what it does)");
  if (!strstr(message, "does not refer to a registered pass"))
    return hone_fail(status, HONE_INVALID, "MLIR pass '%s': %.400s", item, message);
  const char *names[sizeof passes / sizeof *passes];
  for (size_t i = 0; i < hone_pass_count(); i++) names[i] = passes[i].name;
  const char *closest = hone_text_closest(item, names, hone_pass_count());
  if (closest)
    return hone_fail(status, HONE_INVALID, "unknown pass '%s'; did you mean '%s'?", item, closest);
  return hone_fail(status, HONE_INVALID, "unknown pass '%s'; see 'hone list passes'", item);
}

// One of MLIR's own passes, e.g. "symbol-dce" or "cse".
static bool run_upstream(ir_model_t *model, const char *item, hone_status_t *status) {
  MlirContext context = ir_session_context(model->session);
  MlirPassManager manager =
      mlirPassManagerCreateOnOperation(context, mlirStringRefCreateFromCString("builtin.module"));
  hone_buffer_t message = {0};
  bool ok = mlirLogicalResultIsSuccess(
      mlirOpPassManagerAddPipeline(mlirPassManagerGetAsOpPassManager(manager),
                                   mlirStringRefCreateFromCString(item), add_text, &message));
  for (size_t i = 0; i < message.bytes; i++)
    if (message.data[i] == '\n') message.data[i] = ' ';
  if (!ok) refuse_upstream(item, hone_buffer_cstr(&message), status);
  ir_session_clear_error(model->session);
  if (ok && mlirLogicalResultIsFailure(
                mlirPassManagerRunOnOp(manager, mlirModuleGetOperation(model->module)))) {
    ok = hone_fail(status, HONE_INVALID, "pass %s failed: %.400s", item,
                   ir_session_error(model->session));
  }
  hone_buffer_deinit(&message);
  mlirPassManagerDestroy(manager);
  return ok;
}

// `item` is "name" or "name{options}".
static bool run_item(ir_model_t *model, hone_slice_t item, hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(model->session);
  hone_slice_t rest = item;
  hone_slice_t head = hone_slice_trim(hone_slice_cut(&rest, '{'));
  const char *name = hone_arena_strndup(arena, head.data, head.bytes);
  const hone_pass_t *pass = find_pass(name);
  if (!pass) {
    const char *text = hone_arena_strndup(arena, item.data, item.bytes);
    if (!run_upstream(model, text, status)) return false;
    return ir_model_verify(model, status) || hone_note(status, "after pass %s", text);
  }
  const char *options = "";
  if (rest.data) {
    rest = hone_slice_trim(rest);
    if (!rest.bytes || rest.data[rest.bytes - 1] != '}')
      return hone_fail(status, HONE_INVALID, "pass %s: '{' without '}'", name);
    options = hone_arena_strndup(arena, rest.data, rest.bytes - 1);
  }
  if (!check_options(model, pass, options, status)) return false;
  if (!pass->run(model, options, status)) return hone_note(status, "pass %s", name);
  if (!ir_model_verify(model, status)) return hone_note(status, "after pass %s", name);
  return true;
}

bool hone_passes_run(ir_model_t *model, const char *pipeline, hone_status_t *status) {
  size_t start = 0, depth = 0, length = strlen(pipeline);
  for (size_t i = 0; i <= length; i++) {
    char c = pipeline[i];
    if (c == '{' || c == '(') depth++;
    if ((c == '}' || c == ')') && depth > 0) depth--;
    if (c != '\0' && (c != ',' || depth > 0)) continue;
    hone_slice_t item = hone_slice_trim((hone_slice_t){pipeline + start, i - start});
    start = i + 1;
    if (!item.bytes && length == 0) return true;
    if (!item.bytes) return hone_fail(status, HONE_INVALID, "empty pass name in '%s'", pipeline);
    if (!run_item(model, item, status)) return false;
  }
  return true;
}
