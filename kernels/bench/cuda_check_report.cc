#include "kernels/bench/cuda_check_report.h"

#include <cstdio>
#include <fstream>
#include <iostream>

namespace seedlm::bench {
namespace {

// "tensor = reference, 4bit, optimal, fitted: blocks 2048, differences 0".
std::string Line(std::string_view section, const ordered_json& record) {
  std::string words, figures;
  for (const auto& [key, value] : record.items()) {
    if (value.is_string()) {
      words += (words.empty() ? "" : ", ") + value.get<std::string>();
    } else if (value.is_number() || value.is_boolean()) {
      char text[32];
      if (value.is_number_float()) {
        std::snprintf(text, sizeof text, "%.4g", value.get<double>());
      }
      figures += (figures.empty() ? " " : ", ") + key + " " +
                 (value.is_number_float() ? std::string(text) : value.dump());
    }
  }
  return std::string(section) + ": " + words + (figures.empty() ? "" : ":" + figures);
}

}  // namespace

double Report::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void Report::Say(const std::string& text) const {
  char time[16];
  std::snprintf(time, sizeof time, "%7.1f s  ", seconds());
  std::cerr << (time + text + "\n") << std::flush;
}

void Report::Add(std::string_view section, const ordered_json& record) {
  ordered_json& place = root_[std::string(section)];
  if (section == "checks" || section == "timings" || section == "stages") {
    place.push_back(record);
  } else {
    place.update(record);
  }
  Say(Line(section, record));
  Write();
}

bool Report::Write() {
  if (path_.empty()) return true;
  const std::string beside = path_ + ".part";
  std::ofstream file(beside, std::ios::trunc);
  file << root_.dump(2) << '\n';
  file.close();
  if (file && std::rename(beside.c_str(), path_.c_str()) == 0) return true;
  if (!said_) Say("cannot write " + path_);
  said_ = true;
  return false;
}

bool Report::Finish() {
  if (!path_.empty()) return Write();
  std::cout << root_.dump(2) << std::endl;
  return static_cast<bool>(std::cout);
}

}  // namespace seedlm::bench
