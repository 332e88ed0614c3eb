// Finishing a resumed upload, which reads the whole file again: nobody waits for it but its client.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

using Code = grpc::StatusCode;
using std::chrono::steady_clock;

// Read at memory's speed, as nothing of it is on disk: half a minute of SHA-256 and more.
constexpr int64_t kBytes = int64_t{64} << 30;
constexpr auto kSoon = std::chrono::seconds(10);

// More of them than a server has threads for streams.
constexpr int kFiles = 6;

class FinishFixture : public RpcFixture {
 public:
  using Writer = grpc::ClientWriter<v1::WriteArtifactRequest>;

  static std::string Resource(int i) { return "artifacts/big/files/" + std::to_string(i); }

  // Sends what is missing of a file that has all but arrived, and finish; does not wait.
  void FinishOne(int i) {
    const std::filesystem::path path = options().data_dir + "/uploads/big/" + std::to_string(i);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path).flush();
    std::filesystem::resize_file(path, static_cast<uintmax_t>(kBytes));  // a hole
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    responses.push_back(std::make_unique<v1::WriteArtifactResponse>());
    writers.push_back(artifacts().WriteArtifact(contexts.back().get(), responses.back().get()));
    v1::WriteArtifactRequest request;
    request.set_resource_name(Resource(i));
    request.set_offset(kBytes);
    request.set_data("end");
    request.set_crc32c(checksum::Crc32c("end"));
    request.set_finish(true);
    request.set_sha256(std::string(64, '0'));
    REQUIRE(writers.back()->Write(request));
    AwaitSize(i, kBytes + 3);
  }
  // All that was sent has arrived, so finishing has begun.
  void AwaitSize(int i, int64_t size) {
    v1::QueryWriteStatusResponse written;
    for (const auto end = steady_clock::now() + kSoon; steady_clock::now() < end;) {
      REQUIRE(Query(Resource(i), &written).ok());
      if (written.committed_size() == size) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    FAIL("the file stays at " << written.committed_size());
  }

  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<v1::WriteArtifactResponse>> responses;
  std::vector<std::unique_ptr<Writer>> writers;
};

TEST_CASE_METHOD(FinishFixture, "resumed uploads that are finished hold up no other transfer") {
  for (int i = 0; i < kFiles; ++i) FinishOne(i);
  const auto begin = steady_clock::now();
  const std::string data(100'000, 'x');
  v1::WriteArtifactResponse written;
  REQUIRE(Upload({.resource = "artifacts/a/files/x", .data = data}, &written).ok());
  std::string read;
  REQUIRE(Download("artifacts/a/files/x", 0, &read).ok());
  CHECK(read == data);
  // A small file that is resumed waits for its turn, not for those that came before.
  CHECK_FALSE(Upload({"artifacts/a/files/y", data.substr(1), 1 << 20, 0, false}, &written).ok());
  REQUIRE(Upload({"artifacts/a/files/y", data.substr(1) + "y", 1 << 20,
                  static_cast<int64_t>(data.size()) - 1},
                 &written)
              .ok());
  CHECK(steady_clock::now() - begin < kSoon);
  for (const auto& context : contexts) context->TryCancel();
  for (const auto& writer : writers) CHECK(writer->Finish().error_code() == Code::CANCELLED);
}

TEST_CASE_METHOD(FinishFixture, "a client that gives up ends the finishing; what arrived stays") {
  FinishOne(0);
  const auto begin = steady_clock::now();
  contexts[0]->TryCancel();
  CHECK(writers[0]->Finish().error_code() == Code::CANCELLED);
  // The file can be written again as soon as its stream is over: a chunk elsewhere is refused.
  grpc::Status status;
  do {
    v1::WriteArtifactResponse written;
    status = Upload({Resource(0), "xyz", 1, 1, false}, &written);
    REQUIRE(steady_clock::now() - begin < kSoon);
  } while (status.error_code() == Code::ABORTED);
  CHECK(status.error_code() == Code::OUT_OF_RANGE);
  AwaitSize(0, kBytes + 3);
}

TEST_CASE_METHOD(FinishFixture, "a server that stops does not finish them first; they go on") {
  for (int i = 0; i < kFiles; ++i) FinishOne(i);
  const auto begin = steady_clock::now();
  server().Shutdown(std::chrono::milliseconds(200));
  for (const auto& writer : writers) CHECK_FALSE(writer->Finish().ok());
  Stop();
  CHECK(steady_clock::now() - begin < kSoon);
  Restart();
  AwaitSize(0, kBytes + 3);
}

}  // namespace
}  // namespace seedlm::server
