// Any bytes as an answer of an S3 server.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/storage/s3/answers.h"
#include "server/storage/s3/etag.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace s3 = seedlm::server::s3;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const s3::ErrorAnswer error = s3::ParseError(body);
  for (const char c : error.message) {
    if (static_cast<unsigned char>(c) < 0x20) std::abort();  // it goes into logs as one line
  }
  if (const auto id = s3::ParseUploadId(body); id.ok() && id->empty()) std::abort();
  (void)s3::ParseCompleted(body);
  (void)s3::ParseObjects(body);
  if (const auto list = s3::ParseUploads(body); list.ok()) {
    if (list->truncated && list->next_key_marker.empty()) std::abort();
    for (const s3::OpenUpload& upload : list->uploads) {
      if (upload.key.empty() || upload.upload_id.empty()) std::abort();
    }
  }
  if (const auto list = s3::ParseParts(body); list.ok()) {
    for (const s3::ListedPart& part : list->parts) {
      if (part.number < 1 || part.size < 0) std::abort();
    }
  }
  // What is sent is an answer to nobody, but it is XML whatever the tags are.
  (void)s3::CompletionBody({{1, error.code}});
  (void)s3::MultipartEtag({{1, error.code}});
  return 0;
}
