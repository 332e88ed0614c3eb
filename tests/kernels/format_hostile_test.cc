// Each file of tests/hostile is refused with INVALID_ARGUMENT, by a message that names the file,
// the tensor and the reason.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "kernels/backend/weight_blocks.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "kernels/format/decompression_plan.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/safetensors.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

const std::string kFolder = std::string(SEEDLM_TEST_DATA) + "/hostile/";

// The message of a refusal is the path of `name` and then `message`; a `message` that ends in ".."
// is its beginning (what follows is the JSON library's text).
struct Case {
  std::string_view name;
  std::string_view message;
};

constexpr Case kContainers[] = {
    {"empty.safetensors", ": is empty"},
    {"short.safetensors", ": is not a safetensors file: shorter than 8 bytes"},
    {"header_over_limit.safetensors",
     ": header of 100000001 bytes, at most 100000000 are read; is it a safetensors file?"},
    {"header_length_maximal.safetensors",
     ": header of 18446744073709551615 bytes, at most 100000000 are read; is it a safetensors "
     "file?"},
    {"stranger_git_lfs.safetensors",
     ": is a Git LFS pointer, not the file; run git lfs pull where it was cloned"},
    {"stranger_gguf.safetensors",
     ": is a GGUF file; give the safetensors files that it was made of"},
    {"stranger_zip.safetensors",
     ": is a zip archive, as PyTorch's .bin and .pth are; convert it to safetensors"},
    {"stranger_pickle.safetensors",
     ": is a Python pickle, as PyTorch's .bin and .pth are; convert it to safetensors"},
    {"stranger_json.safetensors",
     ": begins as a JSON file does; give its directory, or a .safetensors file"},
    {"header_past_end.safetensors",
     ": header of 3 bytes reaches past the end of the file, 10 bytes; the file is truncated"},
    {"header_array.safetensors", ": header: does not start with '{'"},
    {"header_leading_space.safetensors", ": header: does not start with '{'"},
    {"header_cut.safetensors", ": header: is not UTF-8 JSON: parse error.."},
    {"header_garbage_after.safetensors", ": header: is not UTF-8 JSON: parse error.."},
    {"header_not_utf8.safetensors", ": header: is not UTF-8 JSON: parse error.."},
    {"name_too_long.safetensors", ": tensor 'nnnn.."},
    {"header_deep_arrays.safetensors",
     ": tensor 't': shape has an array, not a whole number from 0 up"},
    {"header_deep_objects.safetensors", ": tensor 't': unknown field 't'"},
    {"tensor_null.safetensors", ": tensor 't': has null where the format has none"},
    {"tensor_number.safetensors", ": tensor 't': has a number where the format has none"},
    {"tensor_array.safetensors", ": tensor 't': has an array where the format has none"},
    {"name_twice.safetensors", ": tensor 't': the name is there twice"},
    {"metadata_twice.safetensors", ": tensor '__metadata__': the name is there twice"},
    {"metadata_key_twice.safetensors", ": header: the metadata key 'k' is there twice"},
    {"metadata_number.safetensors", ": header: the metadata key 'k' has a number, not a string"},
    {"metadata_nested.safetensors", ": header: the metadata key 'k' has an object, not a string"},
    {"field_twice.safetensors", ": tensor 't': the field 'dtype' is there twice"},
    {"field_unknown.safetensors", ": tensor 't': unknown field 'stride'"},
    {"field_missing.safetensors", ": tensor 't': needs dtype, shape and data_offsets"},
    {"dtype_unknown.safetensors", ": tensor 't': unknown dtype 'F31'"},
    {"dtype_number.safetensors", ": tensor 't': has a number where the format has none"},
    {"dtype_unknown_in_odd_name.safetensors", ": tensor 'a\\x1b[2J\\xc2\\x85b': unknown dtype '?'"},
    {"shape_negative.safetensors", ": tensor 't': shape has -1, not a whole number from 0 up"},
    {"shape_fraction.safetensors", ": tensor 't': shape has 1.5, not a whole number from 0 up"},
    {"shape_product_overflow.safetensors", ": tensor 't': the product of the shape overflows"},
    {"shape_bytes_overflow.safetensors", ": tensor 't': the product of the shape overflows"},
    {"shape_overflow_times_zero.safetensors", ": tensor 't': the product of the shape overflows"},
    {"shape_side_over_int64.safetensors", ": tensor 't': the product of the shape overflows"},
    {"shape_too_many_sides.safetensors", ": tensor 't': has more than 64 dimensions"},
    {"shape_part_of_a_byte.safetensors", ": tensor 't': 3 elements of F4 are not whole bytes"},
    {"shape_disagrees.safetensors",
     ": tensor 't': data_offsets [0, 4] hold 4 bytes, F32 [2] needs 8"},
    {"offsets_one.safetensors", ": tensor 't': data_offsets must be two numbers"},
    {"offsets_three.safetensors", ": tensor 't': data_offsets must be two numbers"},
    {"offsets_negative.safetensors",
     ": tensor 't': data_offsets have -4, not a whole number from 0 up"},
    {"offsets_reversed.safetensors", ": tensor 't': data_offsets [4, 0] end before they begin"},
    {"offsets_past_end.safetensors",
     ": tensor 't': data_offsets [0, 8] reach past the end of the data, 4 bytes; is the file "
     "truncated?"},
    {"offsets_maximal.safetensors",
     ": tensor 't': data_offsets [18446744073709551611, 18446744073709551615] reach past the end "
     "of the data, 4 bytes; is the file truncated?"},
    {"offsets_overlap.safetensors",
     ": tensor 'b': data_offsets [2, 6] overlap tensor 'a', which ends at byte 4"},
    {"offsets_same.safetensors",
     ": tensor 'b': data_offsets [0, 4] overlap tensor 'a', which ends at byte 4"},
    {"offsets_hole.safetensors", ": tensor 'b': data_offsets [6, 8] leave a hole after byte 4"},
    {"offsets_hole_at_start.safetensors",
     ": tensor 't': data_offsets [4, 8] leave a hole after byte 0"},
    {"offsets_out_of_order.safetensors",
     ": tensor 'b': data_offsets [0, 4] are out of order: they begin before those of the tensor "
     "before; write the file anew, in order"},
    {"data_after_last.safetensors",
     ": header: the tensors end at byte 4 of the data, the file at byte 5"},
    {"truncated.safetensors",
     ": tensor 't': data_offsets [0, 16] reach past the end of the data, 7 bytes; is the file "
     "truncated?"},
    {"data_without_tensors.safetensors",
     ": header: the tensors end at byte 0 of the data, the file at byte 4"},
};

