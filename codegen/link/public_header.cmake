# Joins the public headers into one self-contained text and writes it as a C array: cmake -DOUT= -DSTATUS= -DHONE= -P
file(READ ${STATUS} status)
file(READ ${HONE} hone)
string(REPLACE "#include \"hone/status.h\"\n" "" hone "${hone}")
file(WRITE ${OUT}.txt "${status}\n${hone}")
file(READ ${OUT}.txt bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "// Made by link/public_header.cmake.\n#include \"codegen/link/link.h\"\nconst char hone_public_header[] = {${bytes}0};\n")
