// Patterns on tensor names. Private to this room.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace re2 {
class RE2;
}

namespace seedlm::format {

inline constexpr size_t kMaxPatternBytes = 1024;

// A shell glob ('*' matches any run, '?' one character, everything else itself), or "re:" and a
// regular expression. Both must match the whole name. Matching is linear in the name for
// expressions, at most pattern times name for globs. Immutable, thread-safe.
class NamePattern {
 public:
  // Errors: INVALID_ARGUMENT naming the pattern: empty, over kMaxPatternBytes, not an expression.
  static absl::StatusOr<NamePattern> Parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool Matches(std::string_view name) const;

 private:
  std::string text_;
  std::shared_ptr<const re2::RE2> expression_;  // null for a glob
};

// The glob alone; ASCII case is ignored if `ignore_case`.
bool GlobMatches(std::string_view glob, std::string_view name, bool ignore_case);

}  // namespace seedlm::format
