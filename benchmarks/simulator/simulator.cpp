// SPDX-License-Identifier: MIT
/// How many events per second the simulator does, how much memory a node takes, and whether either
/// changes as the run goes on: N nodes of 100 parameters, GoSGD with p = 1.
///
///     simulator [nodes] [messages in thousands] [friends per node] [file for the figures]
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/simulation/group.hpp>

#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using gossamer::PeerId;
using gossamer::transport::SimulatedOptions;

class Node final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Node(gossamer::Context context) : GossipNode(std::move(context), {at::zeros({100})}) {}

 private:
  double local_step() override { return 0; }
};

/// Processor time: the machine may be shared.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double resident_megabytes() {
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  const std::uint64_t nodes = number(1, 10'000);
  const std::uint64_t messages = 1000 * number(2, 10'000);
  const std::uint64_t friends = std::min<std::uint64_t>(number(3, 4), nodes - 1);
  // Each node knows those at distances that grow like powers, both ways, so that all are a few
  // meetings apart and a node has few links.
  const auto peers_of = [=](PeerId id) {
    std::vector<PeerId> peers;
    std::uint64_t distance = 1;
    for (std::uint64_t i = 0; i < friends; ++i) {
      peers.push_back(static_cast<PeerId>((id + distance) % nodes));
      peers.push_back(static_cast<PeerId>((id + nodes - distance % nodes) % nodes));
      distance = distance * 7 % nodes;
    }
    std::sort(peers.begin(), peers.end());
    peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
    std::erase(peers, id);
    return peers;
  };
  using namespace std::chrono_literals;
  const double empty = resident_megabytes();
  gossamer::SimulatedGroup<Node> group(
      gossamer::SimulatedGroupOptions(nodes)
          .world(SimulatedOptions(nodes).link({.latency = 100us}).peers_of(peers_of))
          .cost(gossamer::cost::LogNormal(10ms, 0.2)),
      gossamer::rule::GoSgd(1));
  std::printf("%llu nodes: %.0f MB, %.1f kB per node at the start\n",
              static_cast<unsigned long long>(nodes), resident_megabytes(),
              (resident_megabytes() - empty) * 1e3 / static_cast<double>(nodes));
  std::printf("%12s %12s %12s %14s %12s\n", "messages", "events", "CPU seconds", "events/s", "MB");
  const double begin = cpu_seconds();
  constexpr std::uint64_t parts = 10;
  std::vector<double> speeds;
  for (std::uint64_t part = 1; part <= parts; ++part) {
    const auto first = group.world().events();
    const double start = cpu_seconds();
    group.run_until(gossamer::StopCondition().steps(
        std::max<std::uint64_t>(1, messages * part / parts / nodes)));
    const double took = cpu_seconds() - start;
    const auto events = group.world().events() - first;
    speeds.push_back(static_cast<double>(events) / took);
    std::printf("%12llu %12llu %12.1f %14.0f %12.0f\n",
                static_cast<unsigned long long>(group.totals().messages_sent),
                static_cast<unsigned long long>(group.world().events()), took, speeds.back(),
                resident_megabytes());
    std::fflush(stdout);
  }
  const double took = cpu_seconds() - begin;
  const double speed = static_cast<double>(group.world().events()) / took;
  const double peak = peak_megabytes() - empty;  // without LibTorch's own
  std::printf(
      "all: %.0f events and %.0f steps per CPU second, weight %.12f, %.1f virtual seconds, %.1f kB "
      "per node\n",
      speed, static_cast<double>(group.totals().steps) / took, group.total_weight(),
      group.elapsed().count(), peak * 1e3 / static_cast<double>(nodes));
  if (argc > 4) {
    nlohmann::ordered_json figures;
    figures["nodes"] = nodes;
    figures["messages"] = group.totals().messages_sent;
    figures["events"] = group.world().events();
    figures["events_per_second"] = speed;
    figures["events_per_second_in_the_first_tenth"] = speeds.front();
    figures["events_per_second_in_the_last_tenth"] = speeds.back();
    figures["peak_megabytes"] = peak;
    std::ofstream(argv[4]) << figures.dump(1) << '\n';
  }
}
