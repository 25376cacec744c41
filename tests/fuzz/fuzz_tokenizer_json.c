// Any bytes as a tokenizer.json: an error, or a tokenizer that opens, encodes and decodes.
#include <stdlib.h>

#include "frontend/tokenizer.h"
#include "runtime/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void use(const hone_buffer_t *blob) {
  static const char text[] = "ab  <s>\xFF\xE2\x96\x81 12\n\xC3\xA9</s>hello ";
  hone_status_t status = {0};
  hone_tokenizer_t *tokenizer;
  // What the compiler writes, the runtime takes.
  if (!hone_tokenizer_create(blob->data, blob->bytes, &tokenizer, &status)) abort();
  hone_token_ids_t ids = {0};
  hone_token_decoder_t *decoder;
  hone_encode_options_t options = {true, true};
  if (!hone_tokenizer_encode(tokenizer, text, sizeof text - 1, &options, &ids, &status)) abort();
  if (!hone_token_decoder_create(tokenizer, &decoder, &status)) abort();
  for (size_t i = 0; i < ids.count; i++) {
    size_t out;
    hone_token_decoder_add(decoder, ids.items[i], &out);
  }
  hone_token_decoder_destroy(decoder);
  hone_token_ids_deinit(&ids);
  hone_tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  hone_status_t status = {0};
  hone_buffer_t blob = {0};
  if (hone_tokenizer_import_json("fuzz.json", (const char *)data, bytes, 1 << 16, &blob, &status)) {
    use(&blob);
  } else if (status.code == HONE_OK || status.message[0] == '\0') {
    abort();
  }
  hone_buffer_deinit(&blob);
  return 0;
}
