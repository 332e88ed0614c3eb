// What the lockstep programs share: a clocked model, randomly patient streams, the codec's answer.
// Plain programs, not Catch2: they print what they matched and return non-zero on a difference.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace seedlm::hardware {

using Random = std::mt19937_64;

[[noreturn]] inline void Fail(const std::string& what) {
  std::fprintf(stderr, "lockstep: FAILED: %s\n", what.c_str());
  std::exit(1);
}

// When a stream offers: always, or with a given chance a cycle. Once it offers, it goes on until it
// is taken, as AXI4-Stream demands.
class Patience {
 public:
  // `percent`: chance a cycle; 100: always.
  Patience(Random* random, int percent) : random_(random), percent_(percent) {}
  bool Draw() {
    if (!on_) on_ = percent_ >= 100 || static_cast<int>((*random_)() % 100) < percent_;
    return on_;
  }
  void Taken() { on_ = false; }

 private:
  Random* random_;
  int percent_;
  bool on_ = false;
};

// When a receiver is ready: always, or with a given chance a cycle, whatever it was before: TREADY
// may fall without a transfer.
class Receiver {
 public:
  Receiver(Random* random, int percent) : random_(random), percent_(percent) {}
  bool Draw() { return percent_ >= 100 || static_cast<int>((*random_)() % 100) < percent_; }

 private:
  Random* random_;
  int percent_;
};

// Holds a model's output stream to AXI4-Stream: what is offered stands still until it is taken.
template <class Model>
class HeldOutput {
 public:
  // Once a cycle, before the clock's edge.
  void Look(const Model& model) {
    const bool same = model.m_axis_tvalid && model.m_axis_tlast == last_ &&
                      model.m_axis_tuser == user_ &&
                      std::memcmp(&data_, &model.m_axis_tdata, sizeof data_) == 0;
    if (stalled_ && !same) Fail("the output changes while its receiver is not ready");
    stalled_ = model.m_axis_tvalid && !model.m_axis_tready;
    if (stalled_) ++stalls_;
    last_ = model.m_axis_tlast;
    user_ = model.m_axis_tuser;
    std::memcpy(&data_, &model.m_axis_tdata, sizeof data_);
  }
  int64_t stalls() const { return stalls_; }

 private:
  bool stalled_ = false;
  int64_t stalls_ = 0;
  std::remove_reference_t<decltype((std::declval<Model&>().m_axis_tdata))> data_{};
  std::remove_reference_t<decltype((std::declval<Model&>().m_axis_tlast))> last_{};
  std::remove_reference_t<decltype((std::declval<Model&>().m_axis_tuser))> user_{};
};

// Values in the order in which they are to be sent; `words` 32-bit words each.
struct Beats {
  std::vector<uint32_t> data;
  std::vector<bool> last;
  int words = 1;
  size_t sent = 0;

  size_t count() const { return data.size() / static_cast<size_t>(words); }
  bool left() const { return sent < count(); }
  const uint32_t* next() const { return &data[sent * static_cast<size_t>(words)]; }
  bool next_is_last() const { return !last.empty() && last[sent]; }
};

// A port of up to 64 bits is an integer in the model, a wider one an array of words.
template <class Port>
void Drive(Port& port, const uint32_t* words, int count) {
  if constexpr (std::is_integral_v<Port>) {
    port = static_cast<Port>(count > 1 ? words[0] | uint64_t{words[1]} << 32 : words[0]);
  } else {
    for (int i = 0; i < count; ++i) port[static_cast<size_t>(i)] = words[i];
  }
}

template <class Model>
void Reset(Model& model) {
  model.rst = 1;
  for (int i = 0; i < 4; ++i) {
    model.clk = 0;
    model.eval();
    model.clk = 1;
    model.eval();
  }
  model.rst = 0;
}

}  // namespace seedlm::hardware
