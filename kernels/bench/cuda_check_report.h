// What cuda_check has found so far: one JSON object, written after every record, and a line to
// stderr for each, so that whatever ends the program leaves what was known.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace seedlm::bench {

using nlohmann::ordered_json;

class Report {
 public:
  // `path`: a file that is replaced as a whole each time; "": standard output, at the end.
  explicit Report(std::string path) : path_(std::move(path)) {}

  ordered_json& root() { return root_; }
  double seconds() const;  // since it was made

  // "checks", "timings", "stages": appended to the list; other sections: merged into the object.
  void Add(std::string_view section, const ordered_json& record);
  // A line of stderr with the time.
  void Say(const std::string& text) const;
  // The file, if there is one; false: it cannot be written, which is said once.
  bool Write();
  // The file or standard output.
  bool Finish();

 private:
  const std::string path_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  ordered_json root_;
  bool said_ = false;
};

}  // namespace seedlm::bench
