// SPDX-License-Identifier: MIT
/// A cluster described in a TOML file: its machines, its network, and what will happen to them.
/// Needs toml++, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/simulation/detail/toml_section.hpp>
#include <gossamer/simulation/group_options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// Reads a cluster file. Times are in seconds, rates in bytes per second, nodes are numbered from 0
/// in the order of the groups:
///
///     [[nodes]]                         # a group of nodes
///     name = "fast"                     # for links and events; optional
///     count = 7
///     seconds_per_step = 0.037          # or { median = 0.037, sigma = 0.3 }, log-normal
///                                       # or { trace = [0.036, 0.041] } or { trace = "FILE" },
///     [[nodes]]                         #    a number a line, beside this file
///     name = "slow"
///     count = 1
///     seconds_per_step = 0.148
///
///     [newcomers]                       # the nodes that join; like the last group if not said
///     seconds_per_step = 0.037
///
///     [network]                         # all optional
///     uplink = 125e6                    # what a node can send over all its links; 0: no limit
///     downlink = 125e6
///     latency = 1e-4                    # of each link
///     bandwidth = 0
///     loss = 0.001                      # share of frames
///     duplicate = 0.0
///     reorder = 0.0
///     late_by = 0.001                   # by how much at most a reordered frame is late
///     resend_after = 0.02
///     dead_after = 0.5
///
///     [[links]]                         # those that differ, both ways; the last one that fits
///     between = ["fast", "slow"]
///     latency = 0.05
///     bandwidth = 1e6
///     loss = 0.01
///
///     [[events]]
///     at = 60
///     every = 30                        # again and again, `times` times in all; optional
///     times = 4
///     what = "straggle"                 # nodes, factor: steps take that much longer
///     nodes = [0, 3]                    # a number, numbers, or a group's name
///     factor = 4
///
/// What can happen: straggle (nodes, factor), pause (nodes, seconds), slow_disk (nodes, seconds),
/// crash, restart, leave (nodes), join, partition (nodes), heal, cut, restore (link = [a, b]),
/// noise (loss, duplicate, reorder, late_by).
///
/// Throws ConfigError "FILE:LINE: KEY must be ..., got ...".
class ClusterFile {
 public:
  static SimulatedGroupOptions read(const std::filesystem::path& path) {
    return ClusterFile(path).options();
  }

 private:
  using Costs = std::vector<cost::Any>;
  using Link = transport::SimulatedLink;
  struct Group {
    PeerId first = 0;
    std::size_t count = 0;
  };
  struct LinkBetween {
    std::size_t a = 0;  // groups
    std::size_t b = 0;
    Link link;
  };

  static constexpr NumberRange positive{.with_low = false};
  static constexpr NumberRange share{.high = 1};
  static constexpr NumberRange not_negative{};
  static constexpr NumberRange moment{.high = 1e9};  // seconds: 31 years
  static constexpr NumberRange duration{.low = 1e-9, .high = 1e9};
  static constexpr std::uint64_t most_nodes = 1'000'000;

  explicit ClusterFile(const std::filesystem::path& path)
      : path_(path), file_(path.string()), table_(parse(path)), top_(file_, "", table_) {}

