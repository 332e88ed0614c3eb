// One thing that an operator can set: by a flag, by a key of the configuration file, both of the
// same name and under the same rules. The rows are in settings.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config.h"

namespace seedlm::server {

// A value as it was written: what TOML makes of it, or what FromText makes of a flag.
using RawValue = std::variant<bool, int64_t, std::string, std::vector<std::string>>;

// How a value is read, checked, stored in ServerOptions and shown. Immutable, thread-safe.
class SettingType {
 public:
  virtual ~SettingType() = default;
  // "integer", "size", "duration", "text", "list of texts", "yes or no".
  virtual std::string name() const = 0;
  // What stands for the value in --help: "BYTES".
  virtual std::string placeholder() const = 0;
  // "0 .. 4096", "text | json"; "" if anything is.
  virtual std::string allowed() const = 0;
  // What the texts of a flag mean. REQUIRES: texts is not empty; one text unless is_list().
  virtual absl::StatusOr<RawValue> FromText(const std::vector<std::string>& texts) const = 0;
  // Stores `value`. INVALID_ARGUMENT without a name: "is a text, not an integer", "is outside ..".
  virtual absl::Status Assign(const RawValue& value, ServerOptions& options) const = 0;
  // As TOML: "4", "\"512MiB\"", "[\"a\", \"b\"]".
  virtual std::string Show(const ServerOptions& options) const = 0;
  // INVALID_ARGUMENT as Assign, for options that a program filled in.
  virtual absl::Status Check(const ServerOptions& options) const = 0;
  virtual bool is_list() const { return false; }
  virtual bool is_flag() const { return false; }
};

struct Setting {
  std::string name;   // "max-jobs": the flag is --max-jobs, the key of the file max-jobs
  std::string group;  // a heading
  std::shared_ptr<const SettingType> type;
  std::string help;            // what it does, and the consequence; no full stop at the end
  std::string default_text{};  // where the default depends on the machine
};

// ---- Types. The first argument finds the field; use FIELD in settings.cc.

template <class T>
using FieldOf = std::function<T&(ServerOptions&)>;

// A TOML boolean; a flag that may be given without a value.
std::shared_ptr<const SettingType> YesOrNo(FieldOf<bool> field);
// An integer with a unit ("threads"; "" for none).
std::shared_ptr<const SettingType> Integer(FieldOf<int> field, std::string unit, int min, int max);
std::shared_ptr<const SettingType> Integer(FieldOf<int64_t> field, std::string unit, int64_t min,
                                           int64_t max);
// Bytes, a number or a text with KiB, MiB, GiB or TiB. `least`: of what is not 0; a smaller one is
// mostly a unit that was forgotten.
std::shared_ptr<const SettingType> Size(FieldOf<int64_t> field, int64_t min, int64_t max,
                                        int64_t least = 0);
// A text with ms, s, min, h or d.
std::shared_ptr<const SettingType> Duration(FieldOf<std::chrono::milliseconds> field,
                                            std::chrono::milliseconds min,
                                            std::chrono::milliseconds max);
// Any text without control characters. `placeholder`: "DIR".
std::shared_ptr<const SettingType> Text(FieldOf<std::string> field, std::string placeholder);
std::shared_ptr<const SettingType> Choice(FieldOf<std::string> field,
                                          std::vector<std::string> choices);
// TOML: an array of texts; flag: may be given several times.
std::shared_ptr<const SettingType> TextList(FieldOf<std::vector<std::string>> field,
                                            std::string placeholder);

// ---- Units, both ways. INVALID_ARGUMENT: "'5 parsecs' is no size: ..".

absl::StatusOr<int64_t> ParseSize(std::string_view text);  // "512MiB", "1073741824"
std::string ShowSize(int64_t bytes);                       // in the largest unit that divides it
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);  // "15s"
std::string ShowDuration(std::chrono::milliseconds duration);

// A TOML basic string, quotes included.
std::string QuoteToml(std::string_view text);

}  // namespace seedlm::server
