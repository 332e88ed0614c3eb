#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "kernels/format/model_config.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

TEST_CASE("config.json gains its last member, and loses it again to the byte") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("config.json");
  for (const std::string text : {
           "{}",
           " { } \n",
           "{\"a\":1}",
           "{\n  \"b\": 1,\n  \"a\": {\"quantization_config\": [\"}\"]}\n}\n",
           "{\"text\": \"\\\"}{,NaN\\\\\", \"quantization\": \"quantization_config\"}\r\n",
           "{\"large\": 123456789012345678901234567890, \"eps\": 1e-12}",
       }) {
    CAPTURE(text);
    WriteBytes(path, text);
    const auto packed = AddQuantizationConfig(path, codec::k3bit, {"lm_head"});
    REQUIRE(Message(packed.status()) == "");
    json expected = json::parse(text);
    expected["quantization_config"] = {
        {"quant_method", "seedlm"},
        {"format_version", 1},
        {"bits", 3},
        {"block", 12},
        {"rank", 4},
        {"lfsr_width", 16},
        {"lfsr_taps", json::parse(*packed)["quantization_config"]["lfsr_taps"]},
        {"modules_to_not_convert", {"lm_head"}}};
    CHECK(json::parse(*packed) == expected);
    WriteBytes(path, *packed);
    CHECK(*RemoveQuantizationConfig(path) == text);
  }
}

TEST_CASE("numbers that only Python knows stay as they are") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("config.json");
  const std::string text = R"({"limit": [0.0, Infinity], "low": -Infinity, "none": NaN})";
  WriteBytes(path, text);
  const auto packed = AddQuantizationConfig(path, codec::k4bit, {});
  REQUIRE(Message(packed.status()) == "");
  CHECK(packed->starts_with(text.substr(0, text.size() - 1) + ",\n  \"quantization_config\": {"));
  WriteBytes(path, *packed);
  CHECK(*RemoveQuantizationConfig(path) == text);
  WriteBytes(path, R"({"limit": Infinite})");
  CHECK(AddQuantizationConfig(path, codec::k4bit, {}).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a quantization_config that others wrote is removed wherever it stands") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("config.json");
  const auto removed = [&](std::string_view text) {
    WriteBytes(path, text);
    return *RemoveQuantizationConfig(path);
  };
  CHECK(removed(R"({"quantization_config" : {"a": [1, {}]}, "b": 2})") == R"({ "b": 2})");
  CHECK(removed(R"({"a": 1, "quantization_config": null, "b": 2})") == R"({"a": 1, "b": 2})");
  CHECK(removed(R"({"quantization_config": 3 })") == "{ }");
  CHECK(removed(R"({"b": 2})") == R"({"b": 2})");
  WriteBytes(path, R"({"quantization\u005fconfig": 3})");
  CHECK(RemoveQuantizationConfig(path).status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seedlm::format
