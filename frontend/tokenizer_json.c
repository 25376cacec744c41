// Hugging Face `tokenizer.json` to a draft: vocabulary, merges and added tokens of its BPE models.
// What is done to a text before and after that is in tokenizer_rules.c.
//
// Two kinds of BPE come in this format. Byte-level (GPT-2, llama-3) spells tokens in an alphabet of
// 256 characters that stand for bytes. The others (llama-2, mistral) spell them as text, with byte
// tokens for what is not in the vocabulary; they run on the same engine as sentencepiece models,
// with the file's merges and their order instead of scores, so ids are the same as with the
// reference.
#include <string.h>

#include "frontend/tokenizer_internal.h"

// ---- the byte-level alphabet

// The character that stands for a byte: itself where it is printable Latin-1, else U+0100 and up.
static uint32_t alphabet_code(int byte) {
  uint32_t moved = 0x100;
  for (int b = 0; b < 256; b++) {
    bool stays = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    if (b == byte) return stays ? (uint32_t)b : moved;
    if (!stays) moved++;
  }
  return 0;
}

typedef struct alphabet {
  int16_t byte_of[0x144];  // -1: not in the alphabet
} alphabet_t;

static void alphabet_init(alphabet_t *alphabet) {
  for (size_t i = 0; i < 0x144; i++) alphabet->byte_of[i] = -1;
  for (int byte = 0; byte < 256; byte++) alphabet->byte_of[alphabet_code(byte)] = (int16_t)byte;
}

// The bytes a byte-level token stands for; false if a character is not of the alphabet.
static bool alphabet_decode(const alphabet_t *alphabet, hone_arena_t *arena, hone_slice_t name,
                            hone_slice_t *out_bytes) {
  char *bytes = hone_arena_alloc(arena, name.bytes);
  size_t count = 0;
  for (size_t at = 0; at < name.bytes;) {
    uint32_t code;
    size_t length = hone_utf8_decode(name.data + at, name.bytes - at, &code);
    if (length == 0 || code >= 0x144 || alphabet->byte_of[code] < 0) return false;
    bytes[count++] = (char)alphabet->byte_of[code];
    at += length;
  }
  *out_bytes = (hone_slice_t){bytes, count};
  return true;
}

// ---- vocabulary

static bool is_character(hone_slice_t text) {
  uint32_t code;
  return text.bytes > 0 && hone_utf8_decode(text.data, text.bytes, &code) == text.bytes;
}

static bool add_vocabulary(hone_tokenizer_draft_t *draft, const json_t *model,
                           hone_status_t *status) {
  const json_t *vocab = json_object_get(model, "vocab");
  if (!json_is_object(vocab)) {
    return hone_fail(status, HONE_INVALID, "%s: model.vocab is not an object", draft->name);
  }
  alphabet_t alphabet;
  alphabet_init(&alphabet);
  bool whole_words = (draft->flags & HONE_TOKENIZER_IGNORE_MERGES) != 0;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)vocab, key, value) {
    hone_slice_t name = hone_slice(key);
    if (!json_is_integer(value)) {
      return hone_fail(status, HONE_INVALID,
                       "%s: model.vocab: the id of token %s is not an integer", draft->name,
                       hone_draft_quote(draft, name));
    }
    hone_draft_token_t token = {name, HONE_TOKEN_TEXT, whole_words || is_character(name)};
    token.text.data = hone_arena_strndup(draft->arena, name.data, name.bytes);
    if (draft->kind == HONE_TOKENIZER_BYTES) {
      token.is_lookup = alphabet_decode(&alphabet, draft->arena, name, &token.text) && whole_words;
    }
    if (!hone_draft_token_add(draft, json_integer_value(value), name, token, status)) return false;
  }
  for (int byte = 0; byte < 256; byte++) {
    char text[8];
    hone_slice_t name = {text, hone_utf8_encode(alphabet_code(byte), text)};
    if (draft->kind == HONE_TOKENIZER_BYTES) draft->byte_ids[byte] = hone_draft_find(draft, name);
  }
  return true;
}

