// Servers in the test's process that misbehave as they are told.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "seedlm/v1/compression_service.grpc.pb.h"

namespace seedlm::client {

// A status as the server sends it.
inline grpc::Status RpcError(grpc::StatusCode code, const std::string& message,
                             const std::string& reason, int retry_nanos = -1,
                             const std::map<std::string, std::string>& metadata = {}) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_domain("seedlm");
  info.set_reason(reason);
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  status.add_details()->PackFrom(info);
  if (retry_nanos >= 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_nanos(retry_nanos);
    status.add_details()->PackFrom(retry);
  }
  return {code, message, status.SerializeAsString()};
}

// Waits until the client has gone.
inline grpc::Status Stall(const grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return grpc::Status(grpc::StatusCode::CANCELLED, "the client has gone");
}

// Runs one service for as long as it lives, at `address` too, in plaintext, if there is one.
class ServiceHost {
 public:
  explicit ServiceHost(grpc::Service& service, const std::string& address = "") {
    grpc::ServerBuilder builder;
    if (!address.empty()) builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
  }
  ~ServiceHost() { server_->Shutdown(std::chrono::system_clock::now()); }
  std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel({}); }

 private:
  std::unique_ptr<grpc::Server> server_;
};

// One file. Each call takes the next of `faults`; after the last one all goes well.
class FakeArtifacts : public v1::ArtifactService::Service {
 public:
  enum class Fault { kNone, kBreak, kFlip, kStall, kBusy };
  std::vector<Fault> faults;
  std::string content;           // what has arrived, or what is read
  size_t whole_calls = 0;        // streams that were opened
  size_t grows_by = 0;           // while busy: what the other process uploads between two queries
  std::vector<int64_t> to_come;  // what each message said will come
  bool complete = false;

  grpc::Status QueryWriteStatus(grpc::ServerContext*, const v1::QueryWriteStatusRequest*,
                                v1::QueryWriteStatusResponse* response) override {
    content.append(grows_by, 'x');
    response->set_committed_size(static_cast<int64_t>(content.size()));
    response->set_complete(complete);
    return grpc::Status::OK;
  }

  grpc::Status WriteArtifact(grpc::ServerContext* context,
                             grpc::ServerReader<v1::WriteArtifactRequest>* reader,
                             v1::WriteArtifactResponse* response) override {
    const Fault fault = Next();
    if (fault == Fault::kBusy) {
      return RpcError(grpc::StatusCode::ABORTED, "another stream", "UPLOAD_BUSY", 1'000'000);
    }
    if (fault == Fault::kStall) return Stall(*context);
    v1::WriteArtifactRequest request;
    while (reader->Read(&request)) {
      to_come.push_back(request.bytes_to_come());
      if (fault == Fault::kFlip || request.crc32c() != checksum::Crc32c(request.data())) {
        return RpcError(grpc::StatusCode::DATA_LOSS, "a chunk is damaged", "CHECKSUM_MISMATCH");
      }
      if (request.offset() != static_cast<int64_t>(content.size())) {
        return RpcError(grpc::StatusCode::OUT_OF_RANGE, "not there", "OFFSET_MISMATCH");
      }
      content += request.data();
      if (fault == Fault::kBreak) {
        return RpcError(grpc::StatusCode::UNAVAILABLE, "broken", "UNAVAILABLE", 0);
      }
      complete = request.finish();
    }
    response->set_committed_size(static_cast<int64_t>(content.size()));
    return grpc::Status::OK;
  }

  grpc::Status ReadArtifact(grpc::ServerContext* context, const v1::ReadArtifactRequest* request,
                            grpc::ServerWriter<v1::ReadArtifactResponse>* writer) override {
    const Fault fault = Next();
    constexpr size_t kChunk = 1000;
    for (auto at = static_cast<size_t>(request->offset()); at < content.size(); at += kChunk) {
      v1::ReadArtifactResponse chunk;
      chunk.set_offset(static_cast<int64_t>(at));
      chunk.set_data(content.substr(at, kChunk));
      chunk.set_crc32c(checksum::Crc32c(chunk.data()));
      if (fault == Fault::kFlip) (*chunk.mutable_data())[0] ^= 1;
      writer->Write(chunk);
      if (fault == Fault::kStall) return Stall(*context);
      if (fault == Fault::kBreak) {
        return RpcError(grpc::StatusCode::UNAVAILABLE, "broken", "UNAVAILABLE", 0);
      }
    }
    return grpc::Status::OK;
  }

 private:
  Fault Next() {
    const size_t call = whole_calls++;
    return call < faults.size() ? faults[call] : Fault::kNone;
  }
};

}  // namespace seedlm::client
