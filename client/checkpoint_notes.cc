#include "client/checkpoint_notes.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/text.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/safetensors.h"

namespace seedlm::client {
namespace {

constexpr size_t kNamesShown = 5;
constexpr std::string_view kWeightFormats[] = {".bin",  ".pt", ".pth",     ".ckpt",
                                               ".onnx", ".h5", ".msgpack", ".gguf"};

// "a, b, c and 4 more".
std::string Names(const std::vector<std::string>& paths) {
  std::string text;
  for (size_t i = 0; i < std::min(paths.size(), kNamesShown); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", Printable(paths[i]));
  }
  if (paths.size() > kNamesShown) {
    absl::StrAppend(&text, " and ", paths.size() - kNamesShown, " more");
  }
  return text;
}

bool HoldsWeights(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (name == "training_args.bin") return false;
  return std::any_of(std::begin(kWeightFormats), std::end(kWeightFormats),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

// The files that an index names, as paths below the checkpoint. Opening it has checked the index.
void AddNamed(const format::Checkpoint& checkpoint, const std::string& index,
              std::set<std::string>& named) {
  namespace fs = std::filesystem;
  const auto content =
      format::ReadSmallFile((fs::path(checkpoint.path) / index).string(), format::kMaxHeaderBytes);
  if (!content.ok()) return;
  const auto json = nlohmann::json::parse(*content, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("weight_map")) return;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) continue;
    const fs::path beside = fs::path(index).parent_path() / file.get<std::string>();
    named.insert(beside.lexically_normal().string());
  }
}

}  // namespace

uint64_t BytesOf(const std::string& directory, absl::Span<const std::string> relative_paths) {
  uint64_t bytes = 0;
  for (const std::string& path : relative_paths) {
    std::error_code error;
    const auto size = std::filesystem::file_size(std::filesystem::path(directory) / path, error);
    if (!error) bytes += size;
  }
  return bytes;
}

std::string NoteOfOtherWeights(absl::Span<const std::string> relative_paths) {
  std::vector<std::string> found;
  std::copy_if(relative_paths.begin(), relative_paths.end(), std::back_inserter(found),
               HoldsWeights);
  if (found.empty()) return "";
  return absl::StrCat(Names(found),
                      ": weights in another format, copied as they are; delete what nobody needs");
}

std::vector<std::string> NotesOf(const format::Checkpoint& checkpoint) {
  namespace fs = std::filesystem;
  std::vector<std::string> notes;
  if (std::string note = NoteOfOtherWeights(checkpoint.other_files); !note.empty()) {
    notes.push_back(std::move(note));
  }
  std::set<std::string> named;
  std::set<fs::path> directories;  // that have an index
  for (const std::string& index : checkpoint.indexes) {
    AddNamed(checkpoint, index, named);
    directories.insert(fs::path(index).parent_path());
  }
  std::vector<std::string> unnamed;
  for (const auto& file : checkpoint.files) {
    const bool beside = directories.contains(fs::path(file.relative_path).parent_path());
    if (beside && !named.contains(file.relative_path)) unnamed.push_back(file.relative_path);
  }
  if (!unnamed.empty()) {
    notes.push_back(absl::StrCat(
        Names(unnamed),
        ": the index does not name it, perhaps the model a second time; it is compressed "
        "with the others: move it away if nobody needs it"));
  }
  return notes;
}

}  // namespace seedlm::client
