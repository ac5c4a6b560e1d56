// SPDX-License-Identifier: MIT
/// One node of a run over many processes, whatever carries its messages: brought among the others,
/// run, and taken out again.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/node/detail/connections_of.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/group.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/stall_timer.hpp>

#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossamer {

/// Options of a node in a process of its own.
template <class TransportOptions>
struct ProcessGroupOptions {
  explicit ProcessGroupOptions(TransportOptions transport = {})
      : transport_(std::move(transport)) {}

  TORCH_ARG(TransportOptions, transport);
  TORCH_ARG(NodeOptions, node) = {};
  /// How long the nodes that the run begins with wait for each other, and a newcomer for a member;
  /// > 0.
  TORCH_ARG(std::chrono::milliseconds, rendezvous_timeout) = std::chrono::seconds(60);
  /// LibTorch's own threads.
  TORCH_ARG(int, threads) = 1;
  /// Asked every `tick` while it runs; true makes the node leave: its weight goes to another.
  TORCH_ARG(std::function<bool()>, leave_when) = nullptr;
  /// Called every `tick` while it runs, in the thread that called `run`.
  TORCH_ARG(std::function<void()>, on_tick) = nullptr;
  /// > 0.
  TORCH_ARG(std::chrono::milliseconds, tick) = std::chrono::milliseconds(200);

 public:
  /// Adds one to those of `NodeOptions`.
  ProcessGroupOptions& callback(std::shared_ptr<observe::Callback> one) {
    node_.callback(std::move(one));
    return *this;
  }
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    transport_.check();
    node_.check();
    if (rendezvous_timeout_.count() <= 0) {
      throw ConfigError(c10::str("ProcessGroupOptions: rendezvous_timeout must be positive, got ",
                                 rendezvous_timeout_.count(), " ms"));
    }
  }
};

/// What `TcpGroup` and `MpiGroup` have in common: the group as one of its nodes sees it, the one
/// that lives here. `Transport` is a `PeerTransport`.
///
/// Threads  as `Group`; the node runs in a thread of its own.
template <class Node, class Transport>
class ProcessGroup : public Group<Node> {
 public:
  /// As `Group`, or until `leave_when` says so.
  void run_until(const StopCondition& until) override {
    const auto before = std::chrono::duration_cast<transport::Time>(elapsed());
    this->tell_begin();
    std::exception_ptr error;
    try {
      const observe::Stopwatch::Stretch stretch(this->wall_);
      work([&] {
        if (!std::exchange(begun_, true)) this->begin();
        node_->run_until(until, before);
      });
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) after_run();
    this->tell_end();
    if (error) std::rethrow_exception(error);
  }
  /// Answers the others until all have finished, or nothing has moved for
  /// `NodeOptions::drain_timeout`. If the node is leaving, its weight goes to another, and it goes
  /// when that has it: it cannot run again. What nobody has taken by then is `weight_lost()`.
  void finish() override {
    if (leave_when_ && leave_when_()) ask_to_leave();  // said after the run had ended
    work([this] { leaving_ ? leave() : node_->finish(); });
    after_finish();
  }
  void stop() override { node_->request_stop(); }
  /// The weight of a node that has left which nobody has taken, since the network stood still: it
  /// is gone with the node. It is in the log, too.
  [[nodiscard]] double weight_lost() const override { return weight_lost_; }

  [[nodiscard]] std::size_t size() const override { return 1; }
  [[nodiscard]] bool is_live(std::size_t) const override { return !failed_; }
  [[nodiscard]] Node& operator[](std::size_t) override { return *node_; }
  [[nodiscard]] const Node& operator[](std::size_t) const override { return *node_; }
  [[nodiscard]] Node& node() noexcept { return *node_; }
  [[nodiscard]] const Node& node() const noexcept { return *node_; }
  [[nodiscard]] std::size_t nodes() const override { return nodes_; }
  [[nodiscard]] Counters counters(std::size_t) const override {
    return endpoint_->with(
        [](transport::Membership& membership) { return membership.counters(membership.self()); });
  }
  [[nodiscard]] Counters totals() const override {
    return endpoint_->with([](transport::Membership& membership) {
      Counters sum = membership.counters(membership.self());
      for (const transport::MembershipView& peer : membership.view()) sum += peer.status;
      return sum;
    });
  }
  [[nodiscard]] std::chrono::duration<double> elapsed() const override {
    return this->wall_.elapsed();
  }
  [[nodiscard]] std::optional<double> weight_of_all() const override { return std::nullopt; }
  /// Waits at most `rendezvous_timeout` for the others. Without them the node goes on as it was.
  [[nodiscard]] model::Flat mean() override {
    std::optional<model::Flat> result;
    work([&] { result = node_->mean(rendezvous_timeout_); });
    after_run();
    if (result) return *std::move(result);
    throw std::runtime_error(c10::str("node ", node_->id(), ": the mean of all models needs all ",
                                      node_->engine().context().peers().size() + 1,
                                      " nodes, and some have not asked for it in time"));
  }

  /// Saves the node, between two runs, or restores one that has not run yet. What was saved goes on
  /// in a new incarnation: one of the nodes that the run begins with keeps its parameters, and its
  /// weight begins at 1 / nodes again (under a synchronous rule all go on from the first one's
  /// parameters and step); one that comes back to a run that has gone on asks a member for weight
  /// and model, as a newcomer. Restore all that the run begins with, or none.
  void checkpoint(Archive& archive) override {
    if (archive.loading() && begun_) {
      throw CheckpointError(
          "checkpoint: a node in a process of its own is restored before its first run, not after");
    }
    node_->checkpoint(archive, Restore::rejoin);
    restored_ = archive.loading();
    double seconds = elapsed().count();
    if (!restored_ || archive.has("wall_seconds")) archive("wall_seconds", seconds);
    if (restored_) this->wall_.set(std::chrono::duration<double>(seconds));
  }

