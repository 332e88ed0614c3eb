seedlm_test(jobs_test
  SOURCES job_events_test.cc job_json_test.cc job_test.cc page_token_test.cc sqlite_job_store_test.cc
  LIBRARIES seedlm_jobs SQLite::SQLite3 Threads::Threads
  LABELS server threads)
seedlm_test(storage_test
  SOURCES artifact_name_test.cc artifact_store_test.cc checkpoint_sink_test.cc checksum_test.cc
          data_dir_test.cc sink_target_test.cc storage_roots_test.cc tree_test.cc
  LIBRARIES seedlm_storage
  LABELS server)
seedlm_test(engine_test
  SOURCES job_service_test.cc policy_test.cc rate_table_test.cc restart_test.cc scheduler_test.cc
          tensor_run_test.cc tensor_work_test.cc worker_pool_test.cc
  LIBRARIES seedlm_scheduler seedlm_jobs seedlm_storage
  LABELS server threads)
