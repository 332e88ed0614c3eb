// Small checkpoints for tests, written with the project's own writer.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/codec/narrow.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/safetensors.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::server {

struct TestTensor {
  format::TensorSpec spec;
  std::vector<std::byte> bytes;
};

template <typename T>
std::vector<std::byte> BytesOf(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

inline std::vector<float> Gaussian(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

inline TestTensor F32Tensor(const std::string& name, int64_t rows, int64_t columns,
                            const std::vector<float>& values) {
  return {{name, format::DType::kF32, {rows, columns}}, BytesOf(values)};
}

inline TestTensor F32Tensor(const std::string& name, int64_t rows, int64_t columns, uint32_t seed) {
  return F32Tensor(name, rows, columns, Gaussian(static_cast<size_t>(rows * columns), seed));
}

inline TestTensor Bf16Tensor(const std::string& name, int64_t rows, int64_t columns,
                             uint32_t seed) {
  std::vector<uint16_t> bits;
  for (const float value : Gaussian(static_cast<size_t>(rows * columns), seed)) {
    bits.push_back(codec::ToBfloat16(value));
  }
  return {{name, format::DType::kBF16, {rows, columns}}, BytesOf(bits)};
}

// A tensor that passes through.
inline TestTensor RawTensor(const std::string& name, size_t bytes) {
  TestTensor tensor{{name, format::DType::kU8, {static_cast<int64_t>(bytes)}}, {}};
  for (size_t i = 0; i < bytes; ++i) tensor.bytes.push_back(static_cast<std::byte>(i * 31 >> 3));
  return tensor;
}

inline void WriteSafetensors(const std::string& path, const std::vector<TestTensor>& tensors) {
  std::vector<format::TensorSpec> specs;
  for (const TestTensor& tensor : tensors) specs.push_back(tensor.spec);
  auto layout = format::SafetensorsLayout::Make(specs, {{"format", "pt"}});
  REQUIRE(layout.ok());
  auto writer = format::SafetensorsWriter::Create(path, *layout, format::IfExists::kFail);
  REQUIRE(writer.ok());
  for (const TestTensor& tensor : tensors) {
    REQUIRE(writer->Write(tensor.spec.name, 0, tensor.bytes).ok());
  }
  REQUIRE(writer->Commit().ok());
}

// The bytes of a tensor of a file.
inline std::string TensorBytes(const format::SafetensorsFile& file, const std::string& name) {
  const format::TensorInfo* info = file.Find(name);
  INFO(name);
  REQUIRE(info != nullptr);
  const std::vector<std::byte> data = format::BytesOf(file, *info);
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

inline std::shared_ptr<const format::SafetensorsFile> OpenSafetensors(const std::string& path) {
  auto file = format::SafetensorsFile::Open(path);
  INFO(path);
  REQUIRE(file.ok());
  return *file;
}

// A file that passes for one that this program compressed.
inline void WriteCompressed(const std::string& path) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  auto layout = format::SafetensorsLayout::Make({{"x", format::DType::kU8, {1}}},
                                                {{std::string(format::kMetadataKey), "{}"}});
  REQUIRE(layout.ok());
  auto writer = format::SafetensorsWriter::Create(path, *layout, format::IfExists::kReplace);
  REQUIRE(writer.ok());
  REQUIRE(writer->Commit().ok());
}

}  // namespace seedlm::server
