// How many things of a kind an owner, and all owners together, may have under way at a time.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace seedlm::server {

// Thread-safe; must outlive its places.
class OwnerGate {
 public:
  // `what`: for messages, "uploads". `reason`: of the error where it is the owner who has too many.
  OwnerGate(std::string what, std::string reason, int max_of_owner, int max_of_all)
      : what_(std::move(what)),
        reason_(std::move(reason)),
        max_of_owner_(max_of_owner),
        max_of_all_(max_of_all) {}
  OwnerGate(const OwnerGate&) = delete;
  OwnerGate& operator=(const OwnerGate&) = delete;

  // Given back when it is destroyed. Movable.
  class Place {
   public:
    Place() = default;  // of nothing
    Place(Place&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), owner_(std::move(other.owner_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(owner_, other.owner_);
      return *this;
    }
    ~Place() {
      if (gate_ != nullptr) gate_->Leave(owner_);
    }

   private:
    friend class OwnerGate;
    Place(OwnerGate* gate, std::string owner) : gate_(gate), owner_(std::move(owner)) {}
    OwnerGate* gate_ = nullptr;
    std::string owner_;
  };

  // RESOURCE_EXHAUSTED with the limit and a retry hint: `owner` has as many already (the reason),
  // or all have (SERVER_BUSY).
  absl::StatusOr<Place> Enter(std::string_view owner);

 private:
  absl::Status Full(int limit, std::string_view whose, std::string_view reason) const;
  void Leave(const std::string& owner);

  const std::string what_;
  const std::string reason_;
  const int max_of_owner_;
  const int max_of_all_;
  std::mutex mutex_;
  int count_ = 0;                                   // of all; guarded by mutex_
  std::map<std::string, int, std::less<>> counts_;  // of owners with any; guarded by mutex_
};

}  // namespace seedlm::server
