#include "server/log/log_format.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace seedlm::server {
namespace {

// Control characters escaped; in quotes also what ends them.
void AppendEscaped(std::string_view text, bool quoted, std::string& out) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else if (quoted && (c == '"' || c == '\\')) {
      out += {'\\', c};
    } else {
      out += c;
    }
  }
}

bool IsPlainWord(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7F || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(LogFormat format) : format_(format) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(message.level);
    const LogMessage line{absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                                           absl::UTCTimeZone()),
                          std::string(level.data(), level.size()),
                          {message.payload.data(), message.payload.size()}};
    std::string text = format_ == LogFormat::kJson ? ToJsonLine(line, LogScope::Current())
                                                   : ToTextLine(line, LogScope::Current());
    text += '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  const LogFormat format_;
};

}  // namespace

std::optional<LogFormat> ParseLogFormat(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return std::nullopt;
}

std::string ToTextLine(const LogMessage& message, const LogFields& fields) {
  std::string line = message.time + " " + message.level + " ";
  AppendEscaped(message.message, false, line);
  for (const auto& [key, value] : fields) {
    line += " " + key + "=";
    if (IsPlainWord(value)) {
      line += value;
    } else {
      line += '"';
      AppendEscaped(value, true, line);
      line += '"';
    }
  }
  return line;
}

std::string ToJsonLine(const LogMessage& message, const LogFields& fields) {
  using Json = nlohmann::ordered_json;
  Json line = {
      {"time", message.time}, {"level", message.level}, {"message", std::string(message.message)}};
  for (const auto& [key, value] : fields) line[key] = value;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::shared_ptr<spdlog::logger> MakeLogger(LogFormat format, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("seedlm-server",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::make_unique<LineFormatter>(format));
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::trace);
  return logger;
}

}  // namespace seedlm::server
