// What the tests of the format room share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

// A directory of its own for a test, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string path(std::string_view name = "") const { return (path_ / name).string(); }
  // Names of everything in it, hidden ones too, sorted.
  std::vector<std::string> List() const;

 private:
  std::filesystem::path path_;
};

void WriteBytes(const std::string& path, std::string_view bytes);
std::string ReadBytes(const std::string& path);

// A tensor with its bytes; a file of such tensors.
struct TensorData {
  TensorSpec spec;
  std::string bytes;
};
// Bytes drawn from `random`, as many as the shape needs.
TensorData RandomTensor(const std::string& name, DType dtype, std::vector<int64_t> shape,
                        std::mt19937& random);
void WriteSafetensors(const std::string& path, const std::vector<TensorData>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

// The four planes of a tensor with random codes (no zero seed) and levels around 1/32767.
std::vector<TensorData> RandomPlanes(const std::string& name, const codec::Profile& profile,
                                     int64_t rows, int64_t columns, std::mt19937& random);

// Writes what a plan says: planes are random codes, other tensors and files are copied. To a file,
// or to a new directory.
void WritePlan(const Checkpoint& checkpoint, const CompressionPlan& plan, const std::string& path,
               std::mt19937& random);

std::string Message(const absl::Status& status);

}  // namespace seedlm::format
