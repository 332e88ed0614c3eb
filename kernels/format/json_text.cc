#include "kernels/format/json_text.h"

#include <set>
#include <vector>

#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

// Each takes up to some 150 bytes. More than the tensors of a checkpoint and what else an index
// has.
constexpr size_t kMaxValues = 1'000'000;

// Watches a parse through nlohmann's callback; what it refuses is not built.
class Guard {
 public:
  explicit Guard(int max_depth) : max_depth_(max_depth) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    const bool is_value =
        event == Event::value || event == Event::object_start || event == Event::array_start;
    if (is_value && ++values_ > kMaxValues) {
      Refuse(Cat("JSON of more than ", kMaxValues, " values"));
    }
    switch (event) {
      case json::parse_event_t::object_start:
        keys_.emplace_back();
        return CheckDepth(depth);
      case json::parse_event_t::array_start:
        return CheckDepth(depth);
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key: {
        const std::string& key = parsed.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) {
          Refuse(Cat("the key '", Printable(key), "' is there twice"));
        }
        break;
      }
      case json::parse_event_t::array_end:
      case json::parse_event_t::value:
        break;
    }
    return problem_.empty();
  }

  const std::string& problem() const { return problem_; }

 private:
  bool CheckDepth(int depth) {
    if (depth >= max_depth_) {
      Refuse(Cat("JSON nested deeper than ", max_depth_, " levels"));
    }
    return problem_.empty();
  }
  void Refuse(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  const int max_depth_;
  size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
  std::string problem_;
};

}  // namespace

absl::StatusOr<json> ParseJson(std::string_view text, int max_depth) {
  Guard guard(max_depth);
  try {
    json value = json::parse(text, std::ref(guard));
    if (!guard.problem().empty()) return absl::InvalidArgumentError(guard.problem());
    return value;
  } catch (const json::exception& error) {
    if (!guard.problem().empty()) return absl::InvalidArgumentError(guard.problem());
    return absl::InvalidArgumentError(Cat("is not JSON: ", JsonProblem(error)));
  }
}

std::string JsonProblem(const json::exception& error) {
  std::string_view text = error.what();  // "[json.exception.parse_error.101] parse error at .."
  const size_t mark = text.find("] ");
  if (text.starts_with('[') && mark != std::string_view::npos) text.remove_prefix(mark + 2);
  return Printable(text);
}

absl::StatusOr<std::string> JsonToText(const json& value, int indent) {
  try {
    return value.dump(indent);
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(Cat("is not UTF-8: ", JsonProblem(error)));
  }
}

}  // namespace seedlm::format
