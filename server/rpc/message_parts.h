// What messages are put together from: times, and lists that fit into their room.
#pragma once

#include <cstddef>
#include <cstdint>

#include "google/protobuf/timestamp.pb.h"

namespace seedlm::server {

// `time_ns`: since 1970.
inline void SetTime(int64_t time_ns, google::protobuf::Timestamp* proto) {
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  proto->set_seconds(time_ns / kNanosecondsPerSecond);
  proto->set_nanos(static_cast<int32_t>(time_ns % kNanosecondsPerSecond));
}

// True: an element of `bytes` fits into what is left of `room`, and takes it.
inline bool TakeRoom(size_t bytes, size_t& room) {
  constexpr size_t kFieldBytes = 8;  // tag and length, at most
  if (bytes + kFieldBytes > room) return false;
  room -= bytes + kFieldBytes;
  return true;
}

}  // namespace seedlm::server
