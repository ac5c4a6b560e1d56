// SPDX-License-Identifier: MIT
/// The live page of a program's own loop, asked for by the environment.
#include <gossamer/distributed.hpp>
#include <gossamer/error.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <tests/launch/variable_map.hpp>
#include <tests/node/side_by_side.hpp>
#include <tests/observe/http_get.hpp>
#include <tests/support.hpp>
#include <torch/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Gossip;
using gossamer::join_run;
using gossamer::NodeOptions;
using gossamer::RunOptions;
using gossamer::rule::GoSgd;
using tests::VariableMap;
using tests::watched;
using Numbers = std::vector<torch::Tensor>;
using namespace std::chrono_literals;
using Listener = asio::ip::tcp::acceptor;
using Place = asio::ip::tcp::endpoint;

Numbers numbers() { return {torch::zeros({4}, torch::kDouble)}; }
RunOptions options_of(const VariableMap& map) {
  return RunOptions()
      .variables(tests::variables(map))
      .node(NodeOptions().seed(tests::seed).drain_timeout(30s));
}
std::string refused(const VariableMap& map) {
  return tests::message_of<ConfigError>([&] { (void)join_run(GoSgd(0.5), options_of(map)); });
}

/// The first of `count` ports in a row that were free a moment ago.
std::uint16_t free_ports(std::size_t count) {
  asio::io_context io;
  while (true) {
    std::vector<Listener> all;
    all.emplace_back(io, Place(asio::ip::address_v4::loopback(), 0));
    const std::uint16_t first = all.front().local_endpoint().port();
    std::error_code taken;
    while (!taken && all.size() < count && first + all.size() < 65'536) {
      Listener next(io, asio::ip::tcp::v4());
      next.bind({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(first + all.size())},
                taken);
      if (!taken) all.push_back(std::move(next));
    }
    if (all.size() == count) return first;
  }
}

/// Steps until the page is as it should be; what it shows then, or after a minute.
template <class Wanted>
nlohmann::json step_until(Gossip& gossip, std::uint16_t port, const std::string& fields,
                          Wanted is_wanted) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  nlohmann::json page;
  do {
    gossip.step(0.5);
    page = watched(port, fields);
  } while (!is_wanted(page) && std::chrono::steady_clock::now() < deadline);
  return page;
}

}  // namespace

TEST_CASE("A program that is alone shows its own steps and its rule", "[distributed][threads]") {
  const std::uint16_t port = free_ports(1);
  const VariableMap map{{"GOSSAMER_WATCH", std::to_string(port)}};
  Numbers model = numbers();
  Gossip gossip(join_run(GoSgd(1), options_of(map)), model);
  const auto before = watched(port);
  REQUIRE(before.contains("nodes"));
  CHECK(before["running"] == true);
  CHECK(before["nodes"][0]["steps"] == 0);
  CHECK(before["nodes"][0]["weight"] == 1);
  CHECK(before["about"][0][1] == GoSgd(1).agreement());
  const auto page = step_until(
      gossip, port, "", [](const auto& shown) { return tests::shows_all_at_work(shown, 1); });
  REQUIRE(tests::shows_all_at_work(page, 1));
  CHECK(page["nodes"][0]["steps"] <= gossip.counters().steps);
  CHECK(page["nodes"][0]["loss_sum"] == 0.5 * page["nodes"][0]["steps"].get<double>());
  CHECK(tests::http_get(port, "/metrics").find("gossamer_steps_total{node=\"0\"}") !=
        std::string::npos);
}

TEST_CASE("Rank N serves at the port plus N, and shows the others", "[distributed][tcp][threads]") {
  constexpr std::size_t m = 3;
  const std::uint16_t first = free_ports(m);
  const std::string run_port = std::to_string(free_ports(1));
  std::vector<VariableMap> maps;
  for (std::size_t i = 0; i < m; ++i) {
    maps.push_back({{"RANK", std::to_string(i)},
                    {"WORLD_SIZE", std::to_string(m)},
                    {"LOCAL_WORLD_SIZE", std::to_string(m)},
                    {"MASTER_ADDR", "127.0.0.1"},
                    {"MASTER_PORT", run_port},
                    {"GOSSAMER_WATCH", std::to_string(first)}});
  }
  std::vector<nlohmann::json> pages(m);
  tests::side_by_side(m, [&](std::size_t i) {
    Numbers model = numbers();
    Gossip gossip(join_run(GoSgd(0.5), options_of(maps[i])), model);
    pages[i] = step_until(gossip, static_cast<std::uint16_t>(first + i), "",
                          [](const auto& page) { return tests::shows_all_at_work(page, m); });
    gossip.finish();
  });
  for (std::size_t i = 0; i < m; ++i) {
    CAPTURE(i);
    REQUIRE(tests::shows_all_at_work(pages[i], m));
    CHECK(pages[i]["nodes"][0]["id"] == i);
    CHECK(pages[i]["nodes"][0]["here"] == true);
    CHECK(pages[i]["nodes"][1]["here"] == false);
    CHECK(pages[i]["totals"]["steps"] > pages[i]["nodes"][0]["steps"]);
  }
}

