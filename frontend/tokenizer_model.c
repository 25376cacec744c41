// sentencepiece `tokenizer.model` (a protobuf, sentencepiece_model.proto) to a draft. BPE models
// only.
//
// sentencepiece merges the neighbours whose joined text is the piece of the highest score, leftmost
// first. The engine merges pairs of ids, so every way to cut a piece in two possible symbols
// becomes a merge; its rank is the rank of the piece's score among all scores, equal for equal
// scores.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tokenizer_internal.h"
#include "frontend/tokenizer_wire.h"

typedef enum piece_type {
  PIECE_NORMAL = 1,
  PIECE_UNKNOWN,
  PIECE_CONTROL,
  PIECE_USER_DEFINED,
  PIECE_UNUSED,
  PIECE_BYTE,
} piece_type_t;

typedef struct piece {
  hone_slice_t text;
  float score;
  uint32_t type;
} piece_t;

typedef struct model {
  hone_tokenizer_draft_t *draft;
  HONE_LIST(piece_t) pieces;
  uint32_t kind;  // 1 unigram, 2 bpe, 3 word, 4 char
  bool byte_fallback, space_is_suffix, denormalizes;
  bool add_prefix, remove_extra, escape_spaces;
  hone_slice_t bos, eos, unknown_text, rules;
  hone_map_t *mergeable;   // text of normal and user-defined pieces -> boxed id
  hone_map_t *characters;  // text of characters that are no such piece -> boxed symbol id
} model_t;

static bool read_piece(model_t *model, hone_wire_t wire, hone_status_t *status) {
  piece_t piece = {.type = PIECE_NORMAL};
  for (hone_wire_field_t field; hone_wire_next(&wire, &field, status);) {
    if (field.number == 1) {
      if (!hone_wire_expect(&wire, &field, HONE_WIRE_BYTES, "piece", status)) return false;
      piece.text = field.bytes;
    } else if (field.number == 2) {
      if (!hone_wire_expect(&wire, &field, HONE_WIRE_FIXED32, "score", status)) return false;
      uint32_t bits = (uint32_t)field.value;
      memcpy(&piece.score, &bits, sizeof bits);
    } else if (field.number == 3) {
      if (!hone_wire_expect(&wire, &field, HONE_WIRE_VARINT, "type", status)) return false;
      piece.type = field.value > UINT32_MAX ? 0 : (uint32_t)field.value;
    }
  }
  if (status->code != HONE_OK) return false;
  if (isnan(piece.score)) {
    return hone_fail(status, HONE_INVALID, "%s: token %s has a score that is not a number",
                     model->draft->name, hone_draft_quote(model->draft, piece.text));
  }
  hone_list_push(model->draft->arena, &model->pieces, piece);
  return true;
}

static bool read_trainer(model_t *model, hone_wire_t wire, hone_status_t *status) {
  for (hone_wire_field_t field; hone_wire_next(&wire, &field, status);) {
    bool is_text = field.type == HONE_WIRE_BYTES, is_number = field.type == HONE_WIRE_VARINT;
    switch (field.number) {
      case 3:
        if (is_number) model->kind = (uint32_t)field.value;
        break;
      case 24:
        if (is_number) model->space_is_suffix = field.value != 0;
        break;
      case 35:
        if (is_number) model->byte_fallback = field.value != 0;
        break;
      case 44:
        if (is_text) model->unknown_text = field.bytes;
        break;
      case 46:
        if (is_text) model->bos = field.bytes;
        break;
      case 47:
        if (is_text) model->eos = field.bytes;
        break;
      default: break;
    }
  }
  return status->code == HONE_OK;
}

static bool read_normalizer(model_t *model, hone_wire_t wire, hone_status_t *status) {
  for (hone_wire_field_t field; hone_wire_next(&wire, &field, status);) {
    bool is_number = field.type == HONE_WIRE_VARINT;
    switch (field.number) {
      case 2:
        if (field.type == HONE_WIRE_BYTES) model->rules = field.bytes;
        break;
      case 3:
        if (is_number) model->add_prefix = field.value != 0;
        break;
      case 4:
        if (is_number) model->remove_extra = field.value != 0;
        break;
      case 5:
        if (is_number) model->escape_spaces = field.value != 0;
        break;
      default: break;
    }
  }
  return status->code == HONE_OK;
}

