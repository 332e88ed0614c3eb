#include "tests/kernels/format_support.h"

#include <stdlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/levels.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {

namespace fs = std::filesystem;

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (fs::temp_directory_path() / "seedlm-format-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
}

std::vector<std::string> TemporaryDirectory::List() const {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path_)) {
    names.push_back(entry.path().lexically_relative(path_).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void WriteBytes(const std::string& path, std::string_view bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  REQUIRE(out.good());
}

std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TensorData RandomTensor(const std::string& name, DType dtype, std::vector<int64_t> shape,
                        std::mt19937& random) {
  TensorData tensor{{name, dtype, std::move(shape)}, ""};
  tensor.bytes.resize(ByteSize(dtype, tensor.spec.shape).value());
  for (char& byte : tensor.bytes) byte = static_cast<char>(random());
  return tensor;
}

void WriteSafetensors(const std::string& path, const std::vector<TensorData>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSpec> specs;
  for (const TensorData& tensor : tensors) specs.push_back(tensor.spec);
  auto layout = SafetensorsLayout::Make(specs, metadata);
  REQUIRE(Message(layout.status()) == "");
  fs::create_directories(fs::path(path).parent_path());
  auto writer = SafetensorsWriter::Create(path, *layout, IfExists::kReplace);
  REQUIRE(Message(writer.status()) == "");
  for (const TensorData& tensor : tensors) {
    const auto bytes = std::as_bytes(std::span(tensor.bytes));
    REQUIRE(Message(writer->Write(tensor.spec.name, 0, bytes)) == "");
  }
  REQUIRE(Message(writer->Commit()) == "");
}

std::vector<TensorData> RandomPlanes(const std::string& name, const codec::Profile& profile,
                                     int64_t rows, int64_t columns, std::mt19937& random) {
  const PlaneNames names(name);
  std::vector<TensorData> planes;
  for (const TensorSpec& spec : PlaneSpecs(name, profile, rows, columns)) {
    planes.push_back(RandomTensor(spec.name, spec.dtype, spec.shape, random));
    std::string& bytes = planes.back().bytes;
    if (spec.name == names.packed) {
      for (size_t i = 0; i < bytes.size(); i += 4) bytes[i] |= 1;  // no zero seed
    } else if (spec.name == names.scale) {
      const codec::LevelTable table = codec::Pow2Levels(profile, -4);
      bytes.assign(reinterpret_cast<const char*>(table.scale.data()), sizeof table.scale);
    } else if (spec.name == names.shape) {
      const int64_t sides[2] = {rows, columns};
      bytes.assign(reinterpret_cast<const char*>(sides), sizeof sides);
    }
  }
  return planes;
}

void WritePlan(const Checkpoint& checkpoint, const CompressionPlan& plan, const std::string& path,
               std::mt19937& random) {
  const fs::path root(path);
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const PlannedOutput& output = plan.outputs[i];
    const std::string name =
        checkpoint.is_directory ? (root / output.relative_path).string() : path;
    fs::create_directories(fs::path(name).parent_path());
    auto writer = SafetensorsWriter::Create(name, output.layout, IfExists::kFail);
    REQUIRE(Message(writer.status()) == "");
    const SafetensorsFile& input = *checkpoint.files[i].file;
    for (const PlannedTensor& tensor : plan.tensors) {
      if (tensor.file != i) continue;
      const TensorInfo& source = *tensor.source;
      if (!tensor.compressed) {
        REQUIRE(writer->Write(source.name, 0, BytesOf(input, source)).ok());
        continue;
      }
      for (const TensorData& plane : RandomPlanes(source.name, plan.options.profile,
                                                  source.shape[0], source.shape[1], random)) {
        REQUIRE(writer->Write(plane.spec.name, 0, std::as_bytes(std::span(plane.bytes))).ok());
      }
    }
    REQUIRE(Message(writer->Commit()) == "");
  }
  for (const auto& [name, content] : plan.rewritten) WriteBytes((root / name).string(), content);
  for (const std::string& name : plan.copied) {
    const fs::path source = fs::path(checkpoint.path) / name;
    WriteBytes((root / name).string(), ReadBytes(source.string()));
  }
}

std::string Message(const absl::Status& status) {
  return status.ok() ? "" : std::string(status.ToString());
}

}  // namespace seedlm::format
