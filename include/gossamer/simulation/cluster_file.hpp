// SPDX-License-Identifier: MIT
/// A cluster described in a TOML file: its machines, its network, and what will happen to them.
/// Needs toml++, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/simulation/detail/device_keys.hpp>
#include <gossamer/simulation/detail/device_kind.hpp>
#include <gossamer/simulation/detail/toml_section.hpp>
#include <gossamer/simulation/energy.hpp>
#include <gossamer/simulation/group_options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
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
///     seed = 1                          # of all that devices draw; 0 if not said
///
///     [[nodes]]                         # a group of nodes, of one kind of device
///     name = "fast"                     # for links and events; optional
///     count = 7
///     seconds_per_step = 0.037          # or { median = 0.037, sigma = 0.3 }, log-normal
///                                       # or { trace = [0.036, 0.041] } or { trace = "FILE" },
///                                       #    a number a line, beside this file
///     throttle = { after = 300, factor = 2 }  # seconds of computing, after which it is slower
///     uplink = 2.5e6                    # in place of the network's; or { trace = "FILE" }, a line
///     downlink = 5e6                    #    of seconds and bytes per second, from `offset` on
///     outages = { mean_up = 120, mean_down = 10, when_down = 0 }
///     latency = 0.02                    # beside that of the link; also: loss
///     asleep = { share = 0.1, every = 600, until = 86400 }
///     joules_per_step = 0.5             # also: joules_per_byte
///
///     [devices]                         # the same keys: of all groups that say nothing else
///     [newcomers]                       # of the nodes that join; else as the last group has them
///
/// Where { log_uniform = [A, B] } or { uniform = [A, B] } stands in place of a number of [[nodes]],
/// each device draws its own (steps: with `sigma` around it, if given).
///
///     [network]
///     uplink = 125e6                    # what a node can send over all its links; also: downlink
///     latency = 1e-4                    # of each link, as are bandwidth and loss
///     duplicate = 0.0                   # share of the frames; also: reorder, late_by
///     dead_after = 0.5                  # seconds of silence; also: resend_after
///
///     [[links]]                         # those that differ, both ways; the last one that fits
///     between = ["fast", "slow"]
///     latency = 0.05                    # also: bandwidth, loss
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
  /// What its devices spend; false if the file says nothing of joules.
  static EnergyModel read_energy(const std::filesystem::path& path) {
    ClusterFile file(path);
    (void)file.options();
    const auto kinds = file.kinds_;
    if (std::none_of(kinds->begin(), kinds->end(),
                     [](const DeviceKind& kind) { return kind.has_energy(); })) {
      return EnergyModel();
    }
    return EnergyModel([kinds](PeerId id) { return kind_of(*kinds, id).energy(id); });
  }

 private:
  using Link = transport::SimulatedLink;
  /// The groups, and at the end the newcomers.
  using Kinds = std::vector<DeviceKind>;
  struct LinkBetween {
    std::size_t a = 0;  // groups
    std::size_t b = 0;
    Link link;
  };

  static constexpr NumberRange positive{.with_low = false};
  static constexpr NumberRange share = DeviceKeys::share;
  static constexpr NumberRange not_negative{};
  static constexpr NumberRange moment = DeviceKeys::moment;  // seconds: up to 31 years
  static constexpr NumberRange duration = DeviceKeys::duration;
  static constexpr std::uint64_t most_nodes = 1'000'000;

  explicit ClusterFile(const std::filesystem::path& path)
      : file_(path.string()),
        table_(parse(path)),
        top_(file_, "", table_),
        keys_(path.parent_path()) {}

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
    seed_ = top_.whole("seed", 0, std::numeric_limits<std::int64_t>::max(), 0);
    read_nodes();
    transport::SimulatedOptions world(nodes_);
    read_network(world);
    read_links(world);
    std::vector<PlannedFault> plan = read_events();
    read_newcomers();
    top_.close();
    const auto any = [this](auto has) { return std::any_of(kinds_->begin(), kinds_->end(), has); };
    if (any([](const DeviceKind& kind) { return kind.has_access(); })) {
      world.access_of([kinds = kinds_, up = world.uplink(), down = world.downlink()](PeerId id) {
        return kind_of(*kinds, id).access(id, up, down);
      });
    }
    if (any([](const DeviceKind& kind) { return kind.latency.high > 0 || kind.loss.high > 0; })) {
      add_to_links(world);
    }
    auto options = SimulatedGroupOptions().world(world);
    plan_sleep(plan, options);
    return options.plan(std::move(plan)).cost_of([kinds = kinds_](PeerId id) {
      return kind_of(*kinds, id).cost(id);
    });
  }

  static const DeviceKind& kind_of(const Kinds& kinds, PeerId id) {
    const auto found = std::find_if(kinds.begin(), kinds.end(),
                                    [id](const DeviceKind& kind) { return kind.has(id); });
    return found != kinds.end() ? *found : kinds.back();
  }

  void read_nodes() {
    DeviceKind all;
    all.seed = seed_;
    if (auto section = top_.section("devices")) {
      keys_.read(*section, all, false);
      section->close();
    }
    for (TomlSection& section : top_.sections("nodes")) {
      const std::size_t count = section.whole("count", 1, most_nodes - nodes_, 1);
      if (const toml::node* name = section.find("name")) {
        const auto text = TomlSection::text_in(name);
        if (!text || group_of(*text) != nullptr) {
          section.wrong("name", name, "a name that no other group has");
        }
        names_[*text] = kinds_->size();
      }
      DeviceKind kind = all;
      kind.first = static_cast<PeerId>(nodes_);
      kind.count = count;
      keys_.read(section, kind);
      kinds_->push_back(kind);
      nodes_ += count;
      section.close();
    }
    if (kinds_->empty()) throw ConfigError(file_ + ": [[nodes]] is missing: a cluster needs nodes");
  }
  void read_newcomers() {
    DeviceKind kind = kinds_->back();
    kind.sleep.reset();
    if (auto section = top_.section("newcomers")) {
      keys_.read(*section, kind);
      if (kind.sleep) section->wrong("asleep", section->find("asleep"), "a key of [[nodes]] only");
      section->close();
    }
    kind.first = static_cast<PeerId>(nodes_);
    kind.count = std::numeric_limits<PeerId>::max() - nodes_;
    kinds_->push_back(kind);
  }

  /// What the devices at both ends add to a link.
  void add_to_links(transport::SimulatedOptions& world) const {
    const auto base = [of = world.link_of(), otherwise = world.link()](PeerId a, PeerId b) {
      return of ? of(a, b) : otherwise;
    };
    world.link_of([base, kinds = kinds_](PeerId a, PeerId b) {
      Link link = base(a, b);
      for (const PeerId end : {a, b}) {
        const DeviceKind& kind = kind_of(*kinds, end);
        link.latency += kind.own_latency(end);
        link.loss = 1 - (1 - link.loss) * (1 - kind.own_loss(end));
      }
      return link;
    });
  }
  /// What is under way when a run ends may wait for one who sleeps, or whose link is down.
  void plan_sleep(std::vector<PlannedFault>& plan, SimulatedGroupOptions& options) const {
    transport::Time longest{0};
    for (const DeviceKind& kind : *kinds_) {
      for (const DeviceKind::Nap& nap : kind.naps()) {
        plan.push_back({nap.at, fault::Pause{nap.node, nap.length}});
        longest = std::max(longest, nap.length);
      }
      if (kind.outages) longest = std::max(longest, 10 * kind.outages->mean_down);
    }
    options.settle_limit(options.settle_limit() + longest);
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
    const auto link_of = [links, kinds = kinds_, otherwise = world.link()](PeerId a, PeerId b) {
      const auto is_of = [&kinds](PeerId id, std::size_t group) { return (*kinds)[group].has(id); };
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

  [[nodiscard]] std::size_t last_id() const { return nodes_ + joining_ - 1; }

  std::vector<PeerId> read_ids(TomlSection& section) {
    const std::string expected =
        c10::str("numbers of nodes in [0, ", last_id(), "], or the name of a group");
    const toml::node* node = section.find("nodes");
    if (node == nullptr) section.wrong("nodes", node, expected);
    std::vector<PeerId> ids;
    if (const auto name = TomlSection::text_in(node)) {
      const std::size_t* group = group_of(*name);
      if (group == nullptr) section.wrong("nodes", node, expected);
      const DeviceKind& kind = (*kinds_)[*group];
      for (std::size_t i = 0; i < kind.count; ++i) {
        ids.push_back(kind.first + static_cast<PeerId>(i));
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

  std::string file_;
  toml::table table_;
  TomlSection top_;
  std::map<std::string, std::size_t> names_;
  DeviceKeys keys_;
  std::uint64_t seed_ = 0;
  std::shared_ptr<Kinds> kinds_ = std::make_shared<Kinds>();
  std::size_t nodes_ = 0;
  std::size_t joining_ = 0;
};

}  // namespace gossamer
