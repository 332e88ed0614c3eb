#include "server/storage/s3/client.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"
#include "server/storage/s3/etag.h"
#include "server/storage/s3/refusal.h"
#include "server/storage/s3/wait_scope.h"

namespace seedlm::server::s3 {
namespace {

constexpr size_t kHashBytes = size_t{256} << 10;  // of a body, at a time
constexpr size_t kMaxUploadsListed = 10'000;
// One failure is soon over; of a second, or one that took so long, somebody should know.
constexpr std::chrono::seconds kLongFailure{5};
constexpr int64_t kMaxRead = int64_t{64} << 20;
constexpr char kOwnerHeader[] = "x-amz-meta-seedlm-job";

absl::StatusOr<std::string> HashOf(const Body& body, const std::stop_token& stop) {
  PayloadHash hash;
  std::string piece(std::min<size_t>(kHashBytes, static_cast<size_t>(body.size)), '\0');
  for (int64_t offset = 0; offset < body.size;) {
    if (stop.stop_requested()) return absl::CancelledError("stopped on request");
    const auto wanted = std::min(static_cast<int64_t>(piece.size()), body.size - offset);
    const std::span<char> buffer(piece.data(), static_cast<size_t>(wanted));
    if (absl::Status status = body.read(offset, buffer); !status.ok()) return status;
    hash.Update(buffer);
    offset += wanted;
  }
  return hash.HexDigest();
}

std::string HeaderOf(const HttpAnswer& answer, std::string_view name) {
  const auto found = answer.headers.find(name);
  return found == answer.headers.end() ? "" : found->second;
}

absl::Status Exists(const ObjectName& object) {
  return WithReason(
      absl::AlreadyExistsError(absl::StrCat(
          ToUri(object),
          ": already exists; remove it, choose another output, or ask for it to be overwritten")),
      "OUTPUT_EXISTS");
}

}  // namespace

std::string ToUri(const ObjectName& object) {
  return absl::StrCat("s3://", object.bucket, "/", object.key);
}

int64_t Client::SystemSeconds() { return static_cast<int64_t>(std::time(nullptr)); }

bool Client::Pause(std::chrono::milliseconds duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

double Client::UniformRandom() {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

// One operation, before it is signed.
struct Client::Call {
  const char* operation;
  std::string method;
  ObjectName object;  // an empty key: of the bucket
  NameValues query{};
  NameValues headers{};
  const Body* body = nullptr;
  bool late_error = false;  // a status 200 may carry an <Error>
  size_t max_answer = kMaxAnswerBytes;
  int max_attempts = 0;      // 0: as many as the patience allows
  bool* repeated = nullptr;  // set when it is sent again; then it is never sent again unnoticed

  std::string what() const {
    return object.key.empty() ? absl::StrCat("s3://", object.bucket) : ToUri(object);
  }
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const Options& options) {
  return Create(options, Hooks());
}

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const Options& options, Hooks hooks) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  absl::StatusOr<Endpoint> endpoint = EndpointOf(options);
  if (!endpoint.ok()) return endpoint.status();
  return std::unique_ptr<Client>(new Client(options, *std::move(endpoint), std::move(hooks)));
}

Client::Client(Options options, Endpoint endpoint, Hooks hooks)
    : options_(std::move(options)),
      endpoint_(std::move(endpoint)),
      hooks_(std::move(hooks)),
      transport_(options_) {}

absl::StatusOr<HttpAnswer> Client::SendOnce(const Call& call, const std::string& payload_sha256,
                                            const std::stop_token& stop) {
  const std::string& bucket = call.object.bucket;
  const bool by_host = options_.addressing == Addressing::kVirtualHost ||
                       (options_.addressing == Addressing::kAuto && options_.endpoint.empty());
  const bool virtual_host = by_host && bucket.find('.') == std::string::npos;
  const std::string host =
      virtual_host ? absl::StrCat(bucket, ".", endpoint_.authority) : endpoint_.authority;

  SignableRequest signable;
  signable.method = call.method;
  signable.path = absl::StrCat(virtual_host ? "" : absl::StrCat("/", bucket), "/",
                               UriEncode(call.object.key, false));
  signable.query = call.query;
  signable.headers = call.headers;
  signable.payload_sha256 = payload_sha256;
  const std::string time = AmzDate(hooks_.unix_seconds());
  signable.headers.emplace_back("host", host);
  signable.headers.emplace_back("x-amz-content-sha256", payload_sha256);
  signable.headers.emplace_back("x-amz-date", time);
  const Credentials keys = hooks_.keys ? hooks_.keys() : options_.credentials;
  if (!keys.session_token.empty()) {
    signable.headers.emplace_back("x-amz-security-token", keys.session_token);
  }

  HttpRequest request;
  request.method = call.method;
  request.url = absl::StrCat(endpoint_.scheme, "://", host, signable.path);
  if (!call.query.empty()) absl::StrAppend(&request.url, "?", CanonicalQuery(call.query));
  request.headers = signable.headers;
  request.headers.emplace_back("authorization",
                               Authorization(signable, keys, {options_.region, "s3", time}));
  request.body = call.body;
  request.max_answer = call.max_answer;
  request.fresh = call.repeated != nullptr;
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<HttpAnswer> answer = transport_.Send(request, stop);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const bool sent = answer.ok() && call.body != nullptr;
  hooks_.on_attempt({call.operation, answer.ok() ? answer->status : 0, seconds.count(),
                     sent ? call.body->size : 0});
  return answer;
}

absl::StatusOr<HttpAnswer> Client::Send(const Call& call, const std::stop_token& stop) {
  std::string payload_sha256 = Sha256Hex("");
  if (call.body != nullptr) {
    absl::StatusOr<std::string> hash = HashOf(*call.body, stop);
    if (!hash.ok()) return hash.status();
    payload_sha256 = *std::move(hash);
  }
  const auto begin = hooks_.now();
  std::optional<std::chrono::steady_clock::time_point> first_failure;
  for (int failed = 1;; ++failed) {
    absl::StatusOr<HttpAnswer> answer = SendOnce(call, payload_sha256, stop);
    absl::Status status;
    bool passing = false;
    std::optional<std::chrono::milliseconds> retry_after;
    if (!answer.ok()) {
      passing = absl::IsUnavailable(answer.status());
      status = absl::Status(
          answer.status().code(),
          absl::StrCat(call.what(), ": ", endpoint_.authority, ": ", answer.status().message()));
      if (passing) status = WithReason(std::move(status), kS3Unavailable);
    } else {
      const bool success = answer->status / 100 == 2;
      const ErrorAnswer error =
          success && !call.late_error ? ErrorAnswer{} : ParseError(answer->body);
      if (success && error.code.empty()) return answer;
      // Of an error that came after the status 200, only the code says whether it passes.
      if (success) answer->status = error.code == "SlowDown" ? 503 : 500;
      passing = IsPassing(answer->status, error);
      retry_after = RetryAfterOf(*answer);
      status = ToStatus(*answer, error, call.what(), endpoint_.authority, KeySourceOf(options_));
    }
    if (!passing) return status;
    const auto now = hooks_.now();
    if (!first_failure) first_failure = now;
    const auto since_first =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - *first_failure);
    const auto delay =
        NextDelay(options_.retry, failed, since_first, retry_after, hooks_.uniform());
    if (!delay.has_value() || failed == call.max_attempts) {
      return WithReason(
          absl::Status(status.code(), absl::StrCat(status.message(), "; tried ", failed, " times")),
          ReasonOf(status));
    }
    const WaitScope::Listener listener = WaitScope::Current();
    const bool long_ago = now - begin >= kLongFailure;
    if (listener && (failed > 1 || long_ago)) listener(std::string(status.message()));
    if (!hooks_.pause(*delay, stop)) return absl::CancelledError("stopped on request");
    if (call.repeated != nullptr) *call.repeated = true;
  }
}

