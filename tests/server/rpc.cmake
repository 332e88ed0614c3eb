# Pure functions of admission, rpc and the composition root.
seedlm_test(rpc_units_test
  SOURCES rpc_conversion_test.cc rpc_limits_test.cc rpc_listen_address_test.cc
          rpc_status_mapping_test.cc
  LIBRARIES seedlm_server seedlm_rpc seedlm_admission seedlm_errors
  LABELS server)

# Whole servers, reached over real channels. Not in the lane of ThreadSanitizer: what gRPC's library
# hands from thread to thread looks like a race to it, as it does not see that library's locks.
seedlm_test(rpc_test
  SOURCES rpc_artifacts_test.cc rpc_fixture.cc rpc_jobs_test.cc rpc_main_test.cc
          rpc_server_test.cc rpc_watch_test.cc
  LIBRARIES seedlm_server seedlm_rpc seedlm_storage seedlm_format
  LABELS server
  TIMEOUT 900)
add_dependencies(rpc_test seedlm-server)
