// SPDX-License-Identifier: MIT
/// What a group measures of itself, as counters and gauges: their names, units and help.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/process.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

/// A row of the tables below. Names and units are Prometheus': a counter, which only grows, ends in
/// `_total`; rows of one name follow each other and differ in `fate`.
template <class Subject>
struct Metric {
  const char* name;
  const char* help;
  bool is_counter;
  const char* fate;  ///< of messages; null: the row has none
  double (*value)(const Subject&);
};

/// Of every node, under the label `node`: those here, and the peers as they are known here.
inline constexpr std::array node_metrics{
    Metric<Counters>{"gossamer_steps_total", "Local steps.", true, nullptr,
                     [](const Counters& c) { return static_cast<double>(c.steps); }},
    Metric<Counters>{"gossamer_samples_total", "Samples trained on.", true, nullptr,
                     [](const Counters& c) { return static_cast<double>(c.samples); }},
    Metric<Counters>{"gossamer_accumulated_loss",
                     "The losses of all steps, added up: two readings, and those of "
                     "gossamer_steps_total, give the mean between them.",
                     false, nullptr, [](const Counters& c) { return c.loss_sum; }},
    Metric<Counters>{"gossamer_weight", "Share of the group's weight.", false, nullptr,
                     [](const Counters& c) { return c.weight; }},
    Metric<Counters>{"gossamer_messages_total", "Messages by fate.", true, "sent",
                     [](const Counters& c) { return static_cast<double>(c.messages_sent); }},
    Metric<Counters>{"gossamer_messages_total", "", true, "merged",
                     [](const Counters& c) { return static_cast<double>(c.messages_merged); }},
    Metric<Counters>{"gossamer_messages_total", "", true, "returned",
                     [](const Counters& c) { return static_cast<double>(c.messages_returned); }},
    Metric<Counters>{"gossamer_sent_bytes_total", "Bytes of messages sent.", true, nullptr,
                     [](const Counters& c) { return static_cast<double>(c.bytes_sent); }},
    Metric<Counters>{"gossamer_merged_age_steps_total",
                     "How many steps senders had taken since, of all messages merged, added up.",
                     true, nullptr,
                     [](const Counters& c) { return static_cast<double>(c.age_sum); }},
    Metric<Counters>{"gossamer_merged_age_steps_max", "The most of these of one message.", false,
                     nullptr, [](const Counters& c) { return static_cast<double>(c.age_max); }},
};

/// Of each peer in another process, as this node sees it, under the label `peer`.
inline constexpr std::array peer_metrics{
    Metric<transport::PeerView>{
        "gossamer_peer_connected", "1 if there is a connection, else 0.", false, nullptr,
        [](const transport::PeerView& p) { return p.connected ? 1.0 : 0.0; }},
    Metric<transport::PeerView>{"gossamer_peer_round_trip_seconds",
                                "Round trip; 0: not measured yet.", false, nullptr,
                                [](const transport::PeerView& p) {
                                  return static_cast<double>(p.round_trip.count()) / 1e9;
                                }},
    Metric<transport::PeerView>{"gossamer_peer_bytes_per_second",
                                "Speed of messages to it; 0: not measured yet.", false, nullptr,
                                [](const transport::PeerView& p) { return p.bytes_per_second; }},
    Metric<transport::PeerView>{
        "gossamer_peer_sent_bytes_total", "Bytes written to it, frames and all.", true, nullptr,
        [](const transport::PeerView& p) { return static_cast<double>(p.traffic.bytes_sent); }},
    Metric<transport::PeerView>{
        "gossamer_peer_received_bytes_total", "Bytes read from it.", true, nullptr,
        [](const transport::PeerView& p) { return static_cast<double>(p.traffic.bytes_received); }},
    Metric<transport::PeerView>{
        "gossamer_peer_messages_total", "Messages to it (sent, returned) and from it (delivered).",
        true, "sent",
        [](const transport::PeerView& p) { return static_cast<double>(p.ledger.sent.messages()); }},
    Metric<transport::PeerView>{"gossamer_peer_messages_total", "", true, "returned",
                                [](const transport::PeerView& p) {
                                  return static_cast<double>(p.ledger.returned.messages());
                                }},
    Metric<transport::PeerView>{"gossamer_peer_messages_total", "", true, "delivered",
                                [](const transport::PeerView& p) {
                                  return static_cast<double>(p.ledger.delivered.messages());
                                }},
    Metric<transport::PeerView>{
        "gossamer_peer_queued_messages",
        "Messages under way: offered to it, held for it, waiting for the rule, in doubt.", false,
        "offered",
        [](const transport::PeerView& p) {
          return static_cast<double>(p.ledger.offered.messages());
        }},
    Metric<transport::PeerView>{
        "gossamer_peer_queued_messages", "", false, "held",
        [](const transport::PeerView& p) { return static_cast<double>(p.ledger.held.messages()); }},
    Metric<transport::PeerView>{"gossamer_peer_queued_messages", "", false, "waiting",
                                [](const transport::PeerView& p) {
                                  return static_cast<double>(p.ledger.waiting.messages());
                                }},
    Metric<transport::PeerView>{"gossamer_peer_queued_messages", "", false, "in_doubt",
                                [](const transport::PeerView& p) {
                                  return static_cast<double>(p.ledger.in_doubt.messages());
                                }},
};

