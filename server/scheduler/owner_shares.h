// How the workers' time is shared between owners.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace seedlm::server {

// What each owner of jobs that wait or run has been given, in nanoseconds of workers. Pure of
// clocks; not thread-safe.
//
// Who has been given least is served next (policy.h), so over time owners with work get equal
// parts, however many jobs each has. An owner who comes begins with the least of those who are
// there: what one did not use is no credit.
class OwnerShares {
 public:
  // A job more, and a job less, of an owner. Without a job an owner is forgotten.
  void Enter(const std::string& owner);
  void Leave(const std::string& owner);  // REQUIRES: one of Enter before

  // No effect if the owner has no job any more.
  void Charge(std::string_view owner, int64_t nanoseconds);
  int64_t Served(std::string_view owner) const;  // 0: no such owner
  int Jobs(std::string_view owner) const;

 private:
  struct Share {
    int jobs = 0;
    int64_t served = 0;
  };
  std::map<std::string, Share, std::less<>> shares_;
};

}  // namespace seedlm::server
