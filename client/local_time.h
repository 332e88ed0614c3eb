// Times for people.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <string>

namespace seedlm::client {

// In the time zone of this process, with its offset: "2026-11-30T05:40:01+01:00".
std::string FormatTime(const google::protobuf::Timestamp& time);

}  // namespace seedlm::client
