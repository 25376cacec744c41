// Textual models as input: what an import prints is an input that gives the same model; files that
// don't match their checkpoint are refused.
#include "tests/unit/frontend/fixture.h"

#include "frontend/import.h"

static bool import(fixture_t *f, ir_session_t *session, const char *path, hone_buffer_t *out_text) {
  ir_model_t model;
  hone_checkpoint_t *checkpoint;
  if (!hone_import(session, path, &model, &checkpoint, &f->status)) return false;
  if (out_text) ir_model_print(&model, out_text);
  ir_model_destroy(&model);
  hone_checkpoint_close(checkpoint);
  return true;
}

static void test_round_trip(void **state) {
  fixture_t *f = *state;
  static const char *const names[] = {"llama-bias", "llama-rope-llama3", "llama-sharded",
                                      "mistral-window"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    ir_session_t *session;
    hone_buffer_t first = {0}, second = {0};
    assert_ok(f, ir_session_create(NULL, &session, &f->status));
    assert_ok(f, import(f, session, checkpoint_folder(f, names[i]), &first));
    fixture_text(f, "model.mlir", hone_buffer_cstr(&first));
    assert_ok(f, import(f, session, fixture_path(f, "model.mlir"), &second));
    assert_string_equal(hone_buffer_cstr(&first), hone_buffer_cstr(&second));
    hone_buffer_deinit(&first);
    hone_buffer_deinit(&second);
    ir_session_destroy(session);
  }
}

static void test_refusals(void **state) {
  fixture_t *f = *state;
  ir_session_t *session;
  hone_buffer_t text = {0};
  assert_ok(f, ir_session_create(NULL, &session, &f->status));
  copy_checkpoint(f, "llama-sharded", "weights");
  assert_ok(f, import(f, session, fixture_path(f, "weights"), &text));
  // Relative to the file.
  fixture_text(f, "model.mlir", hone_buffer_cstr(&text));
  char *real = realpath(fixture_path(f, "weights"), NULL);
  edit_file(f, "model.mlir", real, "weights");
  const char *path = fixture_path(f, "model.mlir");
  assert_ok(f, import(f, session, path, NULL));
  static const struct {
    const char *old, *new;
    hone_code_t code;
    const char *message;
  } rows[] = {
      {"\"weights\"", "\"elsewhere\"", HONE_NOT_FOUND,
       "model.mlir: hone.model: checkpoint = \"elsewhere\": there is no folder"},
      {"\"model.layers.0.mlp.up_proj.weight\"", "\"model.layers.0.mlp.UP.weight\"", HONE_NOT_FOUND,
       "recipe @layers.0.ffn.up: "},
      {"\"model.layers.0.mlp.up_proj.weight\"", "\"model.layers.0.mlp.down_proj.weight\"",
       HONE_INVALID,
       "recipe @layers.0.ffn.up has 112 rows and 64 columns, but its sources give 64 rows and 112 "
       "columns"},
      {"module", "modul", HONE_INVALID, "model.mlir:1:1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture_text(f, "model.mlir", hone_buffer_cstr(&text));
    edit_file(f, "model.mlir", real, "weights");
    edit_file(f, "model.mlir", rows[i].old, rows[i].new);
    assert_refuses(f, import(f, session, path, NULL), rows[i].code, rows[i].message);
  }
  assert_refuses(f, import(f, session, fixture_path(f, "absent.mlir"), NULL), HONE_NOT_FOUND,
                 "absent.mlir");
  free(real);
  hone_buffer_deinit(&text);
  ir_session_destroy(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_round_trip, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
