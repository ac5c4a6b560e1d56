// SPDX-License-Identifier: MIT
/// What every test includes: LibTorch's tensors and logging first (else a failed CHECK is glog's,
/// and aborts the run), then Catch2, of whichever major version is there.
#pragma once

#include <c10/util/Logging.h>
#include <torch/types.h>

#ifdef CHECK
#undef CHECK
#endif

#ifdef GOSSAMER_CATCH2_V2
#include <catch2/catch.hpp>
#else
#include <catch2/catch_all.hpp>
#endif

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace tests {

// What the two versions of Catch2 have in different places.
#ifdef GOSSAMER_CATCH2_V2
using Catch::Detail::Approx;
inline auto contains(const std::string& part) { return Catch::Matchers::Contains(part); }
#else
using Catch::Approx;
inline auto contains(const std::string& part) { return Catch::Matchers::ContainsSubstring(part); }
#endif

/// The one seed that feeds every generator of the tests.
inline constexpr std::uint64_t seed = 20170318;

/// Sums of weights are 1 within this.
inline constexpr double weight_tolerance = 1e-9;

/// A folder of the test's own, gone when the test is over.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gossamer-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The text of the exception that `f` throws; fails the test if it throws none.
template <class Exception, class Function>
std::string message_of(Function f) {
  try {
    f();
  } catch (const Exception& error) {
    return error.what();
  }
  FAIL("expected an exception, got none");
  return {};
}

}  // namespace tests
