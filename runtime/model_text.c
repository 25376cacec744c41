// The public text calls: a model's tokenizer behind hone/hone.h. The tokenizer itself is
// runtime/tokenizer*.
#include <stdlib.h>
#include <string.h>

#include "runtime/model_internal.h"

struct hone_decoder {
  hone_token_decoder_t *decoder;
};

static bool require_tokenizer(const hone_model_t *model, hone_status_t *status) {
  if (model->tokenizer != NULL) return true;
  return hone_fail(status, HONE_NOT_FOUND,
                   "the model was compiled without a tokenizer; work with token ids (--ids)");
}

bool hone_model_tokenize(const hone_model_t *model, const char *text, size_t bytes,
                         bool add_special, int32_t *ids, size_t limit, size_t *out_count,
                         hone_status_t *status) {
  *out_count = 0;
  if (!require_tokenizer(model, status)) return false;
  hone_token_ids_t list = {0};
  hone_encode_options_t options = {.add_bos = add_special, .parse_special = add_special};
  bool ok = hone_tokenizer_encode(model->tokenizer, text, bytes, &options, &list, status);
  if (ok) {
    *out_count = list.count;
    size_t copied = list.count < limit ? list.count : limit;
    if (copied != 0) memcpy(ids, list.items, copied * sizeof *ids);
  }
  hone_token_ids_deinit(&list);
  return ok;
}

bool hone_decoder_create(const hone_model_t *model, hone_decoder_t **out_decoder,
                         hone_status_t *status) {
  *out_decoder = NULL;
  if (!require_tokenizer(model, status)) return false;
  hone_decoder_t *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for a decoder");
  if (!hone_token_decoder_create(model->tokenizer, &decoder->decoder, status)) {
    free(decoder);
    return false;
  }
  *out_decoder = decoder;
  return true;
}

const char *hone_decoder_add(hone_decoder_t *decoder, int32_t id, size_t *out_bytes) {
  return hone_token_decoder_add(decoder->decoder, id, out_bytes);
}

const char *hone_decoder_flush(hone_decoder_t *decoder, size_t *out_bytes) {
  return hone_token_decoder_flush(decoder->decoder, out_bytes);
}

void hone_decoder_destroy(hone_decoder_t *decoder) {
  if (decoder == NULL) return;
  hone_token_decoder_destroy(decoder->decoder);
  free(decoder);
}
