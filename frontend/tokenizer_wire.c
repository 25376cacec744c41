// Protobuf wire format, see tokenizer_wire.h. Groups (types 3 and 4) are an error: no file of ours
// has them.
#include "frontend/tokenizer_wire.h"

static bool broken(const hone_wire_t *wire, const char *what, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "%s: not a sentencepiece model: %s at byte %zu",
                   wire->name, what, (size_t)(wire->data - wire->base));
}

static bool read_varint(hone_wire_t *wire, uint64_t *out_value, hone_status_t *status) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (wire->bytes == 0) return broken(wire, "cut off", status);
    uint8_t byte = (uint8_t)*wire->data++;
    wire->bytes--;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) {
      *out_value = value;
      return true;
    }
  }
  return broken(wire, "a number of more than 64 bits", status);
}

static bool read_fixed(hone_wire_t *wire, int size, uint64_t *out_value, hone_status_t *status) {
  if (wire->bytes < (size_t)size) return broken(wire, "cut off", status);
  uint64_t value = 0;
  for (int i = 0; i < size; i++) value |= (uint64_t)(uint8_t)wire->data[i] << (8 * i);
  wire->data += size;
  wire->bytes -= (size_t)size;
  *out_value = value;
  return true;
}

bool hone_wire_next(hone_wire_t *wire, hone_wire_field_t *out_field, hone_status_t *status) {
  if (wire->bytes == 0) return false;
  uint64_t tag, length;
  if (!read_varint(wire, &tag, status)) return false;
  if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) return broken(wire, "an impossible field", status);
  *out_field =
      (hone_wire_field_t){.number = (uint32_t)(tag >> 3), .type = (hone_wire_type_t)(tag & 7)};
  switch (tag & 7) {
    case HONE_WIRE_VARINT: return read_varint(wire, &out_field->value, status);
    case HONE_WIRE_FIXED64: return read_fixed(wire, 8, &out_field->value, status);
    case HONE_WIRE_FIXED32: return read_fixed(wire, 4, &out_field->value, status);
    case HONE_WIRE_BYTES:
      if (!read_varint(wire, &length, status)) return false;
      if (length > wire->bytes) return broken(wire, "a field longer than the file", status);
      out_field->bytes = (hone_slice_t){wire->data, (size_t)length};
      wire->data += length;
      wire->bytes -= (size_t)length;
      return true;
    default: return broken(wire, "an unknown wire type", status);
  }
}

hone_wire_t hone_wire_enter(const hone_wire_t *wire, const hone_wire_field_t *field) {
  return (hone_wire_t){wire->name, wire->base, field->bytes.data, field->bytes.bytes};
}

bool hone_wire_expect(const hone_wire_t *wire, const hone_wire_field_t *field,
                      hone_wire_type_t type, const char *what, hone_status_t *status) {
  if (field->type == type) return true;
  return hone_fail(status, HONE_INVALID,
                   "%s: %s (field %u before byte %zu) has wire type %d, not %d", wire->name, what,
                   field->number, (size_t)(wire->data - wire->base), (int)field->type, (int)type);
}
