#include <catch2/catch.hpp>

#include "google/rpc/error_details.pb.h"
#include "server/errors/reason.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {
namespace {

google::rpc::ErrorInfo InfoOf(const google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  REQUIRE(status.details_size() >= 1);
  REQUIRE(status.details(0).UnpackTo(&info));
  return info;
}

google::rpc::RetryInfo RetryOf(const google::rpc::Status& status) {
  google::rpc::RetryInfo retry;
  REQUIRE(status.details_size() == 2);
  REQUIRE(status.details(1).UnpackTo(&retry));
  return retry;
}

TEST_CASE("OK is OK, without details") {
  CHECK(ToGrpcStatus(absl::OkStatus()).ok());
  CHECK(ToGrpcStatus(absl::OkStatus()).error_details().empty());
  CHECK(ToProtoStatus(absl::OkStatus()).code() == 0);
}

TEST_CASE("every code keeps its number, and is its own reason without another") {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "jobs/7: message");
    const grpc::Status wire = ToGrpcStatus(status);
    CHECK(static_cast<int>(wire.error_code()) == code);
    CHECK(wire.error_message() == "jobs/7: message");
    google::rpc::Status proto;
    REQUIRE(proto.ParseFromString(wire.error_details()));
    CHECK(proto.code() == code);
    CHECK(InfoOf(proto).reason() == absl::StatusCodeToString(status.code()));
    CHECK(InfoOf(proto).domain() == "seedlm");
    const bool retry = absl::IsUnavailable(status);
    CHECK(proto.details_size() == (retry ? 2 : 1));
  }
}

TEST_CASE("reason, details and retry arrive") {
  const absl::Status status =
      WithRetryAfter(WithReason(absl::ResourceExhaustedError("full"), "QUEUE_FULL",
                                {{"field", "job"}, {"tensor", "a.weight"}}),
                     std::chrono::milliseconds(1500));
  const google::rpc::Status proto = ToProtoStatus(status);
  CHECK(InfoOf(proto).reason() == "QUEUE_FULL");
  CHECK(InfoOf(proto).metadata().at("field") == "job");
  CHECK(InfoOf(proto).metadata().at("tensor") == "a.weight");
  CHECK(RetryOf(proto).retry_delay().seconds() == 1);
  CHECK(RetryOf(proto).retry_delay().nanos() == 500'000'000);
}

TEST_CASE("an error fits into trailers, whatever is in it") {
  absl::Status status = absl::InvalidArgumentError(std::string(100'000, 'm'));
  for (int i = 0; i < 100; ++i) {
    status.SetPayload(kDetailPayloadPrefix + std::to_string(i) + std::string(10'000, 'k'),
                      absl::Cord(std::string(10'000, 'v')));
  }
  const grpc::Status wire = ToGrpcStatus(status);
  constexpr size_t kTrailers = 8192;
  constexpr size_t kOthers = 256;  // names, code
  const size_t percent_encoded = wire.error_message().size() * 3;
  const size_t base64 = wire.error_details().size() * 4 / 3;
  CHECK(percent_encoded + base64 < kTrailers - kOthers);
  CHECK(wire.error_message().size() >= 1000);  // and still says something
}

TEST_CASE("text becomes valid UTF-8") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""},
      {"plain", "plain"},
      {"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
      {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
      {"\xE2\x82\xAC", "\xE2\x82\xAC"},
      {"a\xFFz", "a?z"},
      {"\x80", "?"},                             // a continuation alone
      {"\xC3", "?"},                             // cut short
      {"\xC0\xAF", "??"},                        // overlong, two bytes
      {"\xE0\x80\xAF", "???"},                   // overlong, three
      {"\xF0\x80\x80\xAF", "????"},              // overlong, four
      {"\xED\xA0\x80", "???"},                   // a surrogate
      {"\xF4\x90\x80\x80", "????"},              // past U+10FFFF
      {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"},  // U+10FFFF
      {"\xE2\x82", "??"},
  };
  for (const auto& [text, expected] : cases) CHECK(ValidUtf8(text) == expected);
}

TEST_CASE("text is cut between characters") {
  CHECK(ValidUtf8("abc", 2) == "ab");
  CHECK(ValidUtf8("a\xE2\x82\xAC", 3) == "a");
  CHECK(ValidUtf8("a\xE2\x82\xAC", 4) == "a\xE2\x82\xAC");
}

TEST_CASE("exceptions become statuses at the edge") {
  CHECK(Guarded([] { return absl::OkStatus(); }).ok());
  const auto out_of_memory = []() -> absl::Status { throw std::bad_alloc(); };
  CHECK(absl::IsResourceExhausted(Guarded(out_of_memory)));
  const auto other = []() -> absl::Status { throw std::runtime_error("parser upset"); };
  CHECK(absl::IsInternal(Guarded(other)));
  CHECK(Guarded(other).message() == "unexpected failure: parser upset");
}

}  // namespace
}  // namespace seedlm::server
