// SPDX-License-Identifier: MIT
/// One run of an example without a network: train, measure now and then, and write the record.
#pragma once

#include <gossamer/node/signals.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/version.hpp>
#include <shared/gossip_options.hpp>
#include <shared/group_handle.hpp>
#include <shared/run_folder.hpp>

#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

namespace examples {

using Json = gossamer::observe::RunRecord::Json;

/// What differs from example to example.
template <class Node>
struct GossipJob {
  std::string program;                ///< its name
  Json description = Json::object();  ///< its own options, for the record
  std::string unit = "images";        ///< what is counted
  std::uint64_t batch = 1;            ///< of them, for one step
  std::uint64_t end = 0;              ///< over all nodes
  std::uint64_t measure_every = 0;    ///< from one measurement to the next, >= 1
  MakeNode<Node> make;
  /// Looks at the nodes, and returns what is worth a line of the metrics.
  std::function<Json(GroupHandle<Node>&)> measure;
  /// The same as text, of the keys of `measure`.
  std::function<std::string(const Json&)> sentence;
};

/// A group of nodes, its record and its progress line.
template <class Node>
class GossipRun {
 public:
  GossipRun(const GossipOptions& options, GossipJob<Node> job)
      : options_(options),
        job_(std::move(job)),
        record_(options.out.empty() ? folder_named_by_time() : options.out),
        progress_(std::cout, gossamer::observe::ProgressLine::stdout_is_terminal(), job_.unit),
        group_(make_group()) {}

  /// Trains to the end. Returns the program's exit status: 0, 1 after an error in a node, 128 + n
  /// after signal n.
  int run() {
    std::string error;
    try {
      while (group_->totals().samples < job_.end && signals_.received() == 0) {
        const std::uint64_t before = group_->totals().samples;
        const std::uint64_t next = (before / job_.measure_every + 1) * job_.measure_every;
        group_.train(gossamer::StopCondition().samples(job_.end), std::min(job_.end, next));
        if (group_->totals().samples == before) break;  // nobody is left to train
        measure();
      }
      group_->finish();
    } catch (const gossamer::NodeError& what) {
      error = what.what();
    }
    Json summary = job_.description;
    summary.update(options_.description());
    summary.update(last_);
    summary.update(counters());
    summary["version"] = GOSSAMER_VERSION;
    summary["libtorch"] = TORCH_VERSION;
    summary["digest"] = gossamer::observe::digest(group_->replicas());
    if (signals_.received() != 0) summary["signal"] = signals_.received();
    if (!error.empty()) summary["error"] = error;
    record_.write_summary(summary);
    progress_.clear();
    print(summary);
    if (!error.empty()) {
      std::cerr << job_.program << ": " << error << '\n';
      return 1;
    }
    return signals_.received() == 0 ? 0 : 128 + signals_.received();
  }

 private:
  GroupHandle<Node> make_group() {
    const GroupPlan plan{options_.make_rule(),
                         gossamer::NodeOptions().seed(options_.seed).samples_per_step(job_.batch),
                         [this] { return signals_.received() != 0; }, [this] { show_progress(); }};
    if (options_.transport == "simulated") {
      return make_simulated_group(options_.simulation(), plan, job_.make);
    }
    return make_thread_group(options_.nodes, plan, job_.make);
  }

  [[nodiscard]] Json counters() const {
    const gossamer::Counters totals = group_->totals();
    const auto replicas = group_->replicas();
    Json text = group_.times();
    text[job_.unit] = totals.samples;
    text["steps"] = totals.steps;
    text.update(messages_of(totals));
    text["live_nodes"] = replicas.size();
    text.update(group_.weights());
    text["effective_nodes"] = gossamer::observe::effective_nodes(replicas);
    return text;
  }

  void measure() {
    last_ = counters();
    last_.update(job_.measure(group_));
    record_.add(last_);
    if (options_.quiet) return;
    progress_.say(gossamer::observe::grouped(last_[job_.unit].template get<std::uint64_t>()) + " " +
                  job_.unit + ", " +
                  gossamer::observe::grouped(last_["messages_sent"].template get<std::uint64_t>()) +
                  " messages: " + job_.sentence(last_));
  }

  void show_progress() {
    if (options_.quiet) return;
    const gossamer::Counters totals = group_->totals();
    const std::chrono::duration<double> passed = Clock::now() - began_;
    auto state = progress_of(totals, 0, job_.end, passed.count());
    const auto steps = static_cast<double>(std::max<std::uint64_t>(1, totals.steps));
    state.loss = totals.loss_sum / steps;
    progress_.show(state);
  }

  void print(const Json& summary) const {
    std::cout << '\n'
              << options_.rule << ", " << group_->replicas().size() << " of " << options_.nodes
              << " nodes, " << options_.transport << '\n';
    for (const auto& [key, value] : summary.items()) {
      if (!value.is_number()) continue;
      std::cout << "  " << key << std::string(std::max<std::size_t>(1, 30 - key.size()), ' ')
                << value << '\n';
    }
    std::cout << "  record" << std::string(24, ' ') << record_.folder().string() << '\n';
  }

  using Clock = std::chrono::steady_clock;

  GossipOptions options_;
  GossipJob<Node> job_;
  gossamer::observe::RunRecord record_;
  gossamer::observe::ProgressLine progress_;
  gossamer::Signals signals_;
  GroupHandle<Node> group_;
  Json last_ = Json::object();  // the last line of the metrics
  Clock::time_point began_ = Clock::now();
};

}  // namespace examples
