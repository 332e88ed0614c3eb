seedlm_test(cpu_test
  SOURCES backend_differential_test.cc bound_table_test.cc level_choice_test.cc registry_test.cc weight_blocks_test.cc
  LIBRARIES seedlm_cpu seedlm_search seedlm_backend seedlm_registry absl::status absl::statusor
  TIMEOUT 600)

seedlm_test(index_test
  SOURCES cell_index_test.cc finish_test.cc index_cache_test.cc index_search_test.cc
  LIBRARIES seedlm_cpu seedlm_search seedlm_backend absl::status absl::statusor
  LABELS threads
  TIMEOUT 600)

# Not part of `make test`: `make test-slow`.
add_test(NAME index_test_slow CONFIGURATIONS slow COMMAND index_test "[slow]" --warn NoTests)
set_tests_properties(index_test_slow PROPERTIES TIMEOUT 3600 LABELS slow)
