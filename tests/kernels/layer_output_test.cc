// The error of a layer's output: the CPU's meter, and verify with activations.
#include "kernels/backend/layer_output.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/format/decompression_plan.h"
#include "kernels/verify/layer_inputs.h"
#include "kernels/verify/verifier.h"
#include "tests/client/tiny_checkpoint.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::verify {
namespace {

using namespace client;  // TinyCheckpoint
using server::TemporaryDirectory;

std::vector<float> Gaussian(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

// |X W^T|^2 by the definition.
double SquaredProduct(const std::vector<float>& x, const std::vector<float>& w, int64_t columns) {
  double squared = 0;
  const auto width = static_cast<size_t>(columns);
  for (size_t s = 0; s < x.size(); s += width) {
    for (size_t row = 0; row < w.size(); row += width) {
      double y = 0;
      for (size_t c = 0; c < width; ++c) y += double{x[s + c]} * double{w[row + c]};
      squared += y * y;
    }
  }
  return squared;
}

TEST_CASE("the CPU's meter multiplies, whatever the sides", "[outputs]") {
  for (const auto& [samples, rows, columns] :
       {std::tuple{1, 1, 1}, {3, 2, 20}, {8, 3, 256}, {9, 5, 257}, {17, 4, 600}}) {
    CAPTURE(samples, rows, columns);
    const auto x = Gaussian(samples * columns, 1);
    const auto w = Gaussian(rows * columns, 2);
    const auto d = Gaussian(rows * columns, 3);
    const auto meter = backend::MakeCpuOutputMeter({samples, columns, x.data()});
    const auto sums = meter->Measure(rows, w.data(), d.data());
    REQUIRE(sums.ok());
    CHECK(sums->squared_output == Approx(SquaredProduct(x, w, columns)).epsilon(1e-5));
    CHECK(sums->squared_difference == Approx(SquaredProduct(x, d, columns)).epsilon(1e-5));
    CHECK(meter->Measure(0, nullptr, nullptr)->squared_output == 0);
  }
}

struct Named {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

format::Checkpoint WriteActivations(const TemporaryDirectory& scratch,
                                    const std::vector<Named>& tensors,
                                    format::DType dtype = format::DType::kF32) {
  const std::string path = scratch / "x.safetensors";
  std::vector<format::TensorSpec> specs;
  for (const Named& tensor : tensors) specs.push_back({tensor.name, dtype, tensor.shape});
  auto writer = format::SafetensorsWriter::Create(path, *format::SafetensorsLayout::Make(specs, {}),
                                                  format::IfExists::kReplace);
  REQUIRE(writer.ok());
  for (const Named& tensor : tensors) {
    REQUIRE(writer->Write(tensor.name, 0, std::as_bytes(std::span(tensor.values))).ok());
  }
  REQUIRE(writer->Commit().ok());
  return *format::Checkpoint::Open(path);
}

absl::StatusOr<VerifyReport> CheckTiny(const std::vector<Named>& activations,
                                       const std::string& backend = "cpu",
                                       format::DType dtype = format::DType::kF32) {
  static const TinyCheckpoint tiny =
      MakeTinyCheckpoint(codec::Fit::kNearest, codec::ScaleRule::kPow2);
  const TemporaryDirectory scratch;
  WriteCompressed(tiny, scratch / "c.safetensors");
  WriteSource(tiny, scratch / "o.safetensors");
  const auto packed = OpenPackedCheckpoint(scratch / "c.safetensors");
  const auto source = format::Checkpoint::Open(scratch / "o.safetensors");
  REQUIRE((packed.ok() && source.ok()));
  const format::Checkpoint inputs = WriteActivations(scratch, activations, dtype);
  VerifyOptions options{.sample = 0};
  options.activations = &inputs;
  options.backend = backend;
  return Verify(*packed, *source, options, {}, [](const VerifyProgress&) {});
}

constexpr int64_t kColumns = TinyCheckpoint::kColumns;

TEST_CASE("verify tells the error of the output, by the definition", "[outputs]") {
  const TinyCheckpoint tiny = MakeTinyCheckpoint(codec::Fit::kNearest, codec::ScaleRule::kPow2);
  std::vector<float> differences;
  for (size_t i = 0; i < tiny.weights.size(); ++i) {
    const size_t row = i / kColumns, column = i % kColumns;
    float decoded[codec::kMaxBlock];
    codec::DecodeBlock(tiny.profile,
                       codec::UnpackWord(tiny.profile, tiny.words[row * 3 + column / 8], 0),
                       tiny.levels.scale.data(), decoded);
    differences.push_back(tiny.weights[i] - decoded[column % 8]);
  }
  // The second name, and more than two axes.
  const auto& [name, shape] = GENERATE(table<std::string, std::vector<int64_t>>(
      {{"w.weight", {6, kColumns}}, {"w", {6, kColumns}}, {"w", {2, 3, kColumns}}}));
  const auto x = Gaussian(6 * kColumns, 4);
  const auto report = CheckTiny({{name, shape, x}, {"other", {1, 1}, {0}}});
  REQUIRE(report.ok());
  CHECK(report->problems.empty());
  REQUIRE(report->tensors.size() == 1);
  CHECK(report->tensors[0].samples == 6);
  CHECK(report->tensors[0].output_error() ==
        Approx(std::sqrt(SquaredProduct(x, differences, kColumns) /
                         SquaredProduct(x, tiny.weights, kColumns)))
            .epsilon(1e-5));
  CHECK(report->unused_activations == std::vector<std::string>{"other"});
}

std::string Refusal(const std::vector<Named>& activations, const std::string& backend = "cpu",
                    format::DType dtype = format::DType::kF32) {
  const auto report = CheckTiny(activations, backend, dtype);
  REQUIRE(report.status().code() == (backend == "cpu" ? absl::StatusCode::kInvalidArgument
                                                      : absl::StatusCode::kFailedPrecondition));
  return std::string(report.status().message());
}

TEST_CASE("activations that do not fit are refused by name", "[outputs]") {
  CHECK_THAT(Refusal({{"v.weight", {1, kColumns}, Gaussian(kColumns, 1)}}),
             Catch::Contains("none of its tensors has the name of a compressed one"));
  CHECK_THAT(Refusal({{"w.weight", {2, 19}, Gaussian(38, 1)}}),
             Catch::Contains("activations 'w.weight': its shape should end in [n, 20]"));
  CHECK_THAT(Refusal({{"w", {kColumns}, Gaussian(kColumns, 1)}}),
             Catch::Contains("activations 'w': its shape should end in [n, 20]"));
  CHECK_THAT(Refusal({{"w", {0, kColumns}, {}}}), Catch::Contains("it has no samples"));
  CHECK_THAT(Refusal({{"w", {1, kColumns}, Gaussian(kColumns, 1)}}, "cpu", format::DType::kI32),
             Catch::Contains("F32, F16 or BF16"));
  CHECK_THAT(Refusal({{"w", {1, kColumns}, Gaussian(kColumns, 1)},
                      {"w.weight", {1, kColumns}, Gaussian(kColumns, 1)}}),
             Catch::Contains("has activations already"));
  auto bad = Gaussian(2 * kColumns, 1);
  bad[kColumns + 3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(Refusal({{"w", {2, kColumns}, bad}}),
             Catch::Contains("activations 'w': sample 1, column 3 is NaN or infinite"));
}

TEST_CASE("a backend that was demanded and is not there is told", "[outputs]") {
  setenv("SEEDLM_CUDA_PLUGIN", "/nowhere/seedlm_cuda.so", 1);
  CHECK_THAT(Refusal({{"w", {1, kColumns}, Gaussian(kColumns, 1)}}, "cuda"),
             Catch::Contains("backend 'cuda' is not available here: cuda: no plug-in"));
  unsetenv("SEEDLM_CUDA_PLUGIN");
}

}  // namespace
}  // namespace seedlm::verify
