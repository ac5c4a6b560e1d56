// SPDX-License-Identifier: MIT
/// What a viewer sees of a group, and the same as JSON.
#pragma once

#include <gossamer/observe/curve.hpp>
#include <gossamer/observe/json_text.hpp>
#include <gossamer/peers.hpp>
#include <gossamer/version.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::observe {

/// A group at one moment, as one process knows it. Made by `WatchState::view()`. Times are seconds.
struct WatchView {
  /// One that lives here, one elsewhere, or one that is no more.
  struct Node {
    PeerId id = 0;
    bool here = false;
    std::string state;                           ///< one word or two; empty: not told yet
    std::optional<std::array<double, 4>> spent;  ///< on compute, exchange, wait, rest
    std::string address;                         ///< of one elsewhere
    std::optional<double> age;         ///< since the numbers of one elsewhere have changed
    std::optional<double> round_trip;  ///< to one elsewhere; 0: not measured yet
    std::uint64_t to_it = 0;           ///< bytes written to one elsewhere,
    std::uint64_t from_it = 0;         ///< and read from it
    std::optional<Counters> counters;  ///< none of one that is no more
  };
  /// The last messages from one node to another, added up.
  struct Edge {
    PeerId from;
    PeerId to;
    std::uint64_t messages;
    std::uint64_t bytes;
  };
  /// What has happened to a node, and when, from the first that was told.
  struct Event {
    double seconds;
    PeerId node;
    std::string what;
  };
  /// The sum over nodes of ||x_m - mean||^2, as `ConsensusEstimate` has it.
  struct Consensus {
    double error = 0;
    double standard_error = 0;
    std::uint64_t samples = 0;
  };
  /// Numbers of the group.
  struct Group {
    double elapsed = 0;  ///< training time on the group's own clock,
    double wall = 0;     ///< and here
    bool is_virtual = false;
    double age = 0;  ///< since this process was told of its own nodes
    Counters totals;
    std::optional<Consensus> consensus = std::nullopt;
  };

  std::vector<std::pair<std::string, std::string>> about;
  bool running = false;
  std::optional<Group> group;  ///< nothing before a group's first run
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::map<std::string, Curve> curves;
  std::deque<Event> events;
};

namespace detail {

inline void add_counters(JsonText& json, const Counters& counters) {
  json.member("steps", counters.steps).member("samples", counters.samples);
  json.member("weight", counters.weight).member("loss_sum", counters.loss_sum);
  json.member("sent", counters.messages_sent).member("merged", counters.messages_merged);
  json.member("returned", counters.messages_returned).member("bytes", counters.bytes_sent);
  json.member("merge_age", counters.mean_age());
}

inline void add_node(JsonText& json, const WatchView::Node& node) {
  json.open('{').member("id", node.id).member("here", node.here);
  if (!node.state.empty()) json.member("state", node.state);
  if (node.spent) {
    json.key("spent").open('[');
    for (const double seconds : *node.spent) json.value(seconds);
    json.close(']');
  }
  if (!node.here) json.member("address", node.address);
  if (node.age) json.member("age", *node.age);
  if (node.round_trip) {
    json.member("round_trip", *node.round_trip);
    json.member("to_it", node.to_it).member("from_it", node.from_it);
  }
  if (node.counters) add_counters(json, *node.counters);
  json.close('}');
}

}  // namespace detail

/// All of it, as an object on one line.
inline std::string json_of(const WatchView& view) {
  JsonText json;
  json.open('{').member("version", GOSSAMER_VERSION).key("about").open('[');
  for (const auto& [name, value] : view.about) {
    json.open('[').value(name).value(value).close(']');
  }
  json.close(']').member("running", view.running);
  if (view.group) {
    json.member("elapsed", view.group->elapsed).member("wall", view.group->wall);
    json.member("virtual", view.group->is_virtual).member("age", view.group->age);
    json.key("totals").open('{');
    detail::add_counters(json, view.group->totals);
    json.close('}');
    if (const auto& found = view.group->consensus) {
      json.key("consensus").open('{').member("error", found->error);
      json.member("standard_error", found->standard_error);
      json.member("samples", found->samples).close('}');
    }
    json.key("nodes").open('[');
    for (const WatchView::Node& node : view.nodes) detail::add_node(json, node);
    json.close(']');
  }
  json.key("edges").open('[');
  for (const WatchView::Edge& edge : view.edges) {
    json.open('[').value(edge.from).value(edge.to);
    json.value(edge.messages).value(edge.bytes).close(']');
  }
  json.close(']').key("curves").open('{');
  for (const auto& [name, curve] : view.curves) {
    json.key(name).open('[');
    for (const Curve::Point& point : curve.points()) {
      json.open('[').value(point.time).value(point.value).close(']');
    }
    json.close(']');
  }
  json.close('}').key("events").open('[');
  for (const WatchView::Event& one : view.events) {
    json.open('[').value(one.seconds).value(one.node).value(one.what).close(']');
  }
  return json.close(']').close('}').take();
}

}  // namespace gossamer::observe
