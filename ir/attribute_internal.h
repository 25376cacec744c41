// Small conversions between MLIR's string refs and attributes and C values, shared by the files of
// this folder. Readers return false on an absent (null) attribute or one of another kind. Thread
// rule: the session's thread.
#ifndef HONE_IR_ATTRIBUTE_INTERNAL_H
#define HONE_IR_ATTRIBUTE_INTERNAL_H

#include "base/text.h"
#include "ir/model.h"

enum { IR_NAME_LIMIT = 200 };  // bytes of a recipe's or function's name

MlirStringRef ir_ref(const char *text);
bool ir_ref_is(MlirStringRef ref, const char *text);
// A C string in the arena; it ends at the first NUL, if the text holds one.
const char *ir_ref_copy(MlirStringRef ref, hone_arena_t *arena);
// MLIR's printing callback into a hone_buffer_t.
void ir_print_into(MlirStringRef chunk, void *buffer);

bool ir_op_is(MlirOperation op, const char *name);  // "func.call"
// A letter, '_' or '$' first, then also digits, '.' and '-' (MLIR prints such a name without
// quotes), and not too long.
bool ir_ref_is_symbol(MlirStringRef ref);
MlirAttribute ir_attribute(MlirOperation op, const char *name);              // null if absent
bool ir_attribute_text(MlirAttribute attribute, MlirStringRef *out_text);    // a string
bool ir_attribute_symbol(MlirAttribute attribute, MlirStringRef *out_name);  // @name, not @a::@b
bool ir_attribute_i64(MlirAttribute attribute, int64_t *out_value);          // an i64
bool ir_attribute_f64(MlirAttribute attribute, double *out_value);  // a float of at most 64 bits
// array<f64: ...>; the values go to the arena. Zero values are fine.
bool ir_attribute_f64s(MlirAttribute attribute, hone_arena_t *arena, const double **out_values,
                       size_t *out_count);

MlirAttribute ir_make_text(MlirContext context, const char *text);
MlirAttribute ir_make_symbol(MlirContext context, const char *name);
MlirAttribute ir_make_i64(MlirContext context, int64_t value);
MlirAttribute ir_make_f64(MlirContext context, double value);
MlirAttribute ir_make_f64s(MlirContext context, const double *values, size_t count);

// The function @name of the module, or the null operation.
MlirOperation ir_function_find(const ir_model_t *model, const char *name);
// The only block of a function's body, or a null block if it has none or several.
MlirBlock ir_function_body(MlirOperation function);
// The hone.recipe op of this name, or the null operation.
MlirOperation ir_recipe_find(const ir_model_t *model, MlirStringRef name);
// Reads a recipe op into `out_recipe`; false if it is malformed (the verifier says how).
bool ir_recipe_read(ir_session_t *session, MlirOperation op, ir_recipe_t *out_recipe);
// Rank 1 or 2 ranked tensors whose element type is one of formats.def; see ir_value_shape.
bool ir_type_shape(MlirType type, hone_format_t *out_format, int64_t *out_rows,
                   int64_t *out_columns);

// hone.kind is one of kinds.def; whether such a block has a layer goes to *out_layered.
bool ir_kind_known(MlirStringRef kind, bool *out_layered);

MlirType ir_ids_type(MlirContext context);  // tensor<?xi32>

extern const char *const ir_combine_names[];   // by ir_combine_t
extern const char *const ir_epilogue_names[];  // by ir_epilogue_t

#endif
