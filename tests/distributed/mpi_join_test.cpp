// SPDX-License-Identifier: MIT
/// A program's place among the ranks of a job. All ranks run each of these cases, and meet in each.
#include <gossamer/distributed/mpi.hpp>
#include <gossamer/error.hpp>
#include <gossamer/node/gossip.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/sync.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <tests/launch/variable_map.hpp>
#include <tests/observe/http_get.hpp>
#include <tests/support.hpp>
#include <torch/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Gossip;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::RunOptions;
using gossamer::detail::MpiPlace;
using gossamer::rule::AnyRule;
using gossamer::rule::GoSgd;
using gossamer::transport::Reason;
using tests::Approx;
using tests::VariableMap;
using Numbers = std::vector<torch::Tensor>;
using namespace std::chrono_literals;

/// What `join_run` does where the transport is mpi.
Context join(const AnyRule& rule, const RunOptions& options) {
  REQUIRE(gossamer::detail::join_over_mpi != nullptr);
  return gossamer::detail::join_over_mpi(rule, gossamer::detail::RunEnvironment(options));
}
RunOptions options_of(const VariableMap& map) {
  return RunOptions()
      .variables(tests::variables(map))
      .node(NodeOptions().seed(tests::seed).drain_timeout(60s));
}
std::string refused(const RunOptions& options) {
  return tests::message_of<ConfigError>([&] { (void)join(GoSgd(0.5), options); });
}
std::vector<double> of_all_ranks(double mine) {
  std::vector<double> all(MpiPlace::here().size);
  MPI_Allgather(&mine, 1, MPI_DOUBLE, all.data(), 1, MPI_DOUBLE, MPI_COMM_WORLD);
  return all;
}
double sum_over_ranks(double mine) {
  double sum = 0;
  for (const double one : of_all_ranks(mine)) sum += one;
  return sum;
}

}  // namespace

