#include "client/local_time.h"

#include "absl/time/time.h"

namespace seedlm::client {

std::string FormatTime(const google::protobuf::Timestamp& time) {
  return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

}  // namespace seedlm::client
