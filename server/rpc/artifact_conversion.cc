#include "server/rpc/artifact_conversion.h"

#include <utility>

#include "server/rpc/job_conversion.h"
#include "server/rpc/message_parts.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {
namespace {

// What the lists of one message may take; 4 MiB are allowed.
constexpr size_t kFilesBytes = size_t{2} << 20;
constexpr size_t kTensorsBytes = size_t{2} << 20;
constexpr size_t kProblemsBytes = size_t{1} << 20;

}  // namespace

v1::Artifact ToProto(const ArtifactRecord& record) {
  v1::Artifact proto;
  proto.set_name(record.name);
  proto.set_job(record.job);
  proto.set_owner(record.owner);
  SetTime(record.create_time_ns, proto.mutable_create_time());
  proto.set_file_count(static_cast<int64_t>(record.files.size()));
  proto.set_arriving_files(record.arriving_files);
  proto.set_arriving_bytes(record.arriving_bytes);
  size_t room = kFilesBytes;
  int64_t bytes = 0;
  for (const OutputFile& file : record.files) {
    bytes += file.size;
    v1::OutputFile out;
    out.set_path(ValidUtf8(file.path, kMaxNameBytes));
    out.set_size(file.size);
    out.set_sha256(file.sha256);
    if (TakeRoom(out.ByteSizeLong(), room)) *proto.add_files() = std::move(out);
  }
  proto.set_size(bytes);
  return proto;
}

v1::VerifyArtifactResponse ToProto(const ArtifactCheck& check) {
  v1::VerifyArtifactResponse proto;
  proto.set_relative_error(check.relative_error);
  proto.set_tensor_count(static_cast<int64_t>(check.tensors.size()));
  proto.set_passed_through(check.passed_through);
  proto.set_files_summed(check.files_summed);
  proto.set_compared(check.why_not_compared.empty());
  proto.set_why_not_compared(ValidUtf8(check.why_not_compared, kMaxNameBytes));
  proto.set_problem_count(static_cast<int64_t>(check.problems.size()));
  size_t room = kTensorsBytes;
  for (const verify::TensorCheck& tensor : check.tensors) {
    v1::TensorResult result;
    result.set_name(ValidUtf8(tensor.name, kMaxNameBytes));
    result.set_rows(tensor.rows);
    result.set_columns(tensor.columns);
    result.set_relative_error(tensor.relative_error());
    result.set_max_error(tensor.max_error);
    result.set_squared_error(tensor.squared_error);
    result.set_squared_weights(tensor.squared_weights);
    if (!TakeRoom(result.ByteSizeLong(), room)) break;
    *proto.add_tensors() = std::move(result);
  }
  room = kProblemsBytes;
  for (const std::string& problem : check.problems) {
    std::string text = ValidUtf8(problem, kMaxNameBytes);
    if (!TakeRoom(text.size(), room)) break;
    proto.add_problems(std::move(text));
  }
  return proto;
}

}  // namespace seedlm::server
