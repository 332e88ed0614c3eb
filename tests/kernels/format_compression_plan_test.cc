#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "kernels/format/compression_plan.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

TensorData Zeros(const std::string& name, DType dtype, std::vector<int64_t> shape) {
  TensorData tensor{{name, dtype, std::move(shape)}, ""};
  tensor.bytes.assign(ByteSize(dtype, tensor.spec.shape).value(), '\0');
  return tensor;
}

// name -> why it is not compressed, "" if it is.
std::map<std::string, std::string> Reasons(const CompressionPlan& plan) {
  std::map<std::string, std::string> reasons;
  for (const PlannedTensor& tensor : plan.tensors) {
    CHECK(tensor.compressed == tensor.why_not.empty());
    reasons[tensor.source->name] = tensor.why_not;
  }
  return reasons;
}

class SingleFile {
 public:
  explicit SingleFile(const std::vector<TensorData>& tensors,
                      const std::map<std::string, std::string>& metadata = {}) {
    WriteSafetensors(directory_.path("m.safetensors"), tensors, metadata);
    auto checkpoint = Checkpoint::Open(directory_.path("m.safetensors"));
    REQUIRE(Message(checkpoint.status()) == "");
    checkpoint_ = *std::move(checkpoint);
  }
  absl::StatusOr<CompressionPlan> Plan(const CompressionOptions& options = {}) const {
    return PlanCompression(checkpoint_, options);
  }
  std::string Refusal(const CompressionOptions& options = {}) const {
    const absl::Status status = Plan(options).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

 private:
  TemporaryDirectory directory_;
  Checkpoint checkpoint_;
};

TEST_CASE("the default selection, and why each other tensor stays") {
  const SingleFile file({
      Zeros("layers.0.q.weight", DType::kF32, {64, 64}),
      Zeros("layers.0.k.weight", DType::kF16, {65, 128}),
      Zeros("layers.0.v.weight", DType::kBF16, {64, 1000}),
      Zeros("layers.0.q.bias", DType::kF32, {64, 64}),
      Zeros("narrow.weight", DType::kF32, {64, 63}),
      Zeros("flat.weight", DType::kF32, {63, 64}),
      Zeros("line.weight", DType::kF32, {4096}),
      Zeros("cube.weight", DType::kF32, {64, 64, 2}),
      Zeros("ids.weight", DType::kI64, {64, 64}),
      Zeros("double.weight", DType::kF64, {64, 64}),
      Zeros("empty.weight", DType::kF32, {64, 0}),
      Zeros("tok_embeddings.weight", DType::kF32, {64, 64}),
      Zeros("lm_head.weight", DType::kF32, {64, 64}),
      Zeros("h.wte.weight", DType::kF32, {64, 64}),
      Zeros("h.wpe.weight", DType::kF32, {64, 64}),
      Zeros("LayerNorm.weight", DType::kF32, {64, 64}),
  });
  const auto plan = file.Plan();
  REQUIRE(Message(plan.status()) == "");
  CHECK(Reasons(*plan) == std::map<std::string, std::string>{
                              {"layers.0.q.weight", ""},
                              {"layers.0.k.weight", ""},
                              {"layers.0.v.weight", ""},
                              {"layers.0.q.bias", "name does not end in .weight"},
                              {"narrow.weight", "a side is below 64"},
                              {"flat.weight", "a side is below 64"},
                              {"line.weight", "is 1-D, not 2-D"},
                              {"cube.weight", "is 3-D, not 2-D"},
                              {"ids.weight", "dtype is I64, not F32, F16 or BF16"},
                              {"double.weight", "dtype is F64, not F32, F16 or BF16"},
                              {"empty.weight", "is empty"},
                              {"tok_embeddings.weight", "name matches *embed*"},
                              {"lm_head.weight", "name matches *lm_head*"},
                              {"h.wte.weight", "name matches *wte*"},
                              {"h.wpe.weight", "name matches *wpe*"},
                              {"LayerNorm.weight", "name matches *norm*"},
                          });
  CHECK(plan->weights == 64 * 64 + 65 * 128 + 64 * 1000);
}

TEST_CASE("include replaces the rules on names, exclude always wins") {
  const SingleFile file(
      {Zeros("a.norm", DType::kF32, {2, 3}), Zeros("b.weight", DType::kF32, {64, 64}),
       Zeros("c.weight", DType::kF32, {64, 64}), Zeros("a.line", DType::kF32, {9})});
  CompressionOptions options;
  options.include = {"a.*", "re:[bc]\\.weight"};
  options.exclude = {"c*"};
  const auto plan = file.Plan(options);
  REQUIRE(Message(plan.status()) == "");
  CHECK(Reasons(*plan) == std::map<std::string, std::string>{
                              {"a.norm", ""},
                              {"b.weight", ""},
                              {"c.weight", "excluded by c*"},
                              {"a.line", "is 1-D, not 2-D"},
                          });
  options.include = {"b.weight"};
  CHECK(Reasons(*file.Plan(options))["a.norm"] == "no include pattern matches the name");
}

TEST_CASE("the output file has planes, the other tensors, and the metadata") {
  const SingleFile file({Zeros("a.weight", DType::kBF16, {64, 100}), Zeros("b", DType::kF32, {5})},
                        {{"format", "pt"}});
  CompressionOptions options;
  options.profile = codec::k3bit;
  const auto plan = file.Plan(options);
  REQUIRE(Message(plan.status()) == "");
  REQUIRE(plan->outputs.size() == 1);
  CHECK(plan->outputs[0].relative_path == "m.safetensors");
  const SafetensorsLayout& layout = plan->outputs[0].layout;
  CHECK(layout.tensors().size() == 5);
  CHECK(layout.Find("a.weight_packed").shape == std::vector<int64_t>{64, 9});
  CHECK(layout.Find("a.weight_packed").dtype == DType::kI32);
  CHECK(layout.Find("a.weight_level").shape == std::vector<int64_t>{64, 5});
  CHECK(layout.Find("a.weight_level").dtype == DType::kU8);
  CHECK(layout.Find("a.weight_scale").shape == std::vector<int64_t>{16});
  CHECK(layout.Find("a.weight_shape").dtype == DType::kI64);
  CHECK(layout.Find("b").byte_size() == 20);
  const json header = json::parse(layout.header().substr(8));
  CHECK(header["__metadata__"]["format"] == "pt");
  CHECK(json::parse(header["__metadata__"]["seedlm"].get<std::string>()) ==
        json::parse(R"({"format_version":1,"profile":"3bit","block":12,"rank":4,"lfsr_width":16,
                        "lfsr_taps":[0,1,3,12],"fit":"optimal","scale":"fitted",
                        "dtypes":{"a.weight":"BF16"}})"));
  CHECK(plan->output_bytes == layout.file_size());
  CHECK(plan->rewritten.empty());
  CHECK(plan->copied.empty());
}

TEST_CASE("plans that cannot be are refused") {
  const SingleFile file({Zeros("a.weight", DType::kF32, {64, 64}),
                         Zeros("a.weight_scale", DType::kF32, {1}), Zeros("b", DType::kU8, {5})});
  CHECK_THAT(file.Refusal(), Catch::Contains("m.safetensors: tensor 'a.weight': its plane "
                                             "'a.weight_scale' would have the name"));
  CompressionOptions options;
  options.include = {"re:("};
  CHECK_THAT(file.Refusal(options), Catch::Contains("pattern 're:('"));
  options.include = {"b"};
  CHECK_THAT(file.Refusal(options),
             Catch::Contains("nothing to compress: all 3 tensors are left out: "));
  options.include = {"a.weight", "c.*"};
  CHECK_THAT(file.Refusal(options),
             Catch::Contains("no tensor's name matches the include pattern 'c.*'; it must match "
                             "the whole name"));
  options = {};
  options.exclude = {"b", "a"};  // not "a.weight"
  CHECK_THAT(file.Refusal(options),
             Catch::Contains("no tensor's name matches the exclude pattern 'a'; it must match the "
                             "whole name, and only * and ? stand for others, as in "
                             "'model.layers.*.o_proj.weight'"));
  options = {};
  options.fit = codec::Fit::kNearest;
  CHECK_THAT(file.Refusal(options),
             Catch::Contains("fit 'nearest' works with scale 'pow2' or 'paper' only, "
                             "not with 'fitted'"));
  options.scale = codec::ScaleRule::kPow2;
  options.include = {"a.weight"};
  CHECK_THAT(file.Refusal(options), Catch::Contains("its plane"));
}

TEST_CASE("the most frequent reasons are given when nothing is left") {
  const SingleFile file({Zeros("a.bias", DType::kF32, {64, 64}),
                         Zeros("b.bias", DType::kF32, {64, 64}),
                         Zeros("c.weight", DType::kF32, {5})});
  CHECK_THAT(file.Refusal(), Catch::Contains("all 3 tensors are left out: 2 (name does not end in "
                                             ".weight), 1 (is 1-D, not 2-D)"));
  const SingleFile empty({});
  CHECK_THAT(empty.Refusal(), Catch::Contains("it has no tensors"));
}

TEST_CASE("a compressed checkpoint is not compressed again") {
  std::mt19937 random(8);
  const PackedMetadata metadata{
      codec::k4bit, codec::Fit::kOptimal, codec::ScaleRule::kPow2, {{"w", DType::kF32}}};
  const SingleFile file(RandomPlanes("w", codec::k4bit, 64, 64, random),
                        {{"seedlm", metadata.ToJson()}});
  CHECK_THAT(file.Refusal(), Catch::Contains("m.safetensors: is compressed already"));
}

TEST_CASE("the index of a variant names the planes, too") {
  const TemporaryDirectory directory;
  WriteSafetensors(directory.path("m.fp16.safetensors"),
                   {Zeros("a.weight", DType::kF16, {64, 80})});
  WriteBytes(directory.path("m.safetensors.index.fp16.json"),
             R"({"weight_map":{"a.weight":"m.fp16.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  REQUIRE(Message(checkpoint.status()) == "");
  const auto plan = PlanCompression(*checkpoint, {});
  REQUIRE(Message(plan.status()) == "");
  CHECK(plan->copied.empty());
  REQUIRE(plan->rewritten.size() == 1);
  const json index = json::parse(plan->rewritten[0].second);
  CHECK(index["weight_map"] == json::parse(R"({"a.weight_packed":"m.fp16.safetensors",
      "a.weight_scale":"m.fp16.safetensors","a.weight_shape":"m.fp16.safetensors"})"));
}

TEST_CASE("a directory: index, config and other files") {
  const TemporaryDirectory directory;
  WriteSafetensors(directory.path("m-1.safetensors"), {Zeros("a.weight", DType::kF32, {64, 80}),
                                                       Zeros("norm.weight", DType::kF32, {80})});
  WriteSafetensors(directory.path("m-2.safetensors"),
                   {Zeros("embed.weight", DType::kF16, {4, 80})});
  WriteBytes(directory.path("model.safetensors.index.json"),
             R"({"metadata":{"total_size":1,"total_parameters":7},"weight_map":{
               "a.weight":"m-1.safetensors","norm.weight":"m-1.safetensors",
               "embed.weight":"m-2.safetensors"}})");
  WriteBytes(directory.path("config.json"), R"({"hidden_size":80,"eps":1e-12})");
  WriteBytes(directory.path("1_Pooling/config.json"), R"({"pooling":1})");
  WriteBytes(directory.path("vocab.txt"), "x");
  const auto checkpoint = Checkpoint::Open(directory.path());
  REQUIRE(Message(checkpoint.status()) == "");
  CompressionOptions options;
  options.profile = codec::k4_5bit;
  const auto plan = PlanCompression(*checkpoint, options);
  REQUIRE(Message(plan.status()) == "");

