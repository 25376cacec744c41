// Reader for the protobuf wire format, as much as sentencepiece's model file needs. It trusts
// nothing: every length is checked against what is left. Thread rule: values.
#ifndef HONE_FRONTEND_TOKENIZER_WIRE_H
#define HONE_FRONTEND_TOKENIZER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "hone/status.h"

typedef struct hone_wire {
  const char *name;  // of the file, for messages
  const char *base;  // start of the file, for offsets in messages
  const char *data;  // what is left of this message
  size_t bytes;
} hone_wire_t;

typedef enum hone_wire_type {
  HONE_WIRE_VARINT = 0,
  HONE_WIRE_FIXED64 = 1,
  HONE_WIRE_BYTES = 2,
  HONE_WIRE_FIXED32 = 5,
} hone_wire_type_t;

typedef struct hone_wire_field {
  uint32_t number;
  hone_wire_type_t type;
  uint64_t value;      // VARINT, FIXED32, FIXED64
  hone_slice_t bytes;  // BYTES
} hone_wire_field_t;

// The next field of the message; false at its end and on an error (then `status` has failed).
bool hone_wire_next(hone_wire_t *wire, hone_wire_field_t *out_field, hone_status_t *status);
// The message in a BYTES field.
hone_wire_t hone_wire_enter(const hone_wire_t *wire, const hone_wire_field_t *field);
// False, with a message that names the field, unless it has this type.
HONE_MUST_CHECK bool hone_wire_expect(const hone_wire_t *wire, const hone_wire_field_t *field,
                                      hone_wire_type_t type, const char *what,
                                      hone_status_t *status);

#endif
