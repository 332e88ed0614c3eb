#include "server/jobs/page_token.h"

#include <limits>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"

namespace seedlm::server {
namespace {

constexpr size_t kIdDigits = 16;
constexpr size_t kTokenDigits = 2 * kIdDigits;

// FNV-1a, with the length before each string. It catches mistakes; nobody gains by forging a token.
uint64_t HashFilters(const JobQuery& query) {
  uint64_t hash = 0xCBF29CE484222325u;
  const auto add = [&hash](std::string_view text) {
    for (const char c : absl::StrCat(text.size(), ":", std::string(text))) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    }
  };
  add(query.state.has_value() ? Name(*query.state) : "");
  for (const auto& [key, value] : query.labels) {
    add(key);
    add(value);
  }
  if (query.owner.has_value()) add(*query.owner);
  return hash;
}

}  // namespace

std::string MakePageToken(const JobQuery& query, int64_t last_id) {
  return absl::StrCat(absl::Hex(last_id, absl::kZeroPad16),
                      absl::Hex(HashFilters(query), absl::kZeroPad16));
}

absl::StatusOr<int64_t> ParsePageToken(const JobQuery& query) {
  if (query.page_token.empty()) return std::numeric_limits<int64_t>::max();
  int64_t last_id = 0;
  if (query.page_token.size() == kTokenDigits &&
      absl::SimpleHexAtoi(query.page_token.substr(0, kIdDigits), &last_id) && last_id > 0 &&
      query.page_token == MakePageToken(query, last_id)) {
    return last_id;
  }
  return InvalidField("page_token",
                      "is not one that was given for these filters; start again without it");
}

}  // namespace seedlm::server
