// How messages look: text for people, JSON lines for programs. Both are one line a message whatever
// is in it, so that a name with a line break cannot forge another message.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/log/log_scope.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

enum class LogFormat : unsigned char { kText, kJson };
std::optional<LogFormat> ParseLogFormat(std::string_view name);  // "text", "json"

struct LogMessage {
  std::string time;   // "2026-11-23T07:05:09.123Z"
  std::string level;  // "info"
  std::string_view message;
};

// "2026-11-23T07:05:09.123Z info listening on 127.0.0.1:7433 job=jobs/a tensor=\"a b\"". Control
// characters are written as \n, \t, \x1b; values that are not plain words are quoted.
std::string ToTextLine(const LogMessage& message, const LogFields& fields);

// {"time": .., "level": .., "message": .., "job": ..}: valid JSON; bytes that are not UTF-8 become
// U+FFFD.
std::string ToJsonLine(const LogMessage& message, const LogFields& fields);

// The one logger of a process: to stderr, with the fields of LogScope, flushed line by line.
// `level`: a name of spdlog's. Thread-safe.
std::shared_ptr<spdlog::logger> MakeLogger(LogFormat format, const std::string& level);

}  // namespace seedlm::server
