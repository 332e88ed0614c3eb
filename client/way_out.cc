#include "client/way_out.h"

#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/exit_code.h"
#include "client/rpc_status.h"

namespace seedlm::client {
namespace {

struct Row {
  const char* key;
  const char* way_out;
};

// By ErrorInfo.reason.
constexpr Row kByReason[] = {
    {"WEIGHT_NOT_FINITE", "repair the tensor, or leave it out with --exclude NAME"},
    {"FIELD_INVALID", "correct it"},
    {"BACKEND_UNKNOWN", "see seedlm devices"},
    {"BACKEND_UNAVAILABLE", "see seedlm devices, or use --backend auto"},
    {"BACKEND_LOST", "resume it when the server has been started again, or use --backend auto"},
    {"OUTSIDE_STORAGE_ROOT", "choose a path below a --storage-root of the server"},
    {"OUTPUT_EXISTS", "choose another output, or remove it first"},
    {"REQUEST_ID_REUSED", "choose another --request-id"},
    {"UPLOAD_UNFINISHED", "submit it again"},
    {"SOURCE_CHANGED", "submit it again"},
    {"JOB_NOT_ENDED", "use seedlm cancel first"},
    {"UPLOAD_BUSY", "wait for the other upload, then submit it again"},
    {"OWNER_BYTES", "delete jobs and artifacts that are not needed any more"},
    {"OWNER_QUEUE_FULL", "see seedlm list, or try again later"},
    {"OWNER_UPLOADS", "wait for the others, then submit it again"},
    {"OWNER_DOWNLOADS", "wait for the others, then fetch it again"},
    {"OWNER_WATCHES", "end other watches first"},
    {"QUEUE_FULL", "see seedlm list, or try again later"},
    {"SERVER_DRAINING", "try again when it is back"},
    {"OVERRIDE_UNIMPLEMENTED", "see the limits in README.md"},
    {"NOT_IMPLEMENTED", "see the limits in README.md"},
};

// By a part of the message, where the code says too little.
constexpr Row kByText[] = {
    {"is not available here", "see seedlm devices, or use --backend auto"},
    {"nothing to compress", "name others with --include; seedlm inspect lists all"},
    {"there is nothing to resume", "see seedlm fetch"},
    {"pattern '", "correct the pattern"},
    {"a pattern is empty", "correct the pattern"},
    {"no compressed tensor", "give the output of seedlm compress"},
    {"No such file or directory", "check the path"},
    {"File name too long", "choose a shorter name"},
    {"Too many levels of symbolic links", "correct the links, or give what they should lead to"},
    {"': is also in '", "keep one of the two files there, and move the other away"},
    {"': its file '", "download that file too, or correct the index"},
    {"': is not in its file '", "download index and files again, of one revision"},
    {"has no .safetensors file", "give a directory of .safetensors files, or one file"},
};

// What a message calls things that have an option here.
std::string WithOptions(absl::string_view message) {
  return absl::StrReplaceAll(message, {{"ask for it to be overwritten", "use --force"}});
}

std::string_view ByCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return "give another one: download or convert it again if it is damaged";
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
      return "start again";
    case absl::StatusCode::kNotFound:
      return "check the name";
    case absl::StatusCode::kAlreadyExists:
      return "choose another one, or use --force";
    case absl::StatusCode::kUnauthenticated:
      return "set SEEDLM_TOKEN, or see --tls-cert";
    case absl::StatusCode::kPermissionDenied:
      return "choose another place, or change its permissions";
    case absl::StatusCode::kResourceExhausted:
      return "free some space, or choose another place";
    case absl::StatusCode::kUnimplemented:
      return "see the limits in README.md";
    case absl::StatusCode::kCancelled:
      return "start it again";
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return "try again later";
    default:
      return IsFailedSystemCall(status) ? "check the disk, then try again"
                                        : "this is a defect, report it";
  }
}

std::string_view WayOut(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  for (const Row& row : kByReason) {
    if (reason == row.key) return row.way_out;
  }
  for (const Row& row : kByText) {
    if (absl::StrContains(status.message(), row.key)) return row.way_out;
  }
  return ByCode(status);
}

}  // namespace

std::string WithWayOut(const absl::Status& status) {
  std::string message = WithOptions(status.message());
  if (absl::StrContains(message, "; ")) return message;
  const std::string_view way_out = WayOut(status);
  return absl::StrCat(message, "; ", std::string(way_out));
}

absl::string_view WithoutWayOut(absl::string_view message) {
  return message.substr(0, message.find("; "));
}

}  // namespace seedlm::client