  CHECK(plan->copied == std::vector<std::string>{"1_Pooling/config.json", "vocab.txt"});
  REQUIRE(plan->rewritten.size() == 2);
  CHECK(plan->rewritten[0].first == "config.json");
  CHECK(json::parse(plan->rewritten[0].second) == json::parse(R"({
      "hidden_size":80, "eps":1e-12, "quantization_config":{"quant_method":"seedlm",
      "format_version":1,"bits":4.5,"block":8,"rank":4,"lfsr_width":16,"lfsr_taps":[0,1,3,12],
      "modules_to_not_convert":["embed"]}})"));
  CHECK(plan->rewritten[1].first == "model.safetensors.index.json");
  const json index = json::parse(plan->rewritten[1].second);
  CHECK(index["weight_map"] == json::parse(R"({
      "a.weight_packed":"m-1.safetensors","a.weight_level":"m-1.safetensors",
      "a.weight_scale":"m-1.safetensors","a.weight_shape":"m-1.safetensors",
      "norm.weight":"m-1.safetensors","embed.weight":"m-2.safetensors"})"));
  const int planes = 64 * 10 * 4 + 64 * 5 + 16 * 4 + 2 * 8;
  CHECK(index["metadata"]["total_size"] == planes + 80 * 4 + 4 * 80 * 2);
  CHECK(index["metadata"]["total_parameters"] == 7);

