seedlm_test(format_test
  SOURCES format_atomic_file_test.cc format_checkpoint_test.cc format_compression_plan_test.cc
          format_decode_test.cc format_decompression_plan_test.cc format_example_test.cc
          format_hostile_test.cc format_mapped_file_test.cc format_mutation_test.cc
          format_name_pattern_test.cc format_packed_metadata_test.cc format_safetensors_test.cc
          format_support.cc format_text_test.cc
  LIBRARIES seedlm_format nlohmann_json::nlohmann_json)
