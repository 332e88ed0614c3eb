// Declares commands and their options. CLI11 does the parsing and is seen by command.cc and
// command_line.cc alone: its header takes ten seconds of every file that includes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/interrupt.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace seedlm::client {

// What the command line chose. An error is printed as one line and becomes the exit code; an
// interrupt becomes kInterrupted.
using Action = std::function<absl::StatusOr<ExitCode>(const Interrupt& interrupt)>;

// One option or positional argument. What does not meet a condition is a parse error that names it.
class Option {
 public:
  explicit Option(CLI::Option& option) : option_(&option) {}

  Option Required();
  Option OneOf(std::vector<std::string> values);  // in any case; the value becomes the one listed
  Option Range(int64_t least, int64_t most);
  Option NotNegative();
  // 0, or `least` to `most`, also as "512MiB": powers of two by their own names.
  Option Bytes(int64_t least, int64_t most);
  // `problem` says what is wrong with a value; "" if nothing is.
  Option Check(std::function<std::string(const std::string& value)> problem);
  Option Needs(const Option& other);
  Option OneValueEach();                            // a list is given as --include A --include B
  Option Environment(const std::string& variable);  // stands in where the option is not given
  Option Default(const std::string& text);          // shown by --help
  Option ValueName(const std::string& name);        // the same
  Option Group(const std::string& name);            // the same

 private:
  CLI::Option* option_;
};

// A command, or the program itself, within a CLI::App that outlives this.
class Command {
 public:
  // `chosen` takes the action of the command that was given.
  Command(CLI::App& app, Action& chosen) : app_(&app), chosen_(&chosen) {}

  Command Subcommand(const std::string& name, const std::string& description);
  void RequireSubcommand();

  // `names`: "--json", "-o,--output", or "IN" for a positional argument. REQUIRES: `value` outlives
  // the parsing. Value: std::string, std::vector<std::string>, int, double, or
  // std::optional of std::string, int or int64_t.
  template <typename Value>
  Option Add(const std::string& names, Value& value, const std::string& description);
  Option AddFlag(const std::string& names, bool& value, const std::string& description);

  // Shown by --help below the options, in front of the exit codes. A paragraph with its line's end.
  void Note(const std::string& text);

  // Runs when all options are parsed; a text that is not empty is a parse error about `option`.
  void CheckAll(const std::string& option, std::function<std::string()> problem);

  void Runs(Action action);

 private:
  CLI::App* app_;
  Action* chosen_;
};

}  // namespace seedlm::client
