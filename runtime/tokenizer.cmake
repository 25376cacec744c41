# Files of the tokenizer, a part of hone_rt (C and libc only).
target_sources(hone_rt PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_decode.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_encode.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_merge.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_normalize.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_split.c)
