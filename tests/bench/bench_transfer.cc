// Rate of uploads and downloads on loopback, beside a bare gRPC stream of equal chunks in the same
// run: the same messages, already filled, dropped by whoever reads them. Everything is in one
// process, so both share its cores.
//
//   bench_transfer [BYTES [DIRECTORY [ROUNDS]]]     JSON on stdout
//
// "stream": from the first chunk to the answer after the last one, checksums, writing to disk,
// fsync and rename included. "whole": with the client's first pass over the file, which gives the
// upload its name. "disk": the same chunks written and synced as a transfer does, and nothing else:
// no transfer can be faster than that.
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "client/channel.h"
#include "client/transfer.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/safetensors.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/server.h"

namespace {

namespace fs = std::filesystem;
using namespace seedlm;  // a program's own file
using Clock = std::chrono::steady_clock;

constexpr size_t kChunkBytes = size_t{1} << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of all threads of this process, which is client and server at once.
double CpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "bench_transfer: %s\n", why.c_str());
  std::exit(1);
}
void Check(const absl::Status& status) {
  if (!status.ok()) Fail(status.ToString());
}
void Check(const grpc::Status& status) {
  if (!status.ok()) Fail(status.error_message());
}

std::shared_ptr<grpc::Channel> Open(const std::string& address) {
  client::ServerChoice choice;
  choice.address = address;
  auto channel = client::OpenChannel(choice);
  Check(channel.status());
  return *std::move(channel);
}

// Drops what it reads, and sends the same chunk again and again: the offset of the request says how
// many bytes in all.
class BareService final : public v1::ArtifactService::CallbackService {
 public:
  grpc::ServerReadReactor<v1::WriteArtifactRequest>* WriteArtifact(
      grpc::CallbackServerContext*, v1::WriteArtifactResponse*) override {
    class Reader final : public grpc::ServerReadReactor<v1::WriteArtifactRequest> {
     public:
      Reader() { StartRead(&request_); }
      void OnReadDone(bool ok) override { ok ? StartRead(&request_) : Finish(grpc::Status::OK); }
      void OnDone() override { delete this; }

     private:
      v1::WriteArtifactRequest request_;
    };
    return new Reader();
  }
  grpc::ServerWriteReactor<v1::ReadArtifactResponse>* ReadArtifact(
      grpc::CallbackServerContext*, const v1::ReadArtifactRequest* request) override {
    class Writer final : public grpc::ServerWriteReactor<v1::ReadArtifactResponse> {
     public:
      explicit Writer(int64_t bytes) : left_(bytes) {
        response_.set_data(std::string(kChunkBytes, 'x'));
        response_.set_crc32c(1);
        Next();
      }
      void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }

     private:
      void Next() {
        if (left_ <= 0) return Finish(grpc::Status::OK);
        left_ -= static_cast<int64_t>(kChunkBytes);
        response_.set_offset(left_);
        StartWrite(&response_);
      }
      int64_t left_;
      v1::ReadArtifactResponse response_;
    };
    return new Writer(request->offset());
  }
};

// What a transfer took, from its first chunk on.
struct Rates {
  double stream = 0;  // bytes a second
  double cpu = 0;     // seconds for a gigabyte
  double whole = 0;   // bytes a second, with what came before the first chunk
};

class Stopwatch {
 public:
  Rates Read(int64_t bytes) const {
    const auto size = static_cast<double>(bytes);
    const double rate = size / SecondsSince(start_);
    return {rate, (CpuSeconds() - cpu_) / size * 1e9, rate};
  }

 private:
  Clock::time_point start_ = Clock::now();
  double cpu_ = CpuSeconds();
};

