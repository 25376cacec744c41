// Dataflow text. The grammar is small and the text is also a user's to write, so errors name the
// word.
#include "codegen/plan/flow.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

static const char *const family_names[] = {
#define FAMILY(name, ENUM, operands, units, summary) #name,
#include "codegen/families.def"
#undef FAMILY
};

bool hone_family_find(const char *name, hone_family_t *out_family) {
  for (size_t i = 0; i < HONE_FAMILY_COUNT; i++) {
    if (strcmp(family_names[i], name)) continue;
    *out_family = (hone_family_t)i;
    return true;
  }
  return false;
}

static bool parse_choice(hone_slice_t text, hone_flow_choice_t *choice, hone_status_t *status) {
  *choice = (hone_flow_choice_t){.below = UINT32_MAX};
  hone_slice_t bound = text, words = hone_slice_trim(hone_slice_cut(&bound, '<'));
  bound = hone_slice_trim(bound);
  if (bound.data && (!hone_slice_number(bound, &choice->below) || choice->below < 2))
    return hone_fail(status, HONE_INVALID, "'%.*s' is not a number of rows above 1",
                     (int)bound.bytes, bound.data);
  hone_slice_t name = hone_slice_cut(&words, ' ');
  char family[32] = "";
  if (name.bytes < sizeof family) memcpy(family, name.data ? name.data : "", name.bytes);
  if (!hone_family_find(family, &choice->family)) {
    const char *near = hone_text_closest(family, family_names, HONE_FAMILY_COUNT);
    return hone_fail(status, HONE_INVALID, "there is no kernel family '%.*s'%s%s%s",
                     (int)name.bytes, name.data ? name.data : "", near ? "; did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
  }
  while (words.data) {
    hone_slice_t word = hone_slice_cut(&words, ' ');
    if (word.bytes && !hone_schedule_read_word(word, &choice->schedule, status)) return false;
  }
  return true;
}

bool hone_flow_parse(const char *text, hone_flow_choice_t *out_choices, size_t *out_count,
                     hone_status_t *status) {
  size_t count = 0;
  hone_slice_t rest = hone_slice(text);
  do {
    if (count == HONE_FLOW_LIMIT)
      return hone_fail(status, HONE_INVALID, "dataflow '%s' has more than %d entries", text,
                       (int)HONE_FLOW_LIMIT);
    hone_slice_t entry = hone_slice_cut(&rest, ',');
    if (!parse_choice(hone_slice_trim(entry), &out_choices[count], status))
      return hone_note(status, "dataflow '%s'", text);
    bool is_last = rest.data == NULL;
    uint32_t below = out_choices[count].below;
    if (is_last != (below == UINT32_MAX) || (count && below <= out_choices[count - 1].below))
      return hone_fail(status, HONE_INVALID,
                       "dataflow '%s': bounds must grow, and only the last entry has none", text);
    count++;
  } while (rest.data);
  *out_count = count;
  return true;
}
