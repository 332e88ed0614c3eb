#include "kernels/format/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "kernels/format/fault.h"
#include "kernels/format/json_text.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

// Follows nlohmann's event parser, which does not recurse, through exactly the grammar of a header:
// { "__metadata__": {string: string, ..} or null, NAME: {"dtype":, "shape":, "data_offsets":}, ..
// }. Each event returns false to stop the parse; problem() then says why.
class HeaderBuilder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool null();
  bool boolean(bool) { return Unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) { return Unexpected(text); }
  bool binary(binary_t&) { return Unexpected("binary data"); }
  bool number_integer(number_integer_t value) { return Unexpected(Cat(value)); }
  bool number_unsigned(number_unsigned_t value);
  bool string(string_t& value);
  bool start_object(size_t);
  bool key(string_t& name);
  bool end_object();
  bool start_array(size_t);
  bool end_array();
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error);

  SafetensorsHeader& header() { return header_; }
  // Why it was stopped. `start`: of the text in its file.
  absl::Status Problem(uint64_t start) const;

 private:
  enum class Place { kStart, kRoot, kMetadata, kTensor, kShape, kOffsets, kEnd };
  enum Field : unsigned { kDType = 1, kShapeField = 2, kOffsetsField = 4, kAll = 7 };

  bool InTensor() const;
  bool Refuse(std::string_view reason);
  bool Unexpected(std::string_view what);
  bool BeginField(const std::string& name);

  SafetensorsHeader header_;
  std::set<std::string, std::less<>> names_;
  TensorInfo tensor_;
  std::vector<uint64_t> offsets_;
  Place place_ = Place::kStart;
  unsigned seen_ = 0;   // fields of this tensor
  unsigned field_ = 0;  // whose value is next; 0: none is
  std::string name_;    // the key that was read last, in the root or in the metadata
  bool has_metadata_ = false;
  std::string problem_;
  std::optional<size_t> problem_at_;  // of the text
};

bool HeaderBuilder::InTensor() const {
  return place_ == Place::kTensor || place_ == Place::kShape || place_ == Place::kOffsets ||
         (place_ == Place::kRoot && !name_.empty());
}

bool HeaderBuilder::Refuse(std::string_view reason) {
  problem_ =
      InTensor() ? Cat("tensor '", Printable(name_), "': ", reason) : Cat("header: ", reason);
  return false;
}

absl::Status HeaderBuilder::Problem(uint64_t start) const {
  absl::Status status = absl::InvalidArgumentError(problem_);
  if (problem_at_) status = AtOffset(std::move(status), start + *problem_at_);
  return InTensor() ? About(std::move(status), "tensor", name_) : status;
}

// Some writers say so when they have no metadata.
bool HeaderBuilder::null() {
  if (place_ != Place::kRoot || name_ != kMetadataObject) return Unexpected("null");
  name_.clear();
  return true;
}

bool HeaderBuilder::start_object(size_t) {
  if (place_ == Place::kStart) {
    place_ = Place::kRoot;
    return true;
  }
  if (place_ != Place::kRoot) return Unexpected("an object");
  if (name_ == kMetadataObject) {
    place_ = Place::kMetadata;
    return true;
  }
  place_ = Place::kTensor;
  tensor_ = TensorInfo{};
  tensor_.name = name_;
  seen_ = 0;
  field_ = 0;
  return true;
}

bool HeaderBuilder::key(string_t& name) {
  if (place_ == Place::kTensor) return BeginField(name);
  name_ = name;
  if (place_ == Place::kMetadata) {
    if (header_.metadata.size() == kMaxMetadataKeys) {
      return Refuse(Cat("the metadata has more than ", kMaxMetadataKeys, " keys"));
    }
    if (!header_.metadata.emplace(name, "").second) {
      return Refuse(Cat("the metadata key '", Printable(name), "' is there twice"));
    }
    return true;
  }
  if (name == kMetadataObject) {
    return !std::exchange(has_metadata_, true) || Refuse("the name is there twice");
  }
  if (names_.size() == kMaxTensors) {
    name_.clear();  // no tensor's fault
    return Refuse(Cat("has more than ", kMaxTensors, " tensors"));
  }
  if (const std::string problem = NameProblem(name); !problem.empty()) return Refuse(problem);
  return names_.insert(name).second || Refuse("the name is there twice");
}

