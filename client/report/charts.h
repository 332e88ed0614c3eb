// The pictures of a report, each an <svg> with its own scale. Pure functions of a job's history; ""
// where there is nothing to show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/report/job_history.h"

namespace seedlm::client {

// "model.layers.12.mlp.up_proj.weight" is layer 12 of the kind "mlp.up_proj".
struct TensorPlace {
  int64_t layer = -1;  // -1: in no layer
  std::string kind;
};
TensorPlace PlaceOf(const std::string& name);

// Tensors of one kind, in the order of layers. Indices into JobHistory::tensors.
struct KindGroup {
  std::string kind;
  std::vector<size_t> tensors;
};
// Kinds that occur in two layers and more, in the order of their first tensor, at most `max` of
// them: the largest, by tensors. What is left over goes to `others`.
std::vector<KindGroup> GroupByKind(const JobHistory& history, size_t max,
                                   std::vector<size_t>& others);

// Relative error: a row a kind, a bar a layer, from 0; single tensors as bars with their names.
std::string ErrorChart(const JobHistory& history);
// Share of blocks at each of the 16 levels: over all tensors, and a line a tensor.
std::string LevelChart(const JobHistory& history);
// Bytes before and after, of compressed tensors and of the rest.
std::string SizeChart(const JobHistory& history);
// Weights done over time, states, warnings.
std::string TimeChart(const JobHistory& history);

// Sums over the tensors.
struct Totals {
  int64_t weights = 0;
  double relative_error = 0;
  bool has_error = false;
  int64_t source_bytes = 0;
  int64_t packed_bytes = 0;  // 0: the server did not say
  int64_t input_bytes = 0;   // all safetensors files
  int64_t output_bytes = 0;  // estimated until the job has ended
  double bits_per_weight = 0;
  double device_seconds = 0;
  double run_seconds = 0;  // of the last attempt
};
Totals Sum(const JobHistory& history);

}  // namespace seedlm::client
