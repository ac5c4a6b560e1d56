// SPDX-License-Identifier: MIT
/// One node of a run over several processes.
#include <cifar10/tcp_cluster.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/tcp_member.hpp>
#include <shared/peer_records.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
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

class Tcp final : public Cluster {
 public:
  Tcp(const gossamer::TcpMemberOptions& member, const Options& options, const Images& train)
      : member_(member, options.make_rule(), [&options, &train](gossamer::Context context) {
          auto node = std::make_unique<CifarNode>(std::move(context), options, train);
          if (!options.tcp.step_log.empty()) node->log_steps(options.tcp.step_log);
          return node;
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
  void checkpoint(gossamer::Archive& /*archive*/) override {
    throw gossamer::ConfigError("a node on TCP cannot be saved yet");
  }
  nlohmann::ordered_json peers() const override { return examples::peer_records(member_.peers()); }

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
