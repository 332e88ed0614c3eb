#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/bench/cuda_check_path.h"
#include "kernels/bench/cuda_check_weights.h"
#include "kernels/codec/bitpack.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/output_meter.h"

namespace seedlm::bench {
namespace {

using backend::WeightType;
using codec::Profile;
using nlohmann::ordered_json;

// Codes with all bits random, their decoded weights, and an original beside them.
struct CodedTensor {
  Profile profile;
  int64_t rows, columns, per_row;
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;
  std::vector<float> scale, decoded, original;
};

CodedTensor MakeCodes(const Profile& profile, int64_t rows, int64_t columns) {
  const int64_t per_row = profile.blocks_per_row(columns);
  CodedTensor tensor{profile, rows, columns, per_row, {}, {}, {}, {}, {}};
  std::mt19937 bits(11);
  tensor.words.resize(static_cast<size_t>(rows * per_row));
  for (uint32_t& word : tensor.words) {  // a seed is never 0
    do {
      word = static_cast<uint32_t>(bits());
    } while (codec::UnpackWord(profile, word, 0).seed == 0);
  }
  const int64_t row_bytes = codec::LevelRowBytes(profile, per_row);
  tensor.levels.resize(static_cast<size_t>(rows * row_bytes));
  for (uint8_t& level : tensor.levels) level = static_cast<uint8_t>(bits());
  for (int i = 0; i < codec::kLevels; ++i) {
    tensor.scale.push_back(std::ldexp(1 + static_cast<float>(i) / 16, -18 - i));
  }
  for (int64_t i = 0; i < rows * per_row; ++i) {
    const int64_t row = i / per_row, b = i % per_row;
    const uint32_t level =
        profile.level_in_word()
            ? 0
            : codec::GetLevelNibble(&tensor.levels[static_cast<size_t>(row * row_bytes)], b);
    float block[codec::kMaxBlock];
    codec::DecodeBlock(profile,
                       codec::UnpackWord(profile, tensor.words[static_cast<size_t>(i)], level),
                       tensor.scale.data(), block);
    const int64_t some = std::min<int64_t>(profile.block, columns - b * profile.block);
    tensor.decoded.insert(tensor.decoded.end(), block, block + some);
  }
  std::normal_distribution<float> noise(0, 0.01f);
  for (const float w : tensor.decoded) tensor.original.push_back(w + noise(bits));
  return tensor;
}

// Uploads once, downloads what kernels made of it.
class OnDevice {
 public:
  template <typename T>
  const T* Upload(const std::vector<T>& values) {
    T* memory = Allocate<T>(std::max<size_t>(values.size(), 1));
    if (status_.ok()) {
      Keep(cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice,
                           stream_.get()));
      Keep(cudaStreamSynchronize(stream_.get()));
    }
    return memory;
  }
  template <typename T>
  T* Allocate(size_t count) {
    if (status_.ok() && stream_.get() == nullptr) {
      auto stream = cuda::MakeStream();
      status_ = stream.status();
      if (stream.ok()) stream_ = *std::move(stream);
    }
    if (!status_.ok()) return nullptr;
    auto memory = cuda::MakeDeviceMemory(count * sizeof(T));
    status_ = memory.status();
    if (!memory.ok()) return nullptr;
    memory_.push_back(*std::move(memory));
    return static_cast<T*>(memory_.back().get());
  }
  template <typename T>
  std::vector<T> Download(const void* from, size_t count) {
    std::vector<T> values(count);
    if (!status_.ok()) return values;
    Keep(cudaMemcpyAsync(values.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost,
                         stream_.get()));
    Keep(cudaStreamSynchronize(stream_.get()));
    return values;
  }
  void Keep(cudaError_t error) {
    if (status_.ok()) status_ = cuda::ToStatus(error, "decoding on the device");
  }
  cudaStream_t stream() const { return stream_.get(); }
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
  cuda::Stream stream_;
  std::vector<cuda::DeviceMemory> memory_;
};

// Rows whose sums are not those of the host.
int64_t WrongRows(const CodedTensor& tensor, const std::vector<std::byte>& original,
                  WeightType type, const std::vector<cuda::Comparison>& got) {
  std::vector<float> widened(tensor.decoded.size());
  backend::Widen(type, {original.data(), original.size()}, widened);
  int64_t wrong = 0;
  for (int64_t row = 0; row < tensor.rows; ++row) {
    cuda::Comparison sum = {};
    for (int64_t c = row * tensor.columns; c < (row + 1) * tensor.columns; ++c) {
      const double w = widened[static_cast<size_t>(c)];
      const double difference = w - double{tensor.decoded[static_cast<size_t>(c)]};
      sum.squared_difference += difference * difference;
      sum.squared_original += w * w;
      sum.max_difference = std::max(sum.max_difference, std::abs(difference));
    }
    constexpr double kOrder = 1e-10;
    const cuda::Comparison& other = got[static_cast<size_t>(row)];
    wrong += !Near(sum.squared_difference, other.squared_difference, kOrder) ||
             !Near(sum.squared_original, other.squared_original, kOrder) ||
             sum.max_difference != other.max_difference;
  }
  return wrong;
}

}  // namespace