static bool read_denormalizer(model_t *model, hone_wire_t wire, hone_status_t *status) {
  for (hone_wire_field_t field; hone_wire_next(&wire, &field, status);) {
    if (field.number == 2 && field.bytes.bytes > 0) model->denormalizes = true;
  }
  return status->code == HONE_OK;
}

static bool read_file(model_t *model, const char *data, size_t bytes, hone_status_t *status) {
  hone_wire_t wire = {model->draft->name, data, data, bytes};
  for (hone_wire_field_t field; hone_wire_next(&wire, &field, status);) {
    if (field.number < 1 || field.number > 5 || field.number == 4) continue;
    if (!hone_wire_expect(&wire, &field, HONE_WIRE_BYTES, "a message", status)) return false;
    hone_wire_t inner = hone_wire_enter(&wire, &field);
    bool fine = field.number == 1   ? read_piece(model, inner, status)
                : field.number == 2 ? read_trainer(model, inner, status)
                : field.number == 3 ? read_normalizer(model, inner, status)
                                    : read_denormalizer(model, inner, status);
    if (!fine) return false;
  }
  return status->code == HONE_OK;
}

static bool check_kind(const model_t *model, hone_status_t *status) {
  static const char *const kinds[] = {"", "unigram", "bpe", "word", "char"};
  const char *name = model->draft->name;
  if (model->pieces.count == 0) {
    return hone_fail(status, HONE_INVALID, "%s: not a sentencepiece model: it has no pieces", name);
  }
  if (model->kind != 2) {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s: a sentencepiece model of type %s; hone reads type bpe", name,
                     model->kind >= 1 && model->kind <= 4 ? kinds[model->kind] : "unknown");
  }
  if (model->space_is_suffix) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: treat_whitespace_as_suffix", name);
  }
  if (model->unknown_text.bytes > HONE_TOKENIZER_TOKEN_LIMIT) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: unk_surface of %zu bytes, the limit is %d",
                     name, model->unknown_text.bytes, HONE_TOKENIZER_TOKEN_LIMIT);
  }
  if (model->denormalizes) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: denormalization rules", name);
  }
  return true;
}

static size_t character_bytes(hone_slice_t text) {
  uint32_t code;
  return hone_utf8_decode(text.data, text.bytes, &code);
}

static bool add_byte_piece(model_t *model, uint32_t id, hone_status_t *status) {
  hone_tokenizer_draft_t *draft = model->draft;
  const piece_t *piece = &model->pieces.items[id];
  int byte = hone_byte_piece(piece->text);
  if (byte < 0 || !model->byte_fallback) {
    return hone_fail(status, HONE_INVALID, "%s: token %s (id %u) has type byte but %s", draft->name,
                     hone_draft_quote(draft, piece->text), id,
                     byte < 0 ? "is no \"<0xNN>\"" : "the model has no byte fallback");
  }
  char value = (char)byte;
  draft->byte_ids[byte] = (int32_t)id;
  hone_draft_token_t token = {
      {hone_arena_strndup(draft->arena, &value, 1), 1}, HONE_TOKEN_BYTE, false};
  return hone_draft_token_add(draft, id, piece->text, token, status);
}

