// Histories of made-up jobs, the same on every machine: for tests of the report, and for looking at
// it.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "client/report/job_history.h"

namespace seedlm::client {

inline google::protobuf::Timestamp TimeAt(double seconds) {
  google::protobuf::Timestamp time;
  const double whole = std::floor(seconds);
  time.set_seconds(1'795'000'000 + static_cast<int64_t>(whole));
  time.set_nanos(static_cast<int32_t>(std::lround((seconds - whole) * 1e6)) * 1000);
  return time;
}

// Numbers in [0, 1) that look random.
class Noise {
 public:
  double Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 40) / static_cast<double>(1 << 24);
  }

 private:
  uint64_t state_ = 1;
};

struct SampleTensor {
  std::string name;
  int64_t rows = 64;
  int64_t columns = 64;
  double error = 0.11;
  double centre = 8;  // of the levels that it uses
};

inline v1::TensorResult ToResult(const SampleTensor& tensor, double seconds) {
  const double weights = static_cast<double>(tensor.rows * tensor.columns);
  v1::TensorResult result;
  result.set_name(tensor.name);
  result.set_rows(tensor.rows);
  result.set_columns(tensor.columns);
  result.set_relative_error(tensor.error);
  result.set_max_error(tensor.error / 3);
  result.set_bits_per_weight(4);
  result.set_seconds(seconds);
  result.set_backend("cpu");
  result.set_sha256(std::string(64, 'a'));
  result.set_squared_weights(weights * 4e-4);
  result.set_squared_error(tensor.error * tensor.error * weights * 4e-4);
  result.set_source_bytes(2 * tensor.rows * tensor.columns);
  result.set_packed_bytes(tensor.rows * tensor.columns / 2 + 80);
  for (int level = 0; level < 16; ++level) {
    const double distance = (level - tensor.centre) / 2.6;
    result.add_level_blocks(std::llround(weights / 8 * std::exp(-distance * distance)));
  }
  return result;
}

// A job that went well, in about `seconds`.
inline JobHistory SampleHistory(const std::vector<SampleTensor>& tensors, double seconds) {
  std::vector<v1::JobEvent> events;
  const auto add = [&](double at) -> v1::JobEvent& {
    events.emplace_back();
    events.back().set_sequence(static_cast<int64_t>(events.size()));
    *events.back().mutable_time() = TimeAt(at);
    return events.back();
  };
  v1::Job job;
  job.set_name("jobs/7f3a9c52e1b04d68");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_attempt(1);
  job.mutable_source()->set_uri("file:///models/sample");
  job.mutable_destination()->set_managed(true);
  job.set_output_artifact("artifacts/7f3a9c52e1b04d68");
  job.mutable_spec()->set_profile(v1::PROFILE_4BIT);
  *job.mutable_create_time() = TimeAt(0);
  *job.mutable_start_time() = TimeAt(seconds / 12);
  *job.mutable_end_time() = TimeAt(seconds);
  add(0).set_state(v1::JOB_STATE_QUEUED);
  add(seconds / 12).set_state(v1::JOB_STATE_RUNNING);
  double total = 0;
  for (const SampleTensor& tensor : tensors)
    total += static_cast<double>(tensor.rows * tensor.columns);
  double done = 0;
  int64_t source = 0;
  int64_t packed = 0;
  for (const SampleTensor& tensor : tensors) {
    const double share = static_cast<double>(tensor.rows * tensor.columns) / total;
    done += share;
    v1::JobEvent& event = add(seconds * (0.18 + 0.76 * done));
    *event.mutable_tensor() = ToResult(tensor, seconds * 0.76 * share);
    source += event.tensor().source_bytes();
    packed += event.tensor().packed_bytes();
  }
  add(seconds).set_state(v1::JOB_STATE_SUCCEEDED);
  const int64_t kept = source / 7;
  job.mutable_progress()->set_weights_total(static_cast<int64_t>(total));
  job.mutable_estimate()->set_input_bytes(source + kept);
  job.mutable_estimate()->set_output_bytes(packed + kept);
  job.mutable_estimate()->set_skipped_count(2);
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight"}) {
    auto* skipped = job.mutable_estimate()->add_skipped();
    skipped->set_name(name);
    skipped->set_reason("its name says that it is an embedding or a norm");
  }
  auto* file = job.add_output_files();
  file->set_path("model.safetensors");
  file->set_size(packed + kept);
  return ToHistory(std::move(job), events);
}

inline std::vector<SampleTensor> OneTensor() { return {{"layers.0.up_proj.weight", 384, 1536}}; }

// 43 layers of 7 kinds, all of them different in size and error.
inline std::vector<SampleTensor> ManyTensors() {
  struct Kind {
    const char* name;
    int64_t rows, columns;
    double error;
  };
  constexpr Kind kKinds[] = {
      {"self_attn.q_proj", 4096, 4096, 0.1085}, {"self_attn.k_proj", 1024, 4096, 0.1120},
      {"self_attn.v_proj", 1024, 4096, 0.1062}, {"self_attn.o_proj", 4096, 4096, 0.1071},
      {"mlp.gate_proj", 14336, 4096, 0.1058},   {"mlp.up_proj", 14336, 4096, 0.1055},
      {"mlp.down_proj", 4096, 14336, 0.1066}};
  Noise noise;
  std::vector<SampleTensor> tensors;
  for (int layer = 0; layer < 43; ++layer) {
    for (const Kind& kind : kKinds) {
      const double early = 0.012 * std::exp(-layer / 3.0);
      tensors.push_back({"model.layers." + std::to_string(layer) + "." + kind.name + ".weight",
                         kind.rows, kind.columns, kind.error + early + 0.004 * noise.Next(),
                         7 + layer / 20.0 + 2 * noise.Next()});
    }
  }
  tensors[9].error = 0.171;
  return tensors;
}

}  // namespace seedlm::client
