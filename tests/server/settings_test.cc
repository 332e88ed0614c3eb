// server/setting, server/settings, server/config_file.
#include "server/settings.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace seedlm::server {
namespace {

using std::chrono::milliseconds;

// What ApplyConfig says of `toml`; "" if it takes it.
std::string Refusal(const std::string& toml) {
  ServerOptions options;
  const absl::Status status = ApplyConfig(toml, "seedlm.toml", options);
  if (!status.ok()) CHECK(absl::IsInvalidArgument(status));
  return std::string(status.message());
}

std::string FlagRefusal(const std::string& name, const std::string& text) {
  ServerOptions options;
  return std::string(AssignFlag(*FindSetting(name), {text}, options).message());
}

// A setting of each type, and more, away from their defaults.
ServerOptions Unusual() {
  ServerOptions options;
  const absl::Status status = ApplyConfig(R"(
listen = ["127.0.0.1:1", "unix:/run/a \"b\"\\c.sock"]
insecure = true
watch-keep-alive = "20s"
data-dir = "/srv/größer"
storage-root = ['/a # b', '/c']
threads = 7
backend = "cpu"
index-memory = 1048577
index-cache = "/var/cache"
max-jobs = 12
drain-grace = "250ms"
metrics = "127.0.0.1:9464"
log-format = "json"
log-level = "debug"
)",
                                          "unusual", options);
  INFO(std::string(status.message()));
  REQUIRE(status.ok());
  return options;
}

TEST_CASE("the rows of the table are whole and of different names") {
  std::set<std::string> names;
  for (const Setting& setting : Settings()) {
    INFO(setting.name);
    CHECK(names.insert(setting.name).second);
    CHECK(FindSetting(setting.name) == &setting);
    CHECK_FALSE(setting.group.empty());
    CHECK_FALSE(setting.help.empty());
    CHECK(setting.help.back() != '.');
    CHECK(setting.type->Check(ServerOptions()).ok());  // a default is allowed
  }
  CHECK(FindSetting("threats") == nullptr);
}

