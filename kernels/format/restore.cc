#include <algorithm>
#include <cstring>
#include <filesystem>

#include "kernels/codec/narrow.h"
#include "kernels/format/decompression_plan.h"
#include "kernels/format/packed_codes.h"
#include "kernels/format/staged_directory.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr size_t kBatchBytes = 4 << 20;  // written at once

// The exponent of a half, all bits set: infinite, as no weight is NaN.
bool IsInfinite(DType dtype, uint16_t half) {
  const uint16_t exponent = dtype == DType::kF16 ? 0x7C00 : 0x7F80;
  return (half & exponent) == exponent;
}

// How many weights are too large for the dtype.
int64_t Append(DType dtype, std::span<const float> weights, std::vector<std::byte>& bytes) {
  const size_t width = static_cast<size_t>(BitWidth(dtype)) / 8;
  const size_t begin = bytes.size();
  bytes.resize(begin + weights.size() * width);
  std::byte* out = bytes.data() + begin;
  if (dtype == DType::kF32) {
    std::memcpy(out, weights.data(), weights.size_bytes());
    return 0;
  }
  int64_t overflows = 0;
  for (const float weight : weights) {
    const uint16_t half =
        dtype == DType::kF16 ? codec::ToFloat16(weight) : codec::ToBfloat16(weight);
    std::memcpy(out, &half, sizeof half);
    out += sizeof half;
    overflows += IsInfinite(dtype, half);
  }
  return overflows;
}

// Decodes one tensor from the first row to the last and writes it in batches.
class Decoder {
 public:
  Decoder(const RestoredTensor& tensor, const SafetensorsWriter& writer, RestoreProgress progress)
      : tensor_(tensor),
        packed_(*tensor.packed),
        dtype_(writer.layout().Find(packed_.name).dtype),
        writer_(writer),
        progress_(progress) {}

  absl::Status Run() {
    absl::Status status = ReadCodes(packed_, 0, packed_.rows,
                                    [&](const CodePiece& piece) { return DecodePiece(piece); });
    return status.ok() ? Flush() : status;
  }

 private:
  absl::Status DecodePiece(const CodePiece& piece) {
    weights_.resize(static_cast<size_t>(piece.columns()));
    for (int64_t row = piece.range().first_row; row < piece.range().end_row(); ++row) {
      if (absl::Status status = piece.CheckRow(row); !status.ok()) return status;
      piece.DecodeRow(row, weights_);
      overflows_ += Append(dtype_, weights_, bytes_);
    }
    return bytes_.size() < kBatchBytes ? absl::OkStatus() : Flush();
  }

  // Writes what is collected.
  absl::Status Flush() {
    if (bytes_.empty()) return absl::OkStatus();
    absl::Status status = writer_.Write(packed_.name, written_, bytes_);
    written_ += bytes_.size();
    if (status.ok()) status = progress_(tensor_, {bytes_.size(), overflows_});
    bytes_.clear();
    overflows_ = 0;
    return status;
  }

  const RestoredTensor& tensor_;
  const PackedTensor& packed_;
  const DType dtype_;
  const SafetensorsWriter& writer_;
  RestoreProgress progress_;
  std::vector<float> weights_;    // of a row in a piece
  std::vector<std::byte> bytes_;  // to be written
  int64_t overflows_ = 0;         // among these
  uint64_t written_ = 0;
};

absl::Status CopyTensor(const DecompressionPlan& plan, const RestoredTensor& tensor,
                        const SafetensorsWriter& writer, RestoreProgress progress) {
  return plan.files[tensor.file].file->ReadInPieces(
      *tensor.other, [&](uint64_t offset, std::span<const std::byte> piece) {
        absl::Status status = writer.Write(tensor.other->name, offset, piece);
        return status.ok() ? progress(tensor, {piece.size(), 0}) : status;
      });
}

absl::Status RestoreFile(const DecompressionPlan& plan, size_t file, const std::string& path,
                         IfExists if_exists, RestoreProgress progress) {
  absl::StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::Create(path, plan.outputs[file].layout, if_exists);
  if (!writer.ok()) return writer.status();
  for (const RestoredTensor& tensor : plan.tensors) {
    if (tensor.file != file) continue;
    const absl::Status status = RestoreTensor(plan, tensor, *writer, progress);
    if (!status.ok()) return status;
  }
  return writer->Commit();
}

absl::Status RestoreInto(const DecompressionPlan& plan, const StagedDirectory& directory,
                         RestoreProgress progress) {
  for (size_t file = 0; file < plan.outputs.size(); ++file) {
    const absl::StatusOr<std::string> path = directory.PathFor(plan.outputs[file].relative_path);
    if (!path.ok()) return path.status();
    const absl::Status status = RestoreFile(plan, file, *path, IfExists::kFail, progress);
    if (!status.ok()) return status;
  }
  for (const auto& [relative_path, content] : plan.rewritten) {
    const absl::StatusOr<std::string> path = directory.PathFor(relative_path);
    if (!path.ok()) return path.status();
    const absl::Status status = WriteFileAtomically(*path, content, IfExists::kFail);
    if (!status.ok()) return status;
  }
  for (const std::string& relative_path : plan.copied) {
    const absl::StatusOr<std::string> path = directory.PathFor(relative_path);
    if (!path.ok()) return path.status();
    const std::string source = (std::filesystem::path(plan.source) / relative_path).string();
    const absl::Status status = CopyFileAtomically(source, *path, IfExists::kFail);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RestoreTensor(const DecompressionPlan& plan, const RestoredTensor& tensor,
                           const SafetensorsWriter& writer, RestoreProgress progress) {
  if (tensor.packed == nullptr) return CopyTensor(plan, tensor, writer, progress);
  return Decoder(tensor, writer, progress).Run();
}

absl::Status RestoreCheckpoint(const DecompressionPlan& plan, const std::string& path,
                               IfExists if_exists, RestoreProgress progress) {
  if (!plan.is_directory) return RestoreFile(plan, 0, path, if_exists, progress);
  absl::StatusOr<StagedDirectory> directory =
      StagedDirectory::Create(path, if_exists, {PathsOf(plan), OutputKind::kRestored});
  if (!directory.ok()) return directory.status();
  const absl::Status status = RestoreInto(plan, *directory, progress);
  return status.ok() ? directory->Commit() : status;
}

}  // namespace seedlm::format
