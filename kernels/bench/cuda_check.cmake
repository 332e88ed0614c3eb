# The sources of cuda_check: for a GPU here, emulated in tests/kernels.
foreach(stem cuda_check cuda_check_correct cuda_check_cublas cuda_check_decode cuda_check_device cuda_check_ladder cuda_check_path
    cuda_check_pipeline cuda_check_reference cuda_check_report cuda_check_search cuda_check_stage cuda_check_stages)
  list(APPEND CUDA_CHECK_SOURCES ${CMAKE_CURRENT_LIST_DIR}/${stem}.cc)
endforeach()
set(CUDA_CHECK_CUDA_SOURCES ${CMAKE_CURRENT_LIST_DIR}/cuda_check_ceilings.cu ${CMAKE_CURRENT_LIST_DIR}/cuda_check_trace.cu)
