#include "kernels/format/old_output.h"

#include <filesystem>
#include <system_error>

#include "kernels/format/packed_tensor.h"
#include "kernels/format/safetensors.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

namespace fs = std::filesystem;

// A directory with more entries than this is not looked through: it is not replaced.
constexpr int kMaxEntriesLookedAt = 100'000;

template <typename Plan>
OutputPaths Paths(const Plan& plan) {
  OutputPaths paths(plan.copied.begin(), plan.copied.end());
  for (const PlannedOutput& output : plan.outputs) paths.insert(output.relative_path);
  for (const auto& [relative_path, content] : plan.rewritten) paths.insert(relative_path);
  return paths;
}

// A safetensors file that this program compressed.
bool IsCompressed(const fs::path& path) {
  if (path.extension() != ".safetensors") return false;
  const auto file = SafetensorsFile::Open(path.string());
  return file.ok() && (*file)->metadata().contains(std::string(kMetadataKey));
}

// Also what cannot be opened as that.
bool HoldsOrdinaryWeights(const fs::directory_entry& entry) {
  std::error_code error;
  const bool is_directory = fs::is_directory(entry.symlink_status(error));
  return !is_directory && entry.path().extension() == ".safetensors" && !IsCompressed(entry.path());
}

class OldOutput {
 public:
  explicit OldOutput(const NewOutput& output) : output_(output) {}

  // Why `directory` must not be replaced; empty if it may be.
  std::string WhyNot(const std::string& directory) {
    std::error_code error;
    int entries = 0;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      if (++entries > kMaxEntriesLookedAt) return "is a directory with very many files";
      const std::string relative = it->path().lexically_relative(directory).string();
      if (output_.kind == OutputKind::kRestored && HoldsOrdinaryWeights(*it)) {
        return Cat("holds '", Printable(relative),
                   "', ordinary weights, of which these may be the only ones");
      }
      if (!MayGo(*it, relative, it.depth() == 0)) {
        return Cat("holds '", Printable(relative),
                   "', which is not of the output that would replace it");
      }
    }
    if (error) return Cat("cannot be looked through (", error.message(), ")");
    const bool may_go = entries == 0 || compressed_ || output_.kind == OutputKind::kRestored;
    return may_go ? "" : "is a directory that is not an output of this program";
  }

 private:
  bool MayGo(const fs::directory_entry& entry, const std::string& relative, bool at_top) {
    std::error_code error;
    if (fs::is_directory(entry.symlink_status(error))) {
      const auto below = output_.paths.lower_bound(relative + "/");
      return below != output_.paths.end() && below->starts_with(relative + "/");
    }
    const bool compressed =
        output_.kind == OutputKind::kCompressed && at_top && IsCompressed(entry.path());
    compressed_ |= compressed;
    if (output_.paths.contains(relative)) return true;
    return compressed && ++renamed_ == 1;  // two of them are two models
  }

  const NewOutput& output_;
  bool compressed_ = false;
  int renamed_ = 0;
};

}  // namespace

OutputPaths PathsOf(const CompressionPlan& plan) { return Paths(plan); }
OutputPaths PathsOf(const DecompressionPlan& plan) { return Paths(plan); }

absl::Status CheckReplaceable(const std::string& directory, const NewOutput& output) {
  const std::string why = OldOutput(output).WhyNot(directory);
  if (why.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Cat(Printable(directory), ": ", why,
          "; it is not overwritten: remove it if that is what you mean"));
}

}  // namespace seedlm::format
