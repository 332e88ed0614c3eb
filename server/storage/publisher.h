// How a staged output gets its final name, and the door for destinations that carry it elsewhere
// while it grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/sink_target.h"

namespace seedlm::server {

struct StoredFile {
  std::string path;  // relative; the final name's last part for a single-file output
  int64_t size = 0;
  std::string sha256;
};

// Bytes of a staged file that will not change any more, in this attempt or a later one.
struct FinalRange {
  size_t output = 0;    // index into CompressionPlan::outputs
  uint64_t offset = 0;  // in the file
  uint64_t length = 0;  // > 0
};

// What a sink builds below StagingPath(target).
struct Staging {
  std::string directory;
  std::string source;                // the checkpoint's path, resolved
  std::vector<std::string> outputs;  // relative paths, by index
  format::OutputPaths paths;         // of all files, those that come at the end too
  std::stop_token stop{};            // ends Begin, with CANCELLED
};

// One output of one job; of another attempt another object, which finds what this one left.
// Begin, Publish and Discard are called by one thread at a time, RangeIsFinal by any.
class Publisher {
 public:
  virtual ~Publisher() = default;

  // Whether an earlier attempt published `files` and was killed before that was recorded. `intent`:
  // what Intent said then. May be the only call.
  virtual absl::StatusOr<bool> WasPublished(const std::string& intent,
                                            const std::vector<StoredFile>& files,
                                            std::stop_token stop) = 0;

  // Checks the target again, before anything is staged.
  virtual absl::Status Begin(const Staging& staging) = 0;

  // Told of every byte of every output once, in no order: a tensor's when it is finished, which in
  // a later attempt is again. Ranges can be read from the staged file. May block for as long as the
  // destination is busy (that holds the workers back); an error fails the job.
  virtual absl::Status RangeIsFinal(const FinalRange& range) = 0;

  // Everything is staged, on disk and summed. What WasPublished will need; it is recorded before
  // Publish is called.
  virtual absl::StatusOr<std::string> Intent() = 0;

  // Makes all of it appear under the final name, or nothing. CANCELLED if `stop` came in time.
  virtual absl::Status Publish(const std::vector<StoredFile>& files, std::stop_token stop) = 0;
  // What may be wrong with an output that Publish has published, for people.
  virtual absl::Status warning() const = 0;

  // When this is destroyed, what it has sent to its destination stays there for the next attempt,
  // which takes it up.
  virtual void KeepOpen() = 0;

  // The job has ended without an output: what earlier attempts have left at the destination is
  // removed in time, what they have made visible, too. What is staged stays. May be the only call,
  // or followed by Discard. Nothing there is fine. Errors: that could not be written down, and is
  // to be asked for again.
  virtual absl::Status Abandon() = 0;
  // Removes whatever attempts have left, the staging directory too; the published output stays.
  // May be the only call. Nothing there is OK.
  virtual absl::Status Discard() = 0;
};

using PublisherFactory =
    std::function<absl::StatusOr<std::unique_ptr<Publisher>>(const SinkTarget& target)>;

}  // namespace seedlm::server