constexpr Case kPacked[] = {
    {"metadata_not_json.safetensors", ": metadata 'seedlm': is not JSON: parse error.."},
    {"metadata_not_object.safetensors", ": metadata 'seedlm': is not a JSON object"},
    {"metadata_deep.safetensors", ": metadata 'seedlm': JSON nested deeper than 16 levels"},
    {"metadata_field_twice.safetensors",
     ": metadata 'seedlm': the key 'format_version' is there twice"},
    {"metadata_version_unknown.safetensors",
     ": metadata 'seedlm': unknown format_version 2, this program reads 1"},
    {"metadata_version_missing.safetensors",
     ": metadata 'seedlm': needs the field 'format_version', an integer"},
    {"metadata_version_text.safetensors",
     ": metadata 'seedlm': needs the field 'format_version', an integer"},
    {"metadata_profile_unknown.safetensors", ": metadata 'seedlm': unknown profile '5bit'"},
    {"metadata_block_disagrees.safetensors",
     ": metadata 'seedlm': block is 12, profile 4bit has 8"},
    {"metadata_rank_disagrees.safetensors", ": metadata 'seedlm': rank is 4, profile 4bit has 3"},
    {"metadata_width_disagrees.safetensors",
     ": metadata 'seedlm': lfsr_width is 15, profile 4bit has 16"},
    {"metadata_taps_disagree.safetensors",
     ": metadata 'seedlm': lfsr_taps are [0,1,3,13], profile 4bit has [0,1,3,12]"},
    {"metadata_fit_unknown.safetensors", ": metadata 'seedlm': unknown fit 'best'"},
    {"metadata_scale_unknown.safetensors", ": metadata 'seedlm': unknown scale 'linear'"},
    {"metadata_dtypes_missing.safetensors",
     ": metadata 'seedlm': needs the field 'dtypes', an object"},
    {"metadata_dtype_integer.safetensors",
     ": metadata 'seedlm': dtypes: tensor 'w' has \"I32\", not F32, F16 or BF16"},
    {"metadata_tensor_without_planes.safetensors", ": tensor 'x_shape': the plane is missing"},
    {"plane_packed_missing.safetensors", ": tensor 'w_packed': the plane is missing"},
    {"plane_scale_missing.safetensors", ": tensor 'w_scale': the plane is missing"},
    {"plane_shape_missing.safetensors", ": tensor 'w_shape': the plane is missing"},
    {"plane_level_missing.safetensors", ": tensor 'w_level': the plane is missing"},
    {"plane_packed_dtype.safetensors", ": tensor 'w_packed': the plane is U32, not I32"},
    {"plane_packed_shape.safetensors",
     ": tensor 'w_packed': the plane's shape is [2, 3], not [2, 2]"},
    {"plane_level_dtype.safetensors", ": tensor 'w_level': the plane is I8, not U8"},
    {"plane_level_shape.safetensors",
     ": tensor 'w_level': the plane's shape is [2, 2], not [2, 1]"},
    {"plane_level_left_over.safetensors",
     ": tensor 'w_level': a plane that profile 4bit does not have"},
    {"plane_scale_dtype.safetensors", ": tensor 'w_scale': the plane is F16, not F32"},
    {"plane_scale_shape.safetensors", ": tensor 'w_scale': the plane's shape is [15], not [16]"},
    {"plane_shape_dtype.safetensors", ": tensor 'w_shape': the plane is I32, not I64"},
    {"plane_shape_shape.safetensors", ": tensor 'w_shape': the plane's shape is [3], not [2]"},
    {"plane_rows_disagree.safetensors",
     ": tensor 'w_packed': the plane's shape is [2, 2], not [3, 2]"},
    {"plane_columns_disagree.safetensors",
     ": tensor 'w_packed': the plane's shape is [2, 2], not [2, 3]"},
    {"plane_rows_zero.safetensors", ": tensor 'w_shape': holds [0, 10], sides must be 1 or more"},
    {"plane_columns_negative.safetensors",
     ": tensor 'w_shape': holds [2, -10], sides must be 1 or more"},
    {"plane_shape_overflow.safetensors",
     ": tensor 'w_shape': [4611686018427387904, 4611686018427387904]: the product of the shape "
     "overflows"},
    {"plane_scale_nan.safetensors", ": tensor 'w_scale': level 15 is nan, not finite and positive"},
    {"plane_scale_infinite.safetensors",
     ": tensor 'w_scale': level 15 is inf, not finite and positive"},
    {"plane_scale_zero.safetensors", ": tensor 'w_scale': level 15 is 0, not finite and positive"},
    {"plane_scale_negative.safetensors",
     ": tensor 'w_scale': level 15 is -1, not finite and positive"},
    {"plane_and_tensor.safetensors", ": tensor 'w': is there compressed and uncompressed"},
    {"plane_orphan.safetensors",
     ": tensor 'w_packed': a plane of a tensor that the metadata does not name"},
};

