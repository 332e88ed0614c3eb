// Signature Version 4 against the examples that AWS publishes.
#include <catch2/catch.hpp>

#include "server/storage/s3/signature_v4.h"

namespace seedlm::server::s3 {
namespace {

// "Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference.
const Credentials kS3Example = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                ""};
constexpr char kS3Time[] = "20130524T000000Z";
constexpr char kEmptySha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string SignatureOf(const SignableRequest& request) {
  const std::string header = Authorization(request, kS3Example, {"us-east-1", "s3", kS3Time});
  return header.substr(header.find("Signature=") + 10);
}

SignableRequest Example(const std::string& path, const NameValues& query) {
  return {"GET",
          path,
          query,
          {{"host", "examplebucket.s3.amazonaws.com"},
           {"x-amz-content-sha256", kEmptySha256},
           {"x-amz-date", kS3Time}},
          kEmptySha256};
}

TEST_CASE("SigV4: GET of a range") {
  SignableRequest request = Example("/test.txt", {});
  request.headers.emplace_back("range", "bytes=0-9");
  CHECK(SignatureOf(request) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  CHECK(Authorization(request, kS3Example, {"us-east-1", "s3", kS3Time}) ==
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_CASE("SigV4: PUT of an object whose name must be encoded") {
  const std::string sha256 = Sha256Hex("Welcome to Amazon S3.");
  const SignableRequest request = {"PUT",
                                   "/" + UriEncode("test$file.text", false),
                                   {},
                                   {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                    {"host", "examplebucket.s3.amazonaws.com"},
                                    {"x-amz-content-sha256", sha256},
                                    {"x-amz-date", kS3Time},
                                    {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                   sha256};
  CHECK(SignatureOf(request) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_CASE("SigV4: a query without a value, and one with two") {
  CHECK(SignatureOf(Example("/", {{"lifecycle", ""}})) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  CHECK(SignatureOf(Example("/", {{"prefix", "J"}, {"max-keys", "2"}})) ==
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// "get-vanilla" and "get-vanilla-query-order-key-case" of the published test suite.
TEST_CASE("SigV4: the suite's plain requests") {
  const Credentials example = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
  SignableRequest request = {
      "GET",
      "/",
      {},
      {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
      kEmptySha256};
  const SigningScope scope = {"us-east-1", "service", "20150830T123600Z"};
  CHECK(Authorization(request, example, scope)
            .ends_with("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
  request.query = {{"Param2", "value2"}, {"Param1", "value1"}};
  CHECK(Authorization(request, example, scope)
            .ends_with("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"));
}

TEST_CASE("SigV4: what is encoded, and in what order") {
  CHECK(UriEncode("a-z_0.9~/ +%\xC3\xA9", true) == "a-z_0.9~%2F%20%2B%25%C3%A9");
  CHECK(UriEncode("a/b c", false) == "a/b%20c");
  CHECK(CanonicalQuery({{"b", "2"}, {"a", "x/y"}, {"a", "="}, {"c", ""}}) ==
        "a=%3D&a=x%2Fy&b=2&c=");
  CHECK(AmzDate(1369353600) == kS3Time);
  CHECK(AmzDate(0) == "19700101T000000Z");
  // Values are signed without their outer spaces, and with single ones within.
  const SignableRequest spaces = {"GET", "/", {}, {{"host", "h"}, {"x", "  a   b "}}, kEmptySha256};
  CHECK(CanonicalRequest(spaces) ==
        "GET\n/\n\nhost:h\nx:a b\n\nhost;x\n" + std::string(kEmptySha256));
}

}  // namespace
}  // namespace seedlm::server::s3
