// Who is told that requests wait for the S3 server.
#pragma once

#include <functional>
#include <string>

namespace seedlm::server::s3 {

// While it lives, requests of this thread tell `listener` when the server keeps them waiting: one
// has failed in a way that passes, twice or for seconds, and will be sent again. Once for each
// failure, on this thread. An inner scope takes the place of an outer one.
class WaitScope {
 public:
  // The cause, for people: the error that it would be if it were the last attempt.
  using Listener = std::function<void(const std::string& cause)>;

  explicit WaitScope(Listener listener);
  ~WaitScope();
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

  // That of this thread, for threads that work for it; empty: there is none.
  static Listener Current();

 private:
  const Listener listener_;
  const WaitScope* const outer_;
};

}  // namespace seedlm::server::s3
