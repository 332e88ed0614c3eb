#include "client/inspection.h"

#include <algorithm>

#include "kernels/format/packed_codes.h"
#include "kernels/verify/packed_checkpoint.h"
#include "kernels/verify/parallel_rows.h"

namespace seedlm::client {
namespace {

struct Use {
  std::array<int64_t, codec::kLevels> levels{};
  int64_t zero_seeds = 0;
  absl::Status read;

  void Add(const format::CodePiece& piece) {
    const format::CodeRange& range = piece.range();
    for (int64_t row = range.first_row; row < range.end_row(); ++row) {
      for (int64_t block = range.first_block; block < range.end_block(); ++block) {
        const codec::BlockCode code = piece.CodeAt(row, block);
        ++levels[code.level];
        zero_seeds += code.seed == 0;
      }
    }
  }
};

absl::StatusOr<InspectedTensor> InspectPacked(const format::PackedTensor& tensor,
                                              const std::stop_token& stop) {
  InspectedTensor out;
  out.name = tensor.name;
  out.shape = {tensor.rows, tensor.columns};
  out.dtype = std::string(format::Name(tensor.dtype));
  out.packed = true;
  out.profile = std::string(tensor.profile.name);
  out.levels = tensor.scale;
  out.bits_per_weight = 8 * static_cast<double>(tensor.code_bytes()) /
                        (static_cast<double>(tensor.rows) * static_cast<double>(tensor.columns));
  const auto parts = verify::ForRowRanges<Use>(
      tensor.rows, tensor.columns, 0, stop, [&](int64_t first, int64_t count, Use& use) {
        use.read = format::ReadCodes(tensor, first, count, [&](const format::CodePiece& piece) {
          use.Add(piece);
          return absl::OkStatus();
        });
      });
  for (const Use& use : parts) {
    if (!use.read.ok()) return use.read;
    for (int i = 0; i < codec::kLevels; ++i) out.level_use[i] += use.levels[i];
    out.zero_seeds += use.zero_seeds;
  }
  return out;
}

InspectedTensor InspectOther(const format::TensorInfo& tensor) {
  InspectedTensor out;
  out.name = tensor.name;
  out.shape = tensor.shape;
  out.dtype = std::string(format::Name(tensor.dtype));
  out.bits_per_weight = format::BitWidth(tensor.dtype);
  return out;
}

}  // namespace

absl::StatusOr<Inspection> Inspect(const std::string& path, const std::stop_token& stop) {
  const auto checkpoint = verify::OpenPackedCheckpoint(path);
  if (!checkpoint.ok()) return checkpoint.status();
  Inspection inspection;
  inspection.path = path;
  double code_bits = 0;
  for (const auto& file : checkpoint->files) {
    inspection.file_bytes += file.content.file->file_size();
    const size_t first = inspection.tensors.size();
    for (const auto& tensor : file.content.packed) {
      auto inspected = InspectPacked(tensor, stop);
      if (!inspected.ok()) return inspected.status();
      inspection.tensors.push_back(*std::move(inspected));
      inspection.packed_weights += tensor.rows * tensor.columns;
      code_bits += 8 * static_cast<double>(tensor.code_bytes());
      inspection.fit = std::string(codec::Name(file.content.metadata->fit));
      inspection.scale = std::string(codec::Name(file.content.metadata->scale));
    }
    for (const auto* tensor : file.content.others) {
      inspection.tensors.push_back(InspectOther(*tensor));
    }
    if (!checkpoint->is_directory) continue;
    for (size_t i = first; i < inspection.tensors.size(); ++i) {
      inspection.tensors[i].file = file.relative_path;
    }
  }
  if (stop.stop_requested()) return absl::CancelledError(path + ": interrupted");
  if (inspection.packed_weights > 0) {
    inspection.bits_per_weight = code_bits / static_cast<double>(inspection.packed_weights);
  }
  return inspection;
}

std::string LevelBars(std::span<const int64_t, codec::kLevels> use) {
  const int64_t most = std::max<int64_t>(1, *std::max_element(use.begin(), use.end()));
  std::string bars;
  for (const int64_t count : use) {
    bars += count == 0 ? '.' : static_cast<char>('0' + count * 9 / most);
  }
  return bars;
}

}  // namespace seedlm::client
