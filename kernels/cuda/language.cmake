# Enables CUDA for the rooms that include this.
# 80: A100, 90: H100, 100: B100, and PTX of the last for what comes after. nvcc >= 12.8 knows all.
set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100)
set(CMAKE_CUDA_STANDARD 17)  # for CMake's own probe: before 3.26 it does not know nvcc's C++20
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
find_package(CUDAToolkit 12.8 REQUIRED)

add_library(seedlm_cuda_options INTERFACE)
target_compile_options(seedlm_cuda_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:
  --expt-relaxed-constexpr  # std::array's operator[] and such are constexpr, not __device__
  --fmad=false  # as -ffp-contract=off on the host: fused only where the source says fma()
  -Xptxas=-v  # for check_resources.py, by way of log_ptxas.sh
  --Werror=all-warnings -Xcompiler=-Wall,-Wextra>)