Rates BareUpload(v1::ArtifactService::Stub& stub, int64_t bytes) {
  v1::WriteArtifactRequest request;
  request.set_data(std::string(kChunkBytes, 'x'));
  request.set_crc32c(1);
  grpc::ClientContext context;
  v1::WriteArtifactResponse response;
  const Stopwatch watch;
  const auto stream = stub.WriteArtifact(&context, &response);
  for (int64_t sent = 0; sent < bytes; sent += static_cast<int64_t>(kChunkBytes)) {
    request.set_offset(sent);
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  Check(stream->Finish());
  return watch.Read(bytes);
}

Rates BareDownload(v1::ArtifactService::Stub& stub, int64_t bytes) {
  v1::ReadArtifactRequest request;
  request.set_offset(bytes);
  grpc::ClientContext context;
  const Stopwatch watch;
  const auto stream = stub.ReadArtifact(&context, request);
  v1::ReadArtifactResponse chunk;
  int64_t received = 0;
  while (stream->Read(&chunk)) received += static_cast<int64_t>(chunk.data().size());
  Check(stream->Finish());
  if (received < bytes) Fail("the bare stream ended early");
  return watch.Read(bytes);
}

// Runs `transfer` with a context that notes when the first chunk moved over the wire.
Rates Measure(const std::shared_ptr<grpc::Channel>& channel, const std::string& address,
              int64_t bytes, const std::function<void(const client::TransferContext&)>& transfer) {
  std::optional<Stopwatch> stream;
  int64_t before = 0;
  const Stopwatch whole;
  transfer({.channel = channel,
            .address = address,
            .stop = {},
            .on_progress = [&](const client::ProgressView& view) {
              const bool sending = !view.current.starts_with(client::kSumming);
              if (!sending || view.done == 0 || stream.has_value()) return;
              stream.emplace();
              before = view.done;
            }});
  Rates rates = stream.value_or(whole).Read(bytes - before);
  rates.whole = whole.Read(bytes).stream;
  return rates;
}

std::vector<uint32_t> RandomChunk(uint32_t seed) {
  std::vector<uint32_t> chunk(kChunkBytes / sizeof(uint32_t));
  std::mt19937 random(seed);
  for (uint32_t& word : chunk) word = static_cast<uint32_t>(random());
  return chunk;
}

// The disk alone. What is written are random bytes: some disks are faster with others.
double DiskRate(const std::string& path, int64_t bytes) {
  std::vector<uint32_t> chunk = RandomChunk(1);
  const Stopwatch watch;
  auto file =
      format::AtomicFile::Create(path, static_cast<uint64_t>(bytes), format::IfExists::kReplace);
  Check(file.status());
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(kChunkBytes)) {
    chunk[0] = static_cast<uint32_t>(at >> 20);
    const auto size = std::min<int64_t>(static_cast<int64_t>(kChunkBytes), bytes - at);
    Check(file->WriteAt(static_cast<uint64_t>(at),
                        std::as_bytes(std::span(chunk)).first(static_cast<size_t>(size))));
  }
  Check(file->Commit());
  const double rate = watch.Read(bytes).stream;
  fs::remove(path);
  return rate;
}

