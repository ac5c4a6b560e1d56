// SPDX-License-Identifier: MIT
/// A program's place in a run, from the environment alone.
#include <gossamer/distributed.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/sync.hpp>

#include <tests/launch/variable_map.hpp>
#include <tests/node/side_by_side.hpp>
#include <tests/support.hpp>
#include <torch/torch.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <ios>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Gossip;
using gossamer::join_run;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::RunOptions;
using gossamer::rule::AnyRule;
using gossamer::rule::GoSgd;
using tests::VariableMap;
using tests::with;
using Numbers = std::vector<torch::Tensor>;

Numbers numbers(double value) { return {torch::full({4}, value, torch::kDouble)}; }

RunOptions options_of(const VariableMap& map) {
  return RunOptions()
      .variables(tests::variables(map))
      .node(NodeOptions().seed(tests::seed).drain_timeout(std::chrono::seconds(30)));
}
std::string refused(const VariableMap& map) {
  return tests::message_of<ConfigError>([&] { (void)join_run(GoSgd(0.5), options_of(map)); });
}

/// A port that was free a moment ago.
std::string free_port() {
  gossamer::transport::Tcp tcp{gossamer::transport::TcpOptions()};
  return tcp.address().substr(tcp.address().rfind(':') + 1);
}
VariableMap launched(std::size_t rank, std::size_t size, const std::string& port) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(size)},
          {"LOCAL_WORLD_SIZE", std::to_string(size)},
          {"MASTER_ADDR", "127.0.0.1"},
          {"MASTER_PORT", port}};
}
/// A file with a key that nobody else may read.
std::string key_file(const tests::TemporaryFolder& folder) {
  const auto path = folder.path() / "run.key";
  std::ofstream file(path);
  for (int i = 0; i < 32; ++i) file << std::hex << 16 + 7 * i % 240;
  file.close();
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  return path.string();
}

TEST_CASE("Without any variable a program is a group of one, and trains as ever", "[distributed]") {
  const VariableMap nothing;
  Numbers model = numbers(3);
  Gossip gossip(join_run(GoSgd(1), options_of(nothing)), model);
  for (int i = 0; i < 3; ++i) gossip.step(1);
  CHECK(gossip.nodes() == 1);
  CHECK(gossip.place() == 0);
  CHECK(gossip.weight() == 1);
  gossip.average();
  CHECK(model[0][0].item<double>() == 3);
  CHECK(gossip.finish());
}

