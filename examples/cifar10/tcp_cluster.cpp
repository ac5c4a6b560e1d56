// SPDX-License-Identifier: MIT
/// One node of a run over several processes.
#include <cifar10/process_cluster.hpp>
#include <cifar10/tcp_cluster.hpp>
#include <gossamer/node/tcp_group.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

namespace cifar10 {
namespace {

using gossamer::transport::Security;

Security security_of(const Options::Tcp& tcp) {
  if (!tcp.shared_key.empty()) return Security::shared_key(tcp.shared_key);
  if (!tcp.authority.empty()) {
    return Security::certificates(tcp.authority, tcp.certificate, tcp.key);
  }
  return Security::none().insecure(tcp.insecure);
}

gossamer::TcpGroupOptions member_options(const Options& options,
                                         const gossamer::NodeOptions& node) {
  const Options::Tcp& tcp = options.tcp;
  gossamer::transport::TcpOptions end(tcp.number);
  end.world_size(tcp.world_size)
      .listen(tcp.listen)
      .advertise(tcp.advertise)
      .contacts(tcp.contacts)
      .run(tcp.run)
      .security(security_of(tcp))
      .logger(std::make_shared<spdlog::logger>("cifar10",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return gossamer::TcpGroupOptions(end).node(node).rendezvous_timeout(
      std::chrono::milliseconds(static_cast<std::int64_t>(1000 * tcp.gather_seconds)));
}

class Tcp final : public ProcessCluster<gossamer::TcpGroup<CifarNode>> {
 public:
  using ProcessCluster::ProcessCluster;
  std::string address() const override { return member().address(); }
  nlohmann::ordered_json connections() const override {
    nlohmann::ordered_json all = ProcessCluster::connections();
    const gossamer::transport::UnauthenticatedPeers::Record attempts = member().attempts();
    all["strangers_turned_away"] = attempts.refused;
    all["handshakes_failed"] =
        std::accumulate(attempts.failed.begin(), attempts.failed.end(), std::uint64_t{0});
    return all;
  }
};

}  // namespace

std::unique_ptr<Cluster> make_tcp_cluster(const Options& options, const gossamer::NodeOptions& node,
                                          const Images& train, std::function<bool()> leave_when,
                                          std::function<void()> on_tick) {
  const gossamer::TcpGroupOptions member =
      member_options(options, node).leave_when(std::move(leave_when)).on_tick(std::move(on_tick));
  return std::make_unique<Tcp>(options, train, member);
}

}  // namespace cifar10
