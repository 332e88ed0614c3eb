// The index cache: what was written comes back, and what was damaged does not.
#include "kernels/search/index_cache.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "kernels/search/index_store.h"

namespace seedlm::search {
namespace {

namespace fs = std::filesystem;

constexpr Resolution kResolution{2, 0.6, 1000, 1000, 100};

using Coding = CellIndex::Coding;

// Lists are coded by how many seeds they are expected to have.
Resolution WithCoding(Coding coding) {
  Resolution resolution = kResolution;
  if (coding == Coding::kGaps) resolution.entries = 10'000;
  return resolution;
}
constexpr double kMargin = 1e-4;

// A directory of its own, removed at the end.
class CacheTest {
 protected:
  CacheTest() {
    std::string name = (fs::temp_directory_path() / "seedlm-index-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    directory_ = name;
  }
  ~CacheTest() { fs::remove_all(directory_); }

  std::string path() const { return (directory_ / "cells").string(); }

  void Fill(CellIndex& index) const {
    std::mt19937 bits(1);
    for (uint64_t key = 1; key <= 20; ++key) {
      std::vector<float> x;
      std::vector<uint32_t> seeds;
      for (uint32_t i = 0; i < 100; ++i) {
        x.push_back(static_cast<float>(bits() % 1000) / 4000);
        seeds.push_back(1 + 600 * i + bits() % 600);
      }
      index.Publish(index.Find(key), x, seeds);
    }
  }

  std::string Bytes() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& bytes) const {
    std::ofstream(path(), std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
  }

  fs::path directory_;
  MemoryBudget budget_{1 << 20};
};

TEST_CASE_METHOD(CacheTest, "lists come back as they were") {
  const Resolution resolution = WithCoding(GENERATE(Coding::kPlain, Coding::kGaps));
  CellIndex index(codec::k4bit, resolution, kMargin, budget_);
  REQUIRE(index.coding() == (resolution.dense() ? Coding::kGaps : Coding::kPlain));
  Fill(index);
  REQUIRE(SaveLists(index, path()).ok());
  CellIndex again(codec::k4bit, resolution, kMargin, budget_);
  REQUIRE(LoadLists(path(), again).ok());
  CHECK(again.lists() == 20);
  for (uint64_t key = 1; key <= 20; ++key) {
    const CellIndex::List& a = *index.list(index.Find(key));
    const CellIndex::List& b = *again.list(again.Find(key));
    CHECK(std::equal(a.begin, a.begin + CellIndex::kBins + 1, b.begin));
    REQUIRE(a.bytes == b.bytes);
    CHECK(std::equal(a.code, a.code + a.bytes, b.code));
  }
  MemoryBudget little(6000);  // room for a few
  CellIndex part(codec::k4bit, resolution, kMargin, little);
  CHECK(LoadLists(path(), part).ok());
  CHECK(part.lists() < 20);
  CHECK(part.lists() > 0);
}

TEST_CASE_METHOD(CacheTest, "a cache that is missing, cut or damaged is refused") {
  const Resolution resolution = WithCoding(GENERATE(Coding::kPlain, Coding::kGaps));
  CellIndex index(codec::k4bit, resolution, kMargin, budget_);
  Fill(index);
  CellIndex again(codec::k4bit, resolution, kMargin, budget_);
  CHECK(absl::IsNotFound(LoadLists(path(), again)));
  REQUIRE(SaveLists(index, path()).ok());
  const std::string good = Bytes();
  std::mt19937 bits(2);
  for (int trial = 0; trial < 300; ++trial) {
    std::string bad = good;
    if (trial % 2 == 0) {
      bad.resize(bits() % good.size());
    } else {
      bad[bits() % good.size()] ^= static_cast<char>(1 << bits() % 8);
    }
    Write(bad);
    CellIndex refused(codec::k4bit, resolution, kMargin, budget_);
    const absl::Status status = LoadLists(path(), refused);
    CHECK(absl::IsDataLoss(status));
    CHECK(std::string(status.message()).find(path()) != std::string::npos);
  }
  Write(good);
  CellIndex other(codec::k4bit, {3, 0.6, 1000, 1000, 100}, kMargin, budget_);
  const absl::Status version = LoadLists(path(), other);
  CHECK(std::string(version.message()).find("another version") != std::string::npos);
  CellIndex profile(codec::k4_5bit, resolution, kMargin, budget_);
  CHECK(absl::IsDataLoss(LoadLists(path(), profile)));
}

TEST_CASE_METHOD(CacheTest, "a directory that cannot be written is an error with a name") {
  CellIndex index(codec::k4bit, kResolution, kMargin, budget_);
  Fill(index);
  Write("a file, not a directory");
  const absl::Status status = SaveLists(index, path() + "/below/cells");
  CHECK(absl::IsUnavailable(status));
  CHECK(std::string(status.message()).find(path()) != std::string::npos);
}

TEST_CASE_METHOD(CacheTest, "a disk that is full leaves what was there, and no part") {
  CellIndex index(codec::k4bit, kResolution, kMargin, budget_);
  Fill(index);
  Write("before");
  std::signal(SIGXFSZ, SIG_IGN);  // the write fails instead
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit full{100, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &full) == 0);
  const absl::Status status = SaveLists(index, path());
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(absl::IsUnavailable(status));
  CHECK(Bytes() == "before");
  CHECK(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()) == 1);
}

TEST_CASE_METHOD(CacheTest, "parts that a killed process left go after a while, others' stay") {
  CellIndex index(codec::k4bit, kResolution, kMargin, budget_);
  Fill(index);
  const std::string old_part = path() + ".1-7.part", new_part = path() + ".1-8.part";
  const std::string of_another = path() + "-3.1-7.part";
  for (const std::string& part : {old_part, new_part, of_another}) std::ofstream(part) << "x";
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(2);
  for (const std::string& part : {old_part, of_another}) fs::last_write_time(part, long_ago);
  REQUIRE(SaveLists(index, path()).ok());
  CHECK_FALSE(fs::exists(old_part));
  CHECK(fs::exists(new_part));
  CHECK(fs::exists(of_another));
}

TEST_CASE_METHOD(CacheTest, "saving that is stopped leaves what was there, and no part") {
  CellIndex index(codec::k4bit, kResolution, kMargin, budget_);
  Fill(index);
  Write("before");
  std::stop_source stop;
  stop.request_stop();
  const absl::Status status = SaveLists(index, path(), stop.get_token());
  CHECK(absl::IsCancelled(status));
  CHECK(std::string(status.message()).find(path()) != std::string::npos);
  CHECK(Bytes() == "before");
  CHECK(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()) == 1);
}

