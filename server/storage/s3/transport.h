// One HTTP request and its answer, with libcurl.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/s3/options.h"
#include "server/storage/s3/signature_v4.h"

namespace seedlm::server::s3 {

// What is sent: read in pieces, in order, and again from the start for another attempt, so a part
// of a file is never in memory as a whole.
struct Body {
  int64_t size = 0;
  // Fills `buffer` with the bytes from `offset`. REQUIRES: offset + buffer.size() <= size.
  std::function<absl::Status(int64_t offset, std::span<char> buffer)> read;
};
Body BodyOf(std::string text);

struct HttpRequest {
  std::string method;
  std::string url;
  NameValues headers;
  const Body* body = nullptr;  // none: nothing is sent
  size_t max_answer = 0;       // bytes; a longer answer is an error
  // On a connection of its own. On one that was kept open and turns out to be closed, libcurl sends
  // a request again without a word; so this is for those that must not arrive twice unnoticed.
  bool fresh = false;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;
};

// Thread-safe. Keeps connections open for later requests. Follows no redirection, uses no proxy,
// speaks http and https only, and verifies certificates: who is asked is who the URL names.
class Transport {
 public:
  explicit Transport(const Options& options);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Any status is an answer. Errors: UNAVAILABLE (no connection, cut off, stalled: the same request
  // may succeed later), FAILED_PRECONDITION (the server's certificate is not trusted), INTERNAL (an
  // answer over max_answer), CANCELLED soon after `stop`; and what body.read returned.
  absl::StatusOr<HttpAnswer> Send(const HttpRequest& request, const std::stop_token& stop);

 private:
  class Handle;
  std::unique_ptr<Handle> Take();
  void Give(std::unique_ptr<Handle> handle);

  const Options options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_;  // guarded by mutex_
};

}  // namespace seedlm::server::s3
