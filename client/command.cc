#include "client/command.h"

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <utility>

namespace seedlm::client {
namespace {

// As the server's settings: MB is none of them.
const std::map<std::string, int64_t> kSizes{
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", int64_t{1} << 40}};

}  // namespace

Option Option::Required() {
  option_->required();
  return *this;
}

Option Option::OneOf(std::vector<std::string> values) {
  option_->transform(CLI::IsMember(std::move(values), CLI::ignore_case));
  return *this;
}

Option Option::Range(int64_t least, int64_t most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::NotNegative() {
  option_->check([](const std::string& text) {
    double number = 0;
    const bool fits = CLI::detail::lexical_cast(text, number) && number >= 0;
    return fits ? "" : "'" + text + "' is no number from 0 on";
  });
  return *this;
}

Option Option::Bytes(int64_t least, int64_t most) {
  const CLI::AsNumberWithUnit parse(kSizes);
  const auto to_number = [parse](std::string& text) {
    const std::string given = text;
    try {
      if (parse(text).empty()) return std::string();
    } catch (const CLI::ValidationError&) {  // its text shows the unit in small letters
    }
    return "'" + given + "' is no size; give bytes, or such as 512MiB";
  };
  option_->type_name("BYTES")
      ->transform(CLI::Validator(to_number, "KiB, MiB, GiB, TiB"))
      ->check(CLI::Range(int64_t{0}, most))
      ->check([least](const std::string& text) {
        int64_t bytes = 0;
        const bool fits = CLI::detail::lexical_cast(text, bytes) && (bytes == 0 || bytes >= least);
        return fits ? std::string()
                    : text + " bytes are too few, and a number without a unit is of bytes; give " +
                          "0, or such as 512MiB";
      });
  return *this;
}

Option Option::Check(std::function<std::string(const std::string&)> problem) {
  option_->check(std::move(problem));
  return *this;
}

Option Option::Needs(const Option& other) {
  option_->needs(other.option_);
  return *this;
}

Option Option::OneValueEach() {
  option_->allow_extra_args(false);
  return *this;
}

Option Option::Environment(const std::string& variable) {
  option_->envname(variable);
  return *this;
}

Option Option::Default(const std::string& text) {
  option_->default_str(text);
  return *this;
}

Option Option::ValueName(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Option Option::Group(const std::string& name) {
  option_->group(name);
  return *this;
}

Command Command::Subcommand(const std::string& name, const std::string& description) {
  return {*app_->add_subcommand(name, description), *chosen_};
}

void Command::RequireSubcommand() { app_->require_subcommand(1); }

template <typename Value>
Option Command::Add(const std::string& names, Value& value, const std::string& description) {
  return Option(*app_->add_option(names, value, description));
}

template Option Command::Add(const std::string&, std::string&, const std::string&);
template Option Command::Add(const std::string&, int&, const std::string&);
template Option Command::Add(const std::string&, std::vector<std::string>&, const std::string&);
template Option Command::Add(const std::string&, std::optional<std::string>&, const std::string&);
template Option Command::Add(const std::string&, std::optional<int>&, const std::string&);
template Option Command::Add(const std::string&, std::optional<int64_t>&, const std::string&);
template Option Command::Add(const std::string&, double&, const std::string&);

Option Command::AddFlag(const std::string& names, bool& value, const std::string& description) {
  return Option(*app_->add_flag(names, value, description));
}

void Command::Note(const std::string& text) { app_->footer(text + "\n" + app_->get_footer()); }

void Command::CheckAll(const std::string& option, std::function<std::string()> problem) {
  app_->parse_complete_callback([option, problem = std::move(problem)] {
    if (const std::string text = problem(); !text.empty()) {
      throw CLI::ValidationError(option, text);
    }
  });
}

void Command::Runs(Action action) {
  app_->callback([chosen = chosen_, action = std::move(action)] { *chosen = action; });
}

}  // namespace seedlm::client