static bool add_piece(model_t *model, uint32_t id, hone_status_t *status) {
  hone_tokenizer_draft_t *draft = model->draft;
  const piece_t *piece = &model->pieces.items[id];
  if (piece->type == PIECE_BYTE) return add_byte_piece(model, id, status);
  bool is_mergeable = piece->type == PIECE_NORMAL || piece->type == PIECE_USER_DEFINED;
  bool is_character = piece->text.bytes > 0 && character_bytes(piece->text) == piece->text.bytes;
  hone_draft_token_t token = {piece->text, HONE_TOKEN_TEXT, is_character};
  if (piece->type == PIECE_CONTROL) token.type = HONE_TOKEN_SPECIAL;
  if (piece->type == PIECE_UNKNOWN) {
    if (draft->unknown >= 0) {
      return hone_fail(status, HONE_INVALID, "%s: two unknown tokens, ids %d and %u", draft->name,
                       draft->unknown, id);
    }
    draft->unknown = (int32_t)id;
    token = (hone_draft_token_t){model->unknown_text, HONE_TOKEN_RAW, false};
  }
  if (piece->type < PIECE_NORMAL || piece->type > PIECE_BYTE || piece->type == PIECE_UNUSED) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: token %s (id %u) is of type %s", draft->name,
                     hone_draft_quote(draft, piece->text), id,
                     piece->type == PIECE_UNUSED ? "unused" : "unknown to hone");
  }
  if (!hone_slice_is_utf8(piece->text)) {
    return hone_fail(status, HONE_INVALID, "%s: token %s (id %u) is not UTF-8", draft->name,
                     hone_draft_quote(draft, piece->text), id);
  }
  if (!hone_draft_token_add(draft, id, piece->text, token, status)) return false;
  if (is_mergeable) {
    hone_map_insert(model->mergeable, piece->text.data, piece->text.bytes, hone_id_box(id));
  } else if (is_character && piece->type == PIECE_CONTROL) {
    hone_map_insert(model->characters, piece->text.data, piece->text.bytes, hone_id_box(id));
  }
  hone_draft_added_t added = {id, 0, piece->text};
  if (piece->type == PIECE_USER_DEFINED) hone_list_push(draft->arena, &draft->frozen, added);
  added.flags = HONE_ADDED_SPECIAL;
  if (piece->type == PIECE_CONTROL) hone_list_push(draft->arena, &draft->raw, added);
  return true;
}

static bool add_pieces(model_t *model, hone_status_t *status) {
  hone_tokenizer_draft_t *draft = model->draft;
  for (uint32_t id = 0; id < model->pieces.count; id++) {
    if (!add_piece(model, id, status)) return false;
  }
  if (draft->unknown < 0) {
    return hone_fail(status, HONE_INVALID, "%s: no unknown token", draft->name);
  }
  for (int byte = 0; model->byte_fallback && byte < 256; byte++) {
    if (draft->byte_ids[byte] < 0) {
      return hone_fail(status, HONE_INVALID, "%s: byte fallback without token \"<0x%02X>\"",
                       draft->name, (unsigned)byte);
    }
  }
  return true;
}

// Whether `text` can be a symbol while merging: a piece, or a single character.
static bool is_symbol(const model_t *model, hone_slice_t text) {
  return hone_map_find(model->mergeable, text.data, text.bytes) != NULL ||
         character_bytes(text) == text.bytes;
}

// Its id; a character that has none yet gets one beyond the tokens.
static uint32_t symbol_id(model_t *model, hone_slice_t text) {
  void *found = hone_map_find(model->mergeable, text.data, text.bytes);
  if (found == NULL) found = hone_map_find(model->characters, text.data, text.bytes);
  if (found != NULL) return hone_id_unbox(found);
  hone_tokenizer_draft_t *draft = model->draft;
  uint32_t id = (uint32_t)(draft->tokens.count + draft->characters.count);
  hone_list_push(draft->arena, &draft->characters,
                 (hone_draft_token_t){text, HONE_TOKEN_TEXT, true});
  hone_map_insert(model->characters, text.data, text.bytes, hone_id_box(id));
  return id;
}

static int compare_scores(const void *a, const void *b) {  // highest first
  float left = *(const float *)a, right = *(const float *)b;
  return left > right ? -1 : left < right;
}

static uint32_t score_rank(const float *scores, size_t count, float score) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (scores[middle] > score) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return (uint32_t)low;  // equal scores share the first one's place
}

