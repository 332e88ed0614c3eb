find_package(CLI11 REQUIRED)

# The composition root: a library, which the client embeds, and the program.
seedlm_room(seedlm_server
  SOURCES config.cc listen_address.cc server.cc
  PUBLIC seedlm_rpc absl::status absl::statusor gRPC::grpc++ spdlog::spdlog
  PRIVATE seedlm_registry seedlm_jobs seedlm_scheduler seedlm_storage absl::strings
          gRPC::grpc++_reflection)
set_source_files_properties(config.cc PROPERTIES
  COMPILE_DEFINITIONS "SEEDLM_VERSION=\"${PROJECT_VERSION}\"")

add_executable(seedlm-server main.cc)
target_include_directories(seedlm-server PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(seedlm-server PRIVATE seedlm_warnings seedlm_server CLI11::CLI11
                      absl::strings spdlog::spdlog)