// Byte tokens: all 256 must be there, or the reference would mix bytes and unknown tokens.
static bool add_byte_fallback(hone_tokenizer_draft_t *draft, hone_status_t *status) {
  for (int byte = 0; byte < 256; byte++) {
    hone_buffer_t name = {0};
    hone_buffer_format(&name, "<0x%02X>", (unsigned)byte);
    int32_t id = hone_draft_find(draft, (hone_slice_t){name.data, name.bytes});
    hone_buffer_deinit(&name);
    if (id < 0) {
      return hone_fail(status, HONE_UNSUPPORTED,
                       "%s: model.byte_fallback without token \"<0x%02X>\"", draft->name,
                       (unsigned)byte);
    }
    char value = (char)byte;
    draft->byte_ids[byte] = id;
    draft->tokens.items[id] = (hone_draft_token_t){
        {hone_arena_strndup(draft->arena, &value, 1), 1}, HONE_TOKEN_BYTE, false};
  }
  draft->flags |= HONE_TOKENIZER_BYTE_FALLBACK;
  return true;
}

static bool add_unknown(hone_tokenizer_draft_t *draft, const json_t *model, hone_status_t *status) {
  const json_t *unknown = json_object_get(model, "unk_token");
  if (unknown == NULL || json_is_null(unknown)) return true;
  if (!json_is_string(unknown)) {
    return hone_fail(status, HONE_INVALID, "%s: model.unk_token is not a string", draft->name);
  }
  hone_slice_t name = {json_string_value(unknown), json_string_length(unknown)};
  draft->unknown = hone_draft_find(draft, name);
  if (draft->unknown >= 0) return true;
  return hone_fail(status, HONE_INVALID, "%s: model.unk_token %s is not in model.vocab",
                   draft->name, hone_draft_quote(draft, name));
}

// ---- merges

// The two parts of a merge: "a b", or ["a", "b"].
static bool merge_parts(const json_t *entry, hone_slice_t *left, hone_slice_t *right) {
  if (json_is_array(entry) && json_array_size(entry) == 2) {
    const json_t *a = json_array_get(entry, 0), *b = json_array_get(entry, 1);
    if (!json_is_string(a) || !json_is_string(b)) return false;
    *left = (hone_slice_t){json_string_value(a), json_string_length(a)};
    *right = (hone_slice_t){json_string_value(b), json_string_length(b)};
    return true;
  }
  if (!json_is_string(entry)) return false;
  hone_slice_t rest = {json_string_value(entry), json_string_length(entry)};
  *left = hone_slice_cut(&rest, ' ');
  *right = rest;
  return rest.data != NULL && memchr(rest.data, ' ', rest.bytes) == NULL;
}

static bool add_merge(hone_tokenizer_draft_t *draft, uint32_t rank, hone_slice_t left,
                      hone_slice_t right, hone_buffer_t *joined, hone_status_t *status) {
  int32_t left_id = hone_draft_find(draft, left), right_id = hone_draft_find(draft, right);
  joined->bytes = 0;
  hone_buffer_add(joined, left.data, left.bytes);
  hone_buffer_add(joined, right.data, right.bytes);
  hone_slice_t whole = {joined->data, joined->bytes};
  int32_t id = hone_draft_find(draft, whole);
  if (left_id < 0 || right_id < 0 || id < 0) {
    hone_slice_t missing = left_id < 0 ? left : right_id < 0 ? right : whole;
    return hone_fail(status, HONE_INVALID, "%s: model.merges[%u]: token %s is not in model.vocab",
                     draft->name, rank, hone_draft_quote(draft, missing));
  }
  // The reference puts these symbols in while it cuts the text; we do after merging.
  for (int side = 0; side < 2; side++) {
    int32_t part = side == 0 ? left_id : right_id;
    if (part != draft->unknown && draft->tokens.items[part].type != HONE_TOKEN_BYTE) continue;
    return hone_fail(status, HONE_UNSUPPORTED, "%s: model.merges[%u] merges token %s", draft->name,
                     rank, hone_draft_quote(draft, side == 0 ? left : right));
  }
  hone_merge_t merge = {(uint32_t)left_id, (uint32_t)right_id, rank, (uint32_t)id};
  hone_list_push(draft->arena, &draft->merges, merge);
  return true;
}

static bool add_merges(hone_tokenizer_draft_t *draft, const json_t *model, hone_status_t *status) {
  const json_t *merges = json_object_get(model, "merges");
  if (!json_is_array(merges) || json_array_size(merges) > UINT32_MAX / 2) {
    return hone_fail(status, HONE_INVALID, "%s: model.merges is not a list", draft->name);
  }
  hone_buffer_t joined = {0};
  bool fine = true;
  for (size_t i = 0; fine && i < json_array_size(merges); i++) {
    hone_slice_t left, right;
    fine = merge_parts(json_array_get(merges, i), &left, &right)
               ? add_merge(draft, (uint32_t)i, left, right, &joined, status)
               : hone_fail(status, HONE_INVALID,
                           "%s: model.merges[%zu] is neither \"a b\" nor [\"a\", \"b\"]",
                           draft->name, i);
  }
  hone_buffer_deinit(&joined);
  return fine;
}

