// SPDX-License-Identifier: MIT
/// Reads what a cluster file says of one kind of device. Needs toml++, hence not part of
/// gossamer.hpp.
#pragma once

#include <gossamer/simulation/detail/device_kind.hpp>
#include <gossamer/simulation/detail/toml_section.hpp>

#include <c10/util/StringUtil.h>
#include <toml++/toml.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// The keys of [devices], [[nodes]] and [newcomers]; files that they name lie in `folder`. Throws
/// ConfigError, as `TomlSection` does, or "FILE:LINE: must be ..., got ..." of a trace.
class DeviceKeys {
 public:
  static constexpr NumberRange duration{.low = 1e-9, .high = 1e9};  // seconds
  static constexpr NumberRange moment{.high = 1e9};
  static constexpr NumberRange share{.high = 1};
  static constexpr NumberRange rate{.low = 1, .high = 1e15};  // bytes per second
  static constexpr double most_naps = 1e6;

  explicit DeviceKeys(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// What the section does not say stays as it was. A kind that `is_whole` must have a time of a
  /// step in the end.
  void read(TomlSection& section, DeviceKind& kind, bool is_whole = true) const {
    const bool has_steps = kind.seconds_per_step.low > 0;
    if (section.has("seconds_per_step") || (is_whole && !has_steps)) read_steps(section, kind);
    section.find("seconds_per_step");
    if (auto table = section.section("throttle")) {
      kind.throttle = {time(table->number("after", moment)),
                       table->number("factor", {.low = 1, .high = 1e6})};
      table->close();
    }
    if (auto own = read_rate(section, "uplink")) kind.uplink = own;
    if (auto own = read_rate(section, "downlink")) kind.downlink = own;
    if (auto table = section.section("outages")) {
      kind.outages = {time(table->number("mean_up", duration)),
                      time(table->number("mean_down", duration)),
                      table->number("when_down", share, 0)};
      table->close();
    }
    kind.latency = read_value(section, "latency", moment, kind.latency);
    kind.loss = read_value(section, "loss", share, kind.loss);
    kind.joules_per_step = read_value(section, "joules_per_step", moment, kind.joules_per_step);
    kind.joules_per_byte = read_value(section, "joules_per_byte", moment, kind.joules_per_byte);
    read_sleep(section, kind);
  }

 private:
  static transport::Time time(double s) { return transport::seconds(s); }

  /// A number, or a table with `uniform` or `log_uniform`, the two ends.
  static DeviceValue read_value(TomlSection& section, const std::string& key,
                                const NumberRange& range,
                                const std::optional<DeviceValue>& otherwise = {}) {
    const toml::node* node = section.find(key);
    if (node == nullptr && otherwise) return *otherwise;
    if (node == nullptr || !node->is_table()) {
      const auto value = node != nullptr ? TomlSection::number_in(*node) : std::nullopt;
      if (!value || !range.has(*value)) {
        section.wrong(key, node,
                      "a number " + range.text() + ", or a table with uniform or log_uniform");
      }
      return {*value, *value};
    }
    auto table = section.section(key);
    const DeviceValue value = read_range(*table, range);
    table->close();
    return value;
  }
  /// The ends of a range from which each device draws.
  static DeviceValue read_range(TomlSection& table, const NumberRange& range) {
    const bool by_logarithm = !table.has("uniform");
    const std::string key = by_logarithm ? "log_uniform" : "uniform";
    const std::string expected = "two numbers " + range.text() + ", the smaller one first" +
                                 (by_logarithm ? ", above 0" : "");
    const toml::array& pair = table.pair(key, expected);
    const auto low = TomlSection::number_in(*pair.get(0));
    const auto high = TomlSection::number_in(*pair.get(1));
    if (!low || !high || !range.has(*low) || !range.has(*high) || *low > *high ||
        (by_logarithm && !(*low > 0))) {
      table.wrong(key, &pair, expected);
    }
    return {*low, *high, by_logarithm};
  }

  void read_steps(TomlSection& section, DeviceKind& kind) const {
    const char* key = "seconds_per_step";
    const toml::node* node = section.find(key);
    kind.sigma = 0;
    kind.trace.clear();
    if (node == nullptr || !node->is_table()) {
      const auto value = node != nullptr ? TomlSection::number_in(*node) : std::nullopt;
      if (!value || !duration.has(*value)) {
        section.wrong(key, node,
                      "a number " + duration.text() +
                          ", or a table with median and sigma, or with trace, uniform or "
                          "log_uniform");
      }
      kind.seconds_per_step = {*value, *value};
      return;
    }
    auto table = section.section(key);
    if (table->has("trace")) {
      const toml::node& trace = *table->find("trace");
      table->close();
      kind.trace = read_step_trace(*table, trace);
      kind.seconds_per_step = {1, 1};
      return;
    }
    if (table->has("uniform") || table->has("log_uniform")) {
      kind.seconds_per_step = read_range(*table, duration);
      kind.sigma = table->number("sigma", {.high = cost::LogNormal::most_sigma}, 0);
    } else {
      kind.seconds_per_step = read_value(*table, "median", duration);
      kind.sigma = table->number("sigma", {.high = cost::LogNormal::most_sigma});
    }
    for (const char* other : {"trace", "uniform", "log_uniform"}) {
      if (!table->has(other)) table->find(other);  // a key, if one asks what there is
    }
    table->close();
  }

  std::optional<DeviceRate> read_rate(TomlSection& section, const std::string& key) const {
    const toml::node* node = section.find(key);
    if (node == nullptr) return std::nullopt;
    DeviceRate found;
    const bool is_trace = node->is_table() && node->as_table()->contains("trace");
    if (!is_trace) {
      found.value = read_value(section, key, rate);
      return found;
    }
    auto table = section.section(key);
    const toml::node& trace = *table->find("trace");
    found.offset = read_value(*table, "offset", moment, DeviceValue());
    table->close();
    const std::vector<transport::RatePoint> points = read_rate_trace(*table, trace);
    try {
      found.trace = std::make_shared<transport::TracedRate>(points);
    } catch (const ConfigError& error) {
      table->wrong("trace", &trace, std::string("one that can be followed (") + error.what() + ")");
    }
    return found;
  }

  static void read_sleep(TomlSection& section, DeviceKind& kind) {
    auto table = section.section("asleep");
    if (!table) return;
    DeviceKind::Sleep sleep;
    const double every = table->number("every", duration);
    const double until = table->number("until", moment, 86'400);
    sleep.share = table->number("share", share);
    sleep.every = time(every);
    sleep.until = time(until);
    if ((until / every + 2) * static_cast<double>(kind.count) > most_naps) {
      table->wrong(
          "every", table->find("every"),
          "so long that all devices of the group sleep a million times at most until then");
    }
    table->close();
    kind.sleep = sleep;
  }

  /// A list of seconds, or the name of a file with one number a line.
  std::vector<transport::Time> read_step_trace(const TomlSection& section,
                                               const toml::node& node) const {
    const std::string expected = "a list, or a file, of numbers " + duration.text();
    std::vector<transport::Time> times;
    if (const toml::array* list = node.as_array()) {
      for (const toml::node& entry : *list) {
        const auto value = TomlSection::number_in(entry);
        if (!value || !duration.has(*value)) section.wrong("trace", &entry, expected);
        times.push_back(time(*value));
      }
    } else if (const auto name = node.value_exact<std::string>()) {
      read_lines(*name, 1, "a number " + duration.text(), [&](const std::vector<double>& numbers) {
        if (duration.has(numbers[0])) times.push_back(time(numbers[0]));
        return duration.has(numbers[0]);
      });
    }
    if (times.empty()) section.wrong("trace", &node, expected);
    return times;
  }

  /// A list of pairs, or the name of a file with two numbers a line: seconds, bytes per second.
  std::vector<transport::RatePoint> read_rate_trace(const TomlSection& section,
                                                    const toml::node& node) const {
    const std::string expected =
        "a list of pairs, or a file with two numbers a line: seconds, which ascend, and bytes per "
        "second of at least 0";
    std::vector<transport::RatePoint> points;
    const auto add = [&points](double second, double bytes) {
      const NumberRange bounds{.high = rate.high};
      const bool ascends = points.empty() || second > points.back().second;
      if (!moment.has(second) || !bounds.has(bytes) || !ascends) return false;
      points.push_back({second, bytes});
      return true;
    };
    if (const toml::array* list = node.as_array()) {
      for (const toml::node& entry : *list) {
        const toml::array* pair = entry.as_array();
        const bool is_pair = pair != nullptr && pair->size() == 2;
        const auto second = is_pair ? TomlSection::number_in(*pair->get(0)) : std::nullopt;
        const auto bytes = is_pair ? TomlSection::number_in(*pair->get(1)) : std::nullopt;
        if (!second || !bytes || !add(*second, *bytes)) section.wrong("trace", &entry, expected);
      }
    } else if (const auto name = node.value_exact<std::string>()) {
      read_lines(*name, 2, "two numbers, seconds, which ascend, and bytes per second of at least 0",
                 [&](const std::vector<double>& line) { return add(line[0], line[1]); });
    }
    if (points.empty()) section.wrong("trace", &node, expected);
    return points;
  }

  /// Lines of `count` numbers, with a comma or blanks between them; those that are empty or begin
  /// with # are left out. A file that cannot be read has none.
  void read_lines(const std::string& name, std::size_t count, const std::string& expected,
                  const std::function<bool(const std::vector<double>&)>& take) const {
    const std::filesystem::path path = folder_ / name;
    std::ifstream in(path);
    std::size_t number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos || line[0] == '#') continue;
      std::vector<double> numbers;
      const char* at = line.c_str();
      while (numbers.size() < count) {
        char* end = nullptr;
        const double value = std::strtod(at, &end);
        if (end == at) break;
        numbers.push_back(value);
        at = end;
        while (numbers.size() < count && (*at == ' ' || *at == '\t' || *at == ',')) ++at;
      }
      const bool is_whole = std::string(at).find_first_not_of(" \t\r") == std::string::npos;
      if (numbers.size() < count || !is_whole || !take(numbers)) {
        throw ConfigError(
            c10::str(path.string(), ":", number, ": must be ", expected, ", got '", line, "'"));
      }
    }
  }

  std::filesystem::path folder_;
};

}  // namespace gossamer
