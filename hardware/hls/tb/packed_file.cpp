#include "hardware/hls/tb/packed_file.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "hardware/hls/tb/expected.h"

namespace test_bench {
namespace {

template <class T>
std::vector<T> little_endian(const std::vector<uint8_t>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(&values[i], &bytes[i * sizeof(T)], sizeof(T));
  }
  return values;
}

// The text between `open` after `from` and the next `close`.
std::string between(const std::string& text, size_t from, const std::string& open, char close) {
  const size_t begin = text.find(open, from);
  if (begin == std::string::npos) return "";
  const size_t end = text.find(close, begin + open.size());
  if (end == std::string::npos) return "";
  return text.substr(begin + open.size(), end - begin - open.size());
}

// JSON without the white space between its tokens.
std::string compact(const std::string& json) {
  std::string text;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"' && (i == 0 || json[i - 1] != '\\')) quoted = !quoted;
    if (quoted || (json[i] != ' ' && json[i] != '\n')) text += json[i];
  }
  return text;
}

std::vector<int64_t> integers(const std::string& text) {
  std::vector<int64_t> values;
  const char* at = text.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    values.push_back(std::strtoll(at, &end, 10));
    if (end == at) break;
    at = *end == ',' ? end + 1 : end;
  }
  return values;
}

bool bad_offsets(const std::vector<int64_t>& offsets, size_t available) {
  return offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0] ||
         offsets[1] > static_cast<int64_t>(available);
}

}  // namespace

bool read_file(const std::string& path, File& file, std::string& error) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(stream)),
                                   std::istreambuf_iterator<char>());
  uint64_t length = 0;
  if (bytes.size() < 8) {
    error = path + ": no safetensors file";
    return false;
  }
  std::memcpy(&length, bytes.data(), 8);
  if (length > bytes.size() - 8) {
    error = path + ": the header is longer than the file";
    return false;
  }
  const std::string header =
      compact(std::string(bytes.begin() + 8, bytes.begin() + 8 + static_cast<long>(length)));
  file.profile = between(header, 0, "\\\"profile\\\":\\\"", '\\');
  const size_t data = 8 + length;
  for (size_t at = header.find("{\"dtype\":"); at != std::string::npos;
       at = header.find("{\"dtype\":", at + 1)) {
    if (at < 2) continue;
    const size_t name_end = at - 2;  // NAME":{"dtype"
    const size_t name_begin = header.rfind('"', name_end - 1) + 1;
    Tensor tensor;
    tensor.dtype = between(header, at, "\"dtype\":\"", '"');
    tensor.shape = integers(between(header, at, "\"shape\":[", ']'));
    const std::vector<int64_t> offsets = integers(between(header, at, "\"data_offsets\":[", ']'));
    const std::string name = header.substr(name_begin, name_end - name_begin);
    if (bad_offsets(offsets, bytes.size() - data)) {
      error = path + ": tensor '" + name + "' lies outside the file";
      return false;
    }
    tensor.bytes.assign(bytes.begin() + static_cast<long>(data) + offsets[0],
                        bytes.begin() + static_cast<long>(data) + offsets[1]);
    file.tensors[name] = tensor;
  }
  if (file.tensors.empty()) error = path + ": holds no tensor";
  return !file.tensors.empty();
}

std::vector<std::string> packed_names(const File& file) {
  static const std::string kSuffix = "_packed";
  std::vector<std::string> names;
  for (const auto& entry : file.tensors) {
    const std::string& name = entry.first;
    if (name.size() > kSuffix.size() &&
        name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0) {
      names.push_back(name.substr(0, name.size() - kSuffix.size()));
    }
  }
  return names;
}

bool packed_tensor(const File& file, const std::string& name, int block, bool level_plane,
                   PackedTensor& tensor, std::string& error) {
  const std::string what = "tensor '" + name + "': ";
  for (const char* plane : {"_packed", "_scale", "_shape"}) {
    if (file.tensors.count(name + plane) == 0) {
      error = what + "has no plane " + name + plane;
      return false;
    }
  }
  const std::vector<int64_t> shape = little_endian<int64_t>(file.tensors.at(name + "_shape").bytes);
  if (shape.size() != 2 || shape[0] <= 0 || shape[1] <= 0 || shape[0] > (1 << 24) ||
      shape[1] > (1 << 24)) {
    error = what + "its shape plane is damaged";
    return false;
  }
  tensor.rows = shape[0];
  tensor.columns = shape[1];
  if (tensor.columns % block != 0) {
    error = what + "a row of " + std::to_string(tensor.columns) +
            " weights is no multiple of the block of " + std::to_string(block);
    return false;
  }
  const int64_t blocks = tensor.rows * (tensor.columns / block);
  tensor.words = little_endian<uint32_t>(file.tensors.at(name + "_packed").bytes);
  if (static_cast<int64_t>(tensor.words.size()) != blocks) {
    error = what + "its plane of words is damaged: " + std::to_string(tensor.words.size()) +
            " words for " + std::to_string(blocks) + " blocks";
    return false;
  }
  tensor.scale = little_endian<uint32_t>(file.tensors.at(name + "_scale").bytes);
  bool good = tensor.scale.size() == 16;
  for (uint32_t bits : tensor.scale)
    good = good && std::isfinite(float_of(bits)) && float_of(bits) > 0;
  if (!good) {
    error = what + "its scale is not 16 finite, positive values";
    return false;
  }
  if (level_plane) {
    if (file.tensors.count(name + "_level") == 0 ||
        static_cast<int64_t>(file.tensors.at(name + "_level").bytes.size()) * 2 != blocks) {
      error = what + "its level plane is missing, damaged, or has rows of half bytes";
      return false;
    }
    tensor.levels = file.tensors.at(name + "_level").bytes;
  }
  return true;
}

}  // namespace test_bench