// ---- model

static bool check_model(const hone_tokenizer_draft_t *draft, const json_t *model,
                        hone_status_t *status) {
  const json_t *type = json_object_get(model, "type");
  bool is_bpe = json_is_string(type) ? strcmp(json_string_value(type), "BPE") == 0
                                     : json_object_get(model, "merges") != NULL;
  if (!json_is_object(model)) {
    return hone_fail(status, HONE_INVALID, "%s: model is not an object", draft->name);
  }
  if (!is_bpe) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: model.type %s; hone reads BPE", draft->name,
                     json_is_string(type) ? json_string_value(type) : "is missing");
  }
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (size_t i = 0; i < 2; i++) {
    const json_t *affix = json_object_get(model, affixes[i]);
    if (json_is_string(affix) && json_string_length(affix) > 0) {
      return hone_fail(status, HONE_UNSUPPORTED, "%s: model.%s \"%s\"", draft->name, affixes[i],
                       json_string_value(affix));
    }
  }
  const json_t *dropout = json_object_get(model, "dropout");
  if (json_is_number(dropout) && json_number_value(dropout) != 0) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: model.dropout %g makes ids random", draft->name,
                     json_number_value(dropout));
  }
  return true;
}

static bool add_model(hone_tokenizer_draft_t *draft, const json_t *model, hone_status_t *status) {
  bool byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
  if (json_is_true(json_object_get(model, "ignore_merges"))) {
    draft->flags |= HONE_TOKENIZER_IGNORE_MERGES;
  }
  if (json_is_true(json_object_get(model, "fuse_unk"))) draft->flags |= HONE_TOKENIZER_FUSE_UNKNOWN;
  if (byte_fallback && draft->kind == HONE_TOKENIZER_BYTES) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: model.byte_fallback with a ByteLevel tokenizer",
                     draft->name);
  }
  if (byte_fallback && draft->strip == HONE_STRIP_TOKEN) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: model.byte_fallback with a Metaspace decoder",
                     draft->name);
  }
  if (!add_vocabulary(draft, model, status) || !add_unknown(draft, model, status)) return false;
  if (byte_fallback && !add_byte_fallback(draft, status)) return false;
  return add_merges(draft, model, status);
}

// ---- added tokens

// What a normalized added token looks like after the normalizer, in whose output it is looked for.
static hone_slice_t normalized_form(const hone_tokenizer_draft_t *draft, hone_slice_t text) {
  bool rewrites = draft->kind == HONE_TOKENIZER_PIECES &&
                  !(draft->flags & HONE_TOKENIZER_LATE_PREFIX) &&
                  (draft->flags & HONE_TOKENIZER_ESCAPE_SPACES);
  if (!rewrites) return text;
  hone_buffer_t out = {0};
  if (draft->flags & HONE_TOKENIZER_ADD_PREFIX) hone_buffer_text(&out, HONE_SPACE_MARK);
  for (size_t i = 0; i < text.bytes; i++) {
    if (text.data[i] == ' ') {
      hone_buffer_text(&out, HONE_SPACE_MARK);
    } else {
      hone_buffer_add(&out, &text.data[i], 1);
    }
  }
  hone_slice_t form = {hone_arena_strndup(draft->arena, out.data, out.bytes), out.bytes};
  hone_buffer_deinit(&out);
  return form;
}

static bool add_added_name(hone_tokenizer_draft_t *draft, int64_t id, hone_draft_token_t token,
                           const char *where, hone_status_t *status) {
  int32_t known = hone_draft_find(draft, token.text);
  if (known < 0) return hone_draft_token_add(draft, id, token.text, token, status);
  if (known != id) {
    return hone_fail(status, HONE_INVALID, "%s: %s: token %s has id %lld here and %d elsewhere",
                     draft->name, where, hone_draft_quote(draft, token.text), (long long)id, known);
  }
  hone_draft_token_t *place = &draft->tokens.items[known];
  token.is_lookup = place->is_lookup && draft->kind == HONE_TOKENIZER_PIECES;
  // Looking up whole words goes by the token's text, which in the byte-level alphabet may be
  // another.
  if (draft->kind == HONE_TOKENIZER_BYTES && place->is_lookup) {
    if (hone_slice_equal(place->text, token.text)) token.is_lookup = true;
  }
  if (place->type != HONE_TOKEN_BYTE) *place = token;
  return true;
}

