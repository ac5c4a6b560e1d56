// SPDX-License-Identifier: MIT
/// One node of a run over many processes: made, brought among the others, run, and taken out again.
/// Needs OpenSSL and xxHash, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/transport/tcp.hpp>
#include <gossamer/transport/tcp/environment.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// Options of a node on TCP.
struct TcpMemberOptions {
  explicit TcpMemberOptions(transport::TcpOptions tcp) : tcp_(std::move(tcp)) {}

  TORCH_ARG(transport::TcpOptions, tcp);
  TORCH_ARG(NodeOptions, node) = {};
  /// How long the founders wait for each other, and a newcomer for a member; > 0.
  TORCH_ARG(std::chrono::milliseconds, gather_timeout) = std::chrono::seconds(60);
  /// LibTorch's own threads.
  TORCH_ARG(int, threads) = 1;
  /// Asked every `tick` while it runs; true makes the node leave: its weight goes to another.
  TORCH_ARG(std::function<bool()>, leave_when) = nullptr;
  /// Called every `tick` while it runs, in the thread that called `run`.
  TORCH_ARG(std::function<void()>, on_tick) = nullptr;
  /// > 0.
  TORCH_ARG(std::chrono::milliseconds, tick) = std::chrono::milliseconds(200);

 public:
  /// A number for a node that comes to a run that exists: so large that no founder has it, and so
  /// random that no other newcomer has it, either.
  static PeerId newcomers_number() {
    std::random_device random;
    return random() | (std::uint32_t{1} << 16U);
  }

  /// What a launcher's environment says: number, founders, and, where it says where the first node
  /// is, whom to dial. That one listens on `port`, if the launcher does not name another one.
  static transport::TcpOptions from(const transport::Launch& launch, std::uint16_t port,
                                    transport::TcpOptions options = transport::TcpOptions()) {
    options.number(launch.rank).founders(launch.size);
    const std::uint16_t at = launch.port != 0 ? launch.port : port;
    if (launch.first.empty()) return options;
    const std::string first = transport::HostPort{launch.first, at}.text();
    if (launch.rank > 0) {
      if (options.contacts().empty()) options.contacts({first});
    } else {
      const std::string host = transport::HostPort::parse(options.listen()).host;
      options.listen(transport::HostPort{host, at}.text());
    }
    return options;
  }

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    tcp_.check();
    node_.check();
    if (gather_timeout_.count() <= 0) {
      throw ConfigError(c10::str("TcpMemberOptions: gather_timeout must be positive, got ",
                                 gather_timeout_.count(), " ms"));
    }
  }
};

/// A node in its place. How it begins follows from what it finds:
///
///     a founder (its number is below `founders`)    waits for the others; weight 1 / founders, and
///                                                   the parameters of the first
///     one whose earlier life a member has met, or   weight 0; asks a member for half of its
///     weight, whose number is not a founder's               with its model alone (no founders, no
///     contacts)              weight 1; others may come
///
/// Threads  for the thread that made it; the node runs in one of its own.
/// Throws   ConfigError if nobody is there in time, with the last reason; NodeError from `run` if a
///          hook threw.
template <class Node>
class TcpMember {
 public:
  /// `make` is called with the node's context and returns `std::unique_ptr<Node>`.
  template <class Factory>
  TcpMember(const TcpMemberOptions& options, const rule::AnyRule& rule, Factory make)
      : workers_(GroupOptions(1)
                     .node((options.check(), options.node()))
                     .threads_per_node(options.threads())
                     .stop_when(options.leave_when())
                     .on_tick(options.on_tick())
                     .tick(options.tick())),
        leave_when_(options.leave_when()) {
    transport::Tcp tcp(options.tcp());
    const bool founds = is_first_life(tcp, options);
    const double weight =
        founds ? 1 / static_cast<double>(std::max<std::uint32_t>(options.tcp().founders(), 1)) : 0;
    endpoint_ = &tcp.endpoint();
    const std::vector<PeerId> peers(tcp.peers().begin(), tcp.peers().end());
    node_ = make(Context{std::move(tcp), rule, options.node(), weight});
    if (founds) {
      const at::NoGradGuard no_grad;
      node_->engine().start_equal();
    } else {
      Generator random(options.node().seed(), node_->id());
      node_->join(peers[random.below(static_cast<std::uint32_t>(peers.size()))]);
    }
  }
  TcpMember(const TcpMember&) = delete;
  TcpMember& operator=(const TcpMember&) = delete;

