#include "kernels/format/name_pattern.h"

#include "absl/strings/ascii.h"
#include "kernels/format/text.h"
#include "re2/re2.h"

namespace seedlm::format {
namespace {

constexpr std::string_view kExpressionPrefix = "re:";
constexpr int64_t kMaxExpressionMemory = 1 << 20;

// Bytes of the UTF-8 character that starts `text`; broken characters count byte by byte.
size_t CharacterLength(std::string_view text) {
  size_t length = 1;
  if ((text[0] & 0xC0) != 0xC0) return length;
  while (length < text.size() && length < 4 && (text[length] & 0xC0) == 0x80) ++length;
  return length;
}

bool SameByte(char a, char b, bool ignore_case) {
  return ignore_case ? absl::ascii_tolower(static_cast<unsigned char>(a)) ==
                           absl::ascii_tolower(static_cast<unsigned char>(b))
                     : a == b;
}

}  // namespace

absl::StatusOr<NamePattern> NamePattern::Parse(std::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("a pattern is empty");
  if (text.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(
        Cat("pattern '", Printable(text), "': is longer than ", kMaxPatternBytes, " bytes"));
  }
  NamePattern pattern;
  pattern.text_ = text;
  if (!text.starts_with(kExpressionPrefix)) return pattern;
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxExpressionMemory);
  const std::string expression(text.substr(kExpressionPrefix.size()));
  auto compiled = std::make_shared<const re2::RE2>(expression, options);
  if (!compiled->ok()) {
    return absl::InvalidArgumentError(
        Cat("pattern '", Printable(text), "': ", Printable(compiled->error())));
  }
  pattern.expression_ = std::move(compiled);
  return pattern;
}

bool NamePattern::Matches(std::string_view name) const {
  if (expression_ == nullptr) return GlobMatches(text_, name, false);
  return re2::RE2::FullMatch(re2::StringPiece(name.data(), name.size()), *expression_);
}

bool GlobMatches(std::string_view glob, std::string_view name, bool ignore_case) {
  size_t g = 0;
  size_t n = 0;
  size_t after_star = std::string_view::npos;  // where the glob goes on if a longer run is needed
  size_t run_end = 0;                          // of the run that the last star matches
  while (n < name.size()) {
    if (g < glob.size() && glob[g] == '*') {
      after_star = ++g;
      run_end = n;
    } else if (g < glob.size() && glob[g] == '?') {
      ++g;
      n += CharacterLength(name.substr(n));
    } else if (g < glob.size() && SameByte(glob[g], name[n], ignore_case)) {
      ++g;
      ++n;
    } else if (after_star != std::string_view::npos) {
      g = after_star;
      run_end += CharacterLength(name.substr(run_end));
      n = run_end;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace seedlm::format
