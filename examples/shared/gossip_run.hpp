// SPDX-License-Identifier: MIT
/// One run of an example: train, measure now and then, and write the record.
#pragma once

#include <gossamer/node/signals.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/mlflow.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/run_recorder.hpp>
#include <gossamer/observe/watch_state.hpp>
#include <shared/dashboard.hpp>
#include <shared/description.hpp>
#include <shared/gossip_options.hpp>
#include <shared/group_plan.hpp>
#include <shared/mlflow_run.hpp>
#include <shared/run_folder.hpp>
#include <shared/watch.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace examples {

using Evaluation = gossamer::observe::Callback::Evaluation;
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
  /// Where nodes are in processes of their own: this one's. Empty: all are here.
  std::function<AnyGroup<Node>(const GroupPlan&, MakeNode<Node>)> make_group;
  std::uint32_t port_offset = 0;  ///< of this process's live page
  /// Looks at the nodes, and returns what is worth a line of the metrics.
  std::function<Evaluation(gossamer::Group<Node>&)> measure;
  /// The same as text, of that line.
  std::function<std::string(const Json&)> sentence;
};

/// A group of nodes, its record and its progress line.
template <class Node>
class GossipRun {
 public:
  GossipRun(const GossipOptions& options, GossipJob<Node> job)
      : options_(options),
        job_(std::move(job)),
        recorder_(std::make_shared<gossamer::observe::RunRecorder>(
            options.out.empty() ? folder_named_by_time() : options.out, false, job_.unit)),
        progress_(std::make_shared<gossamer::observe::Progress>(
            ProgressLine(std::cout, ProgressLine::stdout_is_terminal(), job_.unit),
            gossamer::StopCondition().samples(job_.end))),
        watch_(make_watch(options.watch, job_.port_offset, options.dashboard, as_text(setting()))),
        mlflow_(make_mlflow(options.mlflow, job_.program, recorder_->record().folder(),
                            static_cast<bool>(job_.make_group), setting())),
        group_(make_group()) {}

  /// Trains to the end. Returns the program's exit status: 0, 1 after an error in a node, 128 + n
  /// after signal n.
  int run() {
    std::string error;
    if (options_.dashboard) dashboard_ = std::make_unique<Dashboard>(watch_);
    try {
      std::uint64_t reached = 0;
      while (reached < job_.end && signals_.received() == 0) {
        const std::uint64_t before = group_->totals().samples;
        const std::uint64_t next =
            std::min(job_.end, (reached / job_.measure_every + 1) * job_.measure_every);
        group_->run_towards(gossamer::StopCondition().samples(job_.end), next);
        // Processes know of each other's samples at different times, but look at the same moments.
        reached = job_.make_group ? next : group_->totals().samples;
        const bool is_idle = !job_.make_group && reached == before;
        if (is_idle || group_->live().empty()) break;  // nobody is left to train
        if (!job_.make_group || signals_.received() == 0) measure();
      }
      group_->finish();
    } catch (const gossamer::NodeError& what) {
      error = what.what();
    }
    dashboard_.reset();
    Json summary = setting();
    summary.update(recorder_->summary(group_->state()));
    summary.update(of_live_nodes());
    summary["digest"] = gossamer::observe::digest(group_->replicas());
    if (signals_.received() != 0) summary["signal"] = signals_.received();
    if (!error.empty()) summary["error"] = error;
    recorder_->record().write_summary(summary);
    progress_->line().clear();
    print(summary);
    end_mlflow(mlflow_, job_.program, signals_.received() != 0, !error.empty());
    if (!error.empty()) {
      std::cerr << job_.program + ": " + error + '\n';  // whole: others may log
      return 1;
    }
    return signals_.received() == 0 ? 0 : 128 + signals_.received();
  }

 private:
  using ProgressLine = gossamer::observe::ProgressLine;

  /// What the run is told, for its record.
  [[nodiscard]] Json setting() const {
    Json all = job_.description;
    all.update(options_.description());
    return all;
  }

  AnyGroup<Node> make_group() {
    auto node = gossamer::NodeOptions().seed(options_.seed).samples_per_step(job_.batch);
    node.callback(recorder_);
    if (!options_.quiet) node.callback(progress_);
    if (watch_) node.callback(watch_);
    if (mlflow_) node.callback(mlflow_);
    const GroupPlan plan{options_.make_rule(), std::move(node), [this] {
                           const bool stops = signals_.received() != 0;
                           if (stops && dashboard_) dashboard_->leave();
                           return stops;
                         }};
    if (job_.make_group) return job_.make_group(plan, job_.make);
    if (options_.transport == "simulated") {
      return make_simulated_group(options_.simulation(), plan, job_.make);
    }
    return make_thread_group(options_.nodes, plan, job_.make);
  }

  [[nodiscard]] Json of_live_nodes() const {
    const auto replicas = group_->replicas();
    return {{"live_nodes", replicas.size()},
            {"effective_nodes", gossamer::observe::effective_nodes(replicas)}};
  }

  void measure() {
    const auto replicas = group_->replicas();
    Evaluation found = job_.measure(*group_);
    found.insert(found.begin(),
                 {{"live_nodes", std::uint64_t{replicas.size()}},
                  {"effective_nodes", gossamer::observe::effective_nodes(replicas)}});
    group_->evaluated(found);
    if (options_.quiet) return;
    const Json& line = recorder_->last();
    const gossamer::Counters totals = group_->totals();
    progress_->line().say(gossamer::observe::grouped(totals.samples) + " " + job_.unit + ", " +
                          gossamer::observe::grouped(totals.messages_sent) +
                          " messages: " + job_.sentence(line));
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
    std::cout << "  record" << std::string(24, ' ') << recorder_->record().folder().string()
              << '\n';
  }

  GossipOptions options_;
  GossipJob<Node> job_;
  std::shared_ptr<gossamer::observe::RunRecorder> recorder_;
  std::shared_ptr<gossamer::observe::Progress> progress_;
  std::shared_ptr<gossamer::observe::WatchState> watch_;  // null: nobody looks
  std::shared_ptr<gossamer::observe::MLflow> mlflow_;     // null: none is wanted
  std::unique_ptr<Dashboard> dashboard_;
  gossamer::Signals signals_;
  AnyGroup<Node> group_;
};

}  // namespace examples
