// Tokenizer import: a model folder's tokenizer files to the blob that goes into the artefact
// (base/tokenizer.h).
//
// Which file counts: `tokenizer.json` if the folder has one (it is what the transformers library
// runs), else `tokenizer.model` (sentencepiece), both with `tokenizer_config.json` for BOS and EOS.
// A folder with neither gives an empty blob: the model then takes and prints token ids only. There
// is no silent fall-back from one to the other. Thread rule: no shared state.
#ifndef HONE_FRONTEND_TOKENIZER_H
#define HONE_FRONTEND_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "hone/status.h"

// Appends the blob to *out_blob, which must be empty (so that offsets and alignment count from its
// start). `vocab` is the model's number of token ids. Errors name file, key or byte offset, and
// token: HONE_INVALID for a damaged file, a token twice, an id >= vocab; HONE_UNSUPPORTED for
// tokenizers of another kind (unigram, WordPiece, unknown regex).
HONE_MUST_CHECK bool hone_tokenizer_import(const char *folder, int64_t vocab,
                                           hone_buffer_t *out_blob, hone_status_t *status);

// The same from file contents in memory, without tokenizer_config.json (tests, fuzzing). `name` is
// for messages.
HONE_MUST_CHECK bool hone_tokenizer_import_model(const char *name, const char *data, size_t bytes,
                                                 int64_t vocab, hone_buffer_t *out_blob,
                                                 hone_status_t *status);
HONE_MUST_CHECK bool hone_tokenizer_import_json(const char *name, const char *data, size_t bytes,
                                                int64_t vocab, hone_buffer_t *out_blob,
                                                hone_status_t *status);

#endif