constexpr Case kRows[] = {
    {"seed_zero.safetensors", ": tensor 'w': row 1, block 0: the seed is zero"},
};

constexpr Case kCheckpoints[] = {
    {"index_not_json", "/model.safetensors.index.json: is not JSON: parse error.."},
    {"index_deep", "/model.safetensors.index.json: JSON nested deeper than 16 levels"},
    {"index_key_twice", "/model.safetensors.index.json: the key 'w' is there twice"},
    {"index_without_map", "/model.safetensors.index.json: has no weight_map"},
    {"index_map_array", "/model.safetensors.index.json: has no weight_map"},
    {"index_metadata_text", "/model.safetensors.index.json: metadata is not an object"},
    {"index_file_number", "/model.safetensors.index.json: tensor 'w': its file is not a string"},
    {"index_file_missing",
     "/model.safetensors.index.json: tensor 'w': its file 'model-2.safetensors' is missing"},
    {"index_tensor_missing",
     "/model.safetensors.index.json: tensor 'v': is not in its file 'model.safetensors'"},
    {"index_escape",
     "/model.safetensors.index.json: tensor 'w': its file '../model.safetensors' is not below the "
     "index"},
    {"index_escape_inside",
     "/model.safetensors.index.json: tensor 'w': its file 'a/../../x/model.safetensors' is not "
     "below the index"},
    {"index_absolute",
     "/model.safetensors.index.json: tensor 'w': its file '/model.safetensors' is not below the "
     "index"},
    {"shards_same_tensor", "/model-2.safetensors: tensor 'w': is also in 'model-1.safetensors'"},
    {"hub_cache", ": is a Hugging Face cache, not a checkpoint; give .."},
    {"shards_none", ": has no .safetensors file"},
};

