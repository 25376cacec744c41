# Files of the tokenizer import, a part of hone_frontend.
target_sources(hone_frontend PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_blob.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_draft.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_json.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_model.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_rules.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_unicode.c
  ${CMAKE_CURRENT_LIST_DIR}/tokenizer_wire.c)
