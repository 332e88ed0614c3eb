seedlm_test(cpu_test
  SOURCES backend_differential_test.cc bound_table_test.cc level_choice_test.cc registry_test.cc weight_blocks_test.cc
  LIBRARIES seedlm_cpu seedlm_search seedlm_backend seedlm_registry absl::status absl::statusor
  TIMEOUT 600)