absl::StatusOr<std::string> Client::CreateUpload(const ObjectName& object, std::string_view owner,
                                                 const std::stop_token& stop, bool* repeated) {
  const Body nothing = BodyOf("");
  Call call{"CreateUpload", "POST", object, {{"uploads", ""}}, {{kOwnerHeader, std::string(owner)}},
            &nothing};
  call.repeated = repeated;
  const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (!answer.ok()) return answer.status();
  return ParseUploadId(answer->body);
}

absl::StatusOr<PartTag> Client::UploadPart(const ObjectName& object, const std::string& upload_id,
                                           int number, const Body& body,
                                           const std::stop_token& stop) {
  const Call call{"UploadPart", "PUT",
                  object,       {{"partNumber", absl::StrCat(number)}, {"uploadId", upload_id}},
                  {},           &body};
  const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (!answer.ok()) return answer.status();
  return PartTag{number, HeaderOf(*answer, "etag")};
}

absl::StatusOr<Client::Before> Client::LookBefore(const ObjectName& object, Existing existing,
                                                  std::string_view owner,
                                                  const std::stop_token& stop) {
  if (existing == Existing::kReplace) return Before{};
  const auto found = HeadObject(object, stop);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return Before{.absent = true};
  if ((*found)->owner != owner) return Exists(object);
  return Before{.etag = (*found)->etag};
}

