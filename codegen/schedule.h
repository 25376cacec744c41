// A schedule: how a kernel is built. Plain data; its string form ("tokens=6 prefetch=64", fields in
// the order of schedules.def, zeros left out) round-trips and is its identity in names, dataflow
// text, the tuning database and the lock file. Thread rule: values.
#ifndef HONE_CODEGEN_SCHEDULE_H
#define HONE_CODEGEN_SCHEDULE_H

#include "base/text.h"
#include "hone/status.h"

typedef enum hone_schedule_field {
#define FIELD(name, summary) HONE_SCHEDULE_##name,
#include "codegen/schedules.def"
#undef FIELD
  HONE_SCHEDULE_FIELD_COUNT
} hone_schedule_field_t;

typedef struct hone_schedule {
#define FIELD(name, summary) uint32_t name;
#include "codegen/schedules.def"
#undef FIELD
} hone_schedule_t;

uint32_t hone_schedule_get(const hone_schedule_t *schedule, hone_schedule_field_t field);
void hone_schedule_set(hone_schedule_t *schedule, hone_schedule_field_t field, uint32_t value);
// " tokens=6 prefetch=64": each field that is given, with a space before it.
void hone_schedule_write(const hone_schedule_t *schedule, hone_buffer_t *out);
// One word, "tokens=6". HONE_INVALID names the word and what is known.
HONE_MUST_CHECK bool hone_schedule_read_word(hone_slice_t word, hone_schedule_t *schedule,
                                             hone_status_t *status);

#endif
