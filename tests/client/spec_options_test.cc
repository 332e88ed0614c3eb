#include "client/spec_options.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>
#include <string>

namespace seedlm::client {
namespace {

struct Parsed {
  SpecOptions options;
  EngineOptions engine;
  JobOptions job;
  std::string in, error;  // error: empty if it parsed
};

Parsed Parse(const std::string& line) {
  Parsed parsed;
  CLI::App app;
  Action chosen;
  Command command(app, chosen);
  command.Add("IN", parsed.in, "");
  AddSpecOptions(command, parsed.options);
  AddEngineOptions(command, parsed.engine);
  AddJobOptions(command, parsed.job);
  try {
    app.parse(line);
  } catch (const CLI::ParseError& error) {
    parsed.error = error.what();
  }
  return parsed;
}

TEST_CASE("the defaults: 4 bits, optimal, fitted, auto") {
  const v1::CompressionSpec spec = ToSpec(Parse("model").options);
  CHECK(spec.profile() == v1::PROFILE_4BIT);
  CHECK(spec.fit() == v1::FIT_OPTIMAL);
  CHECK(spec.scale() == v1::SCALE_FITTED);
  CHECK(spec.backend() == "auto");
  CHECK(spec.selection().include_size() == 0);
}

TEST_CASE("every option arrives") {
  const Parsed parsed = Parse(
      "model --bits 4.5 --fit nearest --scale paper --include *.weight --include re:a.* "
      "--exclude b --backend reference --threads 3 --search exhaustive");
  REQUIRE(parsed.error.empty());
  const v1::CompressionSpec spec = ToSpec(parsed.options);
  CHECK(spec.profile() == v1::PROFILE_4_5BIT);
  CHECK(spec.fit() == v1::FIT_NEAREST);
  CHECK(spec.scale() == v1::SCALE_PAPER);
  REQUIRE(spec.selection().include_size() == 2);
  CHECK(spec.selection().include(1) == "re:a.*");
  CHECK(spec.selection().exclude(0) == "b");
  CHECK(spec.backend() == "reference");
  CHECK(parsed.engine.threads == 3);
  CHECK(parsed.engine.search == "exhaustive");
  CHECK(ToSpec(Parse("m --bits 2").options).profile() == v1::PROFILE_2BIT);
  CHECK(ToSpec(Parse("m --bits 3").options).profile() == v1::PROFILE_3BIT);
}

TEST_CASE("sizes are written as for the server") {
  const auto memory = [](const std::string& text) {
    const Parsed parsed = Parse("m --index-memory " + text);
    CHECK(parsed.error.empty());
    return parsed.engine.index_memory;
  };
  CHECK_FALSE(Parse("m").engine.index_memory.has_value());
  CHECK(memory("0") == 0);
  CHECK(memory("1048577") == 1048577);
  CHECK(memory("1MiB") == int64_t{1} << 20);
  CHECK(memory("512MiB") == int64_t{512} << 20);
  CHECK(memory("2GiB") == int64_t{2} << 30);
}

TEST_CASE("what was said of the engine is known, a 0 too") {
  CHECK(GivenOptions(Parse("m").engine).empty());
  CHECK(GivenOptions(Parse("m --threads 0").engine) == "--threads");
  CHECK(GivenOptions(Parse("m --index-memory 1GiB").engine) == "--index-memory");
  CHECK(GivenOptions(Parse("m --search auto --threads 2").engine) == "--threads, --search");
}

TEST_CASE("priority and labels become the job's") {
  const auto job_of = [](const std::string& line) {
    const Parsed parsed = Parse(line);
    CHECK(parsed.error.empty());
    v1::Job job;
    SetJobOptions(parsed.job, job);
    return job;
  };
  const v1::Job plain = job_of("m");
  CHECK(plain.priority() == 0);
  CHECK(plain.labels().empty());
  const v1::Job job = job_of("m --priority -7 --label run=a=b --label empty= --label run=c");
  CHECK(job.priority() == -7);
  CHECK(job.labels().size() == 2);
  CHECK(job.labels().at("run") == "c");
  CHECK(job.labels().at("empty").empty());
  CHECK(job_of("m --label run=a=b").labels().at("run") == "a=b");
  CHECK(GivenOption(Parse("m").job).empty());
  CHECK(GivenOption(Parse("m --priority 0").job) == "--priority");
  CHECK(GivenOption(Parse("m --label a=b").job) == "--label");
}

TEST_CASE("a pattern does not swallow the input that follows it") {
  const Parsed parsed = Parse("--include a model");
  REQUIRE(parsed.error.empty());
  CHECK(parsed.in == "model");
  CHECK(parsed.options.include == std::vector<std::string>{"a"});
}

TEST_CASE("nearest takes pow2 where no rule is given, and refuses fitted") {
  CHECK(ToSpec(Parse("m --fit nearest").options).scale() == v1::SCALE_POW2);
  const std::string error = Parse("m --fit nearest --scale fitted").error;
  CHECK(error.find("--fit nearest") != std::string::npos);
  CHECK(error.find("--scale pow2") != std::string::npos);
}

TEST_CASE("what is not known is refused by name") {
  CHECK(Parse("m --bits 5").error.find("--bits") != std::string::npos);
  CHECK(Parse("m --search best").error.find("--search") != std::string::npos);
  CHECK(Parse("m --fit best").error.find("--fit") != std::string::npos);
  CHECK(Parse("m --scale log").error.find("--scale") != std::string::npos);
  CHECK(Parse("m --threads -1").error.find("--threads") != std::string::npos);
  CHECK(Parse("m --threads many").error.find("--threads") != std::string::npos);
  CHECK(Parse("m --index-memory 512MB").error.find("--index-memory") != std::string::npos);
  CHECK(Parse("m --index-memory 2TiB").error.find("--index-memory") != std::string::npos);
  for (const char* unit_forgotten : {"10", "1048575", "1023KiB"}) {
    const std::string error = Parse(std::string("m --index-memory ") + unit_forgotten).error;
    CHECK(error.find("--index-memory: ") != std::string::npos);
    CHECK(error.find("; give 0, or such as 512MiB") != std::string::npos);
  }
  CHECK(Parse("m --index-memory -1").error.find("--index-memory") != std::string::npos);
  CHECK(Parse("m --priority 101").error.find("--priority") != std::string::npos);
  CHECK(Parse("m --label plain").error.find("'plain' is not KEY=VALUE") != std::string::npos);
  CHECK(Parse("m --label =v").error.find("--label") != std::string::npos);
  CHECK(Parse("m --colour red").error.find("--colour") != std::string::npos);
}

}  // namespace
}  // namespace seedlm::client
