#include "server/machine_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace seedlm::server {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// MemTotal of /proc/meminfo, which is in kB.
int64_t Total(const std::string& root) {
  const std::string text = ReadAll(root + "/proc/meminfo");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t kilobytes = 0;
    if (words.size() >= 2 && words[0] == "MemTotal:" && absl::SimpleAtoi(words[1], &kilobytes)) {
      return kilobytes << 10;
    }
  }
  return kNoLimit;
}

// The least of the limits in files of that name from `group` up to the root of the hierarchy at
// `mount`. "max", a file that is missing: none.
int64_t LeastLimit(const std::string& mount, absl::string_view group, const std::string& file) {
  int64_t least = kNoLimit;
  for (std::filesystem::path at = std::string(group);; at = at.parent_path()) {
    const std::string text = ReadAll(absl::StrCat(mount, at.string(), "/", file));
    int64_t limit = 0;
    if (absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &limit) && limit > 0) {
      least = std::min(least, limit);
    }
    if (!at.has_relative_path()) return least;
  }
}

}  // namespace

int64_t MachineMemory(const std::string& root) {
  int64_t least = Total(root);
  // Lines of HIERARCHY:CONTROLLERS:PATH; version 2 is "0::PATH". In a container the path may be
  // that outside, so the hierarchy's root is asked in any case.
  const std::string groups = ReadAll(root + "/proc/self/cgroup");
  for (const absl::string_view line : absl::StrSplit(groups, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3 || !absl::StartsWith(fields[2], "/")) continue;
    const std::string mounts = root + "/sys/fs/cgroup";
    if (fields[0] == "0" && fields[1].empty()) {
      least = std::min({least, LeastLimit(mounts, fields[2], "memory.max"),
                        LeastLimit(mounts, fields[2], "memory.high")});
    } else if (absl::StrContains(absl::StrCat(",", fields[1], ","), ",memory,")) {
      least = std::min(least, LeastLimit(mounts + "/memory", fields[2], "memory.limit_in_bytes"));
    }
  }
  return least == kNoLimit ? 0 : least;
}

}  // namespace seedlm::server
