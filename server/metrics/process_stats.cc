#include "server/metrics/process_stats.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace seedlm::server {
namespace {

// Fields of proc_pid_stat(5), counted from the one after the name: state is 0.
constexpr size_t kUserTicks = 11;
constexpr size_t kSystemTicks = 12;
constexpr size_t kThreads = 17;
constexpr size_t kStartTicks = 19;  // since the system's start
constexpr size_t kResidentPages = 21;

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Unix time of the system's start, from "btime N".
double BootTime() {
  const std::string text = ReadAll("/proc/stat");
  const size_t at = text.find("\nbtime ");
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 7, nullptr);
}

int64_t CountOpenFds() {
  std::error_code error;
  const std::filesystem::directory_iterator fds("/proc/self/fd", error);
  if (error) return 0;
  return std::distance(begin(fds), end(fds)) - 1;  // without the one that reads them
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  stats.open_fds = CountOpenFds();
  const std::string text = ReadAll("/proc/self/stat");
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return stats;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  if (fields.size() <= kResidentPages) return stats;
  const auto number = [&](size_t field) { return std::strtod(fields[field].c_str(), nullptr); };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  stats.cpu_seconds = (number(kUserTicks) + number(kSystemTicks)) / ticks;
  stats.threads = static_cast<int64_t>(number(kThreads));
  stats.resident_bytes = static_cast<int64_t>(number(kResidentPages)) * sysconf(_SC_PAGESIZE);
  stats.start_time = BootTime() + number(kStartTicks) / ticks;
  return stats;
}

}  // namespace seedlm::server
