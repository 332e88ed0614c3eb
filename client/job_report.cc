#include "client/job_report.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/checkpoint_notes.h"
#include "client/job_json.h"
#include "client/local_time.h"
#include "client/output.h"
#include "client/text.h"
#include "client/way_out.h"
#include "kernels/format/checkpoint.h"
#include "kernels/verify/packed_checkpoint.h"

namespace seedlm::client {
namespace {

using google::protobuf::util::TimeUtil;

double RunSeconds(const v1::Job& job) {
  if (!job.has_start_time() || !job.has_end_time()) return 0;
  return static_cast<double>(TimeUtil::DurationToMicroseconds(job.end_time() - job.start_time())) /
         1e6;
}

// Over all tensors the squared sums are added. Nothing if the server did not report them.
std::optional<double> OverallError(const std::vector<v1::TensorResult>& results) {
  double error = 0;
  double weights = 0;
  for (const auto& result : results) {
    if (result.squared_weights() == 0 && result.relative_error() > 0) return std::nullopt;
    error += result.squared_error();
    weights += result.squared_weights();
  }
  return weights > 0 ? std::sqrt(error / weights) : 0;
}

// Of what this attempt did.
double RateOf(int64_t weights, int64_t kept, double seconds) {
  return seconds > 0 ? static_cast<double>(weights - kept) / seconds : 0;
}

// "12 s, 1.25 M weights/s, 4 M of 12 M weights were kept from before".
std::string TimeText(double seconds, double rate, int64_t kept, int64_t weights) {
  std::string text = FormatDuration(seconds);
  if (kept < weights || weights == 0) absl::StrAppend(&text, ", ", FormatRate(rate));
  if (kept > 0) {
    absl::StrAppend(&text, ", ", FormatCount(kept), " of ", FormatCount(weights),
                    " weights were kept from before");
  }
  return text;
}

}  // namespace

absl::StatusOr<CompressSummary> Summarize(const std::string& input, const std::string& output,
                                          const Followed& followed) {
  const auto original = format::Checkpoint::Open(input);
  if (!original.ok()) return original.status();
  const auto packed = verify::OpenPackedCheckpoint(output);
  if (!packed.ok()) return packed.status();
  CompressSummary summary{.input = input, .output = output, .results = followed.tensors};
  for (const auto& file : original->files) summary.input_bytes += file.file->file_size();
  summary.input_bytes += BytesOf(input, original->other_files);
  summary.notes = NotesOf(*original);
  summary.copied_bytes = BytesOf(output, packed->other_files);
  summary.output_bytes = summary.copied_bytes;
  uint64_t code_bytes = 0;
  for (const auto& file : packed->files) {
    summary.output_bytes += file.content.file->file_size();
    for (const auto& tensor : file.content.packed) {
      const auto width = static_cast<int64_t>(format::BitWidth(tensor.dtype)) / 8;
      ++summary.tensors;
      summary.weights += tensor.rows * tensor.columns;
      summary.tensor_bytes += static_cast<uint64_t>(tensor.rows * tensor.columns * width);
      code_bytes += tensor.code_bytes();
    }
  }
  constexpr uint64_t kTableBytes = codec::kLevels * sizeof(float) + 2 * sizeof(int64_t);
  summary.packed_bytes = code_bytes + static_cast<uint64_t>(summary.tensors) * kTableBytes;
  if (summary.weights > 0) {
    summary.bits_per_weight =
        8 * static_cast<double>(code_bytes) / static_cast<double>(summary.weights);
  }
  summary.relative_error = OverallError(followed.tensors);
  summary.seconds = RunSeconds(followed.job);
  summary.weights_kept =
      std::clamp<int64_t>(followed.job.progress().weights_kept(), 0, summary.weights);
  summary.weights_per_second = RateOf(summary.weights, summary.weights_kept, summary.seconds);
  return summary;
}

std::string ToText(const CompressSummary& s) {
  const auto before = static_cast<double>(s.input_bytes);
  const auto after = static_cast<double>(s.output_bytes);
  const bool larger = after > before;  // a file that is little but headers
  const double least = larger ? before : after;
  const double ratio = least > 0 ? (larger ? after : before) / least : 0;
  const std::string error =
      s.relative_error ? absl::StrFormat("%.4f", *s.relative_error) : "unknown: see seedlm verify";
  const std::string copied =
      s.copied_bytes > 0 ? absl::StrCat(", of it ", FormatBytes(s.copied_bytes), " copied files")
                         : "";
  return absl::StrFormat(
      "%s: %s -> %s: %s%s (%.2f times %s)\n"
      "tensors compressed: %d, %s -> %s, %.3f bits a weight\n"
      "relative error %s\n"
      "%s\n",
      Printable(s.input), FormatBytes(s.input_bytes), Printable(s.output),
      FormatBytes(s.output_bytes), copied, ratio, larger ? "larger" : "smaller", s.tensors,
      FormatBytes(s.tensor_bytes), FormatBytes(s.packed_bytes), s.bits_per_weight, error,
      TimeText(s.seconds, s.weights_per_second, s.weights_kept, s.weights));
}

nlohmann::ordered_json ToJson(const CompressSummary& s) {
  nlohmann::ordered_json json = {{"input", s.input},
                                 {"output", s.output},
                                 {"input_bytes", s.input_bytes},
                                 {"output_bytes", s.output_bytes},
                                 {"copied_bytes", s.copied_bytes},
                                 {"weights", s.weights},
                                 {"tensor_bytes", s.tensor_bytes},
                                 {"packed_bytes", s.packed_bytes},
                                 {"bits_per_weight", s.bits_per_weight},
                                 {"relative_error", nullptr},
                                 {"seconds", s.seconds},
                                 {"weights_kept", s.weights_kept},
                                 {"weights_per_second", s.weights_per_second}};
  if (s.relative_error) json["relative_error"] = *s.relative_error;
  json["tensors"] = nlohmann::ordered_json::array();
  for (const auto& result : s.results) json["tensors"].push_back(ToJson(result));
  return json;
}

std::string ShareDone(const v1::Progress& progress) {
  if (progress.weights_done() == 0 || progress.weights_total() == 0) return "";
  return absl::StrFormat(", %.0f %% of the weights",
                         100 * static_cast<double>(progress.weights_done()) /
                             static_cast<double>(progress.weights_total()));
}

bool MayBeResumed(const v1::Job& job) {
  const auto code = static_cast<absl::StatusCode>(job.error().code());
  return job.state() == v1::JOB_STATE_FAILED && code != absl::StatusCode::kInvalidArgument &&
         code != absl::StatusCode::kFailedPrecondition;
}

ExitCode ReportEnd(const v1::Job& job, const std::string& thing) {
  const absl::Status end = EndOf(job, thing);
  if (end.ok()) return kOk;
  PrintError(WithWayOut(end));
  if (MayBeResumed(job) && thing == job.name()) {
    PrintNote(absl::StrCat("once that is mended, seedlm resume ", job.name(),
                           " lets it go on where it stopped"));
  }
  return job.state() == v1::JOB_STATE_FAILED ? ExitCodeForFailedJob(end) : ExitCodeFor(end);
}

std::string EndLine(const Followed& followed) {
  const v1::Job& job = followed.job;
  const v1::Progress& progress = job.progress();
  const double seconds = RunSeconds(job);
  std::string line = absl::StrCat(job.name(), "  ", StateName(job.state()), "  ");
  if (job.state() != v1::JOB_STATE_SUCCEEDED) {
    return absl::StrCat(line, FormatDuration(seconds), ", ",
                        FormatPercent(static_cast<double>(progress.weights_done()),
                                      static_cast<double>(progress.weights_total())),
                        " of ", FormatCount(progress.weights_total()), " weights done");
  }
  const int64_t kept = std::clamp<int64_t>(progress.weights_kept(), 0, progress.weights_done());
  absl::StrAppend(&line, TimeText(seconds, RateOf(progress.weights_done(), kept, seconds), kept,
                                  progress.weights_done()));
  uint64_t bytes = 0;
  for (const auto& file : job.output_files()) bytes += static_cast<uint64_t>(file.size());
  // Where not all files are told the sum would be wrong.
  if (job.output_file_count() == job.output_files_size()) {
    absl::StrAppend(&line, ", ", FormatBytes(bytes));
  }
  const std::string& place =
      job.output_artifact().empty() ? job.destination().uri() : job.output_artifact();
  absl::StrAppend(&line, " in ", Printable(place, std::string::npos));
  if (const auto error = OverallError(followed.tensors); error && !followed.tensors.empty()) {
    absl::StrAppend(&line, absl::StrFormat(", relative error %.4f", *error));
  }
  return line;
}

std::string ToText(const v1::Job& job) {
  std::string out =
      absl::StrFormat("%s  %s  attempt %d\n", job.name(), StateText(job), job.attempt());
  if (job.progress().weights_total() > 0) {
    absl::StrAppend(&out, RenderLine(ToView(job.progress())), "\n");
  }
  absl::StrAppend(&out, "profile ", ProfileName(job.spec().profile()), ", fit ",
                  FitName(job.spec().fit()), ", scale ", ScaleName(job.spec().scale()), "\n");
  const bool has_uri = job.source().has_uri();
  const std::string& source = has_uri ? job.source().uri() : job.source().artifact();
  absl::StrAppend(&out, "source ", Printable(source, std::string::npos), "\n");
  const std::string& destination = job.destination().uri();
  absl::StrAppend(&out, "destination ",
                  destination.empty() ? "managed" : Printable(destination, std::string::npos),
                  "\n");
  if (job.has_create_time()) {
    absl::StrAppend(&out, "created ", FormatTime(job.create_time()), "\n");
  }
  if (job.has_start_time()) {
    absl::StrAppend(&out, "started ", FormatTime(job.start_time()), "\n");
  }
  if (job.has_end_time()) absl::StrAppend(&out, "ended ", FormatTime(job.end_time()), "\n");
  if (!job.owner().empty()) absl::StrAppend(&out, "owner ", Printable(job.owner()), "\n");
  if (job.priority() != 0) absl::StrAppend(&out, "priority ", job.priority(), "\n");
  const std::map<std::string, std::string> labels(job.labels().begin(), job.labels().end());
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&out, "label ", Printable(key), "=", Printable(value), "\n");
  }
  if (job.has_error())
    absl::StrAppend(&out, "error: ", Printable(job.error().message(), std::string::npos), "\n");
  for (const auto& file : job.output_files()) {
    absl::StrAppend(&out, Printable(file.path()), "  ",
                    FormatBytes(static_cast<uint64_t>(file.size())), "\n");
  }
  return out;
}

}  // namespace seedlm::client