bool hone_draft_added_json(hone_tokenizer_draft_t *draft, const json_t *entry, int64_t id,
                           const char *where, hone_status_t *status) {
  const json_t *content = json_object_get(entry, "content");
  if (!json_is_string(content)) {
    return hone_fail(status, HONE_INVALID, "%s: %s: content is not a string", draft->name, where);
  }
  hone_slice_t text = {json_string_value(content), json_string_length(content)};
  if (text.bytes == 0) return true;  // the reference ignores it too
  text.data = hone_arena_strndup(draft->arena, text.data, text.bytes);
  if (json_is_true(json_object_get(entry, "single_word"))) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: %s: token %s is single_word", draft->name,
                     where, hone_draft_quote(draft, text));
  }
  bool is_special = json_is_true(json_object_get(entry, "special"));
  const json_t *normalized = json_object_get(entry, "normalized");
  bool is_normalized = normalized == NULL ? !is_special : json_is_true(normalized);
  hone_draft_token_t token = {text, is_special ? HONE_TOKEN_SPECIAL : HONE_TOKEN_TEXT, false};
  if (!add_added_name(draft, id, token, where, status)) return false;
  hone_draft_added_t added = {.id = (uint32_t)id, .text = text};
  if (is_special) added.flags |= HONE_ADDED_SPECIAL;
  if (json_is_true(json_object_get(entry, "lstrip"))) added.flags |= HONE_ADDED_LSTRIP;
  if (json_is_true(json_object_get(entry, "rstrip"))) added.flags |= HONE_ADDED_RSTRIP;
  if (is_normalized && !draft->is_model) {
    added.text = normalized_form(draft, text);
    hone_list_push(draft->arena, &draft->normalized, added);
  } else {
    hone_list_push(draft->arena, &draft->raw, added);
  }
  return true;
}

static bool add_added(hone_tokenizer_draft_t *draft, const json_t *root, hone_status_t *status) {
  const json_t *added = json_object_get(root, "added_tokens");
  if (added == NULL || json_is_null(added)) return true;
  if (!json_is_array(added)) {
    return hone_fail(status, HONE_INVALID, "%s: added_tokens is not a list", draft->name);
  }
  hone_map_t *seen = hone_map_create(draft->arena);
  for (size_t i = 0; i < json_array_size(added); i++) {
    const json_t *entry = json_array_get(added, i), *id = json_object_get(entry, "id");
    const char *where = hone_arena_format(draft->arena, "added_tokens[%zu]", i);
    if (!json_is_integer(id)) {
      return hone_fail(status, HONE_INVALID, "%s: %s: id is not an integer", draft->name, where);
    }
    const json_t *content = json_object_get(entry, "content");
    hone_slice_t text = {json_string_value(content), json_string_length(content)};
    if (text.bytes > 0 && !hone_map_insert(seen, text.data, text.bytes, seen)) {
      return hone_fail(status, HONE_INVALID, "%s: %s: token %s is added twice", draft->name, where,
                       hone_draft_quote(draft, text));
    }
    if (!hone_draft_added_json(draft, entry, json_integer_value(id), where, status)) return false;
  }
  return true;
}

static bool read_root(hone_tokenizer_draft_t *draft, const json_t *root, hone_status_t *status) {
  const json_t *model = json_object_get(root, "model");
  return check_model(draft, model, status) && hone_draft_rules_json(draft, root, status) &&
         add_model(draft, model, status) && add_added(draft, root, status) &&
         hone_draft_template_json(draft, root, status);
}

bool hone_draft_read_json(hone_tokenizer_draft_t *draft, const char *data, size_t bytes,
                          hone_status_t *status) {
  json_error_t error;
  json_t *root = json_loadb(data, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  if (root == NULL) {
    return hone_fail(status, HONE_INVALID, "%s: not JSON: %s at line %d, byte %d", draft->name,
                     error.text, error.line, error.position);
  }
  bool done = read_root(draft, root, status);
  json_decref(root);
  return done;
}
