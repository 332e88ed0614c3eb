#include <bit>
#include <limits>
#include <span>
#include <string>

#include "kernels/format/safetensors.h"
#include "kernels/format/safetensors_header.h"
#include "kernels/format/text.h"

namespace seedlm::format {

static_assert(std::endian::native == std::endian::little, "safetensors data is read in place");

absl::StatusOr<uint64_t> ByteSize(DType dtype, std::span<const int64_t> shape) {
  uint64_t elements = 1;
  bool empty = false;
  for (const int64_t side : shape) {
    if (side < 0) return absl::InvalidArgumentError("a side of the shape is negative");
    if (side == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(elements, static_cast<uint64_t>(side), &elements)) {
      return absl::InvalidArgumentError("the product of the shape overflows");
    }
  }
  uint64_t bits = 0;
  if (__builtin_mul_overflow(elements, static_cast<uint64_t>(BitWidth(dtype)), &bits) ||
      bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return absl::InvalidArgumentError("the product of the shape overflows");
  }
  if (empty) return 0;
  if (bits % 8 != 0) {
    return absl::InvalidArgumentError(
        Cat(elements, " elements of ", Name(dtype), " are not whole bytes"));
  }
  return bits / 8;
}

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  absl::StatusOr<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped.ok()) return mapped.status();
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(*std::move(mapped)));
  if (absl::Status status = file->Parse(); !status.ok()) {
    return absl::Status(status.code(), Cat(Printable(path), ": ", status.message()));
  }
  return file;
}

absl::Status SafetensorsFile::Parse() {
  // The header is read, not looked at in the mapping: whoever may write the file could end a server
  // by truncating it meanwhile.
  const uint64_t file_bytes = file_.bytes().size();
  uint64_t header_bytes = 0;
  if (file_bytes < sizeof header_bytes) {
    return absl::InvalidArgumentError("is not a safetensors file: shorter than 8 bytes");
  }
  if (absl::Status status = file_.ReadAt(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
      !status.ok()) {
    return status;
  }
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(Cat("header of ", header_bytes, " bytes, at most ",
                                          kMaxHeaderBytes, " are read; is it a safetensors file?"));
  }
  if (header_bytes > file_bytes - sizeof header_bytes) {
    return absl::InvalidArgumentError(Cat("header of ", header_bytes,
                                          " bytes reaches past the end of the file, ", file_bytes,
                                          " bytes; the file is truncated"));
  }
  data_offset_ = sizeof header_bytes + header_bytes;
  std::string text(header_bytes, '\0');
  if (absl::Status status =
          file_.ReadAt(sizeof header_bytes, std::as_writable_bytes(std::span(text)));
      !status.ok()) {
    return status;
  }
  absl::StatusOr<SafetensorsHeader> header = ParseHeader(text, file_bytes - data_offset_);
  if (!header.ok()) return header.status();
  tensors_ = std::move(header->tensors);
  metadata_ = std::move(header->metadata);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
  return absl::OkStatus();
}

const TensorInfo* SafetensorsFile::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> SafetensorsFile::Data(const TensorInfo& tensor) const {
  return file_.bytes().subspan(data_offset_ + tensor.begin, tensor.byte_size());
}

absl::Status SafetensorsFile::Read(const TensorInfo& tensor, uint64_t offset,
                                   std::span<std::byte> bytes) const {
  return file_.ReadAt(data_offset_ + tensor.begin + offset, bytes);
}

void SafetensorsFile::Release(const TensorInfo& tensor, uint64_t offset, uint64_t length) const {
  file_.Release(data_offset_ + tensor.begin + offset, length);
}

}  // namespace seedlm::format