TEST_CASE("Ranks join a run, start from the first one's model, and end with one mean",
          "[distributed][mpi][ranks]") {
  const MpiPlace place = MpiPlace::here();
  const VariableMap nothing;
  double weight = 0;
  double mean = 0;
  {
    Numbers model{torch::full({4}, 3.0 + place.rank, torch::kDouble)};
    Gossip gossip(join(GoSgd(0.5), options_of(nothing)), model);
    CHECK(gossip.id() == place.rank);
    CHECK(gossip.nodes() == place.size);
    if (place.rank == 0) CHECK(model[0][0].item<double>() == 3);
    for (int step = 0; step < 100; ++step) {
      model[0].add_(0.01 * place.rank);
      gossip.step(1);
    }
    gossip.average();
    mean = model[0][2].item<double>();
    gossip.finish();
    weight = gossip.weight();
  }
  const std::vector<double> means = of_all_ranks(mean);
  CHECK(means == std::vector<double>(place.size, means[0]));
  CHECK(mean > 3);
  CHECK(sum_over_ranks(weight) == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("One job joins again, averages gradients, and one rank leaves",
          "[distributed][mpi][ranks]") {
  const MpiPlace place = MpiPlace::here();
  const VariableMap nothing;
  Numbers model{torch::ones({5}, torch::kDouble).requires_grad_()};
  {
    Gossip gossip(join(gossamer::rule::Sync(), options_of(nothing)), model);
    model[0].mutable_grad() = torch::full({5}, 1.0 * place.rank, torch::kDouble);
    gossip.average_gradients();
    CHECK(model[0].grad()[0].item<double>() == Approx((place.size - 1) / 2.0));
    gossip.step();
  }
  double weight = 0;
  {
    Numbers other{torch::ones({5}, torch::kDouble)};
    Gossip gossip(join(GoSgd(0), options_of(nothing)), other);
    if (place.rank == place.size - 1) {
      CHECK(gossip.leave());
    } else {
      bool has_left = false;
      gossip.on_peer_left([&](PeerId peer, Reason reason) {
        has_left = has_left || (peer == place.size - 1 && reason == Reason::left);
      });
      const auto deadline = std::chrono::steady_clock::now() + 60s;
      while (!has_left && std::chrono::steady_clock::now() < deadline) gossip.step();
      CHECK(has_left);
      gossip.finish();
    }
    weight = gossip.weight();
  }
  const std::vector<double> weights = of_all_ranks(weight);
  CHECK(weights.back() == 0);
  CHECK(sum_over_ranks(weight) == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("What only TCP can do is refused over MPI by its name", "[distributed][mpi][ranks]") {
  const std::string why =
      " is for TCP, and the transport is mpi: MPI itself connects the processes, and protects "
      "them or not";
  for (const char* variable :
       {"GOSSAMER_CONTACT", "GOSSAMER_LISTEN", "GOSSAMER_ADVERTISE", "GOSSAMER_RUN",
        "GOSSAMER_PORT", "GOSSAMER_KEY", "GOSSAMER_AUTHORITY", "GOSSAMER_CERTIFICATE",
        "GOSSAMER_PRIVATE_KEY", "GOSSAMER_INSECURE"}) {
    const VariableMap map{{variable, "1"}};
    CHECK(refused(options_of(map)) == variable + why);
  }
  const VariableMap nothing;
  CHECK(refused(options_of(nothing).security(gossamer::transport::Security::none())) ==
        "RunOptions::security" + why);
}

TEST_CASE("Ranks that a launcher or code counts otherwise are refused",
          "[distributed][mpi][ranks]") {
  const std::string size = std::to_string(MpiPlace::here().size);
  const VariableMap torch{{"RANK", "0"}, {"WORLD_SIZE", "9"}};
  CHECK(refused(options_of(torch)) ==
        "there are 9 processes by RANK and WORLD_SIZE, but " + size +
            " by MPI: start them with the mpirun of the MPI that the program was built with");
  const VariableMap nothing;
  const std::string rank = std::to_string(MpiPlace::here().rank);
  CHECK(refused(options_of(nothing).world_size(9)) ==
        "RunOptions: rank and world_size must be MPI's, " + rank + " of " + size + ", got " + rank +
            " of 9");
}

TEST_CASE("Where one rank cannot take part, no other waits for it", "[distributed][mpi][ranks]") {
  const MpiPlace place = MpiPlace::here();
  const VariableMap map{{"GOSSAMER_WATCH", place.rank == 1 ? "nonsense" : ""}};
  CHECK(refused(options_of(map)) ==
        (place.rank == 1 ? "GOSSAMER_WATCH must be [ADDRESS:]PORT, is \"nonsense\""
                         : "join_run: another rank of this job cannot take part, and says why"));
}

TEST_CASE("Each rank shows all of the job on a page of its own", "[distributed][mpi][ranks]") {
  const MpiPlace place = MpiPlace::here();
  // A port of this rank's own that is free, less its number.
  std::uint16_t port = 0;
  {
    asio::io_context io;
    const asio::ip::tcp::acceptor any(io, {asio::ip::address_v4::loopback(), 0});
    port = any.local_endpoint().port();
    MPI_Barrier(MPI_COMM_WORLD);  // all have one
  }
  const VariableMap map{{"GOSSAMER_WATCH", std::to_string(port - place.rank)}};
  Numbers model{torch::zeros({4}, torch::kDouble)};
  Gossip gossip(join(GoSgd(0.5), options_of(map)), model);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  nlohmann::json page;
  do {
    gossip.step(1);
    page = tests::watched(port);
  } while (!tests::shows_all_at_work(page, place.size) &&
           std::chrono::steady_clock::now() < deadline);
  REQUIRE(tests::shows_all_at_work(page, place.size));
  CHECK(page["nodes"][0]["id"] == place.rank);
  CHECK(page["about"][1][1] == "mpi");
  CHECK(page["nodes"][1]["address"].get<std::string>().starts_with("rank "));
  gossip.finish();
}
