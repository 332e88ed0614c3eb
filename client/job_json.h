// The service's messages as JSON, for --json. Keys are stable; scripts rely on them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// "RUNNING", "4bit", "optimal", "fitted".
std::string StateName(v1::JobState state);
// "RUNNING, cancelling": with what a server has been asked to and has not done yet.
std::string StateText(const v1::Job& job);
bool IsCancelling(const v1::Progress& progress);
std::string ProfileName(v1::Profile profile);
std::string FitName(v1::Fit fit);
std::string ScaleName(v1::ScaleRule scale);

nlohmann::ordered_json ToJson(const v1::Job& job);
nlohmann::ordered_json ToJson(const v1::Estimate& estimate);
nlohmann::ordered_json ToJson(const v1::TensorResult& tensor);
// One event of watch --json: {"sequence", "time", "event": "snapshot" | "state" | ..., ...}.
nlohmann::ordered_json ToJson(const v1::JobEvent& event);
nlohmann::ordered_json ToJson(const v1::Capabilities& capabilities);

// One line, newline included; bytes that are not UTF-8 are replaced.
std::string JsonLine(const nlohmann::ordered_json& json);

}  // namespace seedlm::client
