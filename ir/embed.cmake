# cmake -DINPUT=hone.irdl.mlir -DOUTPUT=dialect_text.c -P embed.cmake: writes the file's bytes as a C array.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
       "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "// Generated from hone.irdl.mlir by embed.cmake; do not edit.
#include \"ir/dialect_internal.h\"

const char ir_dialect_bytes[] = {
${bytes}0x00};
")
