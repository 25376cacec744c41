// Number formats: the table of formats.def, their text form, and the MLIR element types that carry
// them. How codes are computed and packed is codegen's.
#include "ir/format.h"

#include <inttypes.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const hone_format_info_t formats[] = {
#define HONE_COMPUTE_f32 HONE_F32
#define HONE_COMPUTE_q8  HONE_Q8
#define FORMAT(name, ENUM, bits, grouped, scale, grid, acts, summary) \
  {#name, HONE_##ENUM, bits, grouped, scale, #grid, HONE_COMPUTE_##acts, summary},
#include "ir/formats.def"
#undef FORMAT
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

size_t hone_format_count(void) { return FORMAT_COUNT; }

const hone_format_info_t *hone_format_at(size_t index) {
  return index < FORMAT_COUNT ? &formats[index] : NULL;
}

const hone_format_info_t *hone_format_info(hone_storage_t storage) {
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    if (formats[i].storage == storage) return &formats[i];
  }
  return NULL;
}

static const hone_format_info_t *find(hone_slice_t name) {
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    if (hone_slice_is(name, formats[i].name)) return &formats[i];
  }
  return NULL;
}

bool hone_format_group_known(uint32_t group) { return group == HONE_GROUP; }

static bool fail_unknown(const char *text, hone_slice_t name, hone_status_t *status) {
  const char *names[FORMAT_COUNT];
  char list[128] = "";
  size_t used = 0;
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    names[i] = formats[i].name;
    int wrote =
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", formats[i].name);
    if (wrote > 0 && (size_t)wrote < sizeof list - used) used += (size_t)wrote;
  }
  char copy[32];
  snprintf(copy, sizeof copy, "%.*s", name.bytes > 31 ? 31 : (int)name.bytes, name.data);
  const char *closest = hone_text_closest(copy, names, FORMAT_COUNT);
  if (!closest) {
    return hone_fail(status, HONE_INVALID, "unknown format '%.60s'; use one of %s", text, list);
  }
  return hone_fail(status, HONE_INVALID, "unknown format '%.60s'; did you mean %s? (formats: %s)",
                   text, closest, list);
}

bool hone_format_parse(const char *text, hone_format_t *out_format, hone_status_t *status) {
  hone_slice_t rest = hone_slice(text);
  hone_slice_t name = hone_slice_cut(&rest, '<');
  const hone_format_info_t *info = find(name);
  if (!info) return fail_unknown(text, name, status);
  if (!rest.data) {
    *out_format = (hone_format_t){info->storage, info->grouped ? HONE_GROUP : 0};
    return true;
  }
  if (!info->grouped) {
    return hone_fail(status, HONE_INVALID, "format %s takes no group: write '%s', not '%.60s'",
                     info->name, info->name, text);
  }
  char digits[16];
  int64_t group = 0;
  bool closed = rest.bytes > 1 && rest.data[rest.bytes - 1] == '>' && rest.bytes <= sizeof digits;
  if (closed) {
    memcpy(digits, rest.data, rest.bytes - 1);
    digits[rest.bytes - 1] = '\0';
  }
  if (!closed || !hone_text_parse_i64(digits, &group) || group < 1 || group > UINT32_MAX) {
    return hone_fail(status, HONE_INVALID, "format '%.60s': a group is written as in %s<%d>", text,
                     info->name, HONE_GROUP);
  }
  if (!hone_format_group_known((uint32_t)group)) {
    return hone_fail(status, HONE_UNSUPPORTED, "format '%.60s': only groups of %d are supported",
                     text, HONE_GROUP);
  }
  *out_format = (hone_format_t){info->storage, (uint32_t)group};
  return true;
}

const char *hone_format_text(hone_format_t format, char out[24]) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  const char *name = info ? info->name : "?";
  if (info && info->grouped) {
    snprintf(out, 24, "%.8s<%" PRIu32 ">", name, format.group);
  } else {
    snprintf(out, 24, "%.8s", name);
  }
  return out;
}

double hone_format_bits(hone_format_t format) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return 0;
  if (!info->grouped || format.group == 0) return info->code_bits;
  return info->code_bits + (double)info->scale_bits / format.group;
}

bool hone_format_equal(hone_format_t a, hone_format_t b) {
  return a.storage == b.storage && a.group == b.group;
}

ir_type_t ir_format_type(MlirContext context, hone_format_t format) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  if (!info) return (ir_type_t){0};
  char text[48];
  if (info->grouped) {  // an IRDL type can only be made from its text
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
  if (!info || !info->grouped || !rest.data) return false;
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