/// Of the group.
inline constexpr std::array group_metrics{
    Metric<GroupState>{"gossamer_live_nodes", "Live nodes in this process.", false, nullptr,
                       [](const GroupState& g) { return static_cast<double>(g.nodes.size()); }},
    Metric<GroupState>{"gossamer_training_seconds_total",
                       "Training time on the group's clock, which may be a virtual one.", true,
                       nullptr, [](const GroupState& g) { return g.elapsed.count(); }},
    Metric<GroupState>{"gossamer_wall_seconds_total", "Training time that has passed here.", true,
                       nullptr, [](const GroupState& g) { return g.wall.count(); }},
};

/// Of the pool of a node's snapshots, under the label `node`.
inline constexpr std::array pool_metrics{
    Metric<PoolState>{"gossamer_pool_snapshots",
                      "Copies of the model that the node has made to send: the memory they take "
                      "is kept.",
                      false, nullptr,
                      [](const PoolState& p) { return static_cast<double>(p.made); }},
    Metric<PoolState>{"gossamer_pool_snapshots_in_use", "Of these, those not back yet.", false,
                      nullptr, [](const PoolState& p) { return static_cast<double>(p.in_use); }},
};

/// Numbers of one name.
struct MetricFamily {
  using Labels = std::vector<std::pair<std::string, std::string>>;
  std::string name;
  std::string help;
  bool is_counter = false;
  std::vector<std::pair<Labels, double>> values;
};

/// Keeps the last that it was told of a group, for whoever asks, at any time: all tables above;
/// `gossamer_sent_content_bytes_total`, what messages of nodes here carried, under the label
/// `codec`; `gossamer_evaluation`, the last evaluation's values, under the label `what`;
/// `gossamer_consensus_error`, where there is an estimate; `gossamer_run_info`, which is 1 and has
/// what was said of the run as labels; and two of the process under the names that Prometheus' own
/// libraries give them.
///
/// Cost     an addition per message, a copy of the group's state every tick; the rest when somebody
///          asks.
/// Threads  any may ask.
class Metrics final : public Callback {
 public:
  /// What is said of a run, by name. `codec` names what coded messages are written in; where it is
  /// missing the metrics call it "coded".
  using About = std::vector<std::pair<std::string, std::string>>;

  /// `estimate`, if there is one, is told by the group itself.
  explicit Metrics(std::shared_ptr<const ConsensusEstimate> estimate = nullptr, About about = {})
      : estimate_(std::move(estimate)), about_(std::move(about)) {}

  void on_send(Time, const transport::Message& message) override {
    auto& sum = message.code ? coded_bytes_ : whole_bytes_;
    sum.fetch_add(message.bytes() - transport::Message::header_bytes, std::memory_order_relaxed);
  }

  void on_run_begin(Time, const GroupState& state) override { keep(state); }
  void on_tick(Time, const GroupState& state) override { keep(state); }
  void on_run_end(Time, const GroupState& state) override { keep(state); }
  void on_evaluation(Time, const Evaluation& found, const GroupState& state) override {
    keep(state);
    const std::lock_guard lock(mutex_);
    for (const auto& [what, value] : found) {
      evaluation_[what] =
          std::visit([](auto number) { return static_cast<double>(number); }, value);
    }
  }

