#include "server/storage/s3/transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace seedlm::server::s3 {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{64} << 10;  // of one answer, all lines
constexpr size_t kMaxIdle = 16;                       // connections kept for later

// curl_global_init is not thread-safe before 7.84 and happens once.
void InitCurlOnce() {
  static const bool done = [] { return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; }();
  if (!done) throw std::bad_alloc();
}

// One transfer, as curl's callbacks see it.
struct Transfer {
  const HttpRequest& request;
  const std::stop_token& stop;
  HttpAnswer answer;
  int64_t sent = 0;
  size_t header_bytes = 0;
  bool too_long = false;
  absl::Status read_error;
};

size_t OnBody(char* data, size_t one, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const size_t bytes = one * count;
  if (transfer.answer.body.size() + bytes > transfer.request.max_answer) {
    transfer.too_long = true;
    return 0;  // curl gives up
  }
  transfer.answer.body.append(data, bytes);
  return bytes;
}

size_t OnHeader(char* data, size_t one, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line(data, one * count);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.too_long = true;
    return 0;
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    const std::string name = absl::AsciiStrToLower(std::string(line.substr(0, colon)));
    const std::string value(line.substr(colon + 1));
    transfer.answer.headers[name] = std::string(absl::StripAsciiWhitespace(value));
  }
  return line.size();
}

size_t OnRead(char* buffer, size_t one, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const Body& body = *transfer.request.body;
  const auto bytes = static_cast<size_t>(
      std::min<int64_t>(static_cast<int64_t>(one * count), body.size - transfer.sent));
  transfer.read_error = body.read(transfer.sent, std::span(buffer, bytes));
  if (!transfer.read_error.ok()) return CURL_READFUNC_ABORT;
  transfer.sent += static_cast<int64_t>(bytes);
  return bytes;
}

// A kept connection that the server has closed meanwhile: curl begins again on a new one.
int OnSeek(void* context, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(context)->sent = offset;
  return CURL_SEEKFUNC_OK;
}

int OnProgress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(context)->stop.stop_requested() ? 1 : 0;
}

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void Add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list_ = longer;
  }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

bool IsCertificateError(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS;
}

}  // namespace

Body BodyOf(std::string text) {
  const auto size = static_cast<int64_t>(text.size());
  return {size, [text = std::move(text)](int64_t offset, std::span<char> buffer) {
            std::memcpy(buffer.data(), text.data() + offset, buffer.size());
            return absl::OkStatus();
          }};
}

class Transport::Handle {
 public:
  Handle() : curl_(curl_easy_init()) {
    if (curl_ == nullptr) throw std::bad_alloc();
  }
  ~Handle() { curl_easy_cleanup(curl_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  CURL* get() const { return curl_; }

 private:
  CURL* const curl_;
};

Transport::Transport(const Options& options) : options_(options) { InitCurlOnce(); }
Transport::~Transport() = default;

std::unique_ptr<Transport::Handle> Transport::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Handle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return std::make_unique<Handle>();
}

void Transport::Give(std::unique_ptr<Handle> handle) {
  curl_easy_reset(handle->get());  // keeps the connection
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(handle));
}

absl::StatusOr<HttpAnswer> Transport::Send(const HttpRequest& request,
                                           const std::stop_token& stop) {
  Transfer transfer{request, stop, {}, 0, 0, false, {}};
  HeaderList headers;
  for (const auto& [name, value] : request.headers) {
    headers.Add(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value));
  }
  headers.Add("Expect:");  // no round trip before a body: servers that refuse one are rare
  char error[CURL_ERROR_SIZE] = "";

  std::unique_ptr<Handle> handle = Take();
  CURL* curl = handle->get();
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // the path is signed as it is
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, request.fresh ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options_.min_bytes_per_second));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  if (!options_.ca_bundle.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_bundle.c_str());
  }
  if (request.body != nullptr) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body->size));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &OnRead);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &OnSeek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  } else if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  }
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());

  const CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  Give(std::move(handle));

  if (!transfer.read_error.ok()) return transfer.read_error;
  if (stop.stop_requested()) return absl::CancelledError("stopped on request");
  if (transfer.too_long) return absl::InternalError("the S3 server's answer is too long");
  if (code == CURLE_OK) return std::move(transfer.answer);
  // A server may answer and close before it has read all of the body: the answer counts.
  if (code == CURLE_SEND_ERROR && status >= 300) return std::move(transfer.answer);
  const std::string why = *error != '\0' ? error : curl_easy_strerror(code);
  if (IsCertificateError(code)) {
    return absl::FailedPreconditionError(
        absl::StrCat(why, "; set AWS_CA_BUNDLE to the authority's certificate"));
  }
  return absl::UnavailableError(why);
}

}  // namespace seedlm::server::s3
