// The tokenizer of a GGUF file, from the blob that artefacts carry. PIECES become "llama": pieces
// and scores, where llama.cpp joins the neighbours whose joined piece has the highest score; only
// the order of scores counts, so they are minus the ranks of merges. BYTES become "gpt2": tokens in
// the byte-level alphabet and merges as text. What llama.cpp's tokenizers do not do is refused
// where it changes every text (an unknown cut into words, a space in front of byte-level text), and
// left out where it concerns rare input: normalization rules, and the joining of several spaces.
#include <stdlib.h>
#include <string.h>

#include "base/tokenizer.h"
#include "codegen/export/gguf_internal.h"

typedef enum token_type {  // enum llama_token_type
  TOKEN_NORMAL = 1,
  TOKEN_UNKNOWN,
  TOKEN_CONTROL,
  TOKEN_USER_DEFINED,
  TOKEN_UNUSED,
  TOKEN_BYTE,
} token_type_t;

typedef struct view {  // the blob's sections
  const hone_export_t *export;
  const hone_tokenizer_blob_t *blob;
  const uint32_t *offsets;
  const char *text;
  const uint8_t *types;
  const hone_merge_t *merges;
  bool *is_added;  // by id: a user's token, spelled as text
  hone_gguf_metadata_t *data;
} view_t;

static const void *section(const hone_tokenizer_blob_t *blob, hone_tokenizer_section_t section) {
  return (const char *)blob + section.offset;
}

static hone_slice_t token_text(const view_t *view, uint32_t id) {
  uint32_t begin = view->offsets[id];
  return (hone_slice_t){view->text + begin, view->offsets[id + 1] - begin};
}

static void mark_added(view_t *view) {
  const hone_tokenizer_blob_t *blob = view->blob;
  const hone_tokenizer_section_t lists[] = {blob->added_raw, blob->added_normalized,
                                            blob->added_frozen};
  view->is_added = HONE_NEW_ARRAY(view->export->arena, bool, blob->token_count);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    const hone_added_token_t *added = section(blob, lists[i]);
    for (uint64_t k = 0; k < lists[i].count; k++)
      if (added[k].id < blob->token_count) view->is_added[added[k].id] = true;
  }
}

static token_type_t type_of(const view_t *view, int64_t id) {
  if (id >= view->blob->token_count || view->types[id] == HONE_TOKEN_NONE) return TOKEN_UNUSED;
  if (id == view->blob->unknown) return TOKEN_UNKNOWN;
  if (view->types[id] == HONE_TOKEN_SPECIAL) return TOKEN_CONTROL;
  if (view->types[id] == HONE_TOKEN_BYTE) return TOKEN_BYTE;
  return view->is_added[id] ? TOKEN_USER_DEFINED : TOKEN_NORMAL;
}

// The character of a byte in the byte-level alphabet: itself where it is printable Latin-1, else
// U+0100 and up, in order.
static uint32_t alphabet_code(uint8_t byte) {
  uint32_t moved = 0x100;
  for (unsigned b = 0; b <= byte; b++) {
    bool stays = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    if (b == byte) return stays ? b : moved;
    if (!stays) moved++;
  }
  return 0;
}

static void add_alphabet(hone_buffer_t *out, hone_slice_t bytes) {
  char text[4];
  for (size_t i = 0; i < bytes.bytes; i++)
    hone_buffer_add(out, text, hone_utf8_encode(alphabet_code((uint8_t)bytes.data[i]), text));
}

// User-defined pieces are looked for in the text as given, where a space is a space.
static void add_spaces(hone_buffer_t *out, hone_slice_t text) {
  for (size_t i = 0; i < text.bytes;) {
    bool mark = text.bytes - i >= 3 && !memcmp(text.data + i, "\xE2\x96\x81", 3);
    hone_buffer_add(out, mark ? " " : text.data + i, 1);
    i += mark ? 3 : 1;
  }
}