  // A file in which nothing is compressed carries no metadata of ours.
  CHECK_THAT(plan->outputs[0].layout.header(), Catch::Contains("seedlm"));
  CHECK_THAT(plan->outputs[1].layout.header(), !Catch::Contains("seedlm"));

  const auto again = PlanCompression(*checkpoint, options);
  CHECK(again->rewritten == plan->rewritten);
  CHECK(again->outputs[0].layout.header() == plan->outputs[0].layout.header());
}

TEST_CASE("whole bits a weight are whole numbers in config.json") {
  const TemporaryDirectory directory;
  WriteSafetensors(directory.path("m.safetensors"), {Zeros("a.weight", DType::kF32, {64, 80})});
  WriteBytes(directory.path("config.json"), "{}");
  const auto plan = PlanCompression(*Checkpoint::Open(directory.path()), {});
  REQUIRE(plan.ok());
  CHECK_THAT(plan->rewritten[0].second, Catch::Contains("\"bits\": 4,"));
}

TEST_CASE("an index that changed after it was checked is refused") {
  const TemporaryDirectory directory;
  const std::string index = directory.path("model.safetensors.index.json");
  WriteSafetensors(directory.path("m.safetensors"), {Zeros("a.weight", DType::kF32, {64, 80})});
  WriteBytes(index, R"({"weight_map":{"a.weight":"m.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  REQUIRE(checkpoint.ok());
  WriteBytes(index, R"({"weight_map":{"other":"m.safetensors"}})");
  const absl::Status status = PlanCompression(*checkpoint, {}).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Message(status), Catch::Contains(index + ": tensor 'other': is not in its file"));
}

}  // namespace
}  // namespace seedlm::format
