#include "server/setting.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace seedlm::server {
namespace {

struct Unit {
  std::string_view name;
  int64_t size;
};
constexpr std::array<Unit, 5> kSizes{{{"TiB", int64_t{1} << 40},
                                      {"GiB", int64_t{1} << 30},
                                      {"MiB", 1 << 20},
                                      {"KiB", 1 << 10},
                                      {"", 1}}};
constexpr std::array<Unit, 5> kDurations{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};

// "15" and "s" of "15 s"; false if it is not a whole number >= 0 and one of the units.
bool ParseWithUnit(std::string_view text, std::span<const Unit> units, int64_t& value) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string_view unit = text.substr(digits);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (!absl::SimpleAtoi(std::string(text.substr(0, digits)), &value)) return false;
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    if (value > std::numeric_limits<int64_t>::max() / known.size) return false;
    value *= known.size;
    return true;
  }
  return false;
}

std::string ShowWithUnit(int64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.size == 1 || (value != 0 && value % unit.size == 0)) {
      return absl::StrCat(value / unit.size, std::string(unit.name));
    }
  }
  return absl::StrCat(value);
}

absl::Status Refuse(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

std::string_view KindOf(const RawValue& value) {
  constexpr std::array<std::string_view, 4> kNames{"a boolean", "an integer", "a text",
                                                   "a list of texts"};
  return kNames[value.index()];
}

absl::Status WrongType(const RawValue& value, std::string_view wanted) {
  return Refuse(
      absl::StrCat("is ", std::string(KindOf(value)), ", and must be ", std::string(wanted)));
}

absl::Status CheckText(const std::string& text) {
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return Refuse("has a control character in it");
    }
  }
  return absl::OkStatus();
}

// What all types share: a field, of which only the owner may write.
template <class T>
class Typed : public SettingType {
 public:
  explicit Typed(FieldOf<T> field) : field_(std::move(field)) {}

 protected:
  T& Field(ServerOptions& options) const { return field_(options); }
  const T& Field(const ServerOptions& options) const {
    return field_(const_cast<ServerOptions&>(options));  // read only
  }
  // Stores what `check` finds no fault with.
  template <class Check>
  absl::Status Store(T value, ServerOptions& options, Check check) const {
    absl::Status status = check(value);
    if (status.ok()) Field(options) = std::move(value);
    return status;
  }

 private:
  const FieldOf<T> field_;
};

class YesOrNoType final : public Typed<bool> {
 public:
  using Typed::Typed;
  std::string name() const override { return "yes or no"; }
  std::string placeholder() const override { return ""; }
  std::string allowed() const override { return "true | false"; }
  bool is_flag() const override { return true; }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    if (texts[0] == "true") return RawValue(true);
    if (texts[0] == "false") return RawValue(false);
    return Refuse("is neither true nor false");
  }
  absl::Status Assign(const RawValue& value, ServerOptions& options) const override {
    const bool* yes = std::get_if<bool>(&value);
    if (yes == nullptr) return WrongType(value, "true or false");
    Field(options) = *yes;
    return absl::OkStatus();
  }
  std::string Show(const ServerOptions& options) const override {
    return Field(options) ? "true" : "false";
  }
  absl::Status Check(const ServerOptions& /*options*/) const override { return absl::OkStatus(); }
};

// Integers and what is counted in them.
template <class T>
class NumberType : public Typed<T> {
 public:
  // `least`: of what is not 0.
  NumberType(FieldOf<T> field, int64_t min, int64_t max, int64_t least = 0)
      : Typed<T>(std::move(field)), min_(min), max_(max), least_(least) {}
  std::string allowed() const override {
    if (least_ == 0) return absl::StrCat(ShowNumber(min_), " .. ", ShowNumber(max_));
    return absl::StrCat("0, ", ShowNumber(least_), " .. ", ShowNumber(max_));
  }
  absl::Status Assign(const RawValue& value, ServerOptions& options) const override {
    const absl::StatusOr<int64_t> number = NumberOf(value);
    if (!number.ok()) return number.status();
    absl::Status status = CheckNumber(*number);
    if (status.ok()) this->Field(options) = T(static_cast<Rep>(*number));
    return status;
  }
  absl::Status Check(const ServerOptions& options) const override {
    return CheckNumber(CountOf(this->Field(options)));
  }

 protected:
  static int64_t CountOf(std::chrono::milliseconds value) { return value.count(); }
  static int64_t CountOf(int64_t value) { return value; }
  virtual std::string ShowNumber(int64_t value) const = 0;
  virtual absl::StatusOr<int64_t> NumberOf(const RawValue& value) const = 0;
  virtual std::string too_little_hint() const { return ""; }

