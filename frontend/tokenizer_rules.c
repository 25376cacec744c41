// The rules of a `tokenizer.json`: normalizer, pre_tokenizer, decoder and post_processor. It
// recognises the combinations that real models use and maps them onto flags; anything else is
// unsupported, by name.
#include <stdlib.h>
#include <string.h>

#include "frontend/tokenizer_internal.h"

static const char gpt2_regex[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char llama3_regex[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_regex[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

enum { STEP_LIMIT = 8 };

typedef struct steps {  // a rule and, if it is a Sequence, its parts
  const json_t *items[STEP_LIMIT];
  size_t count;
} steps_t;

static const char *type_of(const json_t *rule) {
  const json_t *type = json_object_get(rule, "type");
  return json_is_string(type) ? json_string_value(type) : "";
}

static bool is_type(const json_t *rule, const char *type) {
  return strcmp(type_of(rule), type) == 0;
}

static bool is_string(const json_t *value, const char *text) {
  return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool unsupported(const hone_tokenizer_draft_t *draft, const char *key, const json_t *rule,
                        hone_status_t *status) {
  char *text = json_dumps(rule, JSON_COMPACT | JSON_ENCODE_ANY);
  hone_fail(status, HONE_UNSUPPORTED, "%s: %s: hone does not know this rule: %.600s", draft->name,
            key, text == NULL ? type_of(rule) : text);
  free(text);
  return false;
}

// Flattens null, a rule, or a Sequence of rules held under `list_key`.
static bool steps_get(const hone_tokenizer_draft_t *draft, const json_t *root, const char *key,
                      const char *list_key, steps_t *out_steps, hone_status_t *status) {
  const json_t *rule = json_object_get(root, key);
  *out_steps = (steps_t){0};
  if (rule == NULL || json_is_null(rule)) return true;
  if (!is_type(rule, "Sequence")) {
    out_steps->items[out_steps->count++] = rule;
    return true;
  }
  const json_t *list = json_object_get(rule, list_key);
  if (!json_is_array(list) || json_array_size(list) > STEP_LIMIT) {
    return unsupported(draft, key, rule, status);
  }
  for (size_t i = 0; i < json_array_size(list); i++) {
    out_steps->items[out_steps->count++] = json_array_get(list, i);
  }
  return true;
}

// ---- normalizer: nothing, or Prepend and Replace as llama-2 has them

static bool is_space_replace(const json_t *rule, const char *from, const char *to) {
  return is_type(rule, "Replace") &&
         is_string(json_object_get(json_object_get(rule, "pattern"), "String"), from) &&
         is_string(json_object_get(rule, "content"), to);
}

static bool read_normalizer(hone_tokenizer_draft_t *draft, const json_t *root,
                            hone_status_t *status) {
  steps_t steps;
  if (!steps_get(draft, root, "normalizer", "normalizers", &steps, status)) return false;
  for (size_t i = 0; i < steps.count; i++) {
    const json_t *rule = steps.items[i];
    uint32_t flag = 0;
    if (is_type(rule, "Prepend") && is_string(json_object_get(rule, "prepend"), HONE_SPACE_MARK)) {
      flag = HONE_TOKENIZER_ADD_PREFIX;
    } else if (is_space_replace(rule, " ", HONE_SPACE_MARK)) {
      flag = HONE_TOKENIZER_ESCAPE_SPACES;
    }
    if (flag == 0 || (draft->flags & flag)) return unsupported(draft, "normalizer", rule, status);
    draft->flags |= flag;
  }
  bool prefix_only =
      (draft->flags & HONE_TOKENIZER_ADD_PREFIX) && !(draft->flags & HONE_TOKENIZER_ESCAPE_SPACES);
  return !prefix_only ||
         unsupported(draft, "normalizer", json_object_get(root, "normalizer"), status);
}

// ---- pre_tokenizer

// Split by a regular expression that we have by hand.
static bool read_split(hone_tokenizer_draft_t *draft, const json_t *rule, hone_status_t *status) {
  const json_t *regex = json_object_get(json_object_get(rule, "pattern"), "Regex");
  if (!json_is_string(regex) || !is_string(json_object_get(rule, "behavior"), "Isolated") ||
      json_is_true(json_object_get(rule, "invert"))) {
    return unsupported(draft, "pre_tokenizer", rule, status);
  }
  const char *text = json_string_value(regex);
  if (strcmp(text, gpt2_regex) == 0) {
    draft->split = HONE_SPLIT_GPT2;
  } else if (strcmp(text, llama3_regex) == 0) {
    draft->split = HONE_SPLIT_LLAMA3;
  } else if (strcmp(text, qwen2_regex) == 0) {
    draft->split = HONE_SPLIT_QWEN2;
  } else {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s: pre_tokenizer: hone does not know this regular expression: %.700s",
                     draft->name, text);
  }
  return true;
}

// ByteLevel, alone or after a Split. Absent keys have the defaults of the reference.
static bool read_byte_level(hone_tokenizer_draft_t *draft, const json_t *rule,
                            hone_status_t *status) {
  bool uses_regex = !json_is_false(json_object_get(rule, "use_regex"));
  bool adds_prefix = !json_is_false(json_object_get(rule, "add_prefix_space"));
  bool has_split = draft->split != HONE_SPLIT_NONE;
  // After a Split, a regex would split again and a prefix would go in front of every word.
  if ((has_split && (uses_regex || adds_prefix)) || (!has_split && !uses_regex) ||
      (draft->flags & HONE_TOKENIZER_ESCAPE_SPACES)) {
    return unsupported(draft, "pre_tokenizer", rule, status);
  }
  draft->kind = HONE_TOKENIZER_BYTES;
  if (uses_regex) draft->split = HONE_SPLIT_GPT2;
  if (adds_prefix) draft->flags |= HONE_TOKENIZER_ADD_PREFIX | HONE_TOKENIZER_PREFIX_UNLESS;
  return true;
}

static bool read_metaspace(hone_tokenizer_draft_t *draft, const json_t *rule,
                           hone_status_t *status) {
  const json_t *scheme = json_object_get(rule, "prepend_scheme");
  bool never =
      is_string(scheme, "never") || json_is_false(json_object_get(rule, "add_prefix_space"));
  bool first = is_string(scheme, "first"), always = scheme == NULL || is_string(scheme, "always");
  if (!is_string(json_object_get(rule, "replacement"), HONE_SPACE_MARK) ||
      (!never && !first && !always) || (draft->flags & HONE_TOKENIZER_ESCAPE_SPACES)) {
    return unsupported(draft, "pre_tokenizer", rule, status);
  }
  draft->flags |= HONE_TOKENIZER_ESCAPE_SPACES | HONE_TOKENIZER_LATE_PREFIX;
  if (!json_is_false(json_object_get(rule, "split"))) draft->flags |= HONE_TOKENIZER_SPLIT_SPACES;
  if (!never) draft->flags |= HONE_TOKENIZER_ADD_PREFIX | HONE_TOKENIZER_PREFIX_UNLESS;
  if (first && !never) draft->flags |= HONE_TOKENIZER_PREFIX_FIRST;
  return true;
}

static bool read_pre_tokenizer(hone_tokenizer_draft_t *draft, const json_t *root,
                               hone_status_t *status) {
  steps_t steps;
  if (!steps_get(draft, root, "pre_tokenizer", "pretokenizers", &steps, status)) return false;
  draft->kind = HONE_TOKENIZER_PIECES;
  for (size_t i = 0; i < steps.count; i++) {
    const json_t *rule = steps.items[i];
    bool is_last = i + 1 == steps.count, fine;
    if (is_type(rule, "Split") && i == 0 && !is_last) {
      fine = read_split(draft, rule, status);
    } else if (is_type(rule, "ByteLevel") && is_last) {
      fine = read_byte_level(draft, rule, status);
    } else if (is_type(rule, "Metaspace") && is_last && i == 0) {
      fine = read_metaspace(draft, rule, status);
    } else {
      fine = unsupported(draft, "pre_tokenizer", rule, status);
    }
    if (!fine) return false;
  }
  return true;
}

// ---- decoder

static bool is_fallback_step(const json_t *rule) {
  return is_type(rule, "ByteFallback") || is_type(rule, "Fuse");
}

static bool is_strip_one(const json_t *rule) {
  return is_type(rule, "Strip") && is_string(json_object_get(rule, "content"), " ") &&
         json_integer_value(json_object_get(rule, "start")) == 1 &&
         json_integer_value(json_object_get(rule, "stop")) == 0;
}

static bool read_decoder(hone_tokenizer_draft_t *draft, const json_t *root, hone_status_t *status) {
  steps_t steps;
  if (!steps_get(draft, root, "decoder", "decoders", &steps, status)) return false;
  bool bytes = draft->kind == HONE_TOKENIZER_BYTES, replaces = false;
  draft->strip = HONE_STRIP_NONE;
  for (size_t i = 0; i < steps.count; i++) {
    const json_t *rule = steps.items[i];
    bool known = false;
    if (is_type(rule, "ByteLevel")) known = bytes && steps.count == 1;
    if (is_type(rule, "Metaspace") && !bytes && steps.count == 1) {
      bool never = is_string(json_object_get(rule, "prepend_scheme"), "never") ||
                   json_is_false(json_object_get(rule, "add_prefix_space"));
      draft->strip = never ? HONE_STRIP_NONE : HONE_STRIP_TOKEN;
      known = replaces = is_string(json_object_get(rule, "replacement"), HONE_SPACE_MARK);
    }
    if (!bytes && is_space_replace(rule, HONE_SPACE_MARK, " ")) known = replaces = true;
    if (!bytes && is_fallback_step(rule)) known = true;
    if (!bytes && is_strip_one(rule) && i + 1 == steps.count && i > 0 &&
        is_type(steps.items[i - 1], "Fuse")) {
      draft->strip = HONE_STRIP_ONE;
      known = true;
    }
    if (!known) return unsupported(draft, "decoder", rule, status);
  }
  if (steps.count > 0 && (bytes || replaces)) return true;
  return hone_fail(status, HONE_UNSUPPORTED, "%s: decoder: none that turns tokens into text",
                   draft->name);
}

bool hone_draft_rules_json(hone_tokenizer_draft_t *draft, const json_t *root,
                           hone_status_t *status) {
  return read_normalizer(draft, root, status) && read_pre_tokenizer(draft, root, status) &&
         read_decoder(draft, root, status);
}

// ---- post_processor: BOS in front, or nothing

// `single` of a TemplateProcessing: the text alone, or one special token and the text.
static bool read_template(hone_tokenizer_draft_t *draft, const json_t *rule,
                          hone_status_t *status) {
  const json_t *single = json_object_get(rule, "single");
  size_t count = json_array_size(single);
  if (count < 1 || count > 2 ||
      json_object_get(json_array_get(single, count - 1), "Sequence") == NULL) {
    return unsupported(draft, "post_processor", rule, status);
  }
  if (count == 1) return true;
  const json_t *special = json_object_get(json_array_get(single, 0), "SpecialToken");
  const json_t *name = json_object_get(special, "id");
  if (!json_is_string(name)) return unsupported(draft, "post_processor", rule, status);
  const json_t *known =
      json_object_get(json_object_get(rule, "special_tokens"), json_string_value(name));
  const json_t *ids = json_object_get(known, "ids"), *id = json_array_get(ids, 0);
  if (json_array_size(ids) != 1 || !json_is_integer(id)) {
    return unsupported(draft, "post_processor", rule, status);
  }
  json_int_t bos = json_integer_value(id);
  if (bos < 0 || (uint64_t)bos >= draft->tokens.count) {
    return hone_fail(status, HONE_INVALID,
                     "%s: post_processor: token %s has id %lld, which is no token", draft->name,
                     hone_draft_quote(draft, hone_slice(json_string_value(name))), (long long)bos);
  }
  draft->bos = (int32_t)bos;
  draft->flags |= HONE_TOKENIZER_ADD_BOS;
  return true;
}

bool hone_draft_template_json(hone_tokenizer_draft_t *draft, const json_t *root,
                              hone_status_t *status) {
  steps_t steps;
  if (!steps_get(draft, root, "post_processor", "processors", &steps, status)) return false;
  bool has_template = false;
  for (size_t i = 0; i < steps.count; i++) {
    const json_t *rule = steps.items[i];
    if (is_type(rule, "ByteLevel")) continue;  // changes offsets only
    if (!is_type(rule, "TemplateProcessing") || has_template) {
      return unsupported(draft, "post_processor", rule, status);
    }
    has_template = true;
    if (!read_template(draft, rule, status)) return false;
  }
  return true;
}