TEST_CASE("Processes that a launcher has numbered meet under a key, and average the same model",
          "[distributed][tcp][threads]") {
  constexpr std::size_t m = 3;
  const tests::TemporaryFolder folder;
  const std::string key = key_file(folder);
  const std::string port = free_port();
  std::vector<VariableMap> maps;
  for (std::size_t i = 0; i < m; ++i)
    maps.push_back(with(launched(i, m, port), "GOSSAMER_KEY", key));
  std::vector<double> starts(m);
  std::vector<double> means(m);
  std::vector<double> weights(m);
  std::vector<std::size_t> places(m);
  tests::side_by_side(m, [&](std::size_t i) {
    Numbers model = numbers(static_cast<double>(i) + 4);
    Gossip gossip(join_run(GoSgd(0.5), options_of(maps[i])), model);
    starts[i] = model[0][0].item<double>();
    places[i] = gossip.place();
    for (int step = 0; step < 50; ++step) {
      model[0].add_(0.01 * static_cast<double>(i));
      gossip.step(1);
    }
    gossip.average();
    means[i] = model[0][2].item<double>();
    gossip.finish();
    weights[i] = gossip.weight();
  });
  CHECK(starts[0] == 4);  // the others may have merged with a faster one already
  CHECK(places == std::vector<std::size_t>{0, 1, 2});
  CHECK(means == std::vector<double>(m, means[0]));
  CHECK(weights[0] + weights[1] + weights[2] == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("Gradients are averaged over TCP, and models are equal to the bit",
          "[distributed][tcp][threads]") {
  constexpr std::size_t m = 2;
  const std::string port = free_port();
  std::vector<torch::Tensor> ends(m);
  tests::side_by_side(m, [&](std::size_t i) {
    const VariableMap map = launched(i, m, port);
    Numbers model{torch::ones({5}).requires_grad_()};
    Gossip gossip(join_run(gossamer::rule::Sync().chunks(m), options_of(map)), model);
    torch::optim::Adam optimizer(model, 0.1);
    for (int step = 0; step < 20; ++step) {
      optimizer.zero_grad();
      const auto loss = (model[0] - static_cast<double>(i)).square().sum();
      loss.backward();
      gossip.average_gradients();
      optimizer.step();
      gossip.step(loss.item<double>());
    }
    ends[i] = model[0].detach().clone();
  });
  CHECK(torch::equal(ends[0], ends[1]));
  CHECK(ends[0][0].item<double>() == tests::Approx(0.5).margin(0.2));  // between 0 and 1
}

TEST_CASE("A contact and no rank make a newcomer; one with its rank comes back; one leaves",
          "[distributed][tcp][threads]") {
  const std::string port = free_port();
  std::vector<VariableMap> maps{
      launched(0, 2, port), launched(1, 2, port), {{"GOSSAMER_CONTACT", "127.0.0.1:" + port}}};
  std::promise<void> others_are_done;
  double weight = 0;
  double newcomers_weight = 0;
  double newcomers_model = 0;
  double returned_weight = 0;
  bool left_well = false;
  tests::side_by_side(2, [&](std::size_t i) {
    Numbers model = numbers(i == 0 ? 7 : 1);
    if (i == 0) {
      Gossip gossip(join_run(gossamer::rule::None(), options_of(maps[0])), model);
      auto end = others_are_done.get_future();
      while (end.wait_for(std::chrono::microseconds(200)) != std::future_status::ready) {
        gossip.step();
      }
      gossip.finish();
      weight = gossip.weight();
      return;
    }
    {
      Gossip gossip(join_run(gossamer::rule::None(), options_of(maps[1])), model);
      gossip.step();
      left_well = gossip.leave();
    }
    {  // again, with the same rank
      Numbers again = numbers(100);
      Gossip gossip(join_run(gossamer::rule::None(), options_of(maps[1])), again);
      returned_weight = gossip.weight();
      left_well = gossip.leave() && left_well;
    }
    Numbers other = numbers(200);
    Gossip gossip(join_run(gossamer::rule::None(), options_of(maps[2])), other);
    newcomers_weight = gossip.weight();
    newcomers_model = other[0][1].item<double>();
    left_well = gossip.leave() && left_well;
    others_are_done.set_value();
  });
  CHECK(left_well);
  CHECK(returned_weight == tests::Approx(0.5));
  CHECK(newcomers_weight == tests::Approx(0.5));
  CHECK(newcomers_model == 7);
  CHECK(weight == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A wrong variable is refused by its name", "[distributed]") {
  CHECK(refused({{"GOSSAMER_TRANSPORT", "pigeon"}}) ==
        "GOSSAMER_TRANSPORT must be tcp or mpi, is \"pigeon\"");
  CHECK(refused({{"GOSSAMER_TRANSPORT", "mpi"}}) ==
        "GOSSAMER_TRANSPORT is mpi, but this program was built without MPI: include "
        "<gossamer/distributed/mpi.hpp> in one of its files, and link gossamer::mpi");
  const std::string shape = "an address must be host:port, 10.0.0.1:4000 or [::1]:4000, got \"x\"";
  for (const char* name : {"GOSSAMER_LISTEN", "GOSSAMER_ADVERTISE", "GOSSAMER_CONTACT"}) {
    CHECK(refused({{name, "x"}}) == std::string(name) + ": " + shape);
  }
  CHECK(refused({{"GOSSAMER_CONTACT", "a:1,b:0"}}) ==
        "GOSSAMER_CONTACT: a contact must have a port, got b:0");
  CHECK(refused({{"GOSSAMER_PORT", "70000"}}) ==
        "GOSSAMER_PORT must be a whole number up to 65535, is \"70000\"");
  CHECK(refused({{"GOSSAMER_PORT", "0"}}) == "GOSSAMER_PORT must not be 0");
  CHECK(refused({{"GOSSAMER_RENDEZVOUS_SECONDS", "soon"}}) ==
        "GOSSAMER_RENDEZVOUS_SECONDS must be a whole number up to 1000000, is \"soon\"");
  CHECK(refused({{"GOSSAMER_INSECURE", "yes"}}) == "GOSSAMER_INSECURE must be 0 or 1, is \"yes\"");
  CHECK(refused({{"GOSSAMER_KEY", "/nowhere/run.key"}}).starts_with("GOSSAMER_KEY: "));
  CHECK(refused({{"GOSSAMER_KEY", "k"}, {"GOSSAMER_AUTHORITY", "ca.pem"}}) ==
        "GOSSAMER_KEY and GOSSAMER_AUTHORITY exclude each other");
  CHECK(refused({{"GOSSAMER_CERTIFICATE", "node.pem"}}) ==
        "GOSSAMER_AUTHORITY is not set, but GOSSAMER_CERTIFICATE is");
  CHECK(refused({{"RANK", "2"}}) == "WORLD_SIZE is not set, but RANK is");
}

TEST_CASE("Whoever may, and has a contact elsewhere, can be dialed from there", "[distributed]") {
  const auto listens = [](VariableMap map) {
    const gossamer::RunOptions options = options_of(map);
    return gossamer::detail::RunEnvironment(options).tcp().listen();
  };
  const std::string everywhere = "0.0.0.0:0";
  const std::string here = "127.0.0.1:0";
  CHECK(listens({{"GOSSAMER_CONTACT", "10.0.0.1:4000"}, {"GOSSAMER_INSECURE", "1"}}) == everywhere);
  CHECK(listens({{"GOSSAMER_CONTACT", "localhost:1,a:1"}, {"GOSSAMER_INSECURE", "1"}}) ==
        everywhere);
  CHECK(listens({{"GOSSAMER_CONTACT", "localhost:1,127.0.0.2:1,[::1]:1"},
                 {"GOSSAMER_INSECURE", "1"}}) == here);
  CHECK(listens({{"GOSSAMER_CONTACT", "10.0.0.1:4000"}}) == here);
  CHECK(listens({{"GOSSAMER_CONTACT", "10.0.0.1:4000"},
                 {"GOSSAMER_INSECURE", "1"},
                 {"GOSSAMER_LISTEN", "10.0.0.2:0"}}) == "10.0.0.2:0");
}

TEST_CASE("What is set in code wins over a variable", "[distributed]") {
  const VariableMap map{{"GOSSAMER_LISTEN", "nonsense"}, {"GOSSAMER_TRANSPORT", "nonsense"}};
  const Context context =
      join_run(GoSgd(0.5), options_of(map).transport("tcp").listen("127.0.0.1:0").run("mine"));
  CHECK(context.weight == 1);
  CHECK(context.transport->peers().empty());
  const VariableMap rank{{"RANK", "1"}, {"WORLD_SIZE", "2"}};
  CHECK(tests::message_of<ConfigError>([&] {
          (void)join_run(GoSgd(0.5), options_of(rank).rank(0).world_size(4));
        }).find("launch: node 0 is one of 4") == 0);
  CHECK(tests::message_of<ConfigError>([&] {
          (void)join_run(GoSgd(0.5), options_of(map).transport("udp"));
        }) == "RunOptions::transport must be tcp or mpi, is \"udp\"");
}

TEST_CASE("Whoever asks is told of SIGTERM; whoever does not ask ends by it", "[distributed]") {
  const VariableMap nothing;
  Numbers model = numbers(0);
  struct sigaction before {};
  ::sigaction(SIGTERM, nullptr, &before);
  {
    Gossip gossip(join_run(GoSgd(0.5), options_of(nothing)), model);
    gossip.step();
    struct sigaction now {};
    ::sigaction(SIGTERM, nullptr, &now);
    CHECK(now.sa_handler == before.sa_handler);  // nobody has asked
    CHECK_FALSE(gossip.should_leave());
    (void)::raise(SIGTERM);
    CHECK(gossip.should_leave());
    CHECK(gossip.leave());  // there is nobody to give the weight to
    CHECK(gossip.weight() == 1);
  }
}

}  // namespace
