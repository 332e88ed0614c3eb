#include "server/call_log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ostream_sink.h>

#include <catch2/catch.hpp>
#include <mutex>
#include <sstream>
#include <string>

#include "server/log/log_scope.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

EndedCall Call(Code code, const std::string& reason) {
  return {"CreateJob", "ipv4:127.0.0.1:9", code, reason, "why"};
}

// Keeps the fields of the last message.
class FieldSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FieldSink(LogFields& fields) : fields_(fields) {}

 protected:
  void sink_it_(const spdlog::details::log_msg&) override { fields_ = LogScope::Current(); }
  void flush_() override {}

 private:
  LogFields& fields_;
};

TEST_CASE("calls that fail for a cause of the server's concern its operator, mistakes do not") {
  struct Row {
    Code code;
    std::string reason;
    bool concerns;
  };
  const Row rows[] = {
      {Code::kResourceExhausted, "RESOURCE_EXHAUSTED", true},  // a full disk
      {Code::kResourceExhausted, "OWNER_BYTES", false},
      {Code::kPermissionDenied, "PERMISSION_DENIED", true},  // EACCES
      {Code::kPermissionDenied, "ROLE_FORBIDS", false},
      {Code::kPermissionDenied, "S3_ACCESS_DENIED", true},
      {Code::kNotFound, "S3_BUCKET_MISSING", true},
      {Code::kUnavailable, "S3_UNAVAILABLE", true},
      {Code::kFailedPrecondition, "S3_NOT_CONFIGURED", false},
      {Code::kUnavailable, "STORE_BUSY", true},
      {Code::kFailedPrecondition, "STORE_DAMAGED", true},
      {Code::kUnavailable, "SERVER_DRAINING", false},
      {Code::kInternal, "IO_FAILED", true},
      {Code::kUnauthenticated, "TOKEN_INVALID", true},
      {Code::kInvalidArgument, "FIELD_INVALID", false},
      {Code::kNotFound, "NOT_FOUND", false},
      {Code::kDataLoss, "CHECKSUM_MISMATCH", false},  // of what the client sent
      {Code::kCancelled, "CANCELLED", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.reason);
    CHECK(ConcernsOperator(Call(row.code, row.reason)) == row.concerns);
  }
}

TEST_CASE("of a method and reason one call a minute is told, with who made it and why") {
  std::ostringstream out;
  const auto log = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log->set_pattern("%l %v");
  CallLog calls(log);
  for (int i = 0; i < 3; ++i) calls.Ended(Call(Code::kUnauthenticated, "TOKEN_INVALID"));
  calls.Ended(Call(Code::kUnauthenticated, "TOKEN_MISSING"));
  calls.Ended(Call(Code::kInvalidArgument, "FIELD_INVALID"));
  CHECK(out.str() ==
        "warning CreateJob from ipv4:127.0.0.1:9 ended with TOKEN_INVALID: why\n"
        "warning CreateJob from ipv4:127.0.0.1:9 ended with TOKEN_MISSING: why\n");
  // Whose it was is a field of the line.
  EndedCall of_alice = Call(Code::kInternal, "IO_FAILED");
  of_alice.owner = "alice";
  LogFields fields;
  CallLog(std::make_shared<spdlog::logger>("test", std::make_shared<FieldSink>(fields)))
      .Ended(of_alice);
  CHECK(fields == LogFields{{"owner", "alice"}});
  CHECK(LogScope::Current().empty());
  CallLog(nullptr).Ended(Call(Code::kInternal, "IO_FAILED"));
}

}  // namespace
}  // namespace seedlm::server
