#include "hardware/sim/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "hardware/sim/command.h"
#include "hardware/sim/hls_decoder.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/profile.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/packed_codes.h"

namespace seedlm::hardware {
namespace {

using format::PackedTensor;

absl::Status Refuse(const PackedTensor& tensor, const std::string& path,
                    const std::string& reason) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", tensor.name, "': ", reason));
}

absl::Status CheckRows(const PackedTensor& tensor, const std::string& path) {
  if (tensor.columns % tensor.profile.block != 0) {
    return Refuse(tensor, path,
                  absl::StrCat("a row of ", tensor.columns,
                               " weights is no multiple of the block of ", tensor.profile.block));
  }
  return absl::OkStatus();
}

absl::Status CheckDecodable(const PackedTensor& tensor, const std::string& path) {
  if (tensor.profile.name != codec::k4bit.name && tensor.profile.name != codec::k3bit.name) {
    return Refuse(tensor, path,
                  absl::StrCat("profile ", std::string(tensor.profile.name),
                               " has no decoder in hardware: 4bit and 3bit have"));
  }
  if (absl::Status status = CheckRows(tensor, path); !status.ok()) return status;
  if (!tensor.profile.level_in_word() && tensor.blocks_per_row() % 2 != 0) {
    return Refuse(tensor, path, "a row of its level plane ends with half a byte");
  }
  return absl::OkStatus();
}

// One tensor through the HLS decoder: its halves, checked against the codec's.
absl::StatusOr<TensorCheck> CheckTensor(const PackedTensor& tensor, const std::string& path,
                                        std::vector<uint16_t>& halves) {
  const HalfFormat format =
      tensor.dtype == format::DType::kBF16 ? HalfFormat::kBfloat16 : HalfFormat::kFloat16;
  std::vector<uint32_t> words(tensor.words->byte_size() / sizeof(uint32_t));
  std::vector<uint8_t> levels(tensor.levels == nullptr ? 0 : tensor.levels->byte_size());
  absl::Status read = tensor.file->Read(*tensor.words, 0, std::as_writable_bytes(std::span(words)));
  if (read.ok() && tensor.levels != nullptr) {
    read = tensor.file->Read(*tensor.levels, 0, std::as_writable_bytes(std::span(levels)));
  }
  if (!read.ok()) return read;
  TensorCheck check{tensor.name, tensor.rows * tensor.columns, 0};
  halves.resize(static_cast<size_t>(check.weights));
  const int64_t zero_seeds = DecodeWithHls(words, levels, tensor.scale, format, halves);
  const format::CodePiece codes(tensor, {0, tensor.rows, 0, tensor.blocks_per_row()},
                                std::as_bytes(std::span(words)), std::as_bytes(std::span(levels)));
  std::vector<float> row(static_cast<size_t>(tensor.columns));
  for (int64_t r = 0; r < tensor.rows; ++r) {
    // The codec names the block; that both see the same ones is checked below.
    if (absl::Status status = codes.CheckRow(r); !status.ok()) return status;
    codes.DecodeRow(r, row);
    const uint16_t* got = &halves[static_cast<size_t>(r * tensor.columns)];
    for (const float weight : row) {
      const uint16_t expected =
          format == HalfFormat::kBfloat16 ? codec::ToBfloat16(weight) : codec::ToFloat16(weight);
      if (*got++ != expected) ++check.differences;
    }
  }
  if (zero_seeds != 0) {
    return absl::InternalError(absl::StrCat(path, ": tensor '", tensor.name,
                                            "': the HLS decoder saw ", zero_seeds,
                                            " zero seeds, the codec none"));
  }
  return check;
}

absl::StatusOr<format::SafetensorsWriter> CreateOutput(const CompressedModel& model,
                                                       const std::string& path) {
  std::vector<format::TensorSpec> specs;
  for (const PackedTensor* tensor : model.tensors) {
    const bool bfloat16 = tensor->dtype == format::DType::kBF16;
    specs.push_back({tensor->name,
                     bfloat16 ? format::DType::kBF16 : format::DType::kF16,
                     {tensor->rows, tensor->columns}});
  }
  absl::StatusOr<format::SafetensorsLayout> layout =
      format::SafetensorsLayout::Make(std::move(specs), {});
  if (!layout.ok()) return layout.status();
  return format::SafetensorsWriter::Create(path, *std::move(layout), format::IfExists::kFail);
}

template <class Visit>
absl::Status ForEach(const CompressedModel& model, Visit visit) {
  for (const format::PackedFile& file : model.files) {
    for (const PackedTensor& tensor : file.packed) {
      if (absl::Status status = visit(tensor, file.file->path()); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompressedModel> CompressedModel::Open(const std::string& path) {
  absl::StatusOr<format::Checkpoint> checkpoint = format::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  CompressedModel model;
  for (const format::CheckpointFile& file : checkpoint->files) {
    absl::StatusOr<format::PackedFile> packed = format::ReadPackedFile(file.file);
    if (!packed.ok()) return packed.status();
    model.files.push_back(*std::move(packed));
  }
  for (const format::PackedFile& file : model.files) {
    for (const PackedTensor& tensor : file.packed) model.tensors.push_back(&tensor);
  }
  if (model.tensors.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds no compressed tensor"));
  }
  return model;
}

absl::StatusOr<std::vector<Matrix>> MatricesOf(const CompressedModel& model, bool shifts) {
  std::vector<Matrix> matrices;
  absl::Status status = ForEach(model, [&](const PackedTensor& tensor, const std::string& path) {
    if (tensor.profile.name != codec::k4bit.name) {
      return Refuse(tensor, path,
                    absl::StrCat("profile ", std::string(tensor.profile.name),
                                 "; the matrix-vector unit reads 4bit"));
    }
    const absl::Status levels =
        shifts ? ToShiftLevels(tensor.scale).status() : ToIntegerLevels(tensor.scale).status();
    if (!levels.ok()) return Refuse(tensor, path, std::string(levels.message()));
    matrices.push_back({tensor.name, tensor.rows, tensor.columns, false});
    return CheckRows(tensor, path);
  });
  if (!status.ok()) return status;
  return matrices;
}

bool HasMatrices(const CompressedModel& model) {
  return std::any_of(model.tensors.begin(), model.tensors.end(), [](const PackedTensor* tensor) {
    return tensor->profile.name == codec::k4bit.name;
  });
}

bool HasHlsDecoder() { return HlsDecoderIsBuilt(); }

absl::StatusOr<std::vector<TensorCheck>> CheckDecoder(const CompressedModel& model,
                                                      const std::string& output) {
  if (!HlsDecoderIsBuilt()) {
    return absl::UnimplementedError(
        "this build has no HLS decoder; run hardware/fetch-hls-headers.sh and build again");
  }
  absl::Status status = ForEach(model, CheckDecodable);
  if (!status.ok()) return status;
  std::optional<format::SafetensorsWriter> writer;
  if (!output.empty()) {
    absl::StatusOr<format::SafetensorsWriter> created = CreateOutput(model, output);
    if (!created.ok()) return created.status();
    writer.emplace(*std::move(created));
  }
  std::vector<TensorCheck> checks;
  std::vector<uint16_t> halves;
  status = ForEach(model, [&](const PackedTensor& tensor, const std::string& path) {
    absl::StatusOr<TensorCheck> check = CheckTensor(tensor, path, halves);
    if (!check.ok()) return check.status();
    checks.push_back(*check);
    return writer ? writer->Write(tensor.name, 0, std::as_bytes(std::span(halves)))
                  : absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (writer) {
    if (status = writer->Commit(); !status.ok()) return status;
  }
  return checks;
}

}  // namespace seedlm::hardware
