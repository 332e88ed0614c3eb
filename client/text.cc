#include "client/text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace seedlm::client {
namespace {

constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};

// Three digits that count, with a metric prefix: "22.7 M".
std::string Metric(double value, std::string_view unit) {
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  const bool whole = prefix == 0 && value == std::floor(value);
  const int digits = whole || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const std::string suffix = std::string(kPrefixes[prefix]) + std::string(unit);
  return absl::StrFormat("%.*f%s%s", digits, value, suffix.empty() ? "" : " ", suffix);
}

// Not within a character of several bytes.
bool BeginsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

}  // namespace

std::string FormatBytes(uint64_t bytes) { return Metric(static_cast<double>(bytes), "B"); }

std::string FormatCount(int64_t count) { return Metric(static_cast<double>(count), ""); }

std::string FormatRate(double per_second) {
  if (!std::isfinite(per_second) || per_second < 0) per_second = 0;
  const std::string number = Metric(per_second, "");
  return absl::StrCat(number, " weights/s");
}

std::string FormatDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "-";
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 60) return absl::StrFormat("%d s", whole);
  if (whole < 3600) return absl::StrFormat("%dm%02ds", whole / 60, whole % 60);
  return absl::StrFormat("%dh%02dm", whole / 3600, whole / 60 % 60);
}

std::string FormatPercent(double part, double whole) {
  return absl::StrFormat("%.1f %%", whole > 0 ? 100 * part / whole : 0.0);
}

std::string FormatShape(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::string FormatIdentical(int64_t tensors) {
  if (tensors == 0) return "";
  return absl::StrCat(tensors, tensors == 1 ? " other tensor is" : " other tensors are",
                      " byte-identical\n");
}

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

std::string Ellipsis(std::string_view name, size_t width) {
  const size_t length = CountCharacters(name);
  if (length <= width) return std::string(name);
  const size_t kept = width <= 3 ? width : width - 3;
  size_t dropped = length - kept;
  size_t start = 0;
  while (start < name.size() && (dropped > 0 || !BeginsCharacter(name[start]))) {
    if (BeginsCharacter(name[start])) --dropped;
    ++start;
  }
  return (width <= 3 ? "" : "...") + std::string(name.substr(start));
}

}  // namespace seedlm::client
