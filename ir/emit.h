// Verbs and scopes over the builder for MLIR's own dialects (arith, vector, scf, llvm, func): how C
// writes kernels.
//
//   ir_value_t sum = ir_real(b, lane, 0.0);
//   IR_FOR_CARRY(b, i, zero, count, one, &sum, 1) {     // C braces = MLIR region; `sum` is
//   loop-carried
//     ir_value_t at = ir_offset(b, x, i);
//     ir_value_t item = ir_load(b, lane, at, 0);
//     sum = ir_op(b, addf, sum, item);
//   }
//   ir_store(b, sum, out, 0);
//
// Verbs are rows of ir/upstream.def. Every verb does nothing and gives a null value once the
// builder has failed. Memory is !llvm.ptr with byte offsets. Loops count in i64. Thread rule: the
// builder's.
#ifndef HONE_IR_EMIT_H
#define HONE_IR_EMIT_H

#include <stddef.h>
#include <stdint.h>

#include "ir/builder.h"

typedef enum ir_verb {
#define OP(verb, ...)   IR_VERB_##verb,
#define CAST(verb, ...) IR_VERB_##verb,
#include "ir/upstream.def"
#undef CAST
#undef OP
  IR_VERB_COUNT
} ir_verb_t;

// ---- types
typedef enum ir_scalar {
  IR_I1,
  IR_I8,
  IR_I16,
  IR_I32,
  IR_I64,
  IR_F16,
  IR_BF16,
  IR_REAL32,
  IR_REAL64
} ir_scalar_t;
ir_type_t ir_type(const ir_builder_t *b, ir_scalar_t scalar);
ir_type_t ir_vector(const ir_builder_t *b, ir_scalar_t scalar, int64_t lanes);
ir_type_t ir_pointer(const ir_builder_t *b);

// ---- ops
#define ir_op(b, verb, ...)                                               \
  ir_op_emit(IR_AT(b), IR_VERB_##verb, (const ir_value_t[]){__VA_ARGS__}, \
             sizeof((const ir_value_t[]){__VA_ARGS__}) / sizeof(ir_value_t))
#define ir_cast(b, verb, type, x) ir_cast_emit(IR_AT(b), IR_VERB_##verb, (type), (x))
ir_value_t ir_op_emit(ir_builder_t *b, ir_verb_t verb, const ir_value_t *operands, size_t count);
ir_value_t ir_cast_emit(ir_builder_t *b, ir_verb_t verb, ir_type_t type, ir_value_t x);

// ---- constants; a vector type gives a splat
ir_value_t ir_int(ir_builder_t *b, ir_type_t type, int64_t value);
ir_value_t ir_real(ir_builder_t *b, ir_type_t type, double value);
ir_value_t ir_i64(ir_builder_t *b, int64_t value);
ir_value_t ir_bytes(ir_builder_t *b, size_t count, const int8_t *values);   // vector<count x i8>
ir_value_t ir_words(ir_builder_t *b, size_t count, const int32_t *values);  // vector<count x i32>
ir_value_t ir_floats(ir_builder_t *b, size_t count, const float *values);   // vector<count x f32>

// ---- vectors
ir_value_t ir_shuffle(ir_builder_t *b, ir_value_t x, ir_value_t y, size_t count,
                      const int64_t *lanes);
ir_value_t ir_lane(ir_builder_t *b, ir_value_t x, int64_t lane);  // scalar out of a vector

// ---- memory: pointers and byte offsets; alignment 0 means the type's element
ir_value_t ir_offset(ir_builder_t *b, ir_value_t pointer, ir_value_t bytes);  // bytes: i64 value
ir_value_t ir_advance(ir_builder_t *b, ir_value_t pointer, int64_t bytes);    // bytes: constant
ir_value_t ir_load(ir_builder_t *b, ir_type_t type, ir_value_t pointer, int64_t alignment);
void ir_store(ir_builder_t *b, ir_value_t value, ir_value_t pointer, int64_t alignment);
// Asks for the cache line at `pointer` to be read soon; level: 3 every cache level, 2 from the
// second one on. Any address is fine.
void ir_prefetch(ir_builder_t *b, ir_value_t pointer, int level);
ir_value_t ir_stack(ir_builder_t *b, int64_t bytes, int64_t alignment);  // call it outside loops

// ---- LLVM intrinsics by name, e.g. "llvm.x86.avx2.psign.b"
#define ir_intrinsic(b, name, type, ...)                                         \
  ir_intrinsic_emit(IR_AT(b), (name), (type), (const ir_value_t[]){__VA_ARGS__}, \
                    sizeof((const ir_value_t[]){__VA_ARGS__}) / sizeof(ir_value_t))
ir_value_t ir_intrinsic_emit(ir_builder_t *b, const char *name, ir_type_t type,
                             const ir_value_t *operands, size_t count);
// One without a result.
void ir_effect(ir_builder_t *b, const char *name, const ir_value_t *operands, size_t count);

// ---- scopes
// For var = low; var < high; var += step. With CARRY, `values` (an array of `count` values in the
// caller's storage) holds the loop-carried values: their initial values before, the current ones
// inside, the last ones after.
#define IR_FOR(b, var, low, high, step) IR_FOR_CARRY (b, var, low, high, step, NULL, 0)
#define IR_FOR_CARRY(b, var, low, high, step, values, count)                                      \
  for (ir_scope_t var##_scope = ir_for_begin(IR_AT(b), (low), (high), (step), (values), (count)); \
       var##_scope.open; ir_scope_end((b), &var##_scope))                                         \
    for (ir_value_t var = var##_scope.index, *var##_once = &var; var##_once; var##_once = NULL)
// If `condition` (i1). With CARRY, `values` may be changed inside and keep their old value
// otherwise.
#define IR_IF(b, condition) IR_IF_CARRY (b, condition, NULL, 0)
#define IR_IF_CARRY(b, condition, values, count) \
  IR_IF_NAMED (b, condition, values, count, IR_JOIN(if_scope_, __LINE__))
#define IR_IF_NAMED(b, condition, values, count, scope)                                      \
  for (ir_scope_t scope = ir_if_begin(IR_AT(b), (condition), (values), (count)); scope.open; \
       ir_scope_end((b), &scope))
#define IR_JOIN(a, line)          IR_JOIN_EXPANDED(a, line)
#define IR_JOIN_EXPANDED(a, line) a##line

enum { IR_CARRY_LIMIT = 64 };
typedef struct ir_scope {
  bool open;
  bool is_if;
  ir_value_t index;
  ir_value_t *values;
  size_t count;
  ir_value_t operands[3];  // low, high, step; or the condition
  ir_value_t before[IR_CARRY_LIMIT];
  MlirBlock outer;
  MlirRegion region;
} ir_scope_t;
ir_scope_t ir_for_begin(ir_builder_t *b, ir_value_t low, ir_value_t high, ir_value_t step,
                        ir_value_t *values, size_t count);
ir_scope_t ir_if_begin(ir_builder_t *b, ir_value_t condition, ir_value_t *values, size_t count);
void ir_scope_end(ir_builder_t *b, ir_scope_t *scope);

// func.func @name(types...) without results: the builder moves into its body and out again at the
// end.
typedef struct ir_function {
  MlirBlock outer;
} ir_function_t;
ir_function_t ir_function_begin(ir_builder_t *b, const char *name, const ir_type_t *types,
                                size_t count, ir_value_t *out_arguments);
void ir_function_end(ir_builder_t *b, ir_function_t *function);

#endif