absl::Status CheckDecoding(Context& context, const Profile& profile) {
  const CodedTensor tensor =
      MakeCodes(profile, context.small ? 5 : 61, (context.small ? 67 : 4001) * profile.block - 3);
  for (const WeightType type : kTypes) {
    OnDevice device;
    const cuda::PlanesView planes{device.Upload(tensor.words),
                                  device.Upload(tensor.levels),
                                  device.Upload(tensor.scale),
                                  tensor.rows,
                                  tensor.columns,
                                  tensor.per_row};
    const std::vector<std::byte> expected = Narrowed(type, tensor.decoded);
    const std::vector<std::byte> original = Narrowed(type, tensor.original);
    auto* weights = device.Allocate<std::byte>(expected.size());
    const std::byte* beside = device.Upload(original);
    auto* sums = device.Allocate<cuda::Comparison>(static_cast<size_t>(tensor.rows));
    if (!device.status().ok()) return device.status();
    device.Keep(cuda::QueueDecode(profile, planes, type, weights, device.stream()));
    device.Keep(cuda::QueueCompare(profile, planes, type, beside, sums, device.stream()));
    const auto got = device.Download<std::byte>(weights, expected.size());
    const auto compared = device.Download<cuda::Comparison>(sums, static_cast<size_t>(tensor.rows));
    if (!device.status().ok()) return device.status();
    int64_t differences = 0;
    for (size_t i = 0; i < got.size(); ++i) differences += got[i] != expected[i];
    const ordered_json of{{"profile", std::string(profile.name)},
                          {"type", Name(type)},
                          {"blocks", tensor.rows * tensor.per_row}};
    ordered_json decode{{"check", "decode = codec"}}, compare{{"check", "compare = host"}};
    decode.update(of);
    compare.update(of);
    decode["differences"] = differences;
    compare["differences"] = WrongRows(tensor, original, type, compared);
    context.emit("checks", decode);
    context.emit("checks", compare);
  }
  return absl::OkStatus();
}

absl::Status CheckOutputs(Context& context) {
  const int64_t samples = context.small ? 5 : 256, rows = context.small ? 7 : 1000;
  const int64_t columns = context.small ? 40 : 2048;
  std::mt19937 bits(12);
  std::normal_distribution<float> normal;
  const auto make = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& x : values) x = normal(bits);
    return values;
  };
  const auto inputs = make(samples * columns), weights = make(rows * columns),
             differences = make(rows * columns);
  const backend::Activations activations{samples, columns, inputs.data()};
  ordered_json record{{"check", "outputs of a layer = host"}};
  auto meter = cuda::MakeCudaOutputMeter(context.device, activations);
  if (meter.status().code() == absl::StatusCode::kFailedPrecondition) {
    record["skipped"] = std::string(meter.status().message());
    context.emit("checks", record);
    return absl::OkStatus();
  }
  if (!meter.ok()) return meter.status();
  const auto got = (*meter)->Measure(rows, weights.data(), differences.data());
  if (!got.ok()) return got.status();
  const auto expected =
      backend::MakeCpuOutputMeter(activations)->Measure(rows, weights.data(), differences.data());
  if (!expected.ok()) return expected.status();
  constexpr double kFloat32 = 1e-5;
  record["samples"] = samples;
  record["rows"] = rows;
  record["columns"] = columns;
  record["differences"] =
      int{!Near(got->squared_output, expected->squared_output, kFloat32)} +
      int{!Near(got->squared_difference, expected->squared_difference, kFloat32)};
  context.emit("checks", record);
  return absl::OkStatus();
}

}  // namespace seedlm::bench
