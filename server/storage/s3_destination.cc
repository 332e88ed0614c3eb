#include "server/storage/s3_destination.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "server/storage/s3_credentials.h"
#include "server/storage/s3_ledger.h"
#include "server/storage/s3_publisher.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

// Whether the sweeper is to have the ledger. Errors: of the disk.
absl::StatusOr<bool> Settled(const std::string& path, Leftover leftover) {
  absl::StatusOr<S3Ledger::Reopened> left = S3Ledger::Reopen(path);
  if (!left.ok()) return true;  // it warns of one that is none
  const bool undoing = !left->content.undo.empty();
  if (leftover == Leftover::kStays) return undoing;
  const bool made = !left->content.objects.empty();
  if (leftover == Leftover::kFinished || !made) return true;
  if (leftover == Leftover::kStaysIfMade && !undoing) return false;
  absl::Status status = left->ledger->UndoAll(S3Publisher::OwnerOf(S3Ledger::NameOf(path)));
  if (!status.ok()) return status;
  return true;
}

}  // namespace

absl::StatusOr<s3::Options> S3Destination::Settle(const s3::Options& wanted, const Warn& warn) {
  s3::Options options = wanted;
  const bool asked_for = !options.credentials_file.empty();
  const std::string& file = asked_for ? options.credentials_file : options.shared_credentials_file;
  if (!file.empty()) {
    auto credentials = ReadS3Credentials(file, options.profile);
    if (credentials.ok()) {
      options.credentials = *std::move(credentials);
    } else if (asked_for) {
      return credentials.status();
    } else {
      warn(absl::StrCat("AWS_SHARED_CREDENTIALS_FILE is of no use, so there is no S3: ",
                        std::string(credentials.status().message())));
    }
  }
  if (absl::Status status = s3::EndpointOf(options).status(); !status.ok()) {
    return absl::InvalidArgumentError(std::string(status.message()));
  }
  if (!options.ca_bundle.empty() && access(options.ca_bundle.c_str(), R_OK) != 0) {
    warn(absl::StrCat(
        std::string(format::ErrnoToStatus(errno, options.ca_bundle, "read").message()),
        ": no S3 server that speaks TLS will be believed; mend s3-ca or AWS_CA_BUNDLE"));
  }
  return options;
}

absl::StatusOr<std::unique_ptr<S3Destination>> S3Destination::Open(
    const DataDir& data_dir, const s3::Options& wanted, const S3Transfer& transfer, Reports reports,
    const LeftoverOf& leftover_of, FaultPoint fault_point) {
  const absl::StatusOr<s3::Options> settled = Settle(wanted, reports.warn);
  if (!settled.ok()) return settled.status();
  std::unique_ptr<S3Destination> destination(
      new S3Destination(data_dir.s3(), transfer, std::move(fault_point)));
  destination->warn_ = reports.warn;
  destination->inform_ = std::move(reports.inform);
  absl::Status made = MakeDirectories(data_dir.path(), data_dir.s3(), kOwnDirectory);
  if (!made.ok()) return made;
  // Earlier versions made it with the umask's mode.
  if (chmod(data_dir.s3().c_str(), kOwnDirectory) != 0) {
    return format::ErrnoToStatus(errno, data_dir.s3(), "chmod");
  }
  const std::vector<std::string> left = S3Ledger::Find(data_dir.s3());
  if (absl::Status status = destination->OpenKeyFile(wanted); !status.ok()) return status;
  s3::Client::Hooks hooks{.on_attempt = std::move(reports.request)};
  if (destination->keys_ != nullptr) {
    hooks.keys = [keys = destination->keys_.get()] { return keys->Keys(); };
  }
  absl::StatusOr<std::unique_ptr<s3::Client>> client =
      s3::Client::Create(*settled, std::move(hooks));
  if (!client.ok()) {
    destination->why_not_ = client.status();
    if (!left.empty()) {
      reports.warn(absl::StrCat(data_dir.s3(), ": ", left.size(),
                                " jobs left uploads open, which can be neither used nor aborted: ",
                                std::string(client.status().message())));
    }
    return destination;
  }
  destination->client_ = *std::move(client);
  destination->sweeper_ = std::make_unique<S3Sweeper>(*destination->client_, destination->warn_,
                                                      kSweepAgain, destination->fault_point_);
  for (const std::string& path : left) {
    const absl::StatusOr<bool> swept = Settled(path, leftover_of(S3Ledger::NameOf(path)));
    if (!swept.ok()) {
      destination->warn_(absl::StrCat(
          path, ": what was made is not removed yet: ", std::string(swept.status().message())));
    } else if (*swept) {
      destination->sweeper_->Take(path);
    }
  }
  return destination;
}

absl::Status S3Destination::OpenKeyFile(const s3::Options& options) {
  const bool asked_for = !options.credentials_file.empty();
  const std::string& file = asked_for ? options.credentials_file : options.shared_credentials_file;
  if (file.empty()) return absl::OkStatus();
  auto opened = S3KeyFile::Open(file, options.profile, {warn_, inform_});
  if (opened.ok()) keys_ = *std::move(opened);
  // Settle has warned of one that nobody asked for.
  return asked_for ? opened.status() : absl::OkStatus();
}

absl::Status S3Destination::ReloadKeys() {
  return keys_ == nullptr ? absl::OkStatus() : keys_->Reload();
}

absl::Status S3Destination::Check(const SinkTarget& target, const S3Patience& patience) const {
  return why_not_.ok() ? S3Publisher::Check(*client_, target, patience) : why_not_;
}

std::string S3Destination::endpoint() const {
  if (client_ == nullptr) return "";
  const absl::StatusOr<s3::Endpoint> endpoint = s3::EndpointOf(client_->options());
  return endpoint.ok() ? endpoint->scheme + "://" + endpoint->authority : "";
}

std::unique_ptr<Publisher> S3Destination::MakePublisher(const SinkTarget& target) const {
  return std::make_unique<S3Publisher>(
      target, S3Publisher::Parts{why_not_, client_.get(), sweeper_.get(), directory_, transfer_,
                                 [] { return static_cast<int64_t>(std::time(nullptr)); },
                                 fault_point_, warn_, inform_});
}

}  // namespace seedlm::server
