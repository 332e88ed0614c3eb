// What is wrong with one thing, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace seedlm::verify {

// Counts every problem and keeps the first few: a damaged plane can hold millions. Not thread-safe.
class ProblemList {
 public:
  static constexpr size_t kKept = 5;

  void Add(std::string problem) {
    if (kept_.size() < kKept) kept_.push_back(std::move(problem));
    ++count_;
  }
  // Those of what comes after.
  void Append(const ProblemList& more) {
    for (const std::string& problem : more.kept_) {
      if (kept_.size() < kKept) kept_.push_back(problem);
    }
    count_ += more.count_;
  }
  int64_t count() const { return count_; }
  // What was kept, and how many more there are.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines = kept_;
    const int64_t more = count_ - static_cast<int64_t>(kept_.size());
    if (more > 0) lines.push_back(absl::StrCat("and ", more, " more like these"));
    return lines;
  }

 private:
  std::vector<std::string> kept_;
  int64_t count_ = 0;
};

}  // namespace seedlm::verify
