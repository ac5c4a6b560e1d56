// SPDX-License-Identifier: MIT
/// Several processes of a test, as threads.
#pragma once

#include <tests/support.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace tests {

/// Runs `work(i)` in a thread each; none may throw.
template <class Work>
void side_by_side(std::size_t count, Work work) {
  std::vector<std::thread> threads;
  std::vector<std::string> errors(count);
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& error : errors) CHECK(error == "");
}

}  // namespace tests
