// SPDX-License-Identifier: MIT
/// Shows a node's steps, merges, waits and messages in LibTorch's own profiler.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/per_node.hpp>

#include <ATen/record_function.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer::observe {

/// Ranges of the scope USER_SCOPE around what a node does, so that `torch::profiler`, the autograd
/// profiler and every other observer of `at::RecordFunction` show its operators within them:
///
///     gossamer::step     a step; in it wait and merge, if its rule acts between its halves
///     gossamer::merge    from the first thing that has come until all of it is taken in
///     gossamer::wait     for others, or for its first weight, until something comes
///     gossamer::send     of no length
///
///     ThreadGroup<MyNode> group(
///         GroupOptions(8).callback(std::make_shared<observe::ProfilerRanges>()), rule);
///
/// A profiler observes threads; nodes of a `ThreadGroup` have their own, so begin one in a hook of
/// the node, such as `on_start()`, or one that observes all threads.
///
/// In a loop of one's own a step lasts from one `Gossip::step` to the next, so it crosses a range
/// of the user's around that call. The last one ends with the callback.
///
/// A range ends in the thread in which it has begun, or never: then, and if a profiler has ended or
/// begun meanwhile in that thread, its observers do not hear of it any more.
///
/// Cost     100 ns per callback where nobody observes.
/// Threads  as `Callback`: a node's from one thread at a time.
/// Source   ATen/record_function.h.
class ProfilerRanges final : public Callback {
 public:
  ~ProfilerRanges() override {
    nodes_.for_each([](Ranges& ranges) { ranges.close(); });
  }

  void on_end(Time, PeerId node, End) override { of(node).close(); }
  void on_leaving(Time, PeerId node) override { of(node).close(); }
  void on_step(Time, PeerId node) override {
    Ranges& ranges = of(node);
    ranges.close();
    ranges.step.open("gossamer::step");
  }
  void on_step_end(Time, PeerId node, const Counters&) override { of(node).close(); }
  void on_wait(Time, PeerId node, Wait) override {
    Ranges& ranges = of(node);
    if (!std::exchange(ranges.is_waiting, true)) ranges.inner.open("gossamer::wait");
  }
  void on_rest(Time, PeerId node) override { of(node).close(); }

  void on_send(Time, const transport::Message&) override { Range().open("gossamer::send"); }
  void on_deliver(Time, const transport::Message& message) override { of(message.to).merge(); }
  void on_return(Time, const transport::Returned& back) override { of(back.message.from).merge(); }
  void on_weight(Time, PeerId node, double) override { of(node).close_inner(); }

 private:
  /// A range that can be open; it is closed at the latest with this.
  class Range {
   public:
    Range() = default;
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;
    ~Range() { close(); }

    /// Does nothing if nobody observes this thread.
    void open(const char* name) {
      close();
      auto callbacks = at::getStepCallbacksUnlessEmpty(at::RecordScope::USER_SCOPE);
      if (!callbacks) return;
      observers_ = observers();
      thread_ = std::this_thread::get_id();
      record_ = std::make_unique<at::RecordFunction>(std::move(*callbacks));
      record_->before(name);
    }
    void close() {
      if (!record_) return;
      // Who is not there any more must not be called, and that is all that an end does.
      const bool can_end = thread_ == std::this_thread::get_id() && observers_ == observers();
      auto* const record = record_.release();
      if (can_end) delete record;
    }

   private:
    /// Those of this thread.
    static std::vector<at::CallbackHandle> observers() {
      std::vector<at::CallbackHandle> handles;
      for (const auto& entry : at::get_record_function_tls_().sorted_tls_callbacks_) {
        handles.push_back(entry.handle_);
      }
      return handles;
    }

    std::unique_ptr<at::RecordFunction> record_;  // null: not open
    std::vector<at::CallbackHandle> observers_;
    std::thread::id thread_;
  };

  struct Ranges {
    Range step;
    Range inner;  // it ends first
    bool is_waiting = false;
    bool is_merging = false;

    void merge() {
      if (std::exchange(is_merging, true)) return;
      is_waiting = false;
      inner.open("gossamer::merge");
    }
    void close_inner() {
      inner.close();
      is_waiting = is_merging = false;
    }
    void close() {
      close_inner();
      step.close();
    }
  };

  Ranges& of(PeerId node) {
    return nodes_.of(node, [](std::size_t) { return std::make_unique<Ranges>(); });
  }

  PerNode<Ranges> nodes_;
};

}  // namespace gossamer::observe
