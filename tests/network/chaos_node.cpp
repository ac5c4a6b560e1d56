// SPDX-License-Identifier: MIT
/// A node on TCP that costs next to nothing: a vector that wanders, and a pause after each step.
/// The trials in this folder start many of it, and kill, cut and stop them. It writes a line a
/// second into its report, and its books at the end:
///
///     SIGTERM  it leaves: its weight goes to another
///     SIGUSR1  it finishes, as all others are told to
#include <gossamer/gossamer.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/node/tcp_group.hpp>
#include <gossamer/observe/group_record.hpp>

#include <ATen/ATen.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;
using Seconds = std::chrono::duration<double>;

struct Options {
  std::int64_t rank = -1;
  std::uint32_t world_size = 0;
  std::string listen = "127.0.0.1:0";
  std::string advertise;
  std::vector<std::string> contacts;
  bool insecure = false;
  std::string report;
  std::int64_t parameters = 1000;
  double probability = 0.1;
  std::uint64_t tau = 0;
  double drift = 0;
  double step_seconds = 0.05;
  double dead_after = 10;
  double gather_seconds = 60;
  double drain_seconds = 60;
  std::uint64_t seed = 1;

  void add_to(CLI::App& app) {
    app.add_option("--rank", rank, "Of a founder; without one, the node joins a run");
    app.add_option("--world-size", world_size, "How many nodes the run begins with");
    app.add_option("--listen", listen, "Address and port");
    app.add_option("--advertise", advertise, "Where others find it, if not where it listens");
    app.add_option("--contact", contacts, "host:port of a member; may be repeated");
    app.add_flag("--insecure", insecure, "Listen elsewhere than on loopback");
    app.add_option("--report", report, "File to write")->required();
    app.add_option("--parameters", parameters, "Length of the vector");
    app.add_option("--probability", probability, "Of a push after a step");
    app.add_option("--tau", tau, "Steps between two means of all, in place of pushes");
    app.add_option("--drift", drift,
                   "Added to each step, times the last digit of the node's number");
    app.add_option("--step-seconds", step_seconds, "The pause that is a step");
    app.add_option("--dead-after", dead_after, "Seconds of silence after which a peer is dead");
    app.add_option("--gather-seconds", gather_seconds, "How long to wait for a member");
    app.add_option("--drain-seconds", drain_seconds, "How long to wait at the end");
    app.add_option("--seed", seed, "Seed");
  }

  [[nodiscard]] gossamer::rule::AnyRule rule() const {
    if (tau > 0) return gossamer::rule::PerSyn(tau);
    return gossamer::rule::GoSgd(probability);
  }
  [[nodiscard]] gossamer::TcpGroupOptions member() const {
    const auto milliseconds = [](double value) {
      return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * value));
    };
    gossamer::transport::TcpOptions tcp(rank >= 0 ? static_cast<gossamer::PeerId>(rank)
                                                  : gossamer::TcpGroupOptions::newcomers_number());
    gossamer::transport::MembershipTimers timers;
    timers.dead_after = milliseconds(dead_after);
    tcp.world_size(world_size)
        .listen(listen)
        .advertise(advertise)
        .contacts(contacts)
        .run("trial")
        .timers(timers);
    tcp.security(gossamer::transport::Security::none().insecure(insecure));
    tcp.logger(std::make_shared<spdlog::logger>("wanderer",
                                                std::make_shared<spdlog::sinks::stderr_sink_mt>()));
    return gossamer::TcpGroupOptions(tcp)
        .rendezvous_timeout(milliseconds(gather_seconds))
        .node(gossamer::NodeOptions().seed(seed).drain_timeout(milliseconds(drain_seconds)));
  }
};

class Wanderer final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  Wanderer(gossamer::Context context, const Options& options)
      : GossipNode(std::move(context), {at::zeros({options.parameters})}),
        pause_(options.step_seconds),
        drift_(options.drift * (id() % 10)),
        random_(generator()) {}

 private:
  double local_step() override {
    const double step = random_.uniform() - 0.5;
    model().front().add_(step + drift_);
    std::this_thread::sleep_for(pause_);
    return step * step;
  }

  Seconds pause_;
  double drift_;
  gossamer::Generator random_;
};

double seconds_now() {
  return Seconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

volatile std::sig_atomic_t finish_asked = 0;

int run(const Options& options) {
  gossamer::Signals signals;
  std::signal(SIGUSR1, [](int) { finish_asked = 1; });
  std::ofstream report(options.report);
  const auto write = [&report](const Json& line) { report << line.dump() << std::endl; };
  const auto leaves = [&signals] { return signals.received() != 0; };

  gossamer::TcpGroup<Wanderer> member(
      options.member().leave_when(leaves), options.rule(), [&options](gossamer::Context context) {
        return std::make_unique<Wanderer>(std::move(context), options);
      });
  Wanderer& node = member.node();
  write({{"node", node.id()}, {"address", member.address()}, {"begin_weight", node.weight()}});
  while (finish_asked == 0 && !leaves()) {
    member.run_for(gossamer::StopCondition().duration(std::chrono::seconds(1)));
    write({{"seconds", seconds_now()},
           {"steps", node.counters().steps},
           {"merged", node.counters().messages_merged},
           {"weight", node.weight()},
           {"number", node.model().front()[0].item<double>()},
           {"joining", node.is_joining()}});
  }
  const double begin = seconds_now();
  member.finish();
  const gossamer::transport::MembershipCounts counts = member.counts();
  write({{"seconds", seconds_now()},
         {"finish_seconds", seconds_now() - begin},
         {"left", leaves()},
         {"weight_lost", member.weight_lost()},
         {"steps", node.counters().steps},
         {"weight", node.weight()},
         {"number", node.model().front()[0].item<double>()},
         {"messages_sent", node.counters().messages_sent},
         {"messages_returned", node.counters().messages_returned},
         {"suspicions", counts.suspicions},
         {"reconnects", counts.reconnects},
         {"refused", counts.refused},
         {"peers", gossamer::observe::peer_records(member.peers())}});
  if (member.weight_lost() > 0) {
    // In one piece: the logger's thread writes into the same file.
    std::cerr << "wanderer: weight " + std::to_string(member.weight_lost()) + " of node " +
                     std::to_string(node.id()) + " is lost\n";
    return 3;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"A small node on TCP, for trials"};
  options.add_to(app);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "wanderer: " << error.what() << '\n';
    return 1;
  }
}
