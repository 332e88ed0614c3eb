#include <catch2/catch.hpp>

#include "kernels/format/hidden_name.h"

namespace seedlm::format {
namespace {

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

TEST_CASE("hidden names lie beside the output and are known again") {
  CHECK(TemporaryNameBeside("/a/b", "0123456789abcdef01") == "/a/.seedlm-0123456789abcdef.tmp");
  CHECK(PartialNameBeside("/a/out", "1f") == "/a/.out.1f.seedlm-partial");
  CHECK(PartialNameBeside("/out", "1f") == "/.out.1f.seedlm-partial");
  CHECK(PartialNameBeside("out", "1f") == "./.out.1f.seedlm-partial");
  const std::string random = TemporaryNameBeside("/a/b");
  CHECK(random != TemporaryNameBeside("/a/b"));
  CHECK(IsTemporaryName(NameOf(random)));
  CHECK(IsPartialName(".out.1f.seedlm-partial"));
}

TEST_CASE("other names are not taken for hidden ones") {
  for (const char* name :
       {"", "out", ".seedlm-0123.tmp", "seedlm-0123456789abcdef.tmp",
        ".seedlm-0123456789abcdeg.tmp", ".seedlm-0123456789abcdef.tmp.safetensors",
        "out.seedlm-partial", ".seedlm-partial", ".out.1f.seedlm-partial2"}) {
    CAPTURE(name);
    CHECK_FALSE(IsTemporaryName(name));
    CHECK_FALSE(IsPartialName(name));
  }
}

}  // namespace
}  // namespace seedlm::format
