# What a server is told: settings, their file, addresses. Without gRPC, so that the reader of the file
# can be fuzzed in a build that has no service.
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
seedlm_room(seedlm_config
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/config.cc ${CMAKE_CURRENT_LIST_DIR}/config_file.cc
          ${CMAKE_CURRENT_LIST_DIR}/listen_address.cc ${CMAKE_CURRENT_LIST_DIR}/setting.cc
          ${CMAKE_CURRENT_LIST_DIR}/settings.cc
  PUBLIC absl::status absl::statusor
  PRIVATE absl::str_format absl::strings PkgConfig::TOMLPLUSPLUS)
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/config.cc PROPERTIES
  COMPILE_DEFINITIONS "SEEDLM_VERSION=\"${PROJECT_VERSION}\"")
