// Reads what the bench needs of a .safetensors file: the planes of compressed tensors, and plain
// tensors to compare with. A small reader of its own, so that the bench runs inside the vendor's
// tools with nothing else; it trusts the header's layout as `seedlm` writes it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace test_bench {

struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};

struct File {
  std::string profile;  // "4bit", ..; empty for a file that is not compressed
  std::map<std::string, Tensor> tensors;
};

// False, and the reason in `error`, if the file cannot be read.
bool read_file(const std::string& path, File& file, std::string& error);

struct PackedTensor {
  int64_t rows, columns;
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;  // a nibble a block; empty where the level is in the word
  std::vector<uint32_t> scale;  // float32 bits
};

// Names of the compressed tensors.
std::vector<std::string> packed_names(const File& file);

// False, and the reason, for planes that are missing or damaged, a scale that is not finite and
// positive, a row that is no multiple of the block.
bool packed_tensor(const File& file, const std::string& name, int block, bool level_plane,
                   PackedTensor& tensor, std::string& error);

}  // namespace test_bench