absl::StatusOr<HttpAnswer> Client::SendIfAbsent(Call& call, bool absent,
                                                const std::stop_token& stop) {
  if (!absent) return Send(call, stop);
  call.headers.emplace_back("if-none-match", "*");
  absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (!absl::IsUnimplemented(answer.status())) return answer;
  call.headers.pop_back();  // the condition is not known there
  return Send(call, stop);
}

absl::StatusOr<std::optional<ObjectInfo>> Client::Mine(const ObjectName& object,
                                                       std::string_view owner,
                                                       const std::stop_token& stop) {
  auto found = HeadObject(object, stop);
  if (found.ok() && found->has_value() && (*found)->owner != owner) found->reset();
  return found;
}

absl::StatusOr<std::vector<ListedPart>> Client::ListParts(const ObjectName& object,
                                                          const std::string& upload_id,
                                                          const std::stop_token& stop) {
  std::vector<ListedPart> parts;
  for (int after = 0;;) {
    Call call{"ListParts", "GET", object, {{"uploadId", upload_id}}};
    if (after > 0) call.query.emplace_back("part-number-marker", absl::StrCat(after));
    const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
    if (!answer.ok()) return answer.status();
    absl::StatusOr<PartList> page = ParseParts(answer->body);
    if (!page.ok()) return page.status();
    parts.insert(parts.end(), page->parts.begin(), page->parts.end());
    // A marker that does not move on would be asked for without end.
    if (!page->truncated || page->next_number <= after || page->next_number >= kMaxParts) break;
    after = page->next_number;
  }
  return parts;
}

absl::StatusOr<std::string> Client::CompleteUpload(const ObjectName& object,
                                                   const std::string& upload_id,
                                                   const std::vector<PartTag>& parts,
                                                   Existing existing, std::string_view owner,
                                                   const std::stop_token& stop) {
  const Body body = BodyOf(CompletionBody(parts));
  Call call{"CompleteUpload", "POST", object, {{"uploadId", upload_id}}, {}, &body};
  call.late_error = true;
  const absl::StatusOr<Before> before = LookBefore(object, existing, owner, stop);
  if (!before.ok()) return before.status();
  const absl::StatusOr<HttpAnswer> answer = SendIfAbsent(call, before->absent, stop);
  if (answer.ok()) return ParseCompleted(answer->body);
  // The answer to an earlier attempt may have been lost.
  if (absl::IsNotFound(answer.status()) || absl::IsAlreadyExists(answer.status())) {
    const auto mine = Mine(object, owner, stop);
    const bool exists = absl::IsAlreadyExists(answer.status());
    if (mine.ok() && mine->has_value()) {
      const std::string& etag = (*mine)->etag;
      const std::string made = MultipartEtag(parts);
      // What was there before that attempt may have other bytes; with kReplace nobody has looked.
      const bool may_be_older = SameEtag(etag, before->etag) ||
                                (existing == Existing::kReplace && !made.empty() && !etag.empty());
      if (exists || SameEtag(etag, made) || !may_be_older) return etag;
    }
    if (exists) return Exists(object);
  }
  return answer.status();
}

