// The text of hone.irdl.mlir, embedded by embed.cmake. Thread rule: const.
#ifndef HONE_IR_DIALECT_INTERNAL_H
#define HONE_IR_DIALECT_INTERNAL_H

extern const char ir_dialect_bytes[];  // NUL-terminated

#endif
