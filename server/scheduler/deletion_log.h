// One line in the log for everything that is deleted for good: the answer to "where is my result?".
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace seedlm::server {

// `by` of what a rule of retention deletes. No owner's name has a space.
inline constexpr char kByRetention[] = "the retention rule";

// `name`: of a job or an artifact; `owner`, `by`: "" on a server without tokens. `log` may be null.
inline void LogDeletion(const std::shared_ptr<spdlog::logger>& log, std::string_view name,
                        std::string_view owner, std::string_view by) {
  if (log == nullptr) return;
  const auto after = [](const char* word, std::string_view who) {
    return who.empty() ? std::string() : absl::StrCat(word, std::string(who));
  };
  log->info("{}{} is deleted{}", name, after(" of ", owner), after(" by ", by));
}

}  // namespace seedlm::server
