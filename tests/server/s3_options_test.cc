#include <catch2/catch.hpp>
#include <map>

#include "server/storage/s3/options.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server::s3 {
namespace {

Options FromMap(const std::map<std::string, std::string>& variables, const Options& base = {}) {
  return FromEnvironment(base, [&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST_CASE("s3 URIs") {
  const auto location = ParseUri("s3://my-bucket.1/models/tiny llama/");
  REQUIRE(location.status() == absl::OkStatus());
  CHECK(location->bucket == "my-bucket.1");
  CHECK(location->prefix == "models/tiny llama");
  const std::string long_prefix = "s3://abc/" + std::string(513, 'x');
  for (const std::string& uri :
       {std::string("file:///x"), std::string("s3://"), std::string("s3:///x"),
        std::string("s3://ab/x"), std::string("s3://Bucket/x"), std::string("s3://a_b/x"),
        std::string("s3://-ab/x"), std::string("s3://a..b/x"), std::string("s3://evil.com@x/y"),
        std::string("s3://bucket"), std::string("s3://bucket/"), std::string("s3://bucket//"),
        std::string("s3://bucket/a//b"), std::string("s3://bucket/../other"),
        std::string("s3://bucket/a/./b"), std::string("s3://bucket/a\nb"),
        std::string("s3://bucket/\xC3\xA9"), long_prefix}) {
    INFO(uri);
    CHECK_THAT(ParseUri(uri).status(), IsStatus(absl::StatusCode::kInvalidArgument, {"s3://"}) ||
                                           IsStatus(absl::StatusCode::kInvalidArgument, {"file"}));
  }
  CHECK(ParseUri("s3://abc/" + std::string(512, 'x')).ok());
}

TEST_CASE("the standard variables, the more special one first") {
  Options base;
  base.region = "eu-north-1";
  const Options none = FromMap({{"AWS_REGION", ""}}, base);
  CHECK(none.region == "eu-north-1");
  CHECK_THAT(CheckOptions(none),
             IsStatus(absl::StatusCode::kFailedPrecondition, {"AWS_ACCESS_KEY_ID"}));
  CHECK(ReasonOf(CheckOptions(none)) == "S3_NOT_CONFIGURED");
  const Options all = FromMap({{"AWS_ACCESS_KEY_ID", "id"},
                               {"AWS_SECRET_ACCESS_KEY", "secret"},
                               {"AWS_SESSION_TOKEN", "token"},
                               {"AWS_DEFAULT_REGION", "eu-west-1"},
                               {"AWS_REGION", "eu-west-2"},
                               {"AWS_ENDPOINT_URL", "http://a"},
                               {"AWS_ENDPOINT_URL_S3", "http://b:9000/"},
                               {"AWS_CA_BUNDLE", "/ca.pem"}});
  CHECK(all.credentials.access_key_id == "id");
  CHECK(all.credentials.secret_access_key == "secret");
  CHECK(all.credentials.session_token == "token");
  CHECK(all.region == "eu-west-2");
  CHECK(all.ca_bundle == "/ca.pem");
  CHECK(CheckOptions(all) == absl::OkStatus());
  CHECK(EndpointOf(all)->authority == "b:9000");
  CHECK(EndpointOf(FromMap({{"AWS_DEFAULT_REGION", "eu-west-1"}}))->authority ==
        "s3.eu-west-1.amazonaws.com");
}

TEST_CASE("the file of keys is asked for where the variables have none, as AWS does") {
  const Options file = FromMap({{"AWS_SHARED_CREDENTIALS_FILE", "/keys"}, {"AWS_PROFILE", "p"}});
  CHECK(file.shared_credentials_file == "/keys");
  CHECK(file.profile == "p");
  const Options both = FromMap({{"AWS_SHARED_CREDENTIALS_FILE", "/keys"},
                                {"AWS_ACCESS_KEY_ID", "id"},
                                {"AWS_SECRET_ACCESS_KEY", "secret"}});
  CHECK(both.shared_credentials_file.empty());
  CHECK(both.profile == "default");
}

TEST_CASE("endpoints that are none") {
  for (const char* endpoint :
       {"localhost:9000", "ftp://x", "http://", "http://u:p@x", "https://x/path", "http://x?y",
        "http://x:0", "http://x:99999", "http://x:80:80x", "http://x y"}) {
    INFO(endpoint);
    Options options;
    options.endpoint = endpoint;
    options.credentials = {"a", "b", ""};
    CHECK_THAT(CheckOptions(options),
               IsStatus(absl::StatusCode::kFailedPrecondition, {"endpoint"}));
  }
  Options options;
  options.endpoint = "HTTPS://[::1]:9000";
  CHECK(EndpointOf(options)->scheme == "https");
  CHECK(EndpointOf(options)->authority == "[::1]:9000");
}

TEST_CASE("pauses grow, are jittered in full, and keep Retry-After") {
  using std::chrono::milliseconds;
  const RetryOptions retry{milliseconds(10'000), milliseconds(100), milliseconds(300)};
  const milliseconds begin(0);
  CHECK(NextDelay(retry, 1, begin, {}, 0.5) == milliseconds(50));
  CHECK(NextDelay(retry, 2, begin, {}, 0.5) == milliseconds(100));
  CHECK(NextDelay(retry, 4, begin, {}, 0.999) == milliseconds(299));  // it has stopped growing
  CHECK(NextDelay(retry, 4, begin, {}, 0) == milliseconds(0));
  CHECK(NextDelay(retry, 999'999, begin, {}, 0.5) == milliseconds(150));
  CHECK(NextDelay(retry, 1, begin, milliseconds(2000), 0.5) == milliseconds(2000));
  CHECK(NextDelay(retry, 1, begin, milliseconds(3'600'000), 0.5) == milliseconds(60'000));
  // The last one ends with the patience, unless the server wants more.
  CHECK(NextDelay(retry, 9, milliseconds(9'950), {}, 0.5) == milliseconds(50));
  CHECK(NextDelay(retry, 9, milliseconds(9'950), milliseconds(70), 0.5) == milliseconds(70));
  CHECK_FALSE(NextDelay(retry, 2, milliseconds(10'000), milliseconds(1), 0.5).has_value());
}

}  // namespace
}  // namespace seedlm::server::s3