static void add_token(const view_t *view, int64_t id, hone_buffer_t *out) {
  token_type_t type = type_of(view, id);
  if (type == TOKEN_UNUSED) {
    hone_buffer_format(out, "[PAD%lld]", (long long)id);
    return;
  }
  hone_slice_t text = token_text(view, (uint32_t)id);
  bool is_bytes = view->blob->kind == HONE_TOKENIZER_BYTES;
  if (view->types[id] == HONE_TOKEN_RAW) {
    hone_buffer_text(out, "<unk>");  // the blob has what it prints, which is another text
  } else if (type == TOKEN_BYTE) {
    hone_buffer_format(out, "<0x%02X>", (unsigned)(uint8_t)text.data[0]);
  } else if (is_bytes && type == TOKEN_NORMAL) {
    add_alphabet(out, text);
  } else if (!is_bytes && type == TOKEN_USER_DEFINED) {
    add_spaces(out, text);
  } else {
    hone_buffer_add(out, text.data, text.bytes);
  }
}

static void write_tokens(const view_t *view) {
  hone_gguf_metadata_t *data = view->data;
  int64_t vocab = view->export->config.vocab;
  hone_buffer_t token = {0};
  hone_gguf_array(data, "tokenizer.ggml.tokens", HONE_GGUF_STRING, (uint64_t)vocab);
  for (int64_t id = 0; id < vocab; id++) {
    token.bytes = 0;
    add_token(view, id, &token);
    hone_gguf_put_string(&data->out, (hone_slice_t){token.data, token.bytes});
  }
  hone_buffer_deinit(&token);
  hone_gguf_array(data, "tokenizer.ggml.token_type", HONE_GGUF_I32, (uint64_t)vocab);
  for (int64_t id = 0; id < vocab; id++) hone_gguf_put_u32(&data->out, type_of(view, id));
}

// Pieces that no merge makes come last, whatever they are.
static void write_scores(const view_t *view) {
  int64_t vocab = view->export->config.vocab;
  uint32_t *ranks = HONE_NEW_ARRAY(view->export->arena, uint32_t, (size_t)vocab), worst = 0;
  memset(ranks, 0xFF, (size_t)vocab * sizeof *ranks);
  for (uint64_t i = 0; i < view->blob->merges.count; i++) {
    const hone_merge_t *merge = &view->merges[i];
    if (merge->left == HONE_TOKENIZER_EMPTY || merge->id >= vocab) continue;
    if (merge->rank < ranks[merge->id]) ranks[merge->id] = merge->rank;
    if (merge->rank >= worst) worst = merge->rank + 1;
  }
  hone_gguf_array(view->data, "tokenizer.ggml.scores", HONE_GGUF_F32, (uint64_t)vocab);
  for (int64_t id = 0; id < vocab; id++) {
    uint32_t rank = ranks[id] == UINT32_MAX ? worst : ranks[id];
    bool is_piece = type_of(view, id) == TOKEN_NORMAL;
    hone_gguf_put_f32(&view->data->out, is_piece ? -(float)rank : 0.0f);
  }
}

static int compare_ranks(const void *a, const void *b) {
  uint32_t left = ((const hone_merge_t *)a)->rank, right = ((const hone_merge_t *)b)->rank;
  return left < right ? -1 : left > right;
}

static void write_merges(const view_t *view) {
  size_t count = 0;
  hone_merge_t *merges =
      HONE_NEW_ARRAY(view->export->arena, hone_merge_t, view->blob->merges.count);
  for (uint64_t i = 0; i < view->blob->merges.count; i++)
    if (view->merges[i].left != HONE_TOKENIZER_EMPTY) merges[count++] = view->merges[i];
  if (count) qsort(merges, count, sizeof *merges, compare_ranks);
  hone_buffer_t text = {0};
  hone_gguf_array(view->data, "tokenizer.ggml.merges", HONE_GGUF_STRING, count);
  for (size_t i = 0; i < count; i++) {
    text.bytes = 0;
    add_alphabet(&text, token_text(view, merges[i].left));
    hone_buffer_text(&text, " ");
    add_alphabet(&text, token_text(view, merges[i].right));
    hone_gguf_put_string(&view->data->out, (hone_slice_t){text.data, text.bytes});
  }
  hone_buffer_deinit(&text);
}

