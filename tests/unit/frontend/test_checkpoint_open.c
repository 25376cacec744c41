// Opening of checkpoints: what a folder must hold, indexes that lie, and what is refused with a
// hint.
#include "tests/unit/frontend/fixture.h"

#include "frontend/checkpoint.h"

#define TENSOR(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"

static bool try_open(fixture_t *f, const char *folder) {
  hone_checkpoint_t *checkpoint;
  if (!hone_checkpoint_open(folder, &checkpoint, &f->status)) return false;
  hone_checkpoint_close(checkpoint);
  return true;
}

static void test_refused(void **state) {
  fixture_t *f = *state;
  assert_refuses(f, try_open(f, fixture_path(f, "absent")), HONE_NOT_FOUND,
                 "absent' does not exist");
  assert_refuses(f, try_open(f, f->folder), HONE_NOT_FOUND,
                 "holds no weights: neither model.safetensors nor");
  fixture_text(f, "pytorch_model.bin", "PK");
  assert_refuses(f, try_open(f, f->folder), HONE_UNSUPPORTED, "pytorch_model.bin' is a pickle");
  assert_refuses(f, try_open(f, fixture_path(f, "pytorch_model.bin")), HONE_UNSUPPORTED,
                 "save_pretrained");
  fixture_text(f, "model.gguf", "GGUF\3");
  assert_refuses(f, try_open(f, f->folder), HONE_UNSUPPORTED, "model.gguf' is a GGUF file");
  assert_refuses(f, try_open(f, fixture_path(f, "model.gguf")), HONE_UNSUPPORTED,
                 "cannot import yet");
  fixture_text(f, "renamed", "GGUF\3");
  assert_refuses(f, try_open(f, fixture_path(f, "renamed")), HONE_UNSUPPORTED, "is a GGUF file");
  fixture_text(f, "note.txt", "hello");
  assert_refuses(f, try_open(f, fixture_path(f, "note.txt")), HONE_INVALID, "is not a folder");
  fixture_text(f, "weights.safetensors", "hello");
  assert_refuses(f, try_open(f, f->folder), HONE_NOT_FOUND, "has weights.safetensors, but neither");
  assert_refuses(f, try_open(f, fixture_path(f, "weights.safetensors")), HONE_INVALID,
                 "holds weights only");
  fixture_text(f, "model.safetensors", "");
  assert_refuses(f, try_open(f, f->folder), HONE_INVALID, "model.safetensors' is empty");
  fixture_safetensors(f, "model.safetensors", "{}", NULL, 0);
  assert_refuses(f, try_open(f, f->folder), HONE_INVALID, "holds no tensors");
  fixture_text(f, "model.safetensors", "hello, this is not it");
  assert_refuses(f, try_open(f, f->folder), HONE_INVALID,
                 "model.safetensors: byte 0: header length");
  fixture_safetensors(f, "model.safetensors", TENSOR("a"), NULL, 4);
  assert_true(try_open(f, f->folder));
}

#define INDEX(map) "{\"metadata\":{\"total_size\":8},\"weight_map\":" map "}"

static const struct {
  const char *index;
  hone_code_t code;
  const char *message;
} bad_indexes[] = {
    {"{", HONE_INVALID, "model.safetensors.index.json: line 1"},
    {"[]", HONE_INVALID, "expected an object"},
    {"{\"\033[2J", HONE_INVALID, "control character 0x1b"},
    {INDEX("{\"\\u001b[2J\":\"1.safetensors\"}"), HONE_INVALID, "control character in a name"},
    {INDEX("{\"a\":\"\\u009b2J.safetensors\"}"), HONE_INVALID, "control character in a name"},
    {"{}", HONE_INVALID, "key 'weight_map': expected an object"},
    {INDEX("[]"), HONE_INVALID, "key 'weight_map': expected an object"},
    {INDEX("{}"), HONE_INVALID, "holds no tensors"},
    {INDEX("{\"a\":1}"), HONE_INVALID, "weight_map: tensor 'a': expected a file name"},
    {INDEX("{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}"), HONE_INVALID, "duplicate"},
    {INDEX("{\"a\":\"../1.safetensors\"}"), HONE_INVALID,
     "'../1.safetensors' is not the plain name"},
    {INDEX("{\"a\":\"/etc/passwd\"}"), HONE_INVALID, "'/etc/passwd' is not the plain name"},
    {INDEX("{\"a\":\"sub/1.safetensors\"}"), HONE_INVALID, "is not the plain name"},
    {INDEX("{\"a\":\"\"}"), HONE_INVALID, "is not the plain name"},
    {INDEX("{\"a\":\"..\"}"), HONE_INVALID, "is not the plain name"},
    {INDEX("{\"a\":\"config.json\"}"), HONE_INVALID, "is not the plain name"},
    {INDEX("{\"a\":\"1.safetensors\\u0000\"}"), HONE_INVALID, "line 1"},
    {INDEX("{\"a\":\"1.safetensors\",\"b\":\"9.safetensors\"}"), HONE_NOT_FOUND,
     "shard '9.safetensors' is missing (2 shards are listed)"},
    {INDEX("{\"a\":\"1.safetensors\",\"c\":\"1.safetensors\"}"), HONE_INVALID,
     "weight_map: tensor 'c' is not in '1.safetensors'"},
    {INDEX("{\"a\":\"2.safetensors\",\"b\":\"2.safetensors\",\"x\":\"1.safetensors\"}"),
     HONE_INVALID, "tensor 'a' is in '1.safetensors', not in '2.safetensors'"},
    {INDEX("{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"d\":\"3.safetensors\"}"),
     HONE_INVALID, "3.safetensors: byte 9: tensor 'b' is in 2.safetensors too"},
    {INDEX("{\"a\":\"1.safetensors\",\"b\":\"4.safetensors\"}"), HONE_INVALID,
     "4.safetensors: byte 0"},
};

static void test_indexes(void **state) {
  fixture_t *f = *state;
  fixture_safetensors(f, "1.safetensors", TENSOR("a"), NULL, 4);
  fixture_safetensors(f, "2.safetensors", TENSOR("b"), NULL, 4);
  fixture_safetensors(f, "3.safetensors", TENSOR("b"), NULL, 4);
  fixture_text(f, "4.safetensors", "not one");
  for (size_t i = 0; i < sizeof bad_indexes / sizeof *bad_indexes; i++) {
    fixture_text(f, "model.safetensors.index.json", bad_indexes[i].index);
    hone_checkpoint_t *opened;
    assert_false(hone_checkpoint_open(f->folder, &opened, &f->status));
    assert_null(strchr(f->status.message, '\033'));
    f->status = (hone_status_t){0};
    assert_refuses(f, try_open(f, f->folder), bad_indexes[i].code, bad_indexes[i].message);
  }
  fixture_text(f, "model.safetensors.index.json",
               INDEX("{\"b\":\"2.safetensors\",\"a\":\"1.safetensors\"}"));
  hone_checkpoint_t *checkpoint;
  hone_checkpoint_tensor_t tensor;
  assert_ok(f, hone_checkpoint_open(f->folder, &checkpoint, &f->status));
  assert_string_equal(hone_checkpoint_folder(checkpoint), f->folder);
  assert_int_equal(hone_checkpoint_count(checkpoint), 2);
  hone_checkpoint_at(checkpoint, 1, &tensor);
  assert_string_equal(tensor.file, "2.safetensors");
  hone_checkpoint_close(checkpoint);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_refused, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_indexes, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