static bool add_merges(model_t *model, hone_status_t *status) {
  hone_tokenizer_draft_t *draft = model->draft;
  size_t count = model->pieces.count;
  float *scores = HONE_NEW_ARRAY(draft->arena, float, count);
  for (size_t i = 0; i < count; i++) scores[i] = model->pieces.items[i].score;
  qsort(scores, count, sizeof *scores, compare_scores);
  for (uint32_t id = 0; id < count; id++) {
    const piece_t *piece = &model->pieces.items[id];
    if (piece->type != PIECE_NORMAL && piece->type != PIECE_USER_DEFINED) continue;
    uint32_t rank = score_rank(scores, count, piece->score);
    hone_slice_t text = piece->text;
    for (size_t cut = character_bytes(text); cut < text.bytes;) {
      hone_slice_t left = {text.data, cut}, right = {text.data + cut, text.bytes - cut};
      cut += character_bytes(right);
      if (!is_symbol(model, left) || !is_symbol(model, right)) continue;
      hone_merge_t merge = {.rank = rank, .id = id};
      merge.left = symbol_id(model, left);
      merge.right = symbol_id(model, right);
      hone_list_push(draft->arena, &draft->merges, merge);
    }
  }
  if (draft->tokens.count + draft->characters.count > HONE_TOKENIZER_SYMBOL_LIMIT) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: too many characters", draft->name);
  }
  return true;
}

// precompiled_charsmap: uint32 bytes of the double array, the double array, NUL-terminated strings.
static bool add_rules(model_t *model, hone_status_t *status) {
  hone_slice_t rules = model->rules;
  if (rules.bytes == 0) return true;
  uint32_t trie = 0;
  if (rules.bytes > 4) {
    for (int i = 0; i < 4; i++) trie |= (uint32_t)(uint8_t)rules.data[i] << (8 * i);
  }
  if (trie == 0 || trie % 4 != 0 || trie >= rules.bytes - 4 || rules.data[rules.bytes - 1] != 0) {
    return hone_fail(status, HONE_INVALID, "%s: normalizer_spec.precompiled_charsmap is damaged",
                     model->draft->name);
  }
  model->draft->rule_units = (hone_slice_t){rules.data + 4, trie};
  model->draft->rule_strings = (hone_slice_t){rules.data + 4 + trie, rules.bytes - 4 - trie};
  return true;
}

static int32_t control_id(const model_t *model, hone_slice_t name) {
  int32_t id = hone_draft_find(model->draft, name);
  return id >= 0 && model->pieces.items[id].type == PIECE_CONTROL ? id : -1;
}

bool hone_draft_read_model(hone_tokenizer_draft_t *draft, const char *data, size_t bytes,
                           hone_status_t *status) {
  // Fields that are absent have the defaults of sentencepiece_model.proto.
  model_t model = {.draft = draft,
                   .kind = 1,
                   .add_prefix = true,
                   .remove_extra = true,
                   .escape_spaces = true,
                   .bos = HONE_SLICE("<s>"),
                   .eos = HONE_SLICE("</s>"),
                   .unknown_text = HONE_SLICE(" \xE2\x81\x87 "),
                   .mergeable = hone_map_create(draft->arena),
                   .characters = hone_map_create(draft->arena)};
  if (!read_file(&model, data, bytes, status) || !check_kind(&model, status)) return false;
  draft->is_model = true;
  draft->kind = HONE_TOKENIZER_PIECES;
  if (!add_pieces(&model, status) || !add_merges(&model, status) || !add_rules(&model, status)) {
    return false;
  }
  draft->bos = control_id(&model, model.bos);
  draft->eos = control_id(&model, model.eos);
  draft->flags = HONE_TOKENIZER_FUSE_UNKNOWN | HONE_TOKENIZER_REPLACE_BYTES;
  if (model.byte_fallback) draft->flags |= HONE_TOKENIZER_BYTE_FALLBACK;
  if (model.add_prefix) draft->flags |= HONE_TOKENIZER_ADD_PREFIX;
  if (model.remove_extra) draft->flags |= HONE_TOKENIZER_REMOVE_EXTRA;
  if (model.escape_spaces) draft->flags |= HONE_TOKENIZER_ESCAPE_SPACES;
  draft->strip = model.remove_extra ? HONE_STRIP_ALL
                 : model.add_prefix ? HONE_STRIP_ONE
                                    : HONE_STRIP_NONE;
  return true;
}