// llama.cpp's name for how byte-level text is cut; "llama-bpe" takes words that are tokens whole.
static const char *split_name(const hone_tokenizer_blob_t *blob) {
  switch (blob->split) {
    case HONE_SPLIT_GPT2: return "gpt-2";
    case HONE_SPLIT_LLAMA3:
      return blob->flags & HONE_TOKENIZER_IGNORE_MERGES ? "llama-bpe" : "dbrx";
    case HONE_SPLIT_QWEN2: return "qwen2";
    default: return NULL;
  }
}

// EOS of the tokenizer if the model ends at it, else the model's; EOT is another one it ends at.
static void write_specials(const view_t *view) {
  const ir_config_t *config = &view->export->config;
  const hone_tokenizer_blob_t *blob = view->blob;
  int64_t bos = blob->bos >= 0 ? blob->bos : config->bos, eos = -1, eot = -1;
  for (size_t i = 0; i < config->eos_count; i++)
    if (config->eos[i] == blob->eos) eos = blob->eos;
  if (eos < 0) eos = config->eos_count ? config->eos[0] : blob->eos;
  for (size_t i = config->eos_count; i-- > 0;)
    if (config->eos[i] != eos) eot = config->eos[i];
  const struct {
    const char *key;
    int64_t id;
  } ids[] = {{"tokenizer.ggml.bos_token_id", bos},
             {"tokenizer.ggml.eos_token_id", eos},
             {"tokenizer.ggml.eot_token_id", eot},
             {"tokenizer.ggml.unknown_token_id", blob->unknown}};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (ids[i].id >= 0) hone_gguf_u32(view->data, ids[i].key, (uint32_t)ids[i].id);
  hone_gguf_bool(view->data, "tokenizer.ggml.add_bos_token",
                 config->add_bos && (blob->flags & HONE_TOKENIZER_ADD_BOS) != 0);
  hone_gguf_bool(view->data, "tokenizer.ggml.add_eos_token", false);
  hone_gguf_bool(view->data, "tokenizer.ggml.add_space_prefix",
                 (blob->flags & HONE_TOKENIZER_ADD_PREFIX) != 0);
}

bool hone_gguf_tokenizer_write(const hone_export_t *export, hone_gguf_metadata_t *data,
                               hone_status_t *status) {
  const hone_tokenizer_blob_t *blob = (const void *)export->compile->tokenizer.data;
  if (!export->compile->tokenizer.bytes) {
    hone_gguf_string(data, "tokenizer.ggml.model", "none");
    return true;
  }
  view_t view = {.export = export,
                 .blob = blob,
                 .offsets = section(blob, blob->token_offsets),
                 .text = section(blob, blob->token_text),
                 .types = section(blob, blob->token_types),
                 .merges = section(blob, blob->merges),
                 .data = data};
  bool is_bytes = blob->kind == HONE_TOKENIZER_BYTES;
  const char *lack = NULL;
  if (is_bytes && !split_name(blob)) lack = "byte-level tokens without cutting text into words";
  if (is_bytes && (blob->flags & HONE_TOKENIZER_ADD_PREFIX))
    lack = "byte-level tokens with a space put in front";
  if (!is_bytes && !(blob->flags & HONE_TOKENIZER_BYTE_FALLBACK))
    lack = "pieces without byte tokens";  // it stops at the first unknown character
  if (lack) return hone_fail(status, HONE_UNSUPPORTED, "tokenizer: llama.cpp has none of %s", lack);
  mark_added(&view);
  hone_gguf_string(data, "tokenizer.ggml.model", is_bytes ? "gpt2" : "llama");
  hone_gguf_string(data, "tokenizer.ggml.pre", is_bytes ? split_name(blob) : "default");
  write_tokens(&view);
  if (is_bytes) {
    write_merges(&view);
  } else {
    write_scores(&view);
  }
  write_specials(&view);
  return true;
}
