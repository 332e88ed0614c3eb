// What the messages of a thread are about: job, shard, device, owner.
//
// A scope adds fields to every message that is logged on its thread while it lives, also to those
// of libraries that know nothing of jobs. LogFormatter (log_format.h) prints them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seedlm::server {

using LogFields = std::vector<std::pair<std::string, std::string>>;

// Keys that are used: job, tensor, shard ("2/7"), backend, device, owner, method, signal. Never a
// secret: no token, no credential, no weight.
class LogScope {
 public:
  using Field = std::pair<std::string_view, std::string_view>;
  // A field with an empty value is left out; one whose key an outer scope has hides that until the
  // end.
  LogScope(std::initializer_list<Field> fields);
  ~LogScope();  // REQUIRES: on the thread that made it, in the reverse order
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

  // Of the calling thread, outer scopes first, each key once.
  static const LogFields& Current();

 private:
  LogFields outer_;
};

}  // namespace seedlm::server