bool HeaderBuilder::BeginField(const std::string& name) {
  field_ = name == "dtype"          ? kDType
           : name == "shape"        ? kShapeField
           : name == "data_offsets" ? kOffsetsField
                                    : 0u;
  if (field_ == 0) return Refuse(Cat("unknown field '", Printable(name), "'"));
  if ((seen_ & field_) != 0) {
    return Refuse(Cat("the field '", Printable(name), "' is there twice"));
  }
  seen_ |= field_;
  return true;
}

bool HeaderBuilder::string(string_t& value) {
  if (place_ == Place::kMetadata) {
    header_.metadata[name_] = std::move(value);
    return true;
  }
  if (place_ != Place::kTensor || field_ != kDType) return Unexpected("a string");
  const std::optional<DType> dtype = ParseDType(value);
  if (!dtype) return Refuse(Cat("unknown dtype '", Printable(value), "'"));
  tensor_.dtype = *dtype;
  return true;
}

bool HeaderBuilder::number_unsigned(number_unsigned_t value) {
  if (place_ == Place::kOffsets) {
    if (offsets_.size() == 2) return Refuse("data_offsets must be two numbers");
    offsets_.push_back(value);
    return true;
  }
  if (place_ != Place::kShape) return Unexpected("a number");
  if (tensor_.shape.size() == kMaxDimensions) {
    return Refuse(Cat("has more than ", kMaxDimensions, " dimensions"));
  }
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Refuse("the product of the shape overflows");
  }
  tensor_.shape.push_back(static_cast<int64_t>(value));
  return true;
}

bool HeaderBuilder::start_array(size_t) {
  if (place_ == Place::kTensor && field_ == kShapeField) {
    place_ = Place::kShape;
  } else if (place_ == Place::kTensor && field_ == kOffsetsField) {
    place_ = Place::kOffsets;
    offsets_.clear();
  } else {
    return Unexpected("an array");
  }
  return true;
}

bool HeaderBuilder::end_array() {
  if (place_ == Place::kOffsets) {
    if (offsets_.size() != 2) return Refuse("data_offsets must be two numbers");
    tensor_.begin = offsets_[0];
    tensor_.end = offsets_[1];
  }
  place_ = Place::kTensor;
  return true;
}

bool HeaderBuilder::end_object() {
  if (place_ == Place::kRoot) {
    place_ = Place::kEnd;
    return true;
  }
  if (place_ == Place::kTensor) {
    if (seen_ != kAll) return Refuse("needs dtype, shape and data_offsets");
    header_.tensors.push_back(std::move(tensor_));
  }
  name_.clear();
  place_ = Place::kRoot;
  return true;
}

bool HeaderBuilder::parse_error(size_t position, const std::string&,
                                const nlohmann::json::exception& error) {
  place_ = Place::kEnd;                            // of the file, not of a tensor
  problem_at_ = position == 0 ? 0 : position - 1;  // it counts what it has read
  return Refuse(Cat("is not UTF-8 JSON: ", JsonProblem(error)));
}

bool HeaderBuilder::Unexpected(std::string_view what) {
  switch (place_) {
    case Place::kShape:
      return Refuse(Cat("shape has ", what, ", not a whole number from 0 up"));
    case Place::kOffsets:
      return Refuse(Cat("data_offsets have ", what, ", not a whole number from 0 up"));
    case Place::kMetadata:
      return Refuse(Cat("the metadata key '", Printable(name_), "' has ", what, ", not a string"));
    default:
      return Refuse(Cat("has ", what, " where the format has none"));
  }
}

std::string OffsetsText(const TensorInfo& tensor) {
  return Cat("data_offsets [", tensor.begin, ", ", tensor.end, "]");
}

// What is wrong with a tensor by itself, or nothing.
std::string OwnProblem(const TensorInfo& tensor, uint64_t data_bytes) {
  if (tensor.begin > tensor.end) {
    return Cat(OffsetsText(tensor), " end before they begin");
  }
  if (tensor.end > data_bytes) {
    return Cat(OffsetsText(tensor), " reach past the end of the data, ", data_bytes,
               " bytes; is the file truncated?");
  }
  const absl::StatusOr<uint64_t> size = ByteSize(tensor.dtype, tensor.shape);
  if (!size.ok()) return std::string(size.status().message());
  if (*size == tensor.byte_size()) return "";
  return Cat(OffsetsText(tensor), " hold ", tensor.byte_size(), " bytes, ", Name(tensor.dtype),
             " [", absl::StrJoin(tensor.shape, ", "), "] needs ", *size);
}