// A checkpoint of `bytes` in one tensor; no two calls give the same, so that each is sent.
void WriteCheckpoint(const std::string& path, int64_t bytes, uint32_t seed) {
  auto layout = format::SafetensorsLayout::Make({{"w", format::DType::kU8, {bytes}}}, {});
  Check(layout.status());
  auto writer =
      format::SafetensorsWriter::Create(path, *std::move(layout), format::IfExists::kReplace);
  Check(writer.status());
  std::vector<uint32_t> piece = RandomChunk(seed);
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(kChunkBytes)) {
    piece[0] = static_cast<uint32_t>(at >> 20);
    const auto size = std::min<int64_t>(static_cast<int64_t>(kChunkBytes), bytes - at);
    Check(writer->Write("w", static_cast<uint64_t>(at),
                        std::as_bytes(std::span(piece)).first(static_cast<size_t>(size))));
  }
  Check(writer->Commit());
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The ratio is the median over the rounds, in each of which both ran one after the other.
nlohmann::ordered_json Summary(const std::vector<Rates>& bare, const std::vector<Rates>& rates) {
  const auto median = [](size_t rounds, const auto& value) {
    std::vector<double> values;
    for (size_t i = 0; i < rounds; ++i) values.push_back(value(i));
    return Median(std::move(values));
  };
  const auto of = [&](const std::vector<Rates>& all, double Rates::*field) {
    return median(all.size(), [&](size_t i) { return all[i].*field; });
  };
  return {{"bare_mb_per_s", of(bare, &Rates::stream) / 1e6},
          {"stream_mb_per_s", of(rates, &Rates::stream) / 1e6},
          {"whole_mb_per_s", of(rates, &Rates::whole) / 1e6},
          {"bare_cpu_s_per_gb", of(bare, &Rates::cpu)},
          {"stream_cpu_s_per_gb", of(rates, &Rates::cpu)},
          {"stream_to_bare",
           median(rates.size(), [&](size_t i) { return rates[i].stream / bare[i].stream; })},
          {"bare_cpu_to_stream_cpu",
           median(rates.size(), [&](size_t i) { return bare[i].cpu / rates[i].cpu; })}};
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t bytes = argc > 1 ? std::atoll(argv[1]) : int64_t{1} << 30;
  const std::string parent = argc > 2 ? argv[2] : fs::temp_directory_path().string();
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  std::string directory = parent + "/seedlm-bench-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) Fail("no directory in " + parent);

  server::ServerOptions options;
  options.data_dir = directory + "/data";
  options.listen = {"127.0.0.1:0"};
  options.index_memory = 0;
  auto served = server::Server::Start(options);
  Check(served.status());
  const std::string address = (*served)->addresses()[0];
  const auto channel = Open(address);

  BareService bare_service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&bare_service);
  const auto bare_server = builder.BuildAndStart();
  const auto bare = v1::ArtifactService::NewStub(Open("127.0.0.1:" + std::to_string(port)));

  std::vector<Rates> bare_up, bare_down, up, down;
  std::vector<double> disk;
  const std::string out = directory + "/out.safetensors";
  for (int round = 0; round < rounds; ++round) {
    const std::string path = directory + "/in.safetensors";
    WriteCheckpoint(path, bytes, static_cast<uint32_t>(round));
    const auto size = static_cast<int64_t>(fs::file_size(path));
    std::string artifact;
    disk.push_back(DiskRate(out, size));
    bare_up.push_back(BareUpload(*bare, size));
    up.push_back(Measure(channel, address, size, [&](const client::TransferContext& context) {
      const auto upload = client::PendingUpload::Sum(context, path);
      Check(upload.status());
      Check(upload->Send(context));
      artifact = upload->artifact().name;
    }));
    v1::Job job;
    job.set_state(v1::JOB_STATE_SUCCEEDED);
    job.set_output_artifact(artifact);
    job.mutable_source()->set_artifact(artifact);
    v1::OutputFile* file = job.add_output_files();
    file->set_path("model.safetensors");
    file->set_size(size);
    const auto sum = checksum::Sha256OfFile(path);
    Check(sum.status());
    file->set_sha256(*sum);
    bare_down.push_back(BareDownload(*bare, size));
    down.push_back(Measure(channel, address, size, [&](const client::TransferContext& context) {
      Check(client::Fetch(context, job, out, false));
    }));
    fs::remove(out);
    fs::remove_all(options.data_dir + "/" + artifact);
  }
  bare_server->Shutdown();
  served->reset();
  std::error_code ignored;
  fs::remove_all(directory, ignored);
  const nlohmann::ordered_json result = {{"bytes", bytes},
                                         {"chunk_bytes", kChunkBytes},
                                         {"rounds", rounds},
                                         {"disk_mb_per_s", Median(disk) / 1e6},
                                         {"upload", Summary(bare_up, up)},
                                         {"download", Summary(bare_down, down)}};
  std::printf("%s\n", result.dump(2).c_str());
  return 0;
}
