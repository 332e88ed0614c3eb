seedlm_test(codec_test
  SOURCES bitpack_test.cc brute_force_test.cc golden_vectors.cc golden_vectors_test.cc level_design_test.cc levels_test.cc
          lfsr_test.cc narrow_test.cc seed_search_test.cc
  LIBRARIES seedlm_codec)
