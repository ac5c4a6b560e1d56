// SPDX-License-Identifier: MIT
/// Threads with one caller: started, watched, interrupted by signals, and their first error kept.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/node/options.hpp>

#include <ATen/Parallel.h>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
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
  /// Whether SIGINT and SIGTERM stop the group; a second signal then ends the process.
  TORCH_ARG(bool, stop_on_signals) = false;
  /// Called every `tick` while the group runs, in the thread that called `run`.
  TORCH_ARG(std::function<void()>, on_tick) = nullptr;
  /// > 0.
  TORCH_ARG(std::chrono::milliseconds, tick) = std::chrono::milliseconds(200);

 public:
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
/// Signals are caught for as long as the object lives; one that comes between two runs ends the
/// next run at once.
class Workers {
 public:
  /// How a run ended.
  struct End {
    std::exception_ptr error;  ///< of the first worker that threw
    std::size_t failed = 0;    ///< its number
  };

  explicit Workers(const GroupOptions& options) : options_((options.check(), options)) {
    if (!options_.stop_on_signals()) return;
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
    signals_.async_wait([this](const std::error_code& error, int number) {
      if (error) return;
      signal_ = number;
      signals_.clear();  // the next one has its usual effect
    });
  }

  /// The signal that was caught (SIGINT, SIGTERM), or 0.
  [[nodiscard]] int signal() const noexcept { return signal_; }

  /// Runs `work(i)` in a thread for each node i, and returns when all are done. If one throws,
  /// `on_failure(i, exception)` is called in its thread. `stop()` is called, in the caller's
  /// thread, after a signal; it must make all work end soon.
  End run(const std::function<void(std::size_t)>& work,
          const std::function<void(std::size_t, const std::exception&)>& on_failure,
          const std::function<void()>& stop) {
    End end;
    std::mutex mutex;
    const auto failed = [&](std::size_t i, const std::exception& error) {
      {
        const std::lock_guard lock(mutex);
        if (!end.error) end = {std::current_exception(), i};
      }
      on_failure(i, error);
    };
    io_.restart();
    const auto keep_open = asio::make_work_guard(io_);
    std::atomic<std::size_t> running{options_.nodes()};
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
        if (running.fetch_sub(1) == 1) asio::post(io_, [this] { io_.stop(); });
      });
    }
    std::exception_ptr error;  // one from on_tick must not leave threads behind
    try {
      watch(stop);
    } catch (...) {
      error = std::current_exception();
      stop();
    }
    for (auto& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
    return end;
  }

 private:
  /// Waits for the end of all work; ticks, and passes a signal on.
  void watch(const std::function<void()>& stop) {
    auto next = std::chrono::steady_clock::now() + options_.tick();
    bool stopped = false;
    while (!io_.stopped()) {
      io_.run_one_until(next);
      if (signal_ != 0 && !std::exchange(stopped, true)) stop();
      if (std::chrono::steady_clock::now() < next) continue;
      next += options_.tick();
      if (options_.on_tick()) options_.on_tick()();
    }
  }

  GroupOptions options_;
  asio::io_context io_;
  asio::signal_set signals_{io_};
  int signal_ = 0;
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
