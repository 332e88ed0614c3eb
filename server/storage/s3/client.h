// The operations of S3 that a sink needs, with signatures, retries and absl::Status.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/s3/answers.h"
#include "server/storage/s3/options.h"
#include "server/storage/s3/transport.h"

namespace seedlm::server::s3 {

// Parts of an upload: their sizes, but for the last, and their number.
inline constexpr int64_t kMinPartBytes = int64_t{5} << 20;
inline constexpr int kMaxParts = 10'000;

struct ObjectName {
  std::string bucket;
  std::string key;
};
std::string ToUri(const ObjectName& object);  // "s3://BUCKET/KEY"

struct ObjectInfo {
  int64_t size = 0;
  std::string etag;   // may be empty
  std::string owner;  // what Create or Put was given; empty for others' objects
};

// What to do with an object that exists: replace it, or ALREADY_EXISTS (reason OUTPUT_EXISTS).
enum class Existing : uint8_t { kKeep, kReplace };

// A request as it went, for those who count.
struct Attempt {
  std::string_view operation;  // "UploadPart": a method of Client
  int status = 0;              // of HTTP; 0: no answer came
  double seconds = 0;
  int64_t sent_bytes = 0;  // of the body, if it was answered
};

// Thread-safe; calls block, for RetryOptions::patience if the server is away, and end soon after
// `stop` with CANCELLED. Only the configured endpoint is asked. Calls with `attempts` send so many
// requests at most; 0: as many as the patience allows.
//
// Retries: connections that break, stall or are refused, and the answers 429, 500, 502, 503 and 504
// and RequestTimeout, with exponential backoff and full jitter, at least Retry-After; no other 4xx.
//
// Errors, all naming the object and the S3 error code: PERMISSION_DENIED (S3_ACCESS_DENIED: keys,
// signature, clock or policy), NOT_FOUND (S3_BUCKET_MISSING; no such key or upload),
// FAILED_PRECONDITION (another region, a certificate that is not trusted, other refusals),
// RESOURCE_EXHAUSTED (quota), UNAVAILABLE (S3_UNAVAILABLE, after the last retry), INTERNAL (answers
// that are none), CANCELLED.
class Client {
 public:
  struct Hooks {  // keys that change; time and chance, of which tests have their own
    // Asked for each request, on its thread; null: Options::credentials.
    std::function<Credentials()> keys = nullptr;
    std::function<int64_t()> unix_seconds = SystemSeconds;
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
    // False if the stop came before the end.
    std::function<bool(std::chrono::milliseconds, const std::stop_token&)> pause = Pause;
    std::function<double()> uniform = UniformRandom;  // [0, 1)
    std::function<void(const Attempt&)> on_attempt = [](const Attempt&) {};
  };
  // FAILED_PRECONDITION (S3_NOT_CONFIGURED).
  static absl::StatusOr<std::unique_ptr<Client>> Create(const Options& options);
  static absl::StatusOr<std::unique_ptr<Client>> Create(const Options& options, Hooks hooks);

  // Begins an upload; the answer is its id. `owner` marks the object, see ObjectInfo. Sent again
  // after a lost answer, it may leave a second, empty upload: `repeated` (if not null) is set then.
  absl::StatusOr<std::string> CreateUpload(const ObjectName& object, std::string_view owner,
                                           const std::stop_token& stop, bool* repeated = nullptr);
  // Part `number`, 1 .. kMaxParts. The body's SHA-256 is signed, so damage is found by the server.
  absl::StatusOr<PartTag> UploadPart(const ObjectName& object, const std::string& upload_id,
                                     int number, const Body& body, const std::stop_token& stop);
  // The parts that an upload has, by number. NOT_FOUND: there is no such upload (any more).
  absl::StatusOr<std::vector<ListedPart>> ListParts(const ObjectName& object,
                                                    const std::string& upload_id,
                                                    const std::stop_token& stop);
  // Makes the object of all parts, in order; the answer is its ETag, which may be empty. Safe to
  // repeat: if the upload is gone, an object whose owner is `owner` is the one it made, unless its
  // ETag, or that it was there before, says otherwise. With kKeep
  // the condition is part of the request where the server knows it, and the object is looked for
  // just before in any case.
  absl::StatusOr<std::string> CompleteUpload(const ObjectName& object, const std::string& upload_id,
                                             const std::vector<PartTag>& parts, Existing existing,
                                             std::string_view owner, const std::stop_token& stop);
  // An upload that is not there (any more) is OK.
  absl::Status AbortUpload(const ObjectName& object, const std::string& upload_id,
                           const std::stop_token& stop, int attempts = 0);
  // Uploads that are open for keys that begin with `prefix`; at most 10,000.
  absl::StatusOr<std::vector<OpenUpload>> ListUploads(const std::string& bucket,
                                                      const std::string& prefix,
                                                      const std::stop_token& stop,
                                                      int attempts = 0);

  // One request; at most 5 GiB. ALREADY_EXISTS as CompleteUpload.
  absl::Status PutObject(const ObjectName& object, const Body& body, Existing existing,
                         std::string_view owner, const std::stop_token& stop);
  // None: there is no such object.
  absl::StatusOr<std::optional<ObjectInfo>> HeadObject(const ObjectName& object,
                                                       const std::stop_token& stop,
                                                       int attempts = 0);
  // [offset, offset + length), at most 64 MiB; shorter at the end.
  absl::StatusOr<std::string> GetObject(const ObjectName& object, int64_t offset, int64_t length,
                                        const std::stop_token& stop);
  // An object that is not there is OK.
  absl::Status DeleteObject(const ObjectName& object, const std::stop_token& stop,
                            int attempts = 0);
  // The first key that begins with `prefix`, empty if none does. Also the test of whether the
  // bucket can be used at all.
  absl::StatusOr<std::string> FirstKey(const std::string& bucket, const std::string& prefix,
                                       const std::stop_token& stop, int attempts = 2);

  const Options& options() const { return options_; }

 private:
  struct Call;
  static int64_t SystemSeconds();
  static bool Pause(std::chrono::milliseconds duration, const std::stop_token& stop);
  static double UniformRandom();
  Client(Options options, Endpoint endpoint, Hooks hooks);
  absl::StatusOr<HttpAnswer> Send(const Call& call, const std::stop_token& stop);
  absl::StatusOr<HttpAnswer> SendOnce(const Call& call, const std::string& payload_sha256,
                                      const std::stop_token& stop);
  struct Before {
    bool absent = false;  // the request is to carry the condition
    std::string etag{};   // of the owner's object that is there, which may be replaced
  };
  absl::StatusOr<Before> LookBefore(const ObjectName& object, Existing existing,
                                    std::string_view owner, const std::stop_token& stop);
  absl::StatusOr<HttpAnswer> SendIfAbsent(Call& call, bool absent, const std::stop_token& stop);
  // The object, if it is there and `owner`'s.
  absl::StatusOr<std::optional<ObjectInfo>> Mine(const ObjectName& object, std::string_view owner,
                                                 const std::stop_token& stop);

  const Options options_;
  const Endpoint endpoint_;
  const Hooks hooks_;
  Transport transport_;
};

}  // namespace seedlm::server::s3