  /// Where others find this node.
  [[nodiscard]] virtual std::string address() const = 0;
  /// What is known of each peer. Any thread.
  [[nodiscard]] std::vector<transport::PeerView> peers() const { return endpoint_->view(); }
  [[nodiscard]] transport::MembershipCounts counts() const {
    return endpoint_->with([](transport::Membership& membership) { return membership.counts(); });
  }

 protected:
  template <class TransportOptions>
  explicit ProcessGroup(const ProcessGroupOptions<TransportOptions>& options)
      : callback_(options.node().callback()),
        workers_(GroupOptions(1)
                     .node((options.check(), options.node()))
                     .threads_per_node(options.threads())
                     .stop_when(options.leave_when())
                     .on_tick(this->told(options.on_tick()))
                     .tick(options.tick())),
        leave_when_(options.leave_when()),
        rendezvous_timeout_(options.rendezvous_timeout()) {}

  [[nodiscard]] observe::Callback* callback() const override { return callback_.get(); }
  [[nodiscard]] transport::Time now() const override { return endpoint_->now(); }
  [[nodiscard]] std::shared_ptr<const observe::Connections> connections() const override {
    return std::make_shared<observe::Connections>(detail::connections_of(*endpoint_, address()));
  }

  /// What a transport without a thread of its own has still to do, at the end of both.
  virtual void after_run() {}
  virtual void after_finish() {}

  /// Makes the node, with `make(Context)`, in a run that `nodes` begin. One of these begins with an
  /// equal weight, from its first run on with the parameters of the first one; another one asks a
  /// member for weight and model.
  template <class Factory>
  void make_node(Transport transport, const rule::AnyRule& rule, const NodeOptions& options,
                 std::size_t nodes, bool is_first_start, Factory make) {
    nodes_ = nodes;
    is_first_start_ = is_first_start;
    const double weight = is_first_start ? 1 / static_cast<double>(nodes) : 0;
    endpoint_ = &transport.endpoint();
    met_.assign(transport.peers().begin(), transport.peers().end());
    node_ = make(Context{std::move(transport), rule, options, weight});
  }

  using Endpoint = std::remove_reference_t<decltype(std::declval<Transport&>().endpoint())>;
  [[nodiscard]] Endpoint& endpoint() const { return *endpoint_; }

 private:
  void begin() {
    if (is_first_start_) {
      const at::NoGradGuard no_grad;
      node_->engine().start_equal(restored_);
    } else {
      Generator random(node_->options().seed(), node_->id());
      node_->join(met_[random.below(static_cast<std::uint32_t>(met_.size()))]);
    }
  }

  void ask_to_leave() {
    leaving_ = true;
    node_->request_leave();
  }

  void leave() {
    node_->begin_finish();
    const std::uint64_t suspicions = counts().suspicions;
    const auto idle = [](const transport::Membership& member) { return member.under_way() == 0; };
    auto stall = stall_timer();
    while (!node_->settle() && !is_over(stall)) {
      if (node_->weight() == 0 && endpoint_->with(idle)) break;
      endpoint_->wait_until(stall.deadline(), [&](const transport::Membership& member) {
        return member.has_event() || idle(member);
      });
    }
    node_->end_finish();
    // Whoever is alone since the others have left in order has nobody to miss its weight.
    auto& transport = node_->engine().transport();
    const bool has_heirs = !transport.peers().empty() || counts().suspicions > suspicions;
    if (has_heirs) weight_lost_ = node_->weight();
    // What others have sent it meanwhile goes back to them.
    node_->engine().depart();
    stall = stall_timer();
    const auto may_go = [](const transport::Membership& member) { return member.may_go(); };
    while (!endpoint_->wait_until(stall.deadline(), may_go) && !is_over(stall)) {
    }
    weight_lost_ += endpoint_->with(
        [](const transport::Membership& member) { return member.weight_not_accepted(); });
    if (weight_lost_ > 0 && node_->options().logger()) {
      node_->options().logger()->log(
          spdlog::level::err,
          c10::str("node ", node_->id(), " leaves, and weight ", weight_lost_,
                   " is lost with it: nobody has taken it, and nothing has moved for ",
                   node_->options().drain_timeout().count(), " ms"));
    }
  }
  [[nodiscard]] transport::StallTimer stall_timer() const {
    return {node_->options().drain_timeout(), endpoint_->progress(), endpoint_->now()};
  }
  [[nodiscard]] bool is_over(transport::StallTimer& stall) const {
    return stall.is_over(endpoint_->progress(), endpoint_->now());
  }

  template <class Work>
  void work(Work what) {
    const Workers::End end = workers_.run([&](std::size_t) { what(); },
                                          [this](std::size_t, const std::exception& error) {
                                            failed_ = true;
                                            node_->fail(error);
                                          },
                                          [this] { ask_to_leave(); });
    if (end.error) rethrow_as_node_error(node_->id(), end.error);
  }

  std::shared_ptr<observe::Callback> callback_;
  Workers workers_;
  std::function<bool()> leave_when_;
  std::atomic<bool> leaving_{false};
  std::chrono::milliseconds rendezvous_timeout_;
  std::size_t nodes_ = 1;
  bool is_first_start_ = true;
  std::vector<PeerId> met_;  // when the node was made
  bool begun_ = false;
  std::atomic<bool> failed_{false};
  bool restored_ = false;
  double weight_lost_ = 0;
  Endpoint* endpoint_ = nullptr;  // the node's transport has it
  std::unique_ptr<Node> node_;
};

}  // namespace gossamer
