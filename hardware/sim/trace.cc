#include "hardware/sim/trace.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace seedlm::hardware {
namespace {

enum Signal { kTaken, kStall, kStages, kFifo, kResult, kSignals };

std::string Binary(uint64_t value, int bits) {
  std::string text(static_cast<size_t>(bits), '0');
  for (int i = 0; i < bits; ++i) {
    if ((value >> i) & 1) text[static_cast<size_t>(bits - 1 - i)] = '1';
  }
  return text;
}

}  // namespace

absl::StatusOr<Trace> Trace::Create(const std::string& path, const Unit& unit) {
  std::ofstream file(path);
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
  file << "$comment stall:";
  for (int i = 0; i < kStalls; ++i) file << " " << i << " " << Name(static_cast<Stall>(i));
  file << " $end\n$timescale 1 ns $end\n$scope module " << Name(unit.kind) << " $end\n"
       << "$var wire 1 A word_taken $end\n$var wire 4 B stall $end\n$var wire " << unit.latency()
       << " C stages $end\n$var wire 32 D fifo_bytes $end\n$var wire 1 E result $end\n"
       << "$upscope $end\n$enddefinitions $end\n";
  Trace trace(path, std::move(file));
  trace.last_.resize(kSignals);
  return trace;
}

void Trace::Put(int signal, const std::string& value) {
  std::string& last = last_[static_cast<size_t>(signal)];
  if (last == value) return;
  last = value;
  const char id = static_cast<char>('A' + signal);
  if (value.size() == 1) {
    file_ << value << id << '\n';
  } else {
    file_ << 'b' << value << ' ' << id << '\n';
  }
}

void Trace::Add(const CycleView& view) {
  file_ << '#' << 2 * view.cycle << '\n';
  Put(kTaken, view.word_taken ? "1" : "0");
  Put(kStall, view.word_taken ? "zzzz" : Binary(static_cast<uint64_t>(view.stall), 4));
  std::string stages(view.stages.size(), '0');  // the first stage in the lowest bit
  for (size_t i = 0; i < stages.size(); ++i) {
    if (view.stages[i] != 0) stages[stages.size() - 1 - i] = '1';
  }
  Put(kStages, stages);
  Put(kFifo, Binary(static_cast<uint64_t>(view.fifo_bytes), 32));
  Put(kResult, view.result ? "1" : "0");
}

absl::Status Trace::Close() {
  file_.close();
  if (!file_) return absl::DataLossError(absl::StrCat(path_, ": could not be written"));
  return absl::OkStatus();
}

}  // namespace seedlm::hardware