TEST_CASE_METHOD(CacheTest, "two processes that share a cache see one or the other") {
  CellIndex index(codec::k4bit, kResolution, kMargin, budget_);
  Fill(index);
  REQUIRE(SaveLists(index, path()).ok());
  // Two that write: their parts are not one file, though the process is.
  const auto write = [&] {
    for (int i = 0; i < 50; ++i) {
      if (!SaveLists(index, path()).ok()) std::abort();
    }
  };
  const std::jthread one(write), other(write);
  for (int i = 0; i < 50; ++i) {
    CellIndex again(codec::k4bit, kResolution, kMargin, budget_);
    CHECK(LoadLists(path(), again).ok());
  }
}

TEST_CASE_METHOD(CacheTest, "a store warns once of a damaged cache and replaces it") {
  const std::string cache = (directory_ / "deep" / "cache").string();
  {
    IndexStore store(1 << 20, cache);
    Fill(store.At(codec::k4bit, 0));
    CHECK(store.TakeWarning().empty());
    REQUIRE(store.Save().ok());
  }
  const fs::path file = fs::path(cache) / "cells-4bit-2";
  REQUIRE(fs::exists(file));
  {
    IndexStore store(1 << 20, cache);
    CHECK(store.At(codec::k4bit, 0).lists() == 20);
    fs::resize_file(file, fs::file_size(file) - 1);  // when all lists have been read
    IndexStore other(1 << 20, cache);
    CHECK(other.At(codec::k4bit, 0).lists() == 0);
    CHECK(other.memory_left() == 1 << 20);
    CHECK(other.TakeWarning().find("damaged") != std::string::npos);
    CHECK(other.TakeWarning().empty());
    Fill(other.At(codec::k4bit, 0));
    CHECK(other.Save().ok());
  }
  for (const auto place : {fs::file_size(file) / 2, fs::file_size(file) - 1}) {
    const std::string path = file.string();
    std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto flip = [&] {
      bytes.seekg(static_cast<std::streamoff>(place));
      const char byte = static_cast<char>(bytes.get() ^ 4);
      bytes.seekp(static_cast<std::streamoff>(place));
      bytes.put(byte).flush();
    };
    flip();
    IndexStore spoilt(1 << 20, cache);
    CHECK(spoilt.At(codec::k4bit, 0).lists() == 0);
    CHECK(spoilt.TakeWarning().find(path) != std::string::npos);
    flip();
  }
  IndexStore store(1 << 20, cache);
  CHECK(store.At(codec::k4bit, 0).lists() == 20);
  CHECK(store.TakeWarning().empty());
}

}  // namespace
}  // namespace seedlm::search
