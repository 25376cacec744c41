if(HONE_XGBOOST_LIBRARY AND HONE_XGBOOST_INCLUDE)
  set(hone_xgboost ${HONE_XGBOOST_LIBRARY})
else()
  set(hone_xgboost "none (optional)")
endif()
message(STATUS "hone ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, LLVM in ${HONE_LLVM_ROOT}, "
  "jansson ${JANSSON_VERSION}, utf8proc ${UTF8PROC_VERSION}, xgboost ${hone_xgboost}, sanitizers '${HONE_SANITIZE}'")
