// The hidden names under which outputs are built, in the directory where they will be, so that a
// rename finishes them.
#pragma once

#include <string>
#include <string_view>

namespace seedlm::format {

// ".seedlm-HEX.tmp", 16 hex digits: random, to be created with O_EXCL; or those of `digits`.
std::string TemporaryNameBeside(const std::string& path);
std::string TemporaryNameBeside(const std::string& path, std::string_view digits);

// ".NAME.ID.seedlm-partial": where the job `id` builds `path`, and finds its work again.
std::string PartialNameBeside(const std::string& path, std::string_view id);

// Whether the last component of a path is one of these.
bool IsTemporaryName(std::string_view name);
bool IsPartialName(std::string_view name);

}  // namespace seedlm::format