// What is wrong between a tensor and the one before it, or nothing.
std::string PlaceProblem(const TensorInfo& tensor, const TensorInfo* before) {
  const uint64_t covered = before == nullptr ? 0 : before->end;
  if (tensor.begin == covered) return "";
  if (tensor.begin > covered) {
    return Cat(OffsetsText(tensor), " leave a hole after byte ", covered);
  }
  return Cat(OffsetsText(tensor), " overlap tensor '", Printable(before->name),
             "', which ends at byte ", covered);
}

// Offsets must ascend in the order in which the header names the tensors.
const TensorInfo* FirstOutOfOrder(const std::vector<TensorInfo>& tensors) {
  for (size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i].begin < tensors[i - 1].begin) return &tensors[i];
  }
  return nullptr;
}

// Where the data of a file is.
struct DataSection {
  uint64_t start;  // in the file
  uint64_t bytes;

  // In the file, for errors: of a byte that may be past its end, the end.
  uint64_t FileOffset(uint64_t offset) const { return start + std::min(offset, bytes); }
};

absl::Status TensorError(const TensorInfo& tensor, std::string_view reason, uint64_t file_offset) {
  absl::Status status =
      absl::InvalidArgumentError(Cat("tensor '", Printable(tensor.name), "': ", reason));
  return AtOffset(About(std::move(status), "tensor", tensor.name), file_offset);
}

absl::Status CheckTensors(const std::vector<TensorInfo>& tensors, const DataSection& data) {
  for (const TensorInfo& tensor : tensors) {
    const std::string problem = OwnProblem(tensor, data.bytes);
    if (!problem.empty()) return TensorError(tensor, problem, data.FileOffset(tensor.begin));
  }
  if (const TensorInfo* tensor = FirstOutOfOrder(tensors); tensor != nullptr) {
    return TensorError(*tensor,
                       Cat(OffsetsText(*tensor),
                           " are out of order: they begin before those of the "
                           "tensor before; write the file anew, in order"),
                       data.FileOffset(tensor->begin));
  }
  const TensorInfo* before = nullptr;
  for (const TensorInfo& tensor : tensors) {
    const std::string problem = PlaceProblem(tensor, before);
    const uint64_t covered = before == nullptr ? 0 : before->end;
    if (!problem.empty()) {
      return TensorError(tensor, problem, data.FileOffset(std::min(covered, tensor.begin)));
    }
    before = &tensor;
  }
  const uint64_t covered = before == nullptr ? 0 : before->end;
  if (covered == data.bytes) return absl::OkStatus();
  return AtOffset(absl::InvalidArgumentError(Cat("header: the tensors end at byte ", covered,
                                                 " of the data, the file at byte ", data.bytes)),
                  data.FileOffset(covered));
}

}  // namespace

std::string NameProblem(std::string_view name) {
  if (name.size() <= kMaxTensorNameBytes) return "";
  return Cat("a name of ", name.size(), " bytes, at most ", kMaxTensorNameBytes, " are read");
}

std::string HeaderTotals::Add(size_t tensors, uint64_t header_bytes) {
  tensors_ += tensors;
  bytes_ += header_bytes;
  if (tensors_ > kMaxTensors) {
    return Cat("files with ", tensors_, " tensors, at most ", kMaxTensors, " are read");
  }
  if (bytes_ <= kMaxHeaderBytes) return "";
  return Cat("files with headers of ", bytes_, " bytes, at most ", kMaxHeaderBytes, " are read");
}

absl::StatusOr<SafetensorsHeader> ParseHeader(std::string_view text, uint64_t data_bytes) {
  constexpr uint64_t kStart = sizeof(uint64_t);  // behind its length
  if (text.empty() || text.front() != '{') {
    return AtOffset(absl::InvalidArgumentError("header: does not start with '{'"), kStart);
  }
  HeaderBuilder builder;
  if (!nlohmann::json::sax_parse(text, &builder)) return builder.Problem(kStart);
  const absl::Status status =
      CheckTensors(builder.header().tensors, {kStart + text.size(), data_bytes});
  if (!status.ok()) return status;
  return std::move(builder.header());
}

}  // namespace seedlm::format