TEST_CASE("server/SETTINGS.md is printed from the table") {
  std::ifstream file(SEEDLM_TEST_DATA "/../server/SETTINGS.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  INFO("renew it: seedlm-server --print-settings > server/SETTINGS.md");
  CHECK(text == PrintSettings());
}

TEST_CASE("a file sets every setting, and what it leaves out stays") {
  const ServerOptions options = Unusual();
  CHECK(options.listen == std::vector<std::string>{"127.0.0.1:1", "unix:/run/a \"b\"\\c.sock"});
  CHECK(options.insecure);
  CHECK(options.watch_keep_alive == milliseconds(20'000));
  CHECK(options.data_dir == "/srv/größer");
  CHECK(options.storage_roots == std::vector<std::string>{"/a # b", "/c"});
  CHECK(options.threads == 7);
  CHECK(options.index_memory == 1048577);
  CHECK(options.max_active_jobs == 12);
  CHECK(options.drain_grace == milliseconds(250));
  CHECK(options.metrics == "127.0.0.1:9464");
  CHECK(options.log_format == "json");
  CHECK(options.log_level == "debug");

  ServerOptions other = options;
  REQUIRE(ApplyConfig("threads = 0\nindex-memory = \"2 MiB\"", "f", other).ok());
  CHECK(other.threads == 0);
  CHECK(other.index_memory == 2 << 20);
  CHECK(other.max_active_jobs == 12);
}

TEST_CASE("what --print-config prints is the configuration again") {
  for (const ServerOptions& options : {ServerOptions(), DefaultOptions(), Unusual()}) {
    const std::string printed = PrintConfig(options);
    INFO(printed);
    ServerOptions again = DefaultOptions();
    CHECK(ApplyConfig(printed, "printed", again).ok());
    CHECK(PrintConfig(again) == printed);
    for (const Setting& setting : Settings()) {
      CHECK(printed.find(setting.name + " = ") != std::string::npos);
      CHECK(setting.type->Show(again) == setting.type->Show(options));
    }
  }
}

TEST_CASE("what is wrong in a file is told with its line and what is allowed") {
  struct Case {
    std::string toml, refusal;
  };
  for (
      const Case& c : {
          Case{"\n\nmax-job = 1",
               "seedlm.toml:3: \"max-job\" is no setting: do you mean max-jobs?"},
          Case{"telescope = 1",
               "seedlm.toml:1: \"telescope\" is no setting: seedlm-server --print-config lists "
               "them"},
          Case{"# a\nthreads = \"4\"",
               "seedlm.toml:2: threads: is a text, and must be an integer, 0 .. 4096 threads"},
          Case{"threads = 4097", "seedlm.toml:1: threads: 4097 is outside 0 .. 4096 threads"},
          Case{"threads = -1", "seedlm.toml:1: threads: -1 is outside 0 .. 4096 threads"},
          Case{"max-jobs = 0", "seedlm.toml:1: max-jobs: 0 is outside 1 .. 1000000 jobs"},
          Case{"insecure = 1", "seedlm.toml:1: insecure: is an integer, and must be true or false"},
          Case{"drain-grace = 2",
               "seedlm.toml:1: drain-grace: is an integer, and must be a duration such as \"15s\""},
          Case{"drain-grace = \"6min\"", "seedlm.toml:1: drain-grace: 6min is outside 0s .. 5min"},
          Case{"index-memory = \"2TiB\"",
               "seedlm.toml:1: index-memory: 2TiB is outside 0, 1MiB .. 1TiB"},
          Case{
              "index-memory = 10",
              "seedlm.toml:1: index-memory: 10 is outside 0, 1MiB .. 1TiB: without a unit a number "
              "is of bytes; write such as \"512MiB\""},
          Case{
              "log-level = \"loud\"",
              "seedlm.toml:1: log-level: \"loud\" is none of trace | debug | info | warn | error | "
              "off"},
          Case{"listen = \"127.0.0.1:1\"",
               "seedlm.toml:1: listen: is a text, and must be a list of texts"},
          Case{"listen = [1]", "seedlm.toml:1: listen: has something in it that is no text"},
          Case{"storage-root = [\"\"]", "seedlm.toml:1: storage-root: has an empty text in it"},
          Case{"data-dir = \"a\\nb\"", "seedlm.toml:1: data-dir: has a control character in it"},
          Case{"[threads]\nx = 1",
               "seedlm.toml:1: threads: is a table, and settings are not grouped in tables"},
          Case{"threads = 1.5",
               "seedlm.toml:1: threads: is neither an integer, a text, true, false nor a list of "
               "texts"},
          // The first line, not the first in the alphabet.
          Case{"zzz = 1\naaa = 1",
               "seedlm.toml:1: \"zzz\" is no setting: seedlm-server --print-config lists them"},
      }) {
    CHECK(Refusal(c.toml) == c.refusal);
  }
  CHECK(Refusal("threads = 1\nthreads = 2").starts_with("seedlm.toml:2: "));
  CHECK(Refusal("threads = ").starts_with("seedlm.toml:1: "));
  CHECK(Refusal("a = " + std::string(100'000, '[')).starts_with("seedlm.toml:1: "));
}

TEST_CASE("what is wrong in a flag is told with its name and what is allowed") {
  CHECK(FlagRefusal("threads", "many") == "--threads many: is no integer of 0 .. 4096 threads");
  CHECK(FlagRefusal("threads", "-1") == "--threads -1: -1 is outside 0 .. 4096 threads");
  CHECK(FlagRefusal("index-memory", "5MB").starts_with("--index-memory 5MB: \"5MB\" is no size"));
  CHECK(FlagRefusal("drain-grace", "-5s").starts_with("--drain-grace -5s: \"-5s\" is no duration"));
  CHECK(FlagRefusal("insecure", "maybe") == "--insecure maybe: is neither true nor false");
  CHECK(FlagRefusal("threads", "4").empty());
  CHECK(FlagRefusal("watch-keep-alive", "30s").empty());
  CHECK_FALSE(FlagRefusal("watch-keep-alive", "31s").empty());  // clients give up after 45 s
  CHECK(FlagRefusal("index-cache", "").empty());
}

TEST_CASE("sizes and durations are read and shown in their units") {
  for (const auto& [text, bytes] : {std::pair<const char*, int64_t>{"0", 0},
                                    {"1", 1},
                                    {"1025", 1025},
                                    {"1KiB", 1024},
                                    {"3MiB", 3 << 20},
                                    {"8388607TiB", int64_t{8388607} << 40}}) {
    INFO(text);
    CHECK(ParseSize(text).value() == bytes);
    CHECK(ShowSize(bytes) == text);
  }
  for (const auto& [text, count] : {std::pair<const char*, int64_t>{"0s", 0},
                                    {"1ms", 1},
                                    {"1500ms", 1500},
                                    {"15s", 15'000},
                                    {"5min", 300'000},
                                    {"2h", 7'200'000},
                                    {"30d", 2'592'000'000}}) {
    INFO(text);
    CHECK(ParseDuration(text).value() == milliseconds(count));
    CHECK(ShowDuration(milliseconds(count)) == text);
  }
  for (const char* text :
       {"", "KiB", "-1", "1.5GiB", "1 kb", "8388608TiB", "9223372036854775808"}) {
    INFO(text);
    CHECK_FALSE(ParseSize(text).ok());
  }
  for (const char* text : {"", "5", "s", "1m", "-1s", "106751991168d"}) {
    INFO(text);
    CHECK_FALSE(ParseDuration(text).ok());
  }
}

TEST_CASE("a file that cannot be read is refused by its name") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("seedlm-settings-test-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  ServerOptions options;
  const absl::Status missing =
      ApplyAllOfConfigFile((folder / "missing.toml").string(), options).status();
  CHECK(absl::IsNotFound(missing));
  CHECK(std::string(missing.message()).find("missing.toml") != std::string::npos);
  CHECK_FALSE(ApplyAllOfConfigFile(folder.string(), options).ok());  // a directory

  const std::filesystem::path large = folder / "large.toml";
  std::ofstream(large) << std::string((1 << 20) + 1, '#');
  const absl::Status refused = ApplyAllOfConfigFile(large.string(), options).status();
  CHECK(std::string(refused.message()).find("larger than 1MiB") != std::string::npos);
  std::filesystem::resize_file(large, 1 << 20);
  CHECK(ApplyAllOfConfigFile(large.string(), options)->empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace seedlm::server
