// server/log.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/log/log_format.h"
#include "server/log/log_scope.h"
#include "server/log/rarely.h"

namespace seedlm::server {
namespace {

const LogMessage kMessage{"2026-11-23T07:05:09.123Z", "info", "done"};

TEST_CASE("scopes add fields to their thread, inner ones hide outer ones") {
  CHECK(LogScope::Current().empty());
  {
    const LogScope job({{"job", "jobs/a"}, {"owner", ""}});
    {
      const LogScope shard({{"shard", "1/2"}, {"job", "jobs/b"}});
      CHECK(LogScope::Current() == LogFields{{"job", "jobs/b"}, {"shard", "1/2"}});
      std::thread([] { CHECK(LogScope::Current().empty()); }).join();
    }
    CHECK(LogScope::Current() == LogFields{{"job", "jobs/a"}});
  }
  CHECK(LogScope::Current().empty());
}

TEST_CASE("a text line is one line whatever is in it") {
  CHECK(ToTextLine(kMessage, {}) == "2026-11-23T07:05:09.123Z info done");
  CHECK(ToTextLine(kMessage, {{"job", "jobs/a"}, {"shard", "1/2"}}) ==
        "2026-11-23T07:05:09.123Z info done job=jobs/a shard=1/2");
  const LogMessage hostile{"T", "warning", "a\nT error forged\x1b[2J \"x\" \\"};
  CHECK(ToTextLine(hostile, {{"tensor", "b c=\"d\"\n\\"}}) ==
        "T warning a\\nT error forged\\x1b[2J \"x\" \\ tensor=\"b c=\\\"d\\\"\\n\\\\\"");
}

TEST_CASE("a JSON line is valid JSON whatever is in it") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string line = ToJsonLine({"T", "info", all}, {{"job", all}, {"shard", "1/2"}});
  CHECK(line.find('\n') == std::string::npos);
  const auto json = nlohmann::json::parse(line);
  CHECK(json.at("level") == "info");
  CHECK(json.at("shard") == "1/2");
  const std::string message = json.at("message");
  CHECK(message.substr(0, 128) == all.substr(0, 128));
  CHECK(message == json.at("job"));
  CHECK(ToJsonLine(kMessage, {{"job", "jobs/a"}}) ==
        R"({"time":"2026-11-23T07:05:09.123Z","level":"info","message":"done","job":"jobs/a"})");
}

TEST_CASE("what happens often is told at once, and then once an interval with its number") {
  Rarely rarely(std::chrono::seconds(60));
  const Rarely::Time start{};
  CHECK(rarely.Happened(start) == 1);
  CHECK_FALSE(rarely.Happened(start).has_value());
  CHECK_FALSE(rarely.Happened(start + std::chrono::seconds(59)).has_value());
  CHECK(rarely.Happened(start + std::chrono::seconds(60)) == 3);
  CHECK_FALSE(rarely.Happened(start + std::chrono::seconds(61)).has_value());
}

TEST_CASE("formats have names") {
  CHECK(ParseLogFormat("text") == LogFormat::kText);
  CHECK(ParseLogFormat("json") == LogFormat::kJson);
  CHECK_FALSE(ParseLogFormat("xml").has_value());
}

}  // namespace
}  // namespace seedlm::server
