#include <algorithm>

#include "absl/strings/str_join.h"
#include "kernels/format/fault.h"
#include "kernels/format/json_text.h"
#include "kernels/format/safetensors.h"
#include "kernels/format/safetensors_header.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

absl::Status ForTensor(std::string_view name, std::string_view reason) {
  return About(absl::InvalidArgumentError(Cat("tensor '", Printable(name), "': ", reason)),
               "tensor", name);
}

// {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}
std::string EntryText(const TensorInfo& tensor) {
  return Cat("{\"dtype\":\"", Name(tensor.dtype), "\",\"shape\":[",
             absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", tensor.begin, ",",
             tensor.end, "]}");
}

// The header's JSON, built as text because a JSON object of the library would sort the names.
absl::StatusOr<std::string> HeaderText(const std::vector<TensorInfo>& tensors,
                                       const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    const absl::StatusOr<std::string> object = JsonToText(nlohmann::json(metadata), -1);
    if (!object.ok()) {
      return absl::InvalidArgumentError(Cat("metadata ", object.status().message()));
    }
    text += Cat("\"", kMetadataObject, "\":", *object);
  }
  for (const TensorInfo& tensor : tensors) {
    const absl::StatusOr<std::string> name = JsonToText(tensor.name, -1);
    if (!name.ok()) return ForTensor(tensor.name, "the name is not UTF-8");
    text += Cat(text.size() > 1 ? "," : "", *name, ":", EntryText(tensor));
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

absl::StatusOr<SafetensorsLayout> SafetensorsLayout::Make(
    std::vector<TensorSpec> tensors, const std::map<std::string, std::string>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return BitWidth(a.dtype) > BitWidth(b.dtype);
  });
  SafetensorsLayout layout;
  layout.tensors_.reserve(tensors.size());
  uint64_t end = 0;
  for (TensorSpec& spec : tensors) {
    if (spec.name == kMetadataObject) return ForTensor(spec.name, "the name is reserved");
    const std::string problem = NameProblem(spec.name);
    if (!problem.empty()) return ForTensor(spec.name, problem);
    const absl::StatusOr<uint64_t> size = ByteSize(spec.dtype, spec.shape);
    if (!size.ok()) return ForTensor(spec.name, std::string(size.status().message()));
    const uint64_t begin = end;
    if (__builtin_add_overflow(begin, *size, &end)) {
      return ForTensor(spec.name, "the size of the file overflows");
    }
    if (!layout.by_name_.emplace(spec.name, layout.tensors_.size()).second) {
      return ForTensor(spec.name, "the name is there twice");
    }
    layout.tensors_.push_back(
        {std::move(spec.name), spec.dtype, std::move(spec.shape), begin, end});
  }
  absl::StatusOr<std::string> text = HeaderText(layout.tensors_, metadata);
  if (!text.ok()) return text.status();
  if (text->size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(Cat(
        "a header of ", text->size(), " bytes is over the limit of the format, ", kMaxHeaderBytes));
  }
  const uint64_t length = text->size();
  layout.header_.assign(reinterpret_cast<const char*>(&length), sizeof length);
  layout.header_ += *text;
  if (__builtin_add_overflow(end, uint64_t{layout.header_.size()}, &layout.file_size_)) {
    return absl::InvalidArgumentError("the size of the file overflows");
  }
  return layout;
}

uint64_t SafetensorsLayout::FileOffset(std::string_view name) const {
  return header_.size() + Find(name).begin;
}

const TensorInfo& SafetensorsLayout::Find(std::string_view name) const {
  return tensors_[by_name_.find(name)->second];
}

}  // namespace seedlm::format
