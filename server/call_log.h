// Tells an operator of calls that ended with an error which is not their client's mistake.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "server/log/rarely.h"
#include "server/rpc/call_metrics.h"
#include "spdlog/logger.h"

namespace seedlm::server {

// Whether the cause is the server's: its disk and files, its database, S3, a defect; or somebody
// without a token, who may be guessing. A source or an output that the caller named is the
// caller's, unless the server may not read or write there.
bool ConcernsOperator(const EndedCall& call);

// Thread-safe. Of the same method and reason a warning a minute, with how many there were: both
// come from small fixed sets.
class CallLog {
 public:
  explicit CallLog(std::shared_ptr<spdlog::logger> log) : log_(std::move(log)) {}  // may be null
  void Ended(const EndedCall& call);

 private:
  const std::shared_ptr<spdlog::logger> log_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Rarely> told_;  // guarded by mutex_
};

}  // namespace seedlm::server
