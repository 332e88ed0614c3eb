// Reading and writing safetensors: 8 bytes header length (little-endian), a JSON header, the data.
// Source: https://github.com/huggingface/safetensors, "Format".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/dtype.h"
#include "kernels/format/input_file.h"

namespace seedlm::format {

// What is read of a checkpoint, all its files together, so that its memory is bounded: some hundred
// MB. Nothing is written that would not be read.
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr size_t kMaxTensors = 500'000;
inline constexpr size_t kMaxTensorNameBytes = 1024;

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes, relative to the data section
  uint64_t end = 0;

  uint64_t byte_size() const { return end - begin; }
};

// Bytes of a tensor; a scalar has the shape []. INVALID_ARGUMENT on a negative side, on overflow
// (of the sides that are not 0) and for a sub-byte total that is not whole bytes; the message has
// no file or tensor name yet.
absl::StatusOr<uint64_t> ByteSize(DType dtype, std::span<const int64_t> shape);

// An open file. Immutable, thread-safe.
class SafetensorsFile {
 public:
  // Refuses, before it allocates for them: a header over 100 MB or past the end of the file, more
  // than kMaxTensors, a name over kMaxTensorNameBytes, metadata of more than 100,000 keys, JSON
  // that is not an object of tensors, duplicate names, an unknown dtype, shapes that overflow,
  // offsets that are out of order, overlap, leave holes, disagree with the shape or do not end with
  // the file. Errors: those of InputFile; INVALID_ARGUMENT "PATH: tensor 'N': reason", about tensor
  // and offset (fault.h).
  static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in the order of offsets
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* Find(std::string_view name) const;  // null if there is none

  uint64_t header_bytes() const { return data_offset_ - sizeof(uint64_t); }
  uint64_t file_size() const { return file_.size(); }
  uint64_t FileOffset(const TensorInfo& tensor) const { return data_offset_ + tensor.begin; }
  // Copies bytes of a tensor's data from `offset` on. Errors: those of InputFile::ReadAt, naming
  // file and tensor. REQUIRES: inside the tensor.
  absl::Status Read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> bytes) const;
  // The same in pieces of a few MiB, of the whole tensor, for those that pass through. A status of
  // `visit` that is not OK ends it.
  absl::Status ReadInPieces(
      const TensorInfo& tensor,
      absl::FunctionRef<absl::Status(uint64_t offset, std::span<const std::byte> piece)> visit)
      const;
  absl::Status CheckUnchanged() const { return file_.CheckUnchanged(); }

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}
  absl::StatusOr<std::string> ReadHeader();
  absl::Status Parse();
  InputFile file_;
  uint64_t data_offset_ = 0;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> by_name_;
  std::map<std::string, std::string> metadata_;
};

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
};

// The layout of a file to be written: offsets and header are known before the first weight is.
// Tensors are laid out by descending element width, then in the given order, so that every tensor
// is aligned to its element; the header is padded with spaces to a multiple of 8 bytes.
class SafetensorsLayout {
 public:
  // Errors: INVALID_ARGUMENT for a duplicate name, the name "__metadata__", a name or metadata that
  // is not UTF-8, a name over kMaxTensorNameBytes, an overflowing shape, a header over 100 MB.
  static absl::StatusOr<SafetensorsLayout> Make(std::vector<TensorSpec> tensors,
                                                const std::map<std::string, std::string>& metadata);

  const std::string& header() const { return header_; }  // length prefix included
  uint64_t file_size() const { return file_size_; }
  // Absolute offset in the file of a tensor's first byte. REQUIRES: the name is in the layout.
  uint64_t FileOffset(std::string_view name) const;
  const TensorInfo& Find(std::string_view name) const;
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

 private:
  std::string header_;
  uint64_t file_size_ = 0;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

// Writes a file of that layout. Tensors in any order, from any thread, in pieces.
class SafetensorsWriter {
 public:
  // Errors: those of AtomicFile::Create.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path, SafetensorsLayout layout,
                                                  IfExists if_exists);
  const SafetensorsLayout& layout() const { return layout_; }
  // `offset`: bytes from the tensor's first. REQUIRES: inside the tensor.
  absl::Status Write(std::string_view tensor, uint64_t offset,
                     std::span<const std::byte> bytes) const;
  // Reads back what was written. REQUIRES: inside the tensor, not committed.
  absl::Status Read(std::string_view tensor, uint64_t offset, std::span<std::byte> bytes) const {
    return file_.ReadAt(layout_.FileOffset(tensor) + offset, bytes);
  }
  absl::Status Commit() { return file_.Commit(); }

 private:
  SafetensorsWriter(AtomicFile file, SafetensorsLayout layout)
      : file_(std::move(file)), layout_(std::move(layout)) {}
  AtomicFile file_;
  SafetensorsLayout layout_;
};

}  // namespace seedlm::format
