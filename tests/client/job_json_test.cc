// What --json prints of messages.
#include "client/job_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "google/rpc/error_details.pb.h"

namespace seedlm::client {
namespace {

TEST_CASE("every limit that a server tells is printed") {
  v1::Capabilities capabilities;
  capabilities.set_max_owner_watches(7);
  capabilities.set_upload_idle_seconds(1.5);
  const auto json = ToJson(capabilities);
  CHECK(json["limits"]["max_owner_watches"] == 7);
  CHECK(json["limits"]["upload_idle_seconds"] == 1.5);

  const std::set<std::string> others{"version", "profiles", "backends"};
  const auto& fields = *v1::Capabilities::descriptor();
  CHECK(json["limits"].size() == fields.field_count() - others.size());
  for (int i = 0; i < fields.field_count(); ++i) {
    const std::string name = fields.field(i)->name();
    CAPTURE(name);
    CHECK((others.contains(name) ? json : json["limits"]).contains(name));
  }
}

TEST_CASE("the error of a job is printed with what it is about") {
  v1::Job job;
  job.mutable_error()->set_code(3);
  job.mutable_error()->set_message("NaN");
  google::rpc::ErrorInfo info;
  info.set_reason("WEIGHT_NOT_FINITE");
  (*info.mutable_metadata())["tensor"] = "w";
  (*info.mutable_metadata())["row"] = "7";
  job.mutable_error()->add_details()->PackFrom(info);
  CHECK(ToJson(job)["error"] ==
        nlohmann::ordered_json{{"code", "INVALID_ARGUMENT"},
                               {"reason", "WEIGHT_NOT_FINITE"},
                               {"message", "NaN"},
                               {"metadata", {{"row", "7"}, {"tensor", "w"}}}});
  job.mutable_error()->clear_details();
  CHECK(ToJson(job)["error"]["metadata"] == nlohmann::ordered_json::object());
}

}  // namespace
}  // namespace seedlm::client
