#include "client/leftovers.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "kernels/format/atomic_file.h"
#include "tests/client/scratch_directory.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

TEST_CASE("hidden outputs are told from other names") {
  CHECK(HiddenOutput("/a/.seedlm-0123456789abcdef.tmp") == "/a/.seedlm-0123456789abcdef.tmp");
  CHECK(HiddenOutput("/a/.out.1f.seedlm-partial/b/c") == "/a/.out.1f.seedlm-partial");
  for (const char* path : {"/a/b", "/a/.seedlm-0123.tmp", "/a/seedlm-0123456789abcdef.tmp", "",
                           "/a/out.seedlm-partial", "/a/.seedlm-0123456789abcdeg.tmp"}) {
    CAPTURE(path);
    CHECK(HiddenOutput(path).empty());
  }
}

TEST_CASE("what is being written is removed, what is only read stays") {
  const ScratchDirectory scratch;
  const std::string partial = scratch.Write(".out.1.seedlm-partial/old", "x");
  const std::ifstream reading(partial);
  const auto file = format::AtomicFile::Create(scratch / "new", 10, format::IfExists::kFail);
  REQUIRE(file.ok());
  RegisterOpenOutputs();
  // The scratch directory is registered itself: it must outlive this.
  ForgetLeftover(scratch.path());
  CHECK(RemoveLeftovers().empty());
  CHECK(fs::exists(partial));
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);
  RegisterLeftover(scratch / ".out.1.seedlm-partial");
  CHECK(RemoveLeftovers().empty());
  CHECK(fs::is_empty(scratch.path()));
}

}  // namespace
}  // namespace seedlm::client
