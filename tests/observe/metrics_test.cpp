// SPDX-License-Identifier: MIT
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/metrics.hpp>
#include <gossamer/observe/process.hpp>
#include <gossamer/transport/message.hpp>

#include <tests/support.hpp>

#include <cctype>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

using gossamer::observe::Connections;
using gossamer::observe::GroupState;
using gossamer::observe::MetricFamily;
using gossamer::observe::Metrics;
using Time = gossamer::observe::Callback::Time;

/// Node 1 here, and peer 4 elsewhere.
GroupState a_state() {
  GroupState state;
  gossamer::Counters here;
  here.steps = 7;
  here.samples = 140;
  here.weight = 0.25;
  here.loss_sum = 3.5;
  here.messages_sent = 5;
  here.messages_merged = 4;
  here.messages_returned = 1;
  here.bytes_sent = 1'000'000'007;
  state.nodes = {{1, here}};
  gossamer::transport::PeerView peer;
  peer.peer = 4;
  peer.connected = true;
  peer.round_trip = std::chrono::milliseconds(3);
  peer.status.steps = 9;
  peer.traffic.bytes_received = 77;
  peer.ledger.returned.add(0.5);
  peer.ledger.in_doubt.add(0.125);
  state.connections = std::make_shared<Connections>(Connections{"here", {}, {peer}});
  state.elapsed = std::chrono::milliseconds(1500);
  return state;
}

}  // namespace

TEST_CASE("Rows of the tables of metrics keep Prometheus' conventions", "[observe][metrics]") {
  std::set<std::string> seen;
  std::string last;
  const auto check = [&](const auto& table) {
    for (const auto& row : table) {
      const std::string name = row.name;
      INFO(name);
      CHECK(name.rfind("gossamer_", 0) == 0);
      CHECK(row.is_counter == name.ends_with("_total"));
      for (const char c : name) CHECK((std::islower(c) || c == '_'));
      if (name == last) {
        CHECK(row.fate != nullptr);
      } else {
        CHECK(seen.insert(name).second);  // rows of one name follow each other
        CHECK(std::string(row.help).ends_with("."));
      }
      last = name;
    }
  };
  check(gossamer::observe::group_metrics);
  check(gossamer::observe::node_metrics);
  check(gossamer::observe::peer_metrics);
  check(gossamer::observe::pool_metrics);
}

TEST_CASE("There are no metrics before the first run, and the last ones after it",
          "[observe][metrics]") {
  Metrics metrics;
  CHECK(metrics.families().empty());
  metrics.on_run_begin(Time(0), a_state());
  GroupState later = a_state();
  later.nodes[0].counters.steps = 8;
  later.connections = nullptr;
  metrics.on_run_end(Time(0), later);
  bool found = false;
  for (const MetricFamily& family : metrics.families()) {
    CHECK(family.name.find("_peer_") == std::string::npos);  // all nodes live here
    if (family.name != "gossamer_steps_total") continue;
    found = true;
    REQUIRE(family.values.size() == 1);
    CHECK(family.values[0].first == MetricFamily::Labels{{"node", "1"}});
    CHECK(family.values[0].second == 8);
  }
  CHECK(found);
}

TEST_CASE("Metrics say how old merged messages were, and what the process takes",
          "[observe][metrics]") {
  GroupState state = a_state();
  state.nodes[0].counters.count_age(3);
  state.nodes[0].counters.count_age(2);
  Metrics metrics;
  metrics.on_tick(Time(0), state);
  std::map<std::string, double> first;
  for (const MetricFamily& family : metrics.families()) {
    first[family.name] = family.values.at(0).second;
  }
  CHECK(first.at("gossamer_merged_age_steps_total") == 5);
  CHECK(first.at("gossamer_merged_age_steps_max") == 3);
  CHECK(first.at("process_cpu_seconds_total") > 0);
  CHECK(first.at("process_cpu_seconds_total") <= gossamer::observe::cpu_seconds());
  CHECK(first.contains("process_resident_memory_bytes") ==
        gossamer::observe::resident_bytes().has_value());
  if (!gossamer::observe::resident_bytes()) return;
  constexpr std::size_t megabytes = 64U << 20U;
  const std::vector<char> more(megabytes, 1);
  CHECK(*gossamer::observe::resident_bytes() >
        first.at("process_resident_memory_bytes") + megabytes / 2.0);
}

TEST_CASE("Metrics say what messages carried, by codec, what pools hold, and what the run is",
          "[observe][metrics]") {
  const Metrics::About about{{"rule", "gosgd"}, {"codec", "int4"}, {"learning rate", "0.1"}};
  Metrics metrics(nullptr, about);
  gossamer::codec::CodedPool codes;
  gossamer::transport::Message message;
  metrics.on_send(Time(0), message);  // says nothing of a model
  for (const std::size_t bytes : {100U, 23U}) {
    message.code = codes.take(bytes);
    metrics.on_send(Time(0), message);
  }
  message.code = {};
  const at::Tensor numbers = at::zeros({5});
  gossamer::model::SnapshotPool pool(gossamer::model::Flat({numbers}));
  message.payload = pool.take();
  metrics.on_send(Time(0), message);
  message.chunk = {1, 5};
  metrics.on_send(Time(0), message);

  GroupState state = a_state();
  state.nodes[0].pool = gossamer::observe::PoolState{3, 2};
  state.nodes.push_back({2, {}});  // in a loop of its own: its pool is not known
  metrics.on_tick(Time(0), state);
  std::map<std::string, MetricFamily> found;
  for (const MetricFamily& family : metrics.families()) found[family.name] = family;
  using Values = decltype(MetricFamily::values);
  CHECK(found.at("gossamer_sent_content_bytes_total").values ==
        Values{{{{"codec", "none"}}, 20 + 4}, {{{"codec", "int4"}}, 123}});
  CHECK(found.at("gossamer_pool_snapshots").values == Values{{{{"node", "1"}}, 3}});
  CHECK(found.at("gossamer_pool_snapshots_in_use").values == Values{{{{"node", "1"}}, 2}});
  // A name that is fit for no label is left out.
  CHECK(found.at("gossamer_run_info").values ==
        Values{{{{"rule", "gosgd"}, {"codec", "int4"}}, 1}});
}