  /// Trains until the budget is spent, or `leave_when` says so. Throws NodeError.
  void run_until(const Budget& budget) {
    work([this, &budget] { node_->run_until(budget); });
  }
  /// The end: answers the others until all have finished, at most `NodeOptions::drain_timeout`. If
  /// the node is leaving, its weight goes to another, and it goes when that has it. Throws
  /// NodeError.
  void finish() {
    if (leave_when_ && leave_when_()) ask_to_leave();  // said after the run had ended
    work([this] { leaving_ ? leave() : node_->finish(); });
  }
  void run(const Budget& budget) {
    run_until(budget);
    finish();
  }

  [[nodiscard]] Node& node() noexcept { return *node_; }
  [[nodiscard]] const Node& node() const noexcept { return *node_; }
  /// The counters of all members, this one included, as far as known. Any thread.
  [[nodiscard]] transport::Status totals() const {
    return endpoint_->with([](transport::Member& member) {
      transport::Status sum = member.status(member.self());
      for (const transport::MemberView& peer : member.view()) sum += peer.status;
      return sum;
    });
  }
  /// What is known of each peer. Any thread.
  [[nodiscard]] std::vector<transport::TcpPeer> peers() const { return endpoint_->view(); }
  [[nodiscard]] transport::MemberCounts counts() const {
    return endpoint_->with([](transport::Member& member) { return member.counts(); });
  }
  /// Where others dial this node.
  [[nodiscard]] const std::string& address() const { return endpoint_->address(); }

 private:
  void ask_to_leave() {
    leaving_ = true;
    node_->request_leave();
  }

  static bool is_first_life(transport::Tcp& tcp, const TcpMemberOptions& options) {
    const std::uint32_t founders = options.tcp().founders();
    const bool founder = founders == 0 ? options.tcp().contacts().empty() : tcp.self() < founders;
    const auto refuse = [&](const std::string& whom) {
      throw ConfigError(c10::str("node ", tcp.self(), " has met ", whom, " within ",
                                 options.gather_timeout().count(), " ms; ",
                                 tcp.obstacle().empty() ? "nobody has called" : tcp.obstacle()));
    };
    const auto reach = [&](std::size_t others) {
      if (tcp.gather(others, options.gather_timeout())) return;
      const std::size_t met = tcp.endpoint().with([](auto& member) { return member.met(); });
      refuse(c10::str(met, " of ", others, " others"));
    };
    if (founder && founders <= 1) return true;
    reach(1);
    if (founder && !tcp.had_earlier_life()) reach(founders - 1);
    if (founder && !tcp.had_earlier_life()) return true;
    // A newcomer needs one who is there now, not one who has been.
    if (!tcp.find_peer(options.gather_timeout())) refuse("nobody who is still there");
    return false;
  }

  void leave() {
    node_->begin_finish();
    const transport::Time deadline = endpoint_->now() + node_->options().drain_timeout();
    const auto idle = [](const transport::Member& member) { return member.under_way() == 0; };
    while (!node_->settle() && endpoint_->now() < deadline) {
      if (node_->weight() == 0 && endpoint_->with(idle)) break;
      endpoint_->wait_until(deadline, [&](const transport::Member& member) {
        return member.has_event() || idle(member);
      });
    }
    node_->end_finish();
  }

  template <class Work>
  void work(Work what) {
    const Workers::End end =
        workers_.run([&](std::size_t) { what(); },
                     [this](std::size_t, const std::exception& error) { node_->fail(error); },
                     [this] { ask_to_leave(); });
    if (end.error) rethrow_as_node_error(node_->id(), end.error);
  }

  Workers workers_;
  std::function<bool()> leave_when_;
  std::atomic<bool> leaving_{false};
  transport::TcpEndpoint* endpoint_ = nullptr;  // the node's transport has it
  std::unique_ptr<Node> node_;
};

}  // namespace gossamer
