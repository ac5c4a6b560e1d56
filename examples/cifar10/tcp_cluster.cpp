// SPDX-License-Identifier: MIT
/// One node of a run over several processes.
#include <cifar10/tcp_cluster.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/tcp_member.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace cifar10 {
namespace {

using Clock = std::chrono::steady_clock;
using gossamer::transport::Security;

Security security_of(const Options::Tcp& tcp) {
  if (!tcp.shared_key.empty()) return Security::shared_key(tcp.shared_key);
  if (!tcp.authority.empty()) {
    return Security::certificates(tcp.authority, tcp.certificate, tcp.key);
  }
  return Security::none().insecure(tcp.insecure);
}

gossamer::TcpMemberOptions member_options(const Options& options,
                                          const gossamer::NodeOptions& node) {
  const Options::Tcp& tcp = options.tcp;
  gossamer::transport::TcpOptions end(tcp.number);
  end.founders(tcp.founders)
      .listen(tcp.listen)
      .advertise(tcp.advertise)
      .contacts(tcp.contacts)
      .run(tcp.run)
      .security(security_of(tcp))
      .logger(std::make_shared<spdlog::logger>("cifar10",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return gossamer::TcpMemberOptions(end).node(node).gather_timeout(
      std::chrono::milliseconds(static_cast<std::int64_t>(1000 * tcp.gather_seconds)));
}

const char* name_of(const gossamer::transport::MemberPeerView& peer) {
  using gossamer::transport::wire::Presence;
  if (peer.presence == Presence::left) return "left";
  if (peer.presence == Presence::lost) return "lost";
  return peer.connected ? "connected" : "not connected";
}

class Tcp final : public Cluster {
 public:
  Tcp(const gossamer::TcpMemberOptions& member, const Options& options, const Images& train)
      : member_(member, options.make_rule(), [&options, &train](gossamer::Context context) {
          return std::make_unique<CifarNode>(std::move(context), options, train);
        }) {}

  void train(const Stretch& stretch) override {
    gossamer::Budget budget;
    if (stretch.images != Stretch::no_limit) budget.samples(stretch.images);
    if (stretch.seconds > 0) {
      budget.duration(gossamer::transport::seconds(std::max(1e-9, stretch.seconds - wall_)));
    }
    const Clock::time_point begin = Clock::now();
    member_.run_until(budget);
    wall_ += std::chrono::duration<double>(Clock::now() - begin).count();
  }
  void finish() override { member_.finish(); }
  std::vector<CifarNode*> nodes() override { return {&member_.node()}; }
  std::vector<gossamer::observe::Member> members() const override {
    return {{&member_.node().parameters(), member_.node().weight()}};
  }
  gossamer::transport::Status totals() const override { return member_.totals(); }
  double total_weight() const override { return member_.node().weight(); }
  double wall_seconds() const override { return wall_; }
  void checkpoint(gossamer::Archive& archive) override {
    member_.checkpoint(archive);
    archive("wall_seconds", wall_);
  }
  nlohmann::ordered_json peers() const override {
    auto all = nlohmann::ordered_json::array();
    for (const auto& peer : member_.peers()) {
      const gossamer::transport::Ledger& ledger = peer.ledger;
      all.push_back({{"peer", peer.peer},
                     {"address", peer.address},
                     {"state", name_of(peer)},
                     {"round_trip_ms", static_cast<double>(peer.round_trip.count()) / 1e6},
                     {"bytes_sent", peer.traffic.bytes_sent},
                     {"bytes_received", peer.traffic.bytes_received},
                     {"messages_sent", ledger.sent.messages()},
                     {"messages_received", ledger.delivered.messages()},
                     {"messages_returned", ledger.returned.messages()},
                     {"weight_sent", ledger.sent.weight()},
                     {"weight_received", ledger.delivered.weight()},
                     {"weight_returned", ledger.returned.weight()},
                     {"messages_in_doubt", ledger.in_doubt.messages()}});
    }
    return all;
  }
  std::string network() const override {
    std::size_t connected = 0;
    std::size_t gone = 0;
    std::uint64_t bytes = 0;
    double slowest = 0;
    for (const auto& peer : member_.peers()) {
      using gossamer::transport::wire::Presence;
      connected += peer.connected ? 1 : 0;
      gone += peer.presence == Presence::left || peer.presence == Presence::lost ? 1 : 0;
      bytes += peer.traffic.bytes_sent + peer.traffic.bytes_received;
      slowest = std::max(slowest, static_cast<double>(peer.round_trip.count()) / 1e6);
    }
    char text[96];
    std::snprintf(text, sizeof text, "peers %zu up, %zu gone, %.1f MB, slowest %.1f ms", connected,
                  gone, static_cast<double>(bytes) / 1e6, slowest);
    return text;
  }
  std::string address() const override { return member_.address(); }

 private:
  gossamer::TcpMember<CifarNode> member_;
  double wall_ = 0;
};

}  // namespace

std::unique_ptr<Cluster> make_tcp_cluster(const Options& options, const gossamer::NodeOptions& node,
                                          const Images& train, std::function<bool()> leave_when,
                                          std::function<void()> on_tick) {
  return std::make_unique<Tcp>(
      member_options(options, node).leave_when(std::move(leave_when)).on_tick(std::move(on_tick)),
      options, train);
}

}  // namespace cifar10
