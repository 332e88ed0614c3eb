find_package(CLI11 REQUIRED)

# The composition root: a library, which the client embeds, and the program.
seedlm_room(seedlm_server
  SOURCES acceptor.cc call_log.cc check_files.cc credentials.cc health_check.cc health_watch.cc live_metrics.cc machine_memory.cc
          server.cc setting_place.cc start_report.cc work_memory.cc
  PUBLIC seedlm_admission seedlm_auth seedlm_config seedlm_rpc absl::status absl::statusor gRPC::grpc++
         spdlog::spdlog
  PRIVATE seedlm_log seedlm_metrics seedlm_registry seedlm_jobs seedlm_scheduler seedlm_storage absl::strings
          gRPC::grpc++_reflection)
add_executable(seedlm-server main.cc)
target_include_directories(seedlm-server PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(seedlm-server PRIVATE seedlm_warnings seedlm_server seedlm_log seedlm_metrics CLI11::CLI11
                      absl::strings spdlog::spdlog)
