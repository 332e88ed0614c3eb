// tests/s3/fake_s3.py as a process of a test's own.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "server/storage/s3/client.h"

namespace seedlm::server {

// As retry.patience: two tries at least, and soon over.
inline constexpr std::chrono::milliseconds kSoon{100};

class FakeS3 {
 public:
  FakeS3();  // with the buckets "models" and "other"
  ~FakeS3();
  FakeS3(const FakeS3&) = delete;
  FakeS3& operator=(const FakeS3&) = delete;

  // Options that it accepts; pauses between attempts are of milliseconds, for 2 s in all.
  s3::Options options() const;
  std::unique_ptr<s3::Client> Connect() const { return Connect(options()); }
  static std::unique_ptr<s3::Client> Connect(const s3::Options& options);

  // The rules of fake_s3.py, such as {{"operation", "UploadPart"}, {"action", "cut"}}.
  void Fail(const nlohmann::json& rules) const;
  nlohmann::json State() const;
  int Calls(const std::string& operation) const;
  std::string Sha256Of(const std::string& key) const;  // of "BUCKET/KEY"; empty: it is not there

 private:
  std::string Control(const std::string& method, const std::string& path,
                      const std::string& body) const;
  int pid_ = -1;
  int stdin_ = -1;
  int port_ = 0;
};

}  // namespace seedlm::server
