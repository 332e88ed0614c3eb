#include <algorithm>
#include <cstring>
#include <filesystem>

#include "kernels/codec/narrow.h"
#include "kernels/format/decompression_plan.h"
#include "kernels/format/staged_directory.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr size_t kBatchBytes = 4 << 20;      // written at once
constexpr int64_t kSegmentBlocks = 1 << 14;  // decoded at once: at most 1 MiB of float32

void Append(DType dtype, std::span<const float> weights, std::vector<std::byte>& bytes) {
  const size_t width = static_cast<size_t>(BitWidth(dtype)) / 8;
  const size_t begin = bytes.size();
  bytes.resize(begin + weights.size() * width);
  std::byte* out = bytes.data() + begin;
  if (dtype == DType::kF32) {
    std::memcpy(out, weights.data(), weights.size_bytes());
    return;
  }
  for (const float weight : weights) {
    const uint16_t half =
        dtype == DType::kF16 ? codec::ToFloat16(weight) : codec::ToBfloat16(weight);
    std::memcpy(out, &half, sizeof half);
    out += sizeof half;
  }
}

// Decodes one tensor from the first row to the last and writes it in batches.
class Decoder {
 public:
  Decoder(const DecompressionPlan& plan, const RestoredTensor& tensor,
          const SafetensorsWriter& writer, RestoreProgress progress)
      : file_(*plan.files[tensor.file].file),
        tensor_(tensor),
        packed_(*tensor.packed),
        dtype_(writer.layout().Find(packed_.name).dtype),
        writer_(writer),
        progress_(progress) {}

  absl::Status Run() {
    absl::Status status = file_.CheckUnchanged();
    for (int64_t row = 0; status.ok() && row < packed_.rows; ++row) status = DecodeOne(row);
    return status.ok() ? Flush(packed_.rows) : status;
  }

 private:
  absl::Status DecodeOne(int64_t row) {
    if (absl::Status status = CheckRow(packed_, row, file_.path()); !status.ok()) return status;
    const int64_t blocks = packed_.blocks_per_row();
    for (int64_t block = 0; block < blocks; block += kSegmentBlocks) {
      const int64_t first = block * packed_.profile.block;
      const int64_t count =
          std::min(kSegmentBlocks * packed_.profile.block, packed_.columns - first);
      segment_.resize(static_cast<size_t>(count));
      DecodeBlocks(packed_, row, block, segment_);
      Append(dtype_, segment_, bytes_);
      if (bytes_.size() < kBatchBytes) continue;
      if (absl::Status status = Flush(row); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Writes what is collected; the rows before `row` are not needed any more.
  absl::Status Flush(int64_t row) {
    if (bytes_.empty()) return absl::OkStatus();
    absl::Status status = writer_.Write(packed_.name, written_, bytes_);
    written_ += bytes_.size();
    if (status.ok()) status = progress_(tensor_, bytes_.size());
    if (status.ok()) status = file_.CheckUnchanged();
    bytes_.clear();
    const PlaneNames names(packed_.name);
    Release(names.packed, packed_.words.size() / packed_.rows, row);
    Release(names.level, packed_.levels.size() / packed_.rows, row);
    released_rows_ = row;
    return status;
  }

  void Release(const std::string& plane, uint64_t row_bytes, int64_t row) const {
    const TensorInfo* info = row_bytes == 0 ? nullptr : file_.Find(plane);
    if (info == nullptr) return;
    file_.Release(*info, row_bytes * released_rows_, row_bytes * (row - released_rows_));
  }

  const SafetensorsFile& file_;
  const RestoredTensor& tensor_;
  const PackedTensor& packed_;
  const DType dtype_;
  const SafetensorsWriter& writer_;
  RestoreProgress progress_;
  std::vector<float> segment_;
  std::vector<std::byte> bytes_;
  uint64_t written_ = 0;
  int64_t released_rows_ = 0;
};

absl::Status CopyTensor(const DecompressionPlan& plan, const RestoredTensor& tensor,
                        const SafetensorsWriter& writer, RestoreProgress progress) {
  const SafetensorsFile& file = *plan.files[tensor.file].file;
  const std::span<const std::byte> data = file.Data(*tensor.other);
  for (size_t done = 0; done < data.size(); done += kBatchBytes) {
    const std::span<const std::byte> piece =
        data.subspan(done, std::min(data.size() - done, kBatchBytes));
    absl::Status status = file.CheckUnchanged();
    if (status.ok()) status = writer.Write(tensor.other->name, done, piece);
    if (status.ok()) status = progress(tensor, piece.size());
    if (!status.ok()) return status;
    file.Release(*tensor.other, done, piece.size());
  }
  return absl::OkStatus();
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
  return Decoder(plan, tensor, writer, progress).Run();
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
