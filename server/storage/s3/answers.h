// What S3 says in XML. A small, strict view: elements that are not known are passed over, no entity
// but the five of XML and character references is expanded, nothing is fetched, depth and size are
// bounded. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace seedlm::server::s3 {

// A longer answer is refused. A list of 1,000 uploads has about 700 KB.
inline constexpr size_t kMaxAnswerBytes = size_t{4} << 20;

// <Error>; also what follows the status 200 of a completion that failed late.
struct ErrorAnswer {
  std::string code;     // "NoSuchBucket"; empty: the body is no <Error>
  std::string message;  // for people, at most 500 bytes, no line breaks
};
// Never fails: proxies answer in HTML, and HEAD with nothing.
ErrorAnswer ParseError(std::string_view body);

struct OpenUpload {
  std::string key;
  std::string upload_id;
  std::string initiated;  // "2026-11-28T10:00:00.000Z"
};
struct UploadList {
  std::vector<OpenUpload> uploads;
  bool truncated = false;
  std::string next_key_marker;
  std::string next_upload_id_marker;
};

struct ObjectList {
  std::vector<std::string> keys;
};

struct ListedPart {
  int number = 0;    // 1 .. 10,000
  int64_t size = 0;  // bytes
  std::string etag;  // may be empty
};
struct PartList {
  std::vector<ListedPart> parts;
  bool truncated = false;
  int next_number = 0;  // of a truncated list, after which number the next one begins
};

// Each: INTERNAL if the body is not such an answer (with what is missing) or is too large.
absl::StatusOr<std::string> ParseUploadId(std::string_view body);  // InitiateMultipartUploadResult
absl::StatusOr<UploadList> ParseUploads(std::string_view body);    // ListMultipartUploadsResult
absl::StatusOr<PartList> ParseParts(std::string_view body);        // ListPartsResult
absl::StatusOr<ObjectList> ParseObjects(std::string_view body);    // ListBucketResult
// CompleteMultipartUploadResult; the ETag may be empty or missing.
absl::StatusOr<std::string> ParseCompleted(std::string_view body);

struct PartTag {
  int number = 0;    // 1 .. 10,000
  std::string etag;  // as the server gave it, with its quotes; may be empty
};
// The body of CompleteMultipartUpload.
std::string CompletionBody(const std::vector<PartTag>& parts);

}  // namespace seedlm::server::s3
