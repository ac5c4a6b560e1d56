// SPDX-License-Identifier: MIT
/// Threads with one caller: started, watched, stopped, and their first error kept.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/node/options.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer {

/// Options of a group of nodes in one process.
struct GroupOptions {
  explicit GroupOptions(std::size_t nodes = 1) : nodes_(nodes) {}

  /// How many nodes, >= 1.
  TORCH_ARG(std::size_t, nodes);
  /// Options of each node.
  TORCH_ARG(NodeOptions, node) = {};
  /// Messages that a node's mailbox holds; 0: as many as a synchronous rule needs, at least 16.
  TORCH_ARG(std::size_t, mailbox_capacity) = 0;
  /// LibTorch's own threads per node.
  TORCH_ARG(int, threads_per_node) = 1;
  /// Asked at the start and every `tick`, in the thread that called `run`; true stops the group.
  /// `Signals` (node/signals.hpp) makes one of Ctrl+C.
  TORCH_ARG(std::function<bool()>, stop_when) = nullptr;
  /// Called every `tick` while the group runs, in the thread that called `run`.
  TORCH_ARG(std::function<void()>, on_tick) = nullptr;
  /// > 0.
  TORCH_ARG(std::chrono::milliseconds, tick) = std::chrono::milliseconds(200);

 public:
  /// Adds one to those of `NodeOptions`.
  GroupOptions& callback(std::shared_ptr<observe::Callback> one) {
    node_.callback(std::move(one));
    return *this;
  }
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (nodes_ == 0) throw ConfigError("GroupOptions: nodes must be at least 1, got 0");
    if (threads_per_node_ < 1) {
      throw ConfigError(
          c10::str("GroupOptions: threads_per_node must be at least 1, got ", threads_per_node_));
    }
    if (tick_.count() <= 0) {
      throw ConfigError(
          c10::str("GroupOptions: tick must be positive, got ", tick_.count(), " ms"));
    }
  }
};

/// Runs work in threads, one per node, and watches over them in the caller's thread.
class Workers {
 public:
  /// How a run ended.
  struct End {
    std::exception_ptr error;  ///< of the first worker that threw
    std::size_t failed = 0;    ///< its number
  };

  explicit Workers(const GroupOptions& options) : options_((options.check(), options)) {}

  /// Runs `work(i)` in a thread for each node i, and returns when all are done. If one throws,
  /// `on_failure(i, exception)` is called in its thread. `stop()` is called once, in the caller's
  /// thread, when `stop_when` says so; it must make all work end soon.
  End run(const std::function<void(std::size_t)>& work,
          const std::function<void(std::size_t, const std::exception&)>& on_failure,
          const std::function<void()>& stop) {
    End end;
    Running running;
    running.count = options_.nodes();
    const auto failed = [&](std::size_t i, const std::exception& error) {
      {
        const std::lock_guard lock(running.mutex);
        if (!end.error) end = {std::current_exception(), i};
      }
      on_failure(i, error);
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < options_.nodes(); ++i) {
      threads.emplace_back([&, i] {
        at::set_num_threads(options_.threads_per_node());
        try {
          work(i);
        } catch (const std::exception& error) {
          failed(i, error);
        } catch (...) {
          failed(i, std::runtime_error("something that is not a std::exception"));
        }
        const std::lock_guard lock(running.mutex);
        if (--running.count == 0) running.ended.notify_all();
      });
    }
    std::exception_ptr error;  // one from the caller's functions must not leave threads behind
    try {
      watch(running, stop);
    } catch (...) {
      error = std::current_exception();
      stop();
    }
    for (auto& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
    return end;
  }

 private:
  struct Running {
    std::mutex mutex;
    std::condition_variable ended;
    std::size_t count = 0;
  };

  /// Waits for the end of all work, and ticks meanwhile.
  void watch(Running& running, const std::function<void()>& stop) {
    using Clock = std::chrono::steady_clock;
    auto next = Clock::now() + options_.tick();
    bool stopped = false;
    while (true) {
      if (!stopped && options_.stop_when() && options_.stop_when()()) {
        stopped = true;
        stop();
      }
      {
        std::unique_lock lock(running.mutex);
        if (running.ended.wait_until(lock, next, [&] { return running.count == 0; })) return;
      }
      if (options_.on_tick()) options_.on_tick()();
      next = std::max(next + options_.tick(), Clock::now());
    }
  }

  GroupOptions options_;
};

/// Throws NodeError "node N: text of the original", with the original nested in it.
[[noreturn]] inline void rethrow_as_node_error(std::size_t node, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& original) {
    std::throw_with_nested(NodeError(node, original.what()));
  } catch (...) {
    std::throw_with_nested(NodeError(node, "something that is not a std::exception"));
  }
}

}  // namespace gossamer
