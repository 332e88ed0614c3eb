#include "kernels/format/checkpoint_index.h"

#include <algorithm>
#include <filesystem>

#include "kernels/format/fault.h"
#include "kernels/format/json_text.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;  // metadata may hold anything

std::string IndexPath(const Checkpoint& checkpoint, const std::string& relative_path) {
  return (std::filesystem::path(checkpoint.path) / relative_path).string();
}

absl::Status Refuse(const std::string& path, std::string_view reason) {
  return absl::InvalidArgumentError(Cat(Printable(path), ": ", reason));
}

absl::StatusOr<json> ParseIndex(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxIndexBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<json> index = ParseJson(*text, kMaxDepth);
  if (!index.ok()) return Refuse(path, std::string(index.status().message()));
  if (!index->is_object() || !index->contains("weight_map") ||
      !(*index)["weight_map"].is_object()) {
    return Refuse(path, "has no weight_map");
  }
  if (index->contains("metadata") && !(*index)["metadata"].is_object()) {
    return Refuse(path, "metadata is not an object");
  }
  return index;
}

// True for a path that stays where it starts: relative, no "..".
bool IsConfined(const std::filesystem::path& path) {
  return !path.empty() && path.is_relative() &&
         std::find(path.begin(), path.end(), "..") == path.end();
}

const SafetensorsFile* FindFile(const Checkpoint& checkpoint, const std::string& relative_path) {
  const auto found =
      std::lower_bound(checkpoint.files.begin(), checkpoint.files.end(), relative_path,
                       [](const CheckpointFile& file, const std::string& path) {
                         return file.relative_path < path;
                       });
  const bool is_it = found != checkpoint.files.end() && found->relative_path == relative_path;
  return is_it ? found->file.get() : nullptr;
}

// What is wrong with one entry of the weight map, or nothing.
std::string EntryProblem(const Checkpoint& checkpoint, const std::filesystem::path& directory,
                         const std::string& tensor, const json& value) {
  if (!value.is_string()) return "its file is not a string";
  const std::string& name = value.get_ref<const std::string&>();
  if (!IsConfined(name)) return Cat("its file '", Printable(name), "' is not below the index");
  const std::string relative_path = (directory / name).lexically_normal().string();
  const SafetensorsFile* file = FindFile(checkpoint, relative_path);
  if (file == nullptr) return Cat("its file '", Printable(name), "' is missing");
  if (file->Find(tensor) == nullptr) return Cat("is not in its file '", Printable(name), "'");
  return "";
}

absl::Status CheckEntries(const Checkpoint& checkpoint, const std::string& relative_path,
                          const json& weight_map) {
  const std::filesystem::path directory = std::filesystem::path(relative_path).parent_path();
  for (const auto& [tensor, file] : weight_map.items()) {
    const std::string problem = EntryProblem(checkpoint, directory, tensor, file);
    if (problem.empty()) continue;
    return About(Refuse(IndexPath(checkpoint, relative_path),
                        Cat("tensor '", Printable(tensor), "': ", problem)),
                 "tensor", tensor);
  }
  return absl::OkStatus();
}

// The index, its entries checked.
absl::StatusOr<json> ReadIndex(const Checkpoint& checkpoint, const std::string& relative_path) {
  absl::StatusOr<json> index = ParseIndex(IndexPath(checkpoint, relative_path));
  if (!index.ok()) return index.status();
  const absl::Status status = CheckEntries(checkpoint, relative_path, (*index)["weight_map"]);
  if (!status.ok()) return status;
  return index;
}

}  // namespace

bool IsIndexName(std::string_view relative_path) {
  return relative_path.ends_with(".safetensors.index.json");
}

bool IsVariantIndexName(std::string_view relative_path) {
  const std::string_view name = relative_path.substr(relative_path.rfind('/') + 1);
  return name.find(".safetensors.index.") != std::string_view::npos && name.ends_with(".json") &&
         !IsIndexName(name);
}

absl::Status CheckIndex(const Checkpoint& checkpoint, const std::string& relative_path) {
  return ReadIndex(checkpoint, relative_path).status();
}

absl::StatusOr<std::string> RewriteIndex(
    const Checkpoint& checkpoint, const std::string& relative_path,
    const std::function<std::vector<IndexEntry>(std::string_view tensor)>& replace) {
  // Checked once more: the file may have changed since the checkpoint was opened.
  absl::StatusOr<json> index = ReadIndex(checkpoint, relative_path);
  if (!index.ok()) return index.status();
  json weight_map = json::object();
  uint64_t total_size = 0;
  for (const auto& [tensor, file] : (*index)["weight_map"].items()) {
    for (IndexEntry& entry : replace(tensor)) {
      weight_map[std::move(entry.name)] = file;
      total_size += entry.bytes;
    }
  }
  (*index)["weight_map"] = std::move(weight_map);
  (*index)["metadata"]["total_size"] = total_size;
  absl::StatusOr<std::string> text = JsonToText(*index, 2);
  if (!text.ok()) {
    return Refuse(IndexPath(checkpoint, relative_path), std::string(text.status().message()));
  }
  return *std::move(text) + "\n";
}

}  // namespace seedlm::format
