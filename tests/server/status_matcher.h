// Statuses in assertions.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/errors/reason.h"

template <>
struct Catch::StringMaker<absl::Status> {
  static std::string convert(const absl::Status& status) { return status.ToString(); }
};

namespace seedlm::server {

// For CHECK_THAT: a status of that code whose message holds all the words.
class IsStatus : public Catch::MatcherBase<absl::Status> {
 public:
  IsStatus(absl::StatusCode code, std::vector<std::string> words)
      : code_(code), words_(std::move(words)) {}
  bool match(const absl::Status& status) const override {
    for (const std::string& word : words_) {
      if (std::string(status.message()).find(word) == std::string::npos) return false;
    }
    return status.code() == code_;
  }
  std::string describe() const override {
    std::string text = "is " + absl::StatusCodeToString(code_) + " with";
    for (const std::string& word : words_) text += " \"" + word + "\"";
    return text;
  }

 private:
  absl::StatusCode code_;
  std::vector<std::string> words_;
};

// For CHECK_THAT: INVALID_ARGUMENT with the reason FIELD_INVALID and that field.
class IsInvalidField : public Catch::MatcherBase<absl::Status> {
 public:
  explicit IsInvalidField(std::string field) : field_(std::move(field)) {}
  bool match(const absl::Status& status) const override {
    return absl::IsInvalidArgument(status) && ReasonOf(status) == "FIELD_INVALID" &&
           DetailsOf(status)["field"] == field_;
  }
  std::string describe() const override { return "is FIELD_INVALID of " + field_; }

 private:
  std::string field_;
};

}  // namespace seedlm::server
