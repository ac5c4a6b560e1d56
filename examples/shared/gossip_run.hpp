// SPDX-License-Identifier: MIT
/// One run of an example without a network: train, measure now and then, and write the record.
#pragma once

#include <gossamer/node/signals.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/version.hpp>
#include <shared/cluster.hpp>
#include <shared/gossip_options.hpp>
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
  std::function<Json(Cluster<Node>&)> measure;
  /// The same as text, of the keys of `measure`.
  std::function<std::string(const Json&)> sentence;
};

/// A cluster of nodes, its record and its progress line.
template <class Node>
class GossipRun {
 public:
  GossipRun(const GossipOptions& options, GossipJob<Node> job)
      : options_(options),
        job_(std::move(job)),
        record_(options.out.empty() ? folder_named_by_time() : options.out),
        progress_(std::cout, gossamer::observe::ProgressLine::stdout_is_terminal(), job_.unit),
        cluster_(make_cluster()) {}

  /// Trains to the end. Returns the program's exit status: 0, 1 after an error in a node, 128 + n
  /// after signal n.
  int run() {
    std::string error;
    try {
      while (cluster_->totals().samples < job_.end && signals_.received() == 0) {
        Stretch stretch;
        stretch.rest_at = job_.end;
        stretch.images = std::min(
            job_.end, (cluster_->totals().samples / job_.measure_every + 1) * job_.measure_every);
        const std::uint64_t before = cluster_->totals().samples;
        cluster_->train(stretch);
        if (cluster_->totals().samples == before) break;  // nobody is left to train
        measure();
      }
      cluster_->finish();
    } catch (const gossamer::NodeError& what) {
      error = what.what();
    }
    Json summary = job_.description;
    summary.update(options_.description());
    summary.update(last_);
    summary.update(counters());
    summary["version"] = GOSSAMER_VERSION;
    summary["libtorch"] = TORCH_VERSION;
    summary["digest"] = gossamer::observe::digest(cluster_->members());
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
  std::unique_ptr<Cluster<Node>> make_cluster() {
    const auto node = gossamer::NodeOptions().seed(options_.seed).samples_per_step(job_.batch);
    const auto stop_when = [this] { return signals_.received() != 0; };
    const auto on_tick = [this] { show_progress(); };
    if (options_.transport == "simulated") {
      return std::make_unique<SimulatedCluster<Node>>(
          options_.simulation().node(node).stop_when(stop_when), options_.make_rule(), job_.make,
          on_tick);
    }
    return std::make_unique<ThreadCluster<Node>>(
        gossamer::GroupOptions(options_.nodes).node(node).stop_when(stop_when).on_tick(on_tick),
        options_.make_rule(), job_.make);
  }

  [[nodiscard]] Json counters() const {
    const gossamer::Counters totals = cluster_->totals();
    Json text = {{"wall_seconds", cluster_->wall_seconds()}};
    if (cluster_->virtual_seconds()) text["virtual_seconds"] = cluster_->seconds();
    text[job_.unit] = totals.samples;
    text.update({{"steps", totals.steps},
                 {"messages_sent", totals.messages_sent},
                 {"messages_merged", totals.messages_merged},
                 {"messages_returned", totals.messages_returned},
                 {"bytes_sent", totals.bytes_sent},
                 {"live_nodes", cluster_->members().size()},
                 {"total_weight", cluster_->total_weight()},
                 {"effective_nodes", gossamer::observe::effective_nodes(cluster_->members())}});
    return text;
  }

  void measure() {
    last_ = counters();
    last_.update(job_.measure(*cluster_));
    record_.add(last_);
    if (options_.quiet) return;
    progress_.say(gossamer::observe::grouped(last_[job_.unit].template get<std::uint64_t>()) + " " +
                  job_.unit + ", " +
                  gossamer::observe::grouped(last_["messages_sent"].template get<std::uint64_t>()) +
                  " messages: " + job_.sentence(last_));
  }

  void show_progress() {
    if (options_.quiet) return;
    const gossamer::Counters totals = cluster_->totals();
    gossamer::observe::ProgressState state;
    state.done = totals.samples;
    state.total = job_.end;
    state.fraction = static_cast<double>(totals.samples) / static_cast<double>(job_.end);
    state.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    state.speed = static_cast<double>(totals.samples) / std::max(state.seconds, 1e-9);
    state.left = static_cast<double>(job_.end - std::min(job_.end, totals.samples)) /
                 std::max(state.speed, 1e-9);
    const auto steps = static_cast<double>(std::max<std::uint64_t>(1, totals.steps));
    state.loss = totals.loss_sum / steps;
    state.consensus_error = -1;
    state.messages = totals.messages_sent;
    progress_.show(state);
  }

  void print(const Json& summary) const {
    std::cout << '\n'
              << options_.rule << ", " << cluster_->members().size() << " of " << options_.nodes
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
  std::unique_ptr<Cluster<Node>> cluster_;
  Json last_ = Json::object();  // the last line of the metrics
  Clock::time_point began_ = Clock::now();
};

}  // namespace examples