 private:
  using Rep = std::conditional_t<std::is_same_v<T, int>, int, int64_t>;
  absl::Status CheckNumber(int64_t number) const {
    const bool too_little = number > 0 && number < least_;
    if (number >= min_ && number <= max_ && !too_little) return absl::OkStatus();
    return Refuse(absl::StrCat(ShowNumber(number), " is outside ", allowed(),
                               too_little ? too_little_hint() : ""));
  }
  const int64_t min_, max_, least_;
};

template <class T>
class IntegerType final : public NumberType<T> {
 public:
  IntegerType(FieldOf<T> field, std::string unit, int64_t min, int64_t max)
      : NumberType<T>(std::move(field), min, max), unit_(std::move(unit)) {}
  std::string name() const override { return "integer"; }
  std::string placeholder() const override {
    return unit_.empty() ? "N" : absl::AsciiStrToUpper(unit_);
  }
  std::string allowed() const override {
    return absl::StrCat(NumberType<T>::allowed(), unit_.empty() ? "" : " ", unit_);
  }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    int64_t value = 0;
    if (!absl::SimpleAtoi(texts[0], &value)) {
      return Refuse(absl::StrCat("is no integer of ", allowed()));
    }
    return RawValue(value);
  }
  std::string Show(const ServerOptions& options) const override {
    return absl::StrCat(this->Field(options));
  }

 protected:
  std::string ShowNumber(int64_t value) const override { return absl::StrCat(value); }
  absl::StatusOr<int64_t> NumberOf(const RawValue& value) const override {
    const int64_t* number = std::get_if<int64_t>(&value);
    if (number == nullptr) return WrongType(value, absl::StrCat("an integer, ", allowed()));
    return *number;
  }

 private:
  const std::string unit_;
};

class SizeType final : public NumberType<int64_t> {
 public:
  using NumberType::NumberType;
  std::string name() const override { return "size"; }
  std::string placeholder() const override { return "BYTES"; }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    return RawValue(texts[0]);
  }
  std::string Show(const ServerOptions& options) const override {
    return QuoteToml(ShowSize(Field(options)));
  }

 protected:
  std::string ShowNumber(int64_t value) const override { return ShowSize(value); }
  std::string too_little_hint() const override {
    return ": without a unit a number is of bytes; write such as \"512MiB\"";
  }
  absl::StatusOr<int64_t> NumberOf(const RawValue& value) const override {
    if (const int64_t* bytes = std::get_if<int64_t>(&value)) return *bytes;
    if (const std::string* text = std::get_if<std::string>(&value)) return ParseSize(*text);
    return WrongType(value, "a size such as \"512MiB\"");
  }
};

class DurationType final : public NumberType<std::chrono::milliseconds> {
 public:
  using NumberType::NumberType;
  std::string name() const override { return "duration"; }
  std::string placeholder() const override { return "TIME"; }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    return RawValue(texts[0]);
  }
  std::string Show(const ServerOptions& options) const override {
    return QuoteToml(ShowDuration(Field(options)));
  }

 protected:
  std::string ShowNumber(int64_t value) const override {
    return ShowDuration(std::chrono::milliseconds(value));
  }
  absl::StatusOr<int64_t> NumberOf(const RawValue& value) const override {
    const std::string* text = std::get_if<std::string>(&value);
    if (text == nullptr) return WrongType(value, "a duration such as \"15s\"");
    const auto duration = ParseDuration(*text);
    if (!duration.ok()) return duration.status();
    return duration->count();
  }
};

class TextType final : public Typed<std::string> {
 public:
  TextType(FieldOf<std::string> field, std::string placeholder, std::vector<std::string> choices)
      : Typed(std::move(field)),
        placeholder_(std::move(placeholder)),
        choices_(std::move(choices)) {}
  std::string name() const override { return "text"; }
  std::string placeholder() const override { return choices_.empty() ? placeholder_ : allowed(); }
  std::string allowed() const override { return absl::StrJoin(choices_, " | "); }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    return RawValue(texts[0]);
  }
  absl::Status Assign(const RawValue& value, ServerOptions& options) const override {
    const std::string* text = std::get_if<std::string>(&value);
    if (text == nullptr) return WrongType(value, "a text");
    return Store(*text, options, [this](const std::string& t) { return CheckValue(t); });
  }
  std::string Show(const ServerOptions& options) const override {
    return QuoteToml(Field(options));
  }
  absl::Status Check(const ServerOptions& options) const override {
    return CheckValue(Field(options));
  }

 private:
  absl::Status CheckValue(const std::string& text) const {
    if (choices_.empty()) return CheckText(text);
    if (std::find(choices_.begin(), choices_.end(), text) != choices_.end()) {
      return absl::OkStatus();
    }
    return Refuse(absl::StrCat(QuoteToml(text), " is none of ", allowed()));
  }
  const std::string placeholder_;
  const std::vector<std::string> choices_;
};

