// What the benchmarks say about themselves: machine, date, workload.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "kernels/codec/profile.h"

namespace seedlm::bench {

inline std::string CpuModel() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

inline std::string Today() {
  const std::time_t now = std::time(nullptr);
  char text[11] = {};
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

// [blocks, C], sigma 0.02.
inline std::vector<float> GaussianWeights(const codec::Profile& profile, int blocks) {
  std::vector<float> weights(static_cast<size_t>(blocks) * static_cast<size_t>(profile.block));
  std::mt19937 bits(1);
  std::normal_distribution<float> normal(0, 0.02f);
  for (float& w : weights) w = normal(bits);
  return weights;
}

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace seedlm::bench