TEST_CASE("Where others reach the page, only who knows the token sees the numbers",
          "[distributed][threads]") {
  const std::uint16_t port = free_ports(1);
  const std::string token = "0123456789abcdef";
  const VariableMap map{{"GOSSAMER_WATCH", "0.0.0.0:" + std::to_string(port)},
                        {"GOSSAMER_WATCH_TOKEN", token}};
  Numbers model = numbers();
  Gossip gossip(join_run(GoSgd(1), options_of(map)), model);
  CHECK(tests::http_get(port, "/state.json").starts_with("HTTP/1.1 401"));
  CHECK(watched(port, "Authorization: Bearer " + token + "\r\n").contains("nodes"));
  // Code wins.
  const VariableMap wrong = tests::with(map, "GOSSAMER_WATCH", "nonsense");
  const std::uint16_t other = free_ports(1);
  Numbers second = numbers();
  const Gossip inner(join_run(GoSgd(1), options_of(wrong)
                                            .watch("0.0.0.0:" + std::to_string(other))
                                            .watch_token("fedcba9876543210")),
                     second);
  CHECK(tests::http_get(other, "/state.json", "Authorization: Bearer " + token + "\r\n")
            .starts_with("HTTP/1.1 401"));
  CHECK(watched(other, "Authorization: Bearer fedcba9876543210\r\n").contains("nodes"));
}

TEST_CASE("A newcomer, whose number is no place in a row of ports, serves at the port itself",
          "[distributed][tcp][threads]") {
  const std::uint16_t port = free_ports(1);
  const VariableMap map{{"GOSSAMER_LISTEN", "127.0.0.1:0"},
                        {"GOSSAMER_WATCH", std::to_string(port)}};
  Numbers model = numbers();
  Gossip gossip(join_run(GoSgd(1), options_of(map)), model);
  REQUIRE(gossip.id() >= 65'536);
  const auto page = watched(port);
  REQUIRE(page.contains("nodes"));
  CHECK(page["nodes"][0]["id"] == gossip.id());
}

TEST_CASE("A wrong page is refused by the variable's name", "[distributed]") {
  for (const char* text : {"soon", "70000", ":8080", "localhost:", "-1"}) {
    CAPTURE(text);
    CHECK(refused({{"GOSSAMER_WATCH", text}}) ==
          "GOSSAMER_WATCH must be [ADDRESS:]PORT, is \"" + std::string(text) + "\"");
  }
  CHECK(refused({{"GOSSAMER_WATCH", "0"}}) ==
        "GOSSAMER_WATCH: nobody would know the page's port, got 0");
  CHECK(refused({{"GOSSAMER_WATCH", "0.0.0.0:8080"}}) ==
        "GOSSAMER_WATCH: Watch: 0.0.0.0:8080 needs a token of at least 16 characters, got 0");
  CHECK(refused({{"GOSSAMER_WATCH", "0.0.0.0:8080"}, {"GOSSAMER_WATCH_TOKEN", "short"}}) ==
        "GOSSAMER_WATCH: Watch: 0.0.0.0:8080 needs a token of at least 16 characters, got 5");
  const VariableMap rank{{"RANK", "1"},
                         {"WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "127.0.0.1"},
                         {"GOSSAMER_WATCH", "65535"}};
  CHECK(refused(rank) == "GOSSAMER_WATCH: there is no port 65536 for node 1");
  asio::io_context io;
  const Listener taken(io, Place(asio::ip::address_v4::loopback(), 0));
  const std::string port = std::to_string(taken.local_endpoint().port());
  CHECK(refused({{"GOSSAMER_WATCH", port}})
            .starts_with("GOSSAMER_WATCH: HTTP server: cannot listen on 127.0.0.1:" + port));
}