  static toml::table parse(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in) throw ConfigError("cluster file " + path.string() + ": cannot be read");
    try {
      return toml::parse(text, path.string());
    } catch (const toml::parse_error& error) {
      throw ConfigError(c10::str(path.string(), ":", error.source().begin.line,
                                 ": is not TOML: ", error.description()));
    }
  }

  SimulatedGroupOptions options() {
    read_nodes();
    transport::SimulatedOptions world(costs_->size());
    read_network(world);
    read_links(world);
    std::vector<PlannedFault> plan = read_events();
    if (auto newcomers = top_.section("newcomers")) {
      newcomer_ = read_cost(*newcomers);
      newcomers->close();
    }
    top_.close();
    const auto cost_of = [costs = costs_, newcomer = newcomer_](PeerId id) {
      return id < costs->size() ? (*costs)[id] : newcomer;
    };
    return SimulatedGroupOptions().world(world).cost_of(cost_of).plan(std::move(plan));
  }

  void read_nodes() {
    for (TomlSection& section : top_.sections("nodes")) {
      const auto room = most_nodes - costs_->size();
      const std::size_t count = section.whole("count", 1, room, 1);
      if (const toml::node* name = section.find("name")) {
        const auto text = TomlSection::text_in(name);
        if (!text || group_of(*text) != nullptr) {
          section.wrong("name", name, "a name that no other group has");
        }
        names_[*text] = groups_.size();
      }
      groups_.push_back({static_cast<PeerId>(costs_->size()), count});
      newcomer_ = read_cost(section);
      costs_->insert(costs_->end(), count, newcomer_);
      section.close();
    }
    if (groups_.empty()) throw ConfigError(file_ + ": [[nodes]] is missing: a cluster needs nodes");
  }

  cost::Any read_cost(TomlSection& section) {
    const char* key = "seconds_per_step";
    const toml::node* node = section.find(key);
    if (node == nullptr || !node->is_table()) {
      const auto value = node != nullptr ? TomlSection::number_in(*node) : std::nullopt;
      if (!value || !duration.has(*value)) {
        section.wrong(
            key, node,
            "a number " + duration.text() + ", or a table with median and sigma, or with trace");
      }
      return cost::Constant(time(*value));
    }
    auto table = section.section(key);
    if (table->has("trace")) {
      const toml::node& trace = *table->find("trace");
      table->close();
      return cost::Trace(read_trace(*table, trace));
    }
    const double median = table->number("median", duration);
    const double sigma = table->number("sigma", {.high = cost::LogNormal::most_sigma});
    table->find("trace");  // a key, if one asks what there is
    table->close();
    return cost::LogNormal(time(median), sigma);
  }

  /// A list of seconds, or the name of a file with one number a line.
  std::vector<transport::Time> read_trace(const TomlSection& section, const toml::node& node) {
    const std::string expected = "a list, or a file, of numbers " + duration.text();
    std::vector<transport::Time> times;
    if (const toml::array* list = node.as_array()) {
      for (const toml::node& entry : *list) {
        const auto value = TomlSection::number_in(entry);
        if (!value || !duration.has(*value)) section.wrong("trace", &entry, expected);
        times.push_back(time(*value));
      }
    } else if (const auto name = node.value_exact<std::string>()) {
      const std::filesystem::path path = path_.parent_path() / *name;
      std::ifstream in(path);
      std::size_t number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        char* end = nullptr;
        const double value = std::strtod(line.c_str(), &end);
        if (end == line.c_str() || !duration.has(value) ||
            std::string(end).find_first_not_of(" \t\r") != std::string::npos) {
          throw ConfigError(c10::str(path.string(), ":", number, ": must be a number ",
                                     duration.text(), ", got '", line, "'"));
        }
        times.push_back(time(value));
      }
    }
    if (times.empty()) section.wrong("trace", &node, expected);
    return times;
  }

  Link read_link(TomlSection& section, const Link& otherwise) {
    Link link;
    link.latency = time(section.number("latency", moment, seconds_of(otherwise.latency)));
    link.bytes_per_second = section.number("bandwidth", not_negative, otherwise.bytes_per_second);
    link.loss = section.number("loss", share, otherwise.loss);
    return link;
  }
  transport::SimulatedNoise read_noise(TomlSection& section) {
    transport::SimulatedNoise noise;
    noise.duplicate = section.number("duplicate", share, 0);
    noise.reorder = section.number("reorder", share, 0);
    noise.late_by = time(section.number("late_by", moment, seconds_of(noise.late_by)));
    return noise;
  }

  void read_network(transport::SimulatedOptions& world) {
    auto section = top_.section("network");
    if (!section) return;
    world.link(read_link(*section, world.link()));
    world.noise(read_noise(*section));
    world.uplink(section->number("uplink", not_negative, 0));
    world.downlink(section->number("downlink", not_negative, 0));
    world.resend_after(
        time(section->number("resend_after", duration, seconds_of(world.resend_after()))));
    world.dead_after(time(section->number("dead_after", duration, seconds_of(world.dead_after()))));
    section->close();
  }

  void read_links(transport::SimulatedOptions& world) {
    std::vector<LinkBetween> links;
    for (TomlSection& section : top_.sections("links")) {
      LinkBetween link;
      const toml::array& pair = section.pair("between", "two names of groups");
      for (const std::size_t end : {0U, 1U}) {
        const auto name = TomlSection::text_in(pair.get(end));
        const std::size_t* group = name ? group_of(*name) : nullptr;
        if (group == nullptr) section.wrong("between", pair.get(end), "the name of a group");
        (end == 0 ? link.a : link.b) = *group;
      }
      link.link = read_link(section, world.link());
      section.close();
      links.push_back(link);
    }
    if (links.empty()) return;
    const auto link_of = [links, groups = groups_, otherwise = world.link()](PeerId a, PeerId b) {
      const auto is_of = [&groups](PeerId id, std::size_t group) {
        return id >= groups[group].first && id - groups[group].first < groups[group].count;
      };
      Link found = otherwise;
      for (const LinkBetween& link : links) {
        if ((is_of(a, link.a) && is_of(b, link.b)) || (is_of(b, link.a) && is_of(a, link.b))) {
          found = link.link;
        }
      }
      return found;
    };
    world.link_of(link_of);
  }

  std::vector<PlannedFault> read_events() {
    std::vector<TomlSection> sections = top_.sections("events");
    // Whoever joins may be named, too.
    for (TomlSection& section : sections) {
      const auto what = TomlSection::text_in(section.find("what"));
      if (what == "join") joining_ += section.whole("times", 1, most_nodes, 1);
    }
    std::vector<PlannedFault> plan;
    for (TomlSection& section : sections) {
      const transport::Time at = time(section.number("at", moment));
      const std::vector<Fault> what = read_event(section);
      const std::uint64_t times = section.whole("times", 1, most_nodes, 1);
      transport::Time every{0};
      if (times > 1 || section.has("every")) {
        every = time(section.number("every", duration));
      }
      if (!moment.has(seconds_of(at) + seconds_of(every) * static_cast<double>(times))) {
        section.wrong("times", section.find("times"), "so few that the last one is in this age");
      }
      section.close();
      for (std::uint64_t i = 0; i < times; ++i) {
        for (const Fault& one : what) plan.push_back({at + every * static_cast<int>(i), one});
      }
    }
    return plan;
  }

  std::vector<Fault> read_event(TomlSection& section) {
    const std::string what =
        section.text("what", {"straggle", "pause", "slow_disk", "crash", "restart", "join", "leave",
                              "partition", "heal", "cut", "restore", "noise"});
    if (what == "join") return {fault::Join{}};
    if (what == "heal") return {fault::Heal{}};
    if (what == "partition") return {fault::Partition{read_ids(section)}};
    if (what == "noise") {
      transport::SimulatedNoise noise = read_noise(section);
      noise.loss = section.number("loss", share, 0);
      return {fault::Noise{noise}};
    }
    if (what == "cut" || what == "restore") {
      const auto [a, b] = read_pair(section);
      if (what == "cut") return {fault::Cut{a, b}};
      return {fault::Reconnect{a, b}};
    }
    double value = 0;
    if (what == "straggle") value = section.number("factor", positive);
    if (what == "pause" || what == "slow_disk") value = section.number("seconds", duration);
    std::vector<Fault> all;
    for (const PeerId id : read_ids(section)) {
      if (what == "straggle") all.emplace_back(fault::Straggle{id, value});
      if (what == "pause") all.emplace_back(fault::Pause{id, time(value)});
      if (what == "slow_disk") all.emplace_back(fault::SlowDisk{id, time(value)});
      if (what == "crash") all.emplace_back(fault::Crash{id});
      if (what == "restart") all.emplace_back(fault::Restart{id});
      if (what == "leave") all.emplace_back(fault::Leave{id});
    }
    return all;
  }

  [[nodiscard]] std::size_t last_id() const { return costs_->size() + joining_ - 1; }

  std::vector<PeerId> read_ids(TomlSection& section) {
    const std::string expected =
        c10::str("numbers of nodes in [0, ", last_id(), "], or the name of a group");
    const toml::node* node = section.find("nodes");
    if (node == nullptr) section.wrong("nodes", node, expected);
    std::vector<PeerId> ids;
    if (const auto name = TomlSection::text_in(node)) {
      const std::size_t* group = group_of(*name);
      if (group == nullptr) section.wrong("nodes", node, expected);
      for (std::size_t i = 0; i < groups_[*group].count; ++i) {
        ids.push_back(groups_[*group].first + static_cast<PeerId>(i));
      }
    } else if (const toml::array* list = node->as_array()) {
      for (const toml::node& entry : *list)
        ids.push_back(read_id(section, "nodes", &entry, expected));
    } else {
      ids.push_back(read_id(section, "nodes", node, expected));
    }
    if (ids.empty()) section.wrong("nodes", node, expected);
    return ids;
  }
  PeerId read_id(const TomlSection& section, const char* key, const toml::node* node,
                 const std::string& expected) const {
    return static_cast<PeerId>(section.whole_in(key, node, 0, last_id(), expected));
  }
  std::pair<PeerId, PeerId> read_pair(TomlSection& section) {
    const std::string expected = c10::str("two different numbers of nodes in [0, ", last_id(), "]");
    const toml::array& pair = section.pair("link", expected);
    const PeerId a = read_id(section, "link", pair.get(0), expected);
    const PeerId b = read_id(section, "link", pair.get(1), expected);
    if (a == b) section.wrong("link", &pair, expected);
    return {a, b};
  }

  [[nodiscard]] const std::size_t* group_of(const std::string& name) const {
    const auto found = names_.find(name);
    return found != names_.end() ? &found->second : nullptr;
  }

  static transport::Time time(double s) { return transport::seconds(s); }
  static double seconds_of(transport::Time time) {
    return std::chrono::duration<double>(time).count();
  }

  std::filesystem::path path_;
  std::string file_;
  toml::table table_;
  TomlSection top_;
  std::map<std::string, std::size_t> names_;
  std::vector<Group> groups_;
  std::shared_ptr<Costs> costs_ = std::make_shared<Costs>();
  cost::Any newcomer_;
  std::size_t joining_ = 0;
};

}  // namespace gossamer
