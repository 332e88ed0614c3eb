// What `seedlm devices` prints of what a server can do.
#include "client/capabilities_text.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "client/job_json.h"

namespace seedlm::client {
namespace {

v1::Capabilities TwoBackends() {
  v1::Capabilities capabilities;
  capabilities.set_version("1.2.3");
  capabilities.add_profiles(v1::PROFILE_4BIT);
  v1::BackendCapability& cuda = *capabilities.add_backends();
  cuda.set_name("cuda");
  cuda.set_available(true);
  cuda.set_description("on GPUs");
  cuda.set_workers(3);
  v1::BackendCapability& cpu = *capabilities.add_backends();
  cpu.set_name("cpu");
  cpu.set_why_unavailable("no AVX");
  return capabilities;
}

TEST_CASE("backends are a table, without devices the only one") {
  CHECK(CapabilitiesText(TwoBackends()) ==
        "version 1.2.3, profiles 4bit\n"
        "BACKEND  AVAILABLE  WORKERS  DESCRIPTION\n"
        "cuda     yes              3  on GPUs\n"
        "cpu      no               0  no AVX\n");
}

TEST_CASE("devices are a second table, with what keeps one from being used") {
  v1::Capabilities capabilities = TwoBackends();
  v1::BackendCapability& cuda = *capabilities.mutable_backends(0);
  v1::DeviceCapability& first = *cuda.add_devices();
  first.set_name("big GPU");
  first.set_pci_address("00000000:1B:00.0");
  first.set_memory_bytes(80'000'000'000);
  first.set_available(true);
  v1::DeviceCapability& second = *cuda.add_devices();
  second.set_index(1);
  second.set_why_unavailable("it fell off the bus");
  const std::string text = CapabilitiesText(capabilities);
  CHECK_THAT(text,
             Catch::EndsWith(
                 "\n\n"
                 "DEVICE  AVAILABLE   MEMORY  PCI ADDRESS       NAME     WHY NOT\n"
                 "cuda 0  yes        80.0 GB  00000000:1B:00.0  big GPU\n"
                 "cuda 1  no               -  -                 -        it fell off the bus\n"));
  const auto json = ToJson(capabilities);
  CHECK(json["backends"][0]["devices"] ==
        nlohmann::ordered_json{{{"index", 0},
                                {"name", "big GPU"},
                                {"pci_address", "00000000:1B:00.0"},
                                {"memory_bytes", 80'000'000'000},
                                {"available", true},
                                {"why_unavailable", ""}},
                               {{"index", 1},
                                {"name", ""},
                                {"pci_address", ""},
                                {"memory_bytes", 0},
                                {"available", false},
                                {"why_unavailable", "it fell off the bus"}}});
  CHECK(json["backends"][1]["devices"].empty());
}

}  // namespace
}  // namespace seedlm::client
