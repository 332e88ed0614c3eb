#include "kernels/format/packed_tensor.h"

#include <cmath>
#include <set>

#include "absl/strings/str_join.h"
#include "kernels/codec/bitpack.h"
#include "kernels/format/fault.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

absl::Status Refuse(const SafetensorsFile& file, std::string_view tensor, std::string_view reason) {
  return About(absl::InvalidArgumentError(
                   Cat(Printable(file.path()), ": tensor '", Printable(tensor), "': ", reason)),
               "tensor", tensor);
}

std::string ShapeText(std::span<const int64_t> shape) {
  return Cat("[", absl::StrJoin(shape, ", "), "]");
}

// The plane, or why it is not there as `spec` has it.
absl::StatusOr<const TensorInfo*> FindPlane(const SafetensorsFile& file, const TensorSpec& spec) {
  const TensorInfo* plane = file.Find(spec.name);
  if (plane == nullptr) return Refuse(file, spec.name, "the plane is missing");
  if (plane->dtype != spec.dtype) {
    return Refuse(file, spec.name,
                  Cat("the plane is ", Name(plane->dtype), ", not ", Name(spec.dtype)));
  }
  if (plane->shape != spec.shape) {
    return Refuse(
        file, spec.name,
        Cat("the plane's shape is ", ShapeText(plane->shape), ", not ", ShapeText(spec.shape)));
  }
  return plane;
}

// R and I out of N_shape.
absl::Status ReadShape(const SafetensorsFile& file, PackedTensor& tensor) {
  const std::string name = PlaneNames(tensor.name).shape;
  const absl::StatusOr<const TensorInfo*> plane = FindPlane(file, {name, DType::kI64, {2}});
  if (!plane.ok()) return plane.status();
  int64_t sides[2];
  absl::Status read = file.Read(**plane, 0, std::as_writable_bytes(std::span(sides)));
  if (!read.ok()) return read;
  tensor.rows = sides[0];
  tensor.columns = sides[1];
  const std::string text = ShapeText(sides);
  if (tensor.rows < 1 || tensor.columns < 1) {
    return Refuse(file, name, Cat("holds ", text, ", sides must be 1 or more"));
  }
  const absl::StatusOr<uint64_t> size = ByteSize(DType::kF32, sides);
  if (!size.ok()) return Refuse(file, name, Cat(text, ": ", size.status().message()));
  return absl::OkStatus();
}

absl::Status ReadScale(const SafetensorsFile& file, PackedTensor& tensor) {
  const std::string name = PlaneNames(tensor.name).scale;
  absl::Status read =
      file.Read(*file.Find(name), 0, std::as_writable_bytes(std::span(tensor.scale)));
  if (!read.ok()) return read;
  for (size_t i = 0; i < tensor.scale.size(); ++i) {
    if (std::isfinite(tensor.scale[i]) && tensor.scale[i] > 0) continue;
    return Refuse(file, name,
                  Cat("level ", i, " is ", tensor.scale[i], ", not finite and positive"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PackedTensor> ReadPackedTensor(const SafetensorsFile& file,
                                              const codec::Profile& profile, std::string name,
                                              DType dtype) {
  PackedTensor tensor;
  tensor.name = std::move(name);
  tensor.file = &file;
  tensor.dtype = dtype;
  tensor.profile = profile;
  const PlaneNames names(tensor.name);
  if (file.Find(tensor.name) != nullptr) {
    return Refuse(file, tensor.name, "is there compressed and uncompressed");
  }
  if (absl::Status status = ReadShape(file, tensor); !status.ok()) return status;
  for (const TensorSpec& spec : PlaneSpecs(tensor.name, profile, tensor.rows, tensor.columns)) {
    const absl::StatusOr<const TensorInfo*> plane = FindPlane(file, spec);
    if (!plane.ok()) return plane.status();
    if (spec.name == names.packed) tensor.words = *plane;
    if (spec.name == names.level) tensor.levels = *plane;
  }
  if (profile.level_in_word() && file.Find(names.level) != nullptr) {
    return Refuse(file, names.level, Cat("a plane that profile ", profile.name, " does not have"));
  }
  if (absl::Status status = ReadScale(file, tensor); !status.ok()) return status;
  return tensor;
}

// True for N_packed where N_packed, N_scale and N_shape look like ours.
bool IsOrphan(const SafetensorsFile& file, const TensorInfo& packed) {
  constexpr std::string_view kSuffix = "_packed";
  std::string_view name = packed.name;
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  const PlaneNames names(name);
  const TensorInfo* scale = file.Find(names.scale);
  const TensorInfo* shape = file.Find(names.shape);
  return packed.dtype == DType::kI32 && packed.shape.size() == 2 && scale != nullptr &&
         scale->dtype == DType::kF32 && scale->shape == std::vector<int64_t>{codec::kLevels} &&
         shape != nullptr && shape->dtype == DType::kI64 && shape->shape == std::vector<int64_t>{2};
}

}  // namespace

PlaneNames::PlaneNames(std::string_view tensor)
    : packed(Cat(tensor, "_packed")),
      level(Cat(tensor, "_level")),
      scale(Cat(tensor, "_scale")),
      shape(Cat(tensor, "_shape")) {}

std::vector<TensorSpec> PlaneSpecs(std::string_view tensor, const codec::Profile& profile,
                                   int64_t rows, int64_t columns) {
  const PlaneNames names(tensor);
  const int64_t blocks = profile.blocks_per_row(columns);
  std::vector<TensorSpec> specs;
  specs.push_back({names.packed, DType::kI32, {rows, blocks}});
  if (!profile.level_in_word()) {
    specs.push_back({names.level, DType::kU8, {rows, codec::LevelRowBytes(profile, blocks)}});
  }
  specs.push_back({names.scale, DType::kF32, {codec::kLevels}});
  specs.push_back({names.shape, DType::kI64, {2}});
  return specs;
}

absl::StatusOr<PackedFile> ReadPackedFile(std::shared_ptr<const SafetensorsFile> file) {
  PackedFile result;
  result.file = file;
  const auto entry = file->metadata().find(std::string(kMetadataKey));
  std::set<std::string, std::less<>> planes;
  if (entry != file->metadata().end()) {
    absl::StatusOr<PackedMetadata> metadata = PackedMetadata::FromJson(entry->second);
    if (!metadata.ok()) {
      return absl::InvalidArgumentError(
          Cat(Printable(file->path()), ": ", metadata.status().message()));
    }
    for (const auto& [name, dtype] : metadata->dtypes) {
      absl::StatusOr<PackedTensor> tensor = ReadPackedTensor(*file, metadata->profile, name, dtype);
      if (!tensor.ok()) return tensor.status();
      result.packed.push_back(*std::move(tensor));
      const PlaneNames names(name);
      planes.insert({names.packed, names.level, names.scale, names.shape});
    }
    result.metadata = *std::move(metadata);
  }
  for (const TensorInfo& tensor : file->tensors()) {
    if (planes.contains(tensor.name)) continue;
    if (result.metadata && IsOrphan(*file, tensor)) {
      return Refuse(*file, tensor.name, "a plane of a tensor that the metadata does not name");
    }
    result.others.push_back(&tensor);
  }
  return result;
}

absl::StatusOr<PackedFile> OpenPackedFile(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const SafetensorsFile>> file = SafetensorsFile::Open(path);
  if (!file.ok()) return file.status();
  return ReadPackedFile(*std::move(file));
}

}  // namespace seedlm::format