constexpr Case kPlans[] = {
    {"config_not_json", "/config.json: is not JSON: parse error.."},
    {"config_array", "/config.json: is not a JSON object"},
    {"config_deep", "/config.json: JSON nested deeper than 64 levels"},
    {"config_quantised",
     "/config.json: has a quantization_config already: the model is quantised; start from the "
     "weights that it was made of"},
};

constexpr Case kCompressions[] = {
    {"plane_name_taken.safetensors",
     ": tensor 'a.weight': its plane 'a.weight_scale' would have the name of a tensor; exclude one "
     "of the two"},
    {"compressed_already.safetensors", ": is compressed already; decompress it first"},
    {"tensors_none.safetensors", ": nothing to compress: it has no tensors"},
    {"tensors_unsuitable.safetensors", ": nothing to compress: all 1 tensors are left out: .."},
};

constexpr Case kDecompressions[] = {
    {"nothing_compressed.safetensors", ": holds no compressed tensor"},
    {"restored_name_taken", "/b.safetensors: tensor 'w': is also in 'a.safetensors'"},
    {"config_escaped", "/config.json: writes 'quantization_config' with escapes; write it plainly"},
};

// The message is the backend's, to which the server adds file and tensor.
constexpr Case kWeights[] = {
    {"weight_nan.safetensors", "row 2, column 3: weight is NaN"},
    {"weight_infinite.safetensors", "row 2, column 63: weight is infinite"},
    {"weight_nan_bfloat16.safetensors", "row 2, column 0: weight is NaN"},
};

// Made when the test runs.
constexpr Case kLargeContainers[] = {
    {"pipe.safetensors", ": is not a regular file"},
    {"tensors_too_many.safetensors", ": header: has more than 500000 tensors"},
    {"metadata_too_many_keys.safetensors", ": header: the metadata has more than 100000 keys"},
};

constexpr Case kLargeCheckpoints[] = {
    {"index_over_limit", "/model.safetensors.index.json: is larger than 100000000 bytes"},
    {"directories_too_deep",
     "/a/b/c/d/e/f/g/h/i: directories nested deeper than 8 levels (a symbolic link to its own "
     "parent?)"},
    {"directory_loop",
     "/loop/loop/loop/loop/loop/loop/loop/loop/loop: directories nested deeper than 8 levels (a "
     "symbolic link to its own parent?)"},
    {"entries_too_many", ": has more than 100000 entries"},
    {"tensors_too_many_together", ": has files with 500002 tensors, at most 500000 are read"},
    {"headers_over_limit_together",
     ": has files with headers of 120000000 bytes, at most 100000000 are read"},
    {"index_values_too_many", "/model.safetensors.index.json: JSON of more than 1000000 values"},
};

constexpr Case kLargePlans[] = {
    {"config_over_limit", "/config.json: is larger than 16777216 bytes"},
    {"planes_too_many",
     ": the output would have files with 501000 tensors, at most 500000 are read; compress fewer "
     "tensors"},
};

// Every case is a section of its own, named after its file.
template <size_t kCount, typename Open>
void CheckAll(const Case (&cases)[kCount], Open open, const std::string& folder = kFolder) {
  for (const Case& test : cases) {
    DYNAMIC_SECTION(test.name) {
      const std::string path = folder + std::string(test.name);
      const absl::Status status = open(path);
      CHECK(status.code() == absl::StatusCode::kInvalidArgument);
      std::string_view expected = test.message;
      const bool is_beginning = expected.ends_with("..");
      if (is_beginning) expected.remove_suffix(2);
      std::string message(status.message());
      if (is_beginning) message.resize(std::min(message.size(), path.size() + expected.size()));
      CHECK(message == path + std::string(expected));
    }
  }
}

TEST_CASE("hostile containers are refused") {
  CheckAll(kContainers,
           [](const std::string& path) { return SafetensorsFile::Open(path).status(); });
}

TEST_CASE("hostile compressed tensors are refused") {
  CheckAll(kPacked, [](const std::string& path) {
    // Nothing is wrong with the container.
    CHECK(SafetensorsFile::Open(path).ok());
    return OpenPackedFile(path).status();
  });
}

TEST_CASE("hostile codes are refused") {
  CheckAll(kRows, [](const std::string& path) {
    const auto file = OpenPackedFile(path);
    REQUIRE(file.ok());
    REQUIRE(file->packed.size() == 1);
    CHECK(CheckRow(file->packed[0], 0).ok());
    return CheckRow(file->packed[0], 1);
  });
}

TEST_CASE("hostile directories are refused") {
  CheckAll(kCheckpoints, [](const std::string& path) { return Checkpoint::Open(path).status(); });
}