  /// All of it; nothing before a group's first run.
  [[nodiscard]] std::vector<MetricFamily> families() const {
    std::shared_ptr<const GroupState> state;
    MetricFamily evaluation{
        "gossamer_evaluation", "What the last evaluation has found.", false, {}};
    {
      const std::lock_guard lock(mutex_);
      state = state_;
      for (const auto& [what, value] : evaluation_) {
        evaluation.values.push_back({{{"what", what}}, value});
      }
    }
    std::vector<MetricFamily> all;
    if (!state) return all;
    std::vector<std::pair<std::string, Counters>> nodes;
    std::vector<std::pair<std::string, PoolState>> pools;
    for (const auto& node : state->nodes) {
      nodes.emplace_back(std::to_string(node.id), node.counters);
      if (node.pool) pools.emplace_back(std::to_string(node.id), *node.pool);
    }
    std::vector<std::pair<std::string, transport::PeerView>> peers;
    if (state->connections) {
      for (const auto& peer : state->connections->peers) {
        nodes.emplace_back(std::to_string(peer.peer), peer.status);
        peers.emplace_back(std::to_string(peer.peer), peer);
      }
    }
    add(all, group_metrics, "", std::vector{std::pair{std::string(), *state}});
    add(all, node_metrics, "node", nodes);
    add(all, pool_metrics, "node", pools);
    add_content(all);
    add(all, peer_metrics, "peer", peers);
    if (!evaluation.values.empty()) all.push_back(std::move(evaluation));
    if (estimate_) add_estimate(all, *state);
    add_about(all);
    add_process(all);
    return all;
  }

 private:
  void keep(const GroupState& state) {
    auto copy = std::make_shared<const GroupState>(state);
    const std::lock_guard lock(mutex_);
    state_.swap(copy);
  }

  static void add_one(std::vector<MetricFamily>& all, const char* name, const char* help,
                      bool is_counter, double value) {
    all.push_back({name, help, is_counter, {{{}, value}}});
  }
  void add_estimate(std::vector<MetricFamily>& all, const GroupState& state) const {
    const auto found = estimate_->of(state);
    if (!found) return;
    add_one(all, "gossamer_consensus_error",
            "Estimate of the sum over nodes of the squared distance of their parameters from the "
            "mean, as they meet.",
            false, found->error);
    add_one(all, "gossamer_consensus_standard_error", "Standard error of that estimate.", false,
            found->standard_error);
    add_one(all, "gossamer_consensus_samples", "Messages that the estimate is made of.", false,
            static_cast<double>(found->samples));
  }
  void add_content(std::vector<MetricFamily>& all) const {
    const auto said = std::find_if(about_.begin(), about_.end(),
                                   [](const auto& line) { return line.first == "codec"; });
    const std::string codec = said == about_.end() ? "coded" : said->second;
    all.push_back({"gossamer_sent_content_bytes_total",
                   "Bytes of what messages carried, without their headers: parameters as they are "
                   "(none), or in a codec.",
                   true,
                   {{{{"codec", "none"}}, static_cast<double>(whole_bytes_.load())},
                    {{{"codec", codec}}, static_cast<double>(coded_bytes_.load())}}});
  }
  /// Of what was said, that of which the name is fit for a label.
  void add_about(std::vector<MetricFamily>& all) const {
    const auto is_fit = [](unsigned char c) { return std::islower(c) != 0 || c == '_'; };
    MetricFamily::Labels labels;
    for (const auto& [name, value] : about_) {
      if (!name.empty() && std::all_of(name.begin(), name.end(), is_fit)) {
        labels.emplace_back(name, value);
      }
    }
    if (labels.empty()) return;
    all.push_back({"gossamer_run_info", "What was said of the run.", false, {{labels, 1}}});
  }
  static void add_process(std::vector<MetricFamily>& all) {
    if (const auto resident = resident_bytes()) {
      add_one(all, "process_resident_memory_bytes", "Memory of this process that is in use.", false,
              *resident);
    }
    add_one(all, "process_cpu_seconds_total", "Time that this process has computed.", true,
            cpu_seconds());
  }

  template <class Table, class Subjects>
  static void add(std::vector<MetricFamily>& all, const Table& table, const std::string& label,
                  const Subjects& subjects) {
    if (subjects.empty()) return;
    for (const auto& row : table) {
      if (all.empty() || all.back().name != row.name) {
        all.push_back({row.name, row.help, row.is_counter, {}});
      }
      for (const auto& [name, subject] : subjects) {
        MetricFamily::Labels labels;
        if (!label.empty()) labels.emplace_back(label, name);
        if (row.fate != nullptr) labels.emplace_back("fate", row.fate);
        all.back().values.emplace_back(std::move(labels), row.value(subject));
      }
    }
  }

  const std::shared_ptr<const ConsensusEstimate> estimate_;  // null: there is none
  const About about_;
  std::atomic<std::uint64_t> whole_bytes_{0};
  std::atomic<std::uint64_t> coded_bytes_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const GroupState> state_;
  std::map<std::string, double> evaluation_;
};

}  // namespace gossamer::observe
