// Number formats as MLIR element types: made from text and read back, for IRDL types have no
// accessors from C.
#include "ir/format.h"

#include <inttypes.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const hone_format_info_t *find(hone_slice_t name) {
  for (size_t i = 0; i < hone_format_count(); i++) {
    if (hone_slice_is(name, hone_format_at(i)->name)) return hone_format_at(i);
  }
  return NULL;
}

ir_type_t ir_format_type(MlirContext context, hone_format_t format) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return (ir_type_t){0};
  char text[48];
  if (info->group > 0) {  // an IRDL type can only be made from its text
    snprintf(text, sizeof text, "!hone.%s<%" PRIu32 " : i64>", info->name, format.group);
  } else {
    snprintf(text, sizeof text, "%s", info->name);
  }
  return mlirTypeParseGet(context, mlirStringRefCreateFromCString(text));
}

typedef struct short_text {
  char data[48];
  size_t bytes;
  bool cut;
} short_text_t;

static void append_short(MlirStringRef chunk, void *user) {
  short_text_t *text = user;
  if (chunk.length > sizeof text->data - 1 - text->bytes) {
    text->cut = true;
    return;
  }
  memcpy(text->data + text->bytes, chunk.data, chunk.length);
  text->bytes += chunk.length;
}

// IRDL types have no accessors from C: "!hone.nf4<64 : i64>" is printed and read back.
static bool read_grouped(ir_type_t type, hone_format_t *out_format) {
  short_text_t text = {0};
  mlirTypePrint(type, append_short, &text);
  if (text.cut || !hone_text_starts(text.data, "!hone.")) return false;
  hone_slice_t rest = hone_slice(text.data + strlen("!hone."));
  const hone_format_info_t *info = find(hone_slice_cut(&rest, '<'));
  if (!info || info->group == 0 || !rest.data) return false;
  if (!hone_text_ends(text.data, " : i64>")) return false;
  text.data[text.bytes - strlen(" : i64>")] = '\0';
  int64_t group;
  if (!hone_text_parse_i64(rest.data, &group) || group < 1 || group > UINT32_MAX) return false;
  *out_format = (hone_format_t){info->storage, (uint32_t)group};
  return true;
}

bool ir_type_format(ir_type_t element_type, hone_format_t *out_format) {
  if (!element_type.ptr) return false;
  if (mlirTypeIsAF32(element_type)) {
    *out_format = (hone_format_t){.storage = HONE_F32};
  } else if (mlirTypeIsAF16(element_type)) {
    *out_format = (hone_format_t){.storage = HONE_F16};
  } else if (mlirTypeIsABF16(element_type)) {
    *out_format = (hone_format_t){.storage = HONE_BF16};
  } else {
    MlirStringRef dialect = mlirDialectGetNamespace(mlirTypeGetDialect(element_type));
    bool ours = dialect.length == 4 && memcmp(dialect.data, "hone", 4) == 0;
    return ours && read_grouped(element_type, out_format);
  }
  return true;
}

ir_type_t ir_tensor_type(MlirContext context, hone_format_t format, size_t rank,
                         const int64_t *shape) {
  ir_type_t element = ir_format_type(context, format);
  if (!element.ptr || rank > 8) return (ir_type_t){0};
  int64_t sizes[8];
  for (size_t i = 0; i < rank; i++) {
    sizes[i] = shape[i] < 0 ? mlirShapedTypeGetDynamicSize() : shape[i];
  }
  return mlirRankedTensorTypeGet((intptr_t)rank, sizes, element, mlirAttributeGetNull());
}