// Plans with every tensor that can be compressed.
absl::Status PlanAll(const std::string& path) {
  const auto checkpoint = Checkpoint::Open(path);
  REQUIRE(checkpoint.ok());
  CompressionOptions options;
  options.include = {"*"};
  return PlanCompression(*checkpoint, options).status();
}

TEST_CASE("hostile configurations are refused") { CheckAll(kPlans, PlanAll); }

TEST_CASE("hostile checkpoints are not compressed") {
  CheckAll(kCompressions, [](const std::string& path) {
    const auto checkpoint = Checkpoint::Open(path);
    REQUIRE(checkpoint.ok());
    return PlanCompression(*checkpoint, {}).status();
  });
}

TEST_CASE("hostile checkpoints are not decompressed") {
  CheckAll(kDecompressions, [](const std::string& path) {
    const auto checkpoint = Checkpoint::Open(path);
    REQUIRE(checkpoint.ok());
    return PlanDecompression(*checkpoint, std::nullopt).status();
  });
}

TEST_CASE("hostile weights are refused by row and column") {
  for (const Case& test : kWeights) {
    DYNAMIC_SECTION(test.name) {
      const auto checkpoint = Checkpoint::Open(kFolder + std::string(test.name));
      REQUIRE(checkpoint.ok());
      CHECK(PlanCompression(*checkpoint, {}).ok());  // nothing else is wrong
      const SafetensorsFile& file = *checkpoint->files.front().file;
      const TensorInfo& tensor = file.tensors().front();
      const auto type = tensor.dtype == DType::kF32   ? backend::WeightType::kF32
                        : tensor.dtype == DType::kF16 ? backend::WeightType::kF16
                                                      : backend::WeightType::kBF16;
      const std::vector<std::byte> bytes = BytesOf(file, tensor);
      codec::NormHistogram histogram;
      const absl::Status status = backend::AddBlockNorms(
          codec::k4bit, {type, tensor.shape[0], tensor.shape[1], bytes.data()}, histogram);
      CHECK(status.code() == absl::StatusCode::kInvalidArgument);
      CHECK(std::string(status.message()) == std::string(test.message));
    }
  }
}

// Of the files and directories in a directory, sorted.
std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Where make_hostile.py has put what no repository would hold; made once, as it takes seconds.
const TemporaryDirectory& LargeFolder() {
  static const TemporaryDirectory directory;
  static const int status = std::system(
      ("python3 '" + kFolder + "make_hostile.py' --large '" + directory.path() + "'").c_str());
  REQUIRE(status == 0);
  return directory;
}

TEST_CASE("hostile inputs that no repository would hold are refused") {
  const std::string folder = LargeFolder().path() + "/";
  const auto open_file = [](const std::string& path) {
    return SafetensorsFile::Open(path).status();
  };
  const auto open_checkpoint = [](const std::string& path) {
    return Checkpoint::Open(path).status();
  };
  CheckAll(kLargeContainers, open_file, folder);
  CheckAll(kLargeCheckpoints, open_checkpoint, folder);
  CheckAll(kLargePlans, PlanAll, folder);
  std::vector<std::string> cases;
  for (const Case& test : kLargeContainers) cases.emplace_back(test.name);
  for (const Case& test : kLargeCheckpoints) cases.emplace_back(test.name);
  for (const Case& test : kLargePlans) cases.emplace_back(test.name);
  std::sort(cases.begin(), cases.end());
  CHECK(NamesIn(folder) == cases);
  const std::string readme = ReadBytes(kFolder + "README.md");
  for (const std::string& name : cases) CHECK_THAT(readme, Catch::Contains("| `" + name + "` |"));
}

TEST_CASE("every hostile file has a case here and a line in its README") {
  std::vector<std::string> cases;
  const auto add = [&](const auto& list) {
    for (const Case& test : list) cases.emplace_back(test.name);
  };
  add(kContainers);
  add(kPacked);
  add(kRows);
  add(kCheckpoints);
  add(kPlans);
  add(kCompressions);
  add(kDecompressions);
  add(kWeights);
  std::sort(cases.begin(), cases.end());
  std::vector<std::string> files = NamesIn(kFolder);
  std::erase(files, "README.md");
  std::erase(files, "make_hostile.py");
  CHECK(files == cases);
  const std::string readme = ReadBytes(kFolder + "README.md");
  for (const std::string& name : cases) CHECK_THAT(readme, Catch::Contains("| `" + name + "` |"));
}

}  // namespace
}  // namespace seedlm::format
