// A directory for one test.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "client/temporary_directory.h"

namespace seedlm::client {

class ScratchDirectory {
 public:
  ScratchDirectory()
      : directory_(*TemporaryDirectory::Create(TemporaryDirectory::SystemParent(), "test")) {}

  const std::string& path() const { return directory_.path(); }
  std::string operator/(const std::string& name) const { return path() + "/" + name; }

  std::string Write(const std::string& name, const std::string& content) const {
    const std::string full = *this / name;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full, std::ios::binary) << content;
    return full;
  }

 private:
  TemporaryDirectory directory_;
};

inline std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace seedlm::client