absl::Status Client::AbortUpload(const ObjectName& object, const std::string& upload_id,
                                 const std::stop_token& stop, int attempts) {
  Call call{"AbortUpload", "DELETE", object, {{"uploadId", upload_id}}};
  call.max_attempts = attempts;
  const absl::Status status = Send(call, stop).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<OpenUpload>> Client::ListUploads(const std::string& bucket,
                                                            const std::string& prefix,
                                                            const std::stop_token& stop,
                                                            int attempts) {
  std::vector<OpenUpload> uploads;
  std::string key_marker;
  std::string id_marker;
  while (uploads.size() < kMaxUploadsListed) {
    Call call{"ListUploads", "GET", {bucket, ""}, {{"uploads", ""}, {"prefix", prefix}}};
    call.max_attempts = attempts;
    if (!key_marker.empty()) {
      call.query.emplace_back("key-marker", key_marker);
      call.query.emplace_back("upload-id-marker", id_marker);
    }
    const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
    if (!answer.ok()) return answer.status();
    absl::StatusOr<UploadList> page = ParseUploads(answer->body);
    if (!page.ok()) return page.status();
    uploads.insert(uploads.end(), page->uploads.begin(), page->uploads.end());
    if (!page->truncated || page->uploads.empty()) break;
    key_marker = std::move(page->next_key_marker);
    id_marker = std::move(page->next_upload_id_marker);
  }
  return uploads;
}

absl::Status Client::PutObject(const ObjectName& object, const Body& body, Existing existing,
                               std::string_view owner, const std::stop_token& stop) {
  Call call{"PutObject", "PUT", object, {}, {{kOwnerHeader, std::string(owner)}}, &body};
  const absl::StatusOr<Before> before = LookBefore(object, existing, owner, stop);
  if (!before.ok()) return before.status();
  const absl::Status status = SendIfAbsent(call, before->absent, stop).status();
  if (absl::IsAlreadyExists(status)) {
    const auto mine = Mine(object, owner, stop);
    return mine.ok() && mine->has_value() ? absl::OkStatus() : Exists(object);
  }
  return status;
}

absl::StatusOr<std::optional<ObjectInfo>> Client::HeadObject(const ObjectName& object,
                                                             const std::stop_token& stop,
                                                             int attempts) {
  Call call{"HeadObject", "HEAD", object};
  call.max_attempts = attempts;
  const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (absl::IsNotFound(answer.status())) return std::optional<ObjectInfo>();
  if (!answer.ok()) return answer.status();
  ObjectInfo info{0, HeaderOf(*answer, "etag"), HeaderOf(*answer, kOwnerHeader)};
  if (!absl::SimpleAtoi(HeaderOf(*answer, "content-length"), &info.size)) info.size = 0;
  return std::optional<ObjectInfo>(std::move(info));
}

absl::StatusOr<std::string> Client::GetObject(const ObjectName& object, int64_t offset,
                                              int64_t length, const std::stop_token& stop) {
  Call call{"GetObject", "GET", object};
  call.headers.emplace_back("range", absl::StrCat("bytes=", offset, "-", offset + length - 1));
  call.max_answer = static_cast<size_t>(std::min(length, kMaxRead)) + kMaxAnswerBytes;
  absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (!answer.ok()) return answer.status();
  if (answer->status != 206 && !(answer->status == 200 && offset == 0)) {
    return absl::InternalError(
        absl::StrCat(ToUri(object), ": ", endpoint_.authority, " does not serve ranges"));
  }
  return std::move(answer->body);
}

absl::Status Client::DeleteObject(const ObjectName& object, const std::stop_token& stop,
                                  int attempts) {
  Call call{"DeleteObject", "DELETE", object};
  call.max_attempts = attempts;
  const absl::Status status = Send(call, stop).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::string> Client::FirstKey(const std::string& bucket, const std::string& prefix,
                                             const std::stop_token& stop, int attempts) {
  Call call{
      "FirstKey", "GET", {bucket, ""}, {{"list-type", "2"}, {"prefix", prefix}, {"max-keys", "1"}}};
  call.max_attempts = attempts;
  const absl::StatusOr<HttpAnswer> answer = Send(call, stop);
  if (!answer.ok()) return answer.status();
  absl::StatusOr<ObjectList> list = ParseObjects(answer->body);
  if (!list.ok()) return list.status();
  return list->keys.empty() ? std::string() : std::move(list->keys.front());
}

}  // namespace seedlm::server::s3
