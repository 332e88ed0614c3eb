#include "server/log/log_scope.h"

#include <algorithm>

namespace seedlm::server {
namespace {

thread_local LogFields current;

}  // namespace

LogScope::LogScope(std::initializer_list<Field> fields) : outer_(current) {
  for (const auto& [key, value] : fields) {
    if (value.empty()) continue;
    const auto same = std::find_if(current.begin(), current.end(),
                                   [key = key](const auto& field) { return field.first == key; });
    if (same != current.end()) {
      same->second = value;
    } else {
      current.emplace_back(key, value);
    }
  }
}

LogScope::~LogScope() { current = std::move(outer_); }

const LogFields& LogScope::Current() { return current; }

}  // namespace seedlm::server
