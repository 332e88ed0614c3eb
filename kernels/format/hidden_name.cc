#include "kernels/format/hidden_name.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "kernels/format/durable_rename.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr std::string_view kPrefix = ".seedlm-";
constexpr std::string_view kTemporary = ".tmp";
constexpr std::string_view kPartial = ".seedlm-partial";
constexpr size_t kDigits = 16;

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string Beside(const std::string& path, std::string_view name) {
  const std::string directory = DirectoryOf(path);
  return Cat(directory, directory == "/" ? "" : "/", name);
}

}  // namespace

std::string TemporaryNameBeside(const std::string& path) {
  std::random_device random;
  const uint64_t number = static_cast<uint64_t>(random()) << 32 | random();
  return TemporaryNameBeside(path, absl::StrCat(absl::Hex(number, absl::kZeroPad16)));
}

std::string TemporaryNameBeside(const std::string& path, std::string_view digits) {
  return Beside(path, Cat(kPrefix, digits.substr(0, kDigits), kTemporary));
}

std::string PartialNameBeside(const std::string& path, std::string_view id) {
  return Beside(path, Cat(".", path.substr(path.rfind('/') + 1), ".", id, kPartial));
}

bool IsTemporaryName(std::string_view name) {
  return name.size() == kPrefix.size() + kDigits + kTemporary.size() && name.starts_with(kPrefix) &&
         name.ends_with(kTemporary) &&
         std::all_of(name.begin() + kPrefix.size(), name.end() - kTemporary.size(), IsHexDigit);
}

bool IsPartialName(std::string_view name) {
  return name.size() > kPartial.size() && name.starts_with('.') && name.ends_with(kPartial);
}

}  // namespace seedlm::format
