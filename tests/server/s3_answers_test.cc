#include <catch2/catch.hpp>

#include "server/storage/s3/answers.h"
#include "server/storage/s3/etag.h"
#include "server/storage/s3/refusal.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server::s3 {
namespace {

TEST_CASE("answers: an upload's id, with a name space or a prefix") {
  for (const char* body :
       {"<?xml version=\"1.0\"?>\n<InitiateMultipartUploadResult "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket><Key>k</Key>"
        "<UploadId>2~a&amp;b+/=</UploadId></InitiateMultipartUploadResult>",
        "<s3:InitiateMultipartUploadResult xmlns:s3='x'><s3:UploadId>2~a&#38;b+/=</s3:UploadId>"
        "</s3:InitiateMultipartUploadResult>"}) {
    const auto id = ParseUploadId(body);
    REQUIRE(id.status() == absl::OkStatus());
    CHECK(*id == "2~a&b+/=");
  }
}

TEST_CASE("answers: what is none is refused") {
  for (const char* body :
       {"", "no XML", "<html><body>504</body></html>", "<InitiateMultipartUploadResult>",
        "<InitiateMultipartUploadResult><UploadId></UploadId></InitiateMultipartUploadResult>",
        "<Error><UploadId>x</UploadId></Error>",
        "<!DOCTYPE r [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
        "<InitiateMultipartUploadResult><Id>&e;</Id></InitiateMultipartUploadResult>"}) {
    INFO(body);
    CHECK_THAT(ParseUploadId(body).status(), IsStatus(absl::StatusCode::kInternal, {"UploadId"}));
  }
  CHECK_FALSE(ParseCompleted("<Error><Code>InternalError</Code></Error>").ok());
  CHECK_FALSE(ParseObjects("<ListMultipartUploadsResult/>").ok());
  CHECK_FALSE(ParseUploads("<ListBucketResult/>").ok());
}

TEST_CASE("answers: entities of a document's own are not expanded") {
  const auto id = ParseUploadId(
      "<!DOCTYPE r [<!ENTITY e 'expanded'>]><InitiateMultipartUploadResult>"
      "<UploadId>&e;</UploadId></InitiateMultipartUploadResult>");
  REQUIRE(id.status() == absl::OkStatus());
  CHECK(*id == "&e;");
}

TEST_CASE("answers: depth and size are bounded") {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "<a>";
  CHECK_FALSE(ParseUploads(deep).ok());
  // Much to look at, nothing that nests: in linear time.
  CHECK_FALSE(ParseUploads(std::string(4'000'000, '<') + "/>").ok());
  std::string large = "<ListBucketResult>";
  large.append(kMaxAnswerBytes, ' ');
  CHECK_FALSE(ParseObjects(large + "</ListBucketResult>").ok());
}

TEST_CASE("answers: lists") {
  const auto list = ParseUploads(
      "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
      "<NextKeyMarker>k2</NextKeyMarker><NextUploadIdMarker>i2</NextUploadIdMarker>"
      "<Upload><Key>k1</Key><UploadId>i1</UploadId><Initiated>2026-11-28T10:00:00.000Z</Initiated>"
      "</Upload><Upload><UploadId>i2</UploadId><Key>k2</Key></Upload></"
      "ListMultipartUploadsResult>");
  REQUIRE(list.status() == absl::OkStatus());
  REQUIRE(list->uploads.size() == 2);
  CHECK(list->uploads[0].initiated == "2026-11-28T10:00:00.000Z");
  CHECK(list->uploads[1].upload_id == "i2");
  CHECK(list->truncated);
  CHECK(list->next_key_marker == "k2");
  // It would be asked for the same page for ever.
  CHECK_FALSE(ParseUploads("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
                           "</ListMultipartUploadsResult>")
                  .ok());
  const auto objects = ParseObjects(
      "<ListBucketResult><Contents><Key>a b</Key></Contents><Contents><Key>c</Key></Contents>"
      "</ListBucketResult>");
  REQUIRE(objects.status() == absl::OkStatus());
  CHECK(objects->keys == std::vector<std::string>{"a b", "c"});
}

TEST_CASE("answers: a list of parts") {
  const auto list = ParseParts(
      "<ListPartsResult><NextPartNumberMarker>7</NextPartNumberMarker>"
      "<IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><ETag>&quot;x&quot;</ETag>"
      "<Size>5497558138880</Size></Part><Part><Size>0</Size><PartNumber>7</PartNumber></Part>"
      "</ListPartsResult>");
  REQUIRE(list.status() == absl::OkStatus());
  REQUIRE(list->parts.size() == 2);
  CHECK(list->parts[0].number == 1);
  CHECK(list->parts[0].size == 5497558138880);
  CHECK(list->parts[0].etag == "\"x\"");
  CHECK(list->parts[1].etag.empty());
  CHECK(list->truncated);
  CHECK(list->next_number == 7);
  CHECK(ParseParts("<ListPartsResult/>")->parts.empty());
  for (const char* body :
       {"<ListBucketResult/>", "<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>0</PartNumber><Size>1</Size></Part></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>1</PartNumber><Size>-1</Size></Part></"
        "ListPartsResult>"}) {
    INFO(body);
    CHECK_THAT(ParseParts(body).status(), IsStatus(absl::StatusCode::kInternal, {}));
  }
}

TEST_CASE("etags: which say the same") {
  CHECK(SameEtag("\"x\"", "\"x\""));
  CHECK(SameEtag("\"x\"", "x"));
  CHECK_FALSE(SameEtag("\"x\"", "\"y\""));
  CHECK_FALSE(SameEtag("", ""));
  CHECK_FALSE(SameEtag("\"\"", ""));
}

// The MD5 sums of "a" and "b"; the sum of the two, by md5sum.
TEST_CASE("etags: of an object that is made of parts") {
  const PartTag a{1, "\"0cc175b9c0f1b6a831c399e269772661\""};
  const PartTag b{2, "92eb5ffee6ae2fec3ad71c777531578f"};
  CHECK(MultipartEtag({a, b}) == "\"96e024ba2074fe77e8e965ba43a704be-2\"");
  CHECK(MultipartEtag({a}) == "\"b6ff9a06b7e20bcb2858c5b8ff744aea-1\"");
  CHECK(MultipartEtag({a, {2, ""}}).empty());
  CHECK(MultipartEtag({a, {2, "\"92eb5ffee6ae2fec3ad71c777531578f-2\""}}).empty());
}

TEST_CASE("answers: the body of a completion") {
  CHECK(CompletionBody({{1, "\"a&b\""}, {2, ""}}) ==
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Part><PartNumber>1</PartNumber><ETag>\"a&amp;b\"</ETag></Part>"
        "<Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>");
}

TEST_CASE("refusals: what passes and what does not") {
  for (const int status : {429, 500, 502, 503, 504}) CHECK(IsPassing(status, {}));
  for (const int status : {301, 400, 401, 403, 404, 409, 411, 412, 416, 501, 505, 507}) {
    INFO(status);
    CHECK_FALSE(IsPassing(status, {}));
  }
  CHECK(IsPassing(400, {"RequestTimeout", ""}));
}

TEST_CASE("refusals: code, reason, and what can be done") {
  struct Row {
    int status;
    const char* code;
    absl::StatusCode expected;
    const char* reason;
    const char* words;
  };
  const Row row = GENERATE(
      Row{403, "SignatureDoesNotMatch", absl::StatusCode::kPermissionDenied, "S3_ACCESS_DENIED",
          "AWS_SECRET_ACCESS_KEY"},
      Row{403, "InvalidAccessKeyId", absl::StatusCode::kPermissionDenied, "S3_ACCESS_DENIED",
          "AWS_ACCESS_KEY_ID"},
      Row{403, "RequestTimeTooSkewed", absl::StatusCode::kPermissionDenied, "S3_ACCESS_DENIED",
          "clock"},
      Row{403, "", absl::StatusCode::kPermissionDenied, "S3_ACCESS_DENIED", "answered 403"},
      Row{404, "NoSuchBucket", absl::StatusCode::kNotFound, "S3_BUCKET_MISSING", "create"},
      Row{404, "NoSuchUpload", absl::StatusCode::kNotFound, "S3_REFUSED", "NoSuchUpload"},
      Row{412, "PreconditionFailed", absl::StatusCode::kAlreadyExists, "OUTPUT_EXISTS", "412"},
      Row{301, "PermanentRedirect", absl::StatusCode::kFailedPrecondition, "S3_REFUSED",
          "AWS_REGION"},
      Row{400, "EntityTooSmall", absl::StatusCode::kFailedPrecondition, "S3_REFUSED",
          "EntityTooSmall"},
      Row{403, "QuotaExceeded", absl::StatusCode::kResourceExhausted, "S3_REFUSED",
          "QuotaExceeded"},
      Row{503, "SlowDown", absl::StatusCode::kUnavailable, "S3_UNAVAILABLE", "SlowDown"});
  const absl::Status status = ToStatus({row.status, {}, ""}, {row.code, "because"}, "s3://b/k", "h",
                                       KeySource::kEnvironment);
  CHECK_THAT(status, IsStatus(row.expected, {"s3://b/k", row.words}));
  CHECK(ReasonOf(status) == row.reason);
}

TEST_CASE("refusals: Retry-After") {
  CHECK(RetryAfterOf({503, {{"retry-after", "7"}}, ""}) == std::chrono::seconds(7));
  for (const char* value : {"-1", "soon", "Fri, 24 May 2013 00:00:00 GMT", ""}) {
    CHECK_FALSE(RetryAfterOf({503, {{"retry-after", value}}, ""}).has_value());
  }
  CHECK_FALSE(RetryAfterOf({503, {}, ""}).has_value());
}

}  // namespace
}  // namespace seedlm::server::s3
