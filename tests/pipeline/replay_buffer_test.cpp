// SPDX-License-Identifier: MIT
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/replay_buffer.hpp>

#include <tests/support.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

using gossamer::pipeline::ReplayBuffer;

TEST_CASE("A replay buffer gives the newest of those that were used least", "[pipeline]") {
  ReplayBuffer<int> buffer(3);
  CHECK_FALSE(buffer.try_take());
  for (const int batch : {1, 2, 3}) buffer.put(batch);
  for (const int batch : {3, 2, 1, 3, 2}) CHECK(buffer.try_take() == batch);
  buffer.put(4);  // in the place of 1
  for (const int batch : {4, 4, 4, 3}) CHECK(buffer.try_take() == batch);
  CHECK(buffer.size() == 3);
}

TEST_CASE("A full replay buffer writes over its oldest batch, and the newest stays the newest",
          "[pipeline]") {
  const std::size_t capacity = GENERATE(1U, 2U, 7U);
  ReplayBuffer<int> buffer(capacity);
  for (int batch = 0; batch < 30; ++batch) {
    buffer.put(batch);
    CHECK(buffer.try_take() == batch);
  }
  CHECK(buffer.written() == 30);
  CHECK(buffer.unused() == 0);
  for (int batch = 0; batch < 10; ++batch) buffer.put(batch);
  CHECK(buffer.unused() == 10 - capacity);
}

TEST_CASE("No batch is used more often than is allowed", "[pipeline]") {
  ReplayBuffer<int> buffer(2, /*max_reuse=*/2);
  buffer.put(1);
  buffer.put(2);
  for (const int batch : {2, 1, 2, 1}) CHECK(buffer.try_take() == batch);
  CHECK_FALSE(buffer.try_take());
  buffer.put(3);
  CHECK(buffer.try_take() == 3);
  buffer.close();
  CHECK(buffer.take() == 3);  // what is left
  CHECK_FALSE(buffer.take());
}

/// What `priority_lifo` says, looked up in a list of all batches.
TEST_CASE("A replay buffer does what its definition says, whatever the order", "[pipeline]") {
  const std::uint64_t max_reuse = GENERATE(0U, 1U, 3U);
  gossamer::Generator random(tests::seed, 5000);
  ReplayBuffer<int> buffer(5, max_reuse);
  std::vector<std::uint64_t> uses;  // of all batches
  for (int i = 0; i < 2000; ++i) {
    if (random.below(3) == 0) {
      buffer.put(static_cast<int>(uses.size()));
      uses.push_back(0);
      continue;
    }
    std::optional<int> expected;
    const std::size_t first = uses.size() < 5 ? 0 : uses.size() - 5;
    for (std::size_t k = first; k < uses.size(); ++k) {
      if (max_reuse > 0 && uses[k] >= max_reuse) continue;
      if (!expected || uses[k] <= uses[static_cast<std::size_t>(*expected)]) {
        expected = static_cast<int>(k);
      }
    }
    CHECK(buffer.try_take() == expected);
    if (expected) ++uses[static_cast<std::size_t>(*expected)];
  }
}

TEST_CASE("Writers and readers share a replay buffer, and readers wait for what comes",
          "[pipeline][threads]") {
  constexpr int batches = 2000;
  ReplayBuffer<int> buffer(16, /*max_reuse=*/3);
  std::map<int, std::uint64_t> uses;
  std::mutex mutex;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (const auto batch = buffer.take()) {
        const std::lock_guard lock(mutex);
        ++uses[*batch];
      }
    });
  }
  std::vector<std::thread> writers;
  for (int i = 0; i < 2; ++i) {
    writers.emplace_back([&buffer, i] {
      for (int batch = i; batch < batches; batch += 2) buffer.put(batch);
    });
  }
  for (std::thread& writer : writers) writer.join();
  buffer.close();
  for (std::thread& reader : readers) reader.join();
  CHECK(buffer.written() == batches);
  CHECK(uses.size() == batches - buffer.unused());
  std::size_t all = 0;
  for (const auto& [batch, times] : uses) all += times <= 3 ? 1 : 0;
  CHECK(all == uses.size());
  CHECK_FALSE(buffer.try_take());
}

TEST_CASE("Closing wakes whoever waits for a batch", "[pipeline][threads]") {
  ReplayBuffer<int> buffer(4);
  std::atomic<bool> has_ended = false;
  std::thread reader([&] { has_ended = !buffer.take().has_value(); });
  buffer.close();
  reader.join();
  CHECK(has_ended);
}

TEST_CASE("A replay buffer without room is refused", "[pipeline]") {
  CHECK(tests::message_of<gossamer::ConfigError>([] { ReplayBuffer<int>(0); }) ==
        "ReplayBuffer: capacity must be at least 1, got 0");
}
