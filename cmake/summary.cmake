message(STATUS "hone ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, LLVM in ${HONE_LLVM_ROOT}, "
  "jansson ${JANSSON_VERSION}, utf8proc ${UTF8PROC_VERSION}, sanitizers '${HONE_SANITIZE}'")
