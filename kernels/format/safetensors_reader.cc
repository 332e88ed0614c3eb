#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/format/fault.h"
#include "kernels/format/safetensors.h"
#include "kernels/format/safetensors_header.h"
#include "kernels/format/text.h"

namespace seedlm::format {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are taken as they lie");

constexpr uint64_t kPieceBytes = 4 << 20;
constexpr std::string_view kTheHeader = "its header";

// What people give instead of a safetensors file, by how it begins. As the length of a header all
// of these are over the limit.
struct Stranger {
  std::string_view beginning;
  std::string_view reason;
};
constexpr Stranger kStrangers[] = {
    {"version ", "is a Git LFS pointer, not the file; run git lfs pull where it was cloned"},
    {"GGUF", "is a GGUF file; give the safetensors files that it was made of"},
    {"PK\3\4", "is a zip archive, as PyTorch's .bin and .pth are; convert it to safetensors"},
    {"\x80\x02", "is a Python pickle, as PyTorch's .bin and .pth are; convert it to safetensors"},
    {"{", "begins as a JSON file does; give its directory, or a .safetensors file"},
};

// "" for nothing known.
std::string_view StrangerReason(uint64_t header_bytes) {
  char first[sizeof header_bytes];
  std::memcpy(first, &header_bytes, sizeof first);
  for (const Stranger& stranger : kStrangers) {
    if (std::string_view(first, sizeof first).starts_with(stranger.beginning)) {
      return stranger.reason;
    }
  }
  return "";
}

}  // namespace

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
  absl::StatusOr<InputFile> input = InputFile::Open(path);
  if (!input.ok()) return input.status();
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(*std::move(input)));
  if (absl::Status status = file->Parse(); !status.ok()) return status;
  return file;
}

// The text of the header; sets where the data begins.
absl::StatusOr<std::string> SafetensorsFile::ReadHeader() {
  const auto refuse = [&](std::string_view reason, uint64_t offset = 0) {
    return AtOffset(absl::InvalidArgumentError(Cat(Printable(path()), ": ", reason)), offset);
  };
  const uint64_t file_bytes = file_.size();
  uint64_t header_bytes = 0;
  if (file_bytes == 0) return refuse("is empty");
  if (file_bytes < sizeof header_bytes) {
    return refuse("is not a safetensors file: shorter than 8 bytes");
  }
  absl::Status status =
      file_.ReadAt(0, std::as_writable_bytes(std::span(&header_bytes, 1)), kTheHeader);
  if (!status.ok()) return status;
  if (header_bytes > kMaxHeaderBytes) {
    if (const std::string_view reason = StrangerReason(header_bytes); !reason.empty()) {
      return refuse(reason);
    }
    return refuse(Cat("header of ", header_bytes, " bytes, at most ", kMaxHeaderBytes,
                      " are read; is it a safetensors file?"));
  }
  if (header_bytes > file_bytes - sizeof header_bytes) {
    return refuse(Cat("header of ", header_bytes, " bytes reaches past the end of the file, ",
                      file_bytes, " bytes; the file is truncated"),
                  file_bytes);
  }
  data_offset_ = sizeof header_bytes + header_bytes;
  std::string text(header_bytes, '\0');
  status = file_.ReadAt(sizeof header_bytes, std::as_writable_bytes(std::span(text)), kTheHeader);
  if (!status.ok()) return status;
  return text;
}

absl::Status SafetensorsFile::Parse() {
  const absl::StatusOr<std::string> text = ReadHeader();
  if (!text.ok()) return text.status();
  absl::StatusOr<SafetensorsHeader> header = ParseHeader(*text, file_.size() - data_offset_);
  if (!header.ok()) {
    return Reworded(header.status(), Cat(Printable(path()), ": ", header.status().message()));
  }
  tensors_ = std::move(header->tensors);
  metadata_ = std::move(header->metadata);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
  return absl::OkStatus();
}

const TensorInfo* SafetensorsFile::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

absl::Status SafetensorsFile::Read(const TensorInfo& tensor, uint64_t offset,
                                   std::span<std::byte> bytes) const {
  return About(file_.ReadAt(FileOffset(tensor) + offset, bytes,
                            Cat("tensor '", Printable(tensor.name), "'")),
               "tensor", tensor.name);
}

absl::Status SafetensorsFile::ReadInPieces(
    const TensorInfo& tensor,
    absl::FunctionRef<absl::Status(uint64_t offset, std::span<const std::byte> piece)> visit)
    const {
  std::vector<std::byte> piece;
  for (uint64_t offset = 0; offset < tensor.byte_size(); offset += piece.size()) {
    piece.resize(std::min(kPieceBytes, tensor.byte_size() - offset));
    absl::Status status = Read(tensor, offset, piece);
    if (status.ok()) status = visit(offset, piece);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace seedlm::format
