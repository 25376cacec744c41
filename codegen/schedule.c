// Schedules as text. The table of fields is schedules.def.
#include "codegen/schedule.h"

#include <stddef.h>

static const struct {
  const char *name;
  size_t offset;
} fields[] = {
#define FIELD(name, summary) {#name, offsetof(hone_schedule_t, name)},
#include "codegen/schedules.def"
#undef FIELD
};

uint32_t hone_schedule_get(const hone_schedule_t *schedule, hone_schedule_field_t field) {
  return *(const uint32_t *)((const char *)schedule + fields[field].offset);
}

void hone_schedule_set(hone_schedule_t *schedule, hone_schedule_field_t field, uint32_t value) {
  *(uint32_t *)((char *)schedule + fields[field].offset) = value;
}

void hone_schedule_write(const hone_schedule_t *schedule, hone_buffer_t *out) {
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++) {
    uint32_t value = hone_schedule_get(schedule, (hone_schedule_field_t)i);
    if (value) hone_buffer_format(out, " %s=%u", fields[i].name, value);
  }
}

bool hone_schedule_read_word(hone_slice_t word, hone_schedule_t *schedule, hone_status_t *status) {
  hone_slice_t value = word, key = hone_slice_cut(&value, '=');
  uint32_t number = 0;
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++) {
    if (!hone_slice_is(key, fields[i].name) || !hone_slice_number(value, &number)) continue;
    hone_schedule_set(schedule, (hone_schedule_field_t)i, number);
    return true;
  }
  hone_buffer_t known = {0};
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++)
    hone_buffer_format(&known, "%s%s=N", i ? ", " : "", fields[i].name);
  hone_fail(status, HONE_INVALID, "'%.*s' is none of %s", (int)word.bytes, word.data,
            hone_buffer_cstr(&known));
  hone_buffer_deinit(&known);
  return false;
}
