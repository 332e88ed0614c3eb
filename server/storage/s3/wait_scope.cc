#include "server/storage/s3/wait_scope.h"

#include <utility>

namespace seedlm::server::s3 {
namespace {

thread_local const WaitScope* current = nullptr;

}  // namespace

WaitScope::WaitScope(Listener listener) : listener_(std::move(listener)), outer_(current) {
  current = this;
}

WaitScope::~WaitScope() { current = outer_; }

WaitScope::Listener WaitScope::Current() {
  return current != nullptr ? current->listener_ : Listener();
}

}  // namespace seedlm::server::s3