class TextListType final : public Typed<std::vector<std::string>> {
 public:
  TextListType(FieldOf<std::vector<std::string>> field, std::string placeholder)
      : Typed(std::move(field)), placeholder_(std::move(placeholder)) {}
  std::string name() const override { return "list of texts"; }
  std::string placeholder() const override { return placeholder_; }
  std::string allowed() const override { return ""; }
  bool is_list() const override { return true; }
  absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const override {
    return RawValue(texts);
  }
  absl::Status Assign(const RawValue& value, ServerOptions& options) const override {
    const auto* texts = std::get_if<std::vector<std::string>>(&value);
    if (texts == nullptr) return WrongType(value, "a list of texts");
    return Store(*texts, options, CheckTexts);
  }
  std::string Show(const ServerOptions& options) const override {
    return absl::StrCat(
        "[",
        absl::StrJoin(Field(options), ", ",
                      [](std::string* out, const std::string& text) { *out += QuoteToml(text); }),
        "]");
  }
  absl::Status Check(const ServerOptions& options) const override {
    return CheckTexts(Field(options));
  }

 private:
  static absl::Status CheckTexts(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      if (text.empty()) return Refuse("has an empty text in it");
      if (absl::Status status = CheckText(text); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  const std::string placeholder_;
};

}  // namespace

std::shared_ptr<const SettingType> YesOrNo(FieldOf<bool> field) {
  return std::make_shared<YesOrNoType>(std::move(field));
}
std::shared_ptr<const SettingType> Integer(FieldOf<int> field, std::string unit, int min, int max) {
  return std::make_shared<IntegerType<int>>(std::move(field), std::move(unit), min, max);
}
std::shared_ptr<const SettingType> Integer(FieldOf<int64_t> field, std::string unit, int64_t min,
                                           int64_t max) {
  return std::make_shared<IntegerType<int64_t>>(std::move(field), std::move(unit), min, max);
}
std::shared_ptr<const SettingType> Size(FieldOf<int64_t> field, int64_t min, int64_t max,
                                        int64_t least) {
  return std::make_shared<SizeType>(std::move(field), min, max, least);
}
std::shared_ptr<const SettingType> Duration(FieldOf<std::chrono::milliseconds> field,
                                            std::chrono::milliseconds min,
                                            std::chrono::milliseconds max) {
  return std::make_shared<DurationType>(std::move(field), min.count(), max.count());
}
std::shared_ptr<const SettingType> Text(FieldOf<std::string> field, std::string placeholder) {
  return std::make_shared<TextType>(std::move(field), std::move(placeholder),
                                    std::vector<std::string>{});
}
std::shared_ptr<const SettingType> Choice(FieldOf<std::string> field,
                                          std::vector<std::string> choices) {
  return std::make_shared<TextType>(std::move(field), "", std::move(choices));
}
std::shared_ptr<const SettingType> TextList(FieldOf<std::vector<std::string>> field,
                                            std::string placeholder) {
  return std::make_shared<TextListType>(std::move(field), std::move(placeholder));
}

absl::StatusOr<int64_t> ParseSize(std::string_view text) {
  int64_t bytes = 0;
  if (ParseWithUnit(text, kSizes, bytes)) return bytes;
  return Refuse(absl::StrCat(QuoteToml(text),
                             " is no size: a whole number of bytes, KiB, MiB, GiB or TiB, such as "
                             "512MiB"));
}

std::string ShowSize(int64_t bytes) { return ShowWithUnit(bytes, kSizes); }

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  int64_t milliseconds = 0;
  if (ParseWithUnit(text, kDurations, milliseconds)) return std::chrono::milliseconds(milliseconds);
  return Refuse(absl::StrCat(QuoteToml(text),
                             " is no duration: a whole number of ms, s, min, h or d, such as 15s"));
}

std::string ShowDuration(std::chrono::milliseconds duration) {
  return duration.count() == 0 ? "0s" : ShowWithUnit(duration.count(), kDurations);
}

std::string QuoteToml(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      quoted += absl::StrFormat("\\u%04X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace seedlm::server
