// SPDX-License-Identifier: MIT
/// The names of hosts in a list as Slurm writes it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/launch/variables.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::launch {

/// Reads "a,node[01-03,7]-x": a, node01-x, node02-x, node03-x, node7-x. One bracket per name.
///
/// Throws   ConfigError for what is no such list, and for more than 100,000 hosts.
/// Threads  distinct objects are independent.
class SlurmHostList {
 public:
  explicit SlurmHostList(std::string_view list) : list_(list) {
    bool inside = false;  // a bracket
    std::size_t begin = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i] == '[') inside = true;
      if (list[i] == ']') inside = false;
      if (list[i] != ',' || inside) continue;
      expand(list.substr(begin, i - begin));
      begin = i + 1;
    }
    expand(list.substr(begin));
  }

  [[nodiscard]] const std::vector<std::string>& hosts() const& noexcept { return hosts_; }
  [[nodiscard]] std::vector<std::string> hosts() && { return std::move(hosts_); }

 private:
  static constexpr std::size_t most_hosts = 100'000;

  [[nodiscard]] ConfigError refusal() const {
    return ConfigError("SLURM_NODELIST must be a list such as \"a,node[01-03,7]\", is \"" +
                       std::string(list_) + "\"");
  }

  void add(std::string host) {
    if (host.empty() || hosts_.size() == most_hosts) throw refusal();
    hosts_.push_back(std::move(host));
  }

  /// A name with a bracket, or without one.
  void expand(std::string_view name) {
    constexpr std::size_t none = std::string_view::npos;
    const std::size_t open = name.find('[');
    const std::size_t close = name.find(']');
    if (open == none && close == none) return add(std::string(name));
    if (open == none || close == none || close < open || name.find('[', open + 1) != none ||
        name.find(']', close + 1) != none) {
      throw refusal();
    }
    std::string_view ranges = name.substr(open + 1, close - open - 1);
    while (true) {
      const std::size_t comma = ranges.find(',');
      add_range(std::string(name.substr(0, open)), ranges.substr(0, comma),
                std::string(name.substr(close + 1)));
      if (comma == none) return;
      ranges.remove_prefix(comma + 1);
    }
  }

  /// "08-11" or "7": the numbers keep the width of the first one.
  void add_range(const std::string& before, std::string_view range, const std::string& after) {
    constexpr std::uint32_t largest = 999'999'999;
    const std::size_t dash = range.find('-');
    const std::string_view low = range.substr(0, dash);
    const std::string_view high = dash == std::string_view::npos ? low : range.substr(dash + 1);
    const std::uint32_t first = whole_number("SLURM_NODELIST", low, largest);
    const std::uint32_t last = whole_number("SLURM_NODELIST", high, largest);
    if (last < first) throw refusal();
    for (std::uint32_t i = first; i <= last; ++i) {
      std::string digits = std::to_string(i);
      if (digits.size() < low.size()) digits.insert(0, low.size() - digits.size(), '0');
      add(before + digits + after);
    }
  }

  std::string_view list_;
  std::vector<std::string> hosts_;
};

/// The hosts of a list, in its order.
inline std::vector<std::string> slurm_hosts(std::string_view list) {
  return SlurmHostList(list).hosts();
}

}  // namespace gossamer::launch
