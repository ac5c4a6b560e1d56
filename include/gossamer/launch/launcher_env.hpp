// SPDX-License-Identifier: MIT
/// A node's place in its run, as the launcher that started it says in the environment.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// What a launcher says.
struct LaunchInfo {
  std::string launcher;    ///< "torchrun", "Slurm", "OpenMPI"
  PeerId rank = 0;         ///< this node's number
  std::uint32_t size = 1;  ///< how many nodes the run begins with
  std::string first;       ///< the host of rank 0; empty if the launcher does not say
  std::uint16_t port = 0;  ///< on which rank 0 is to listen; 0 if the launcher does not say
};

/// Looks up a variable; `nullptr` if it is not set, as `std::getenv`.
using Variables = std::function<const char*(const char*)>;

namespace environment {

/// A whole number; ConfigError, naming the variable, for anything else, and for more than `most`.
inline std::uint32_t number(const char* name, std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || at != end || value > most) {
    throw ConfigError(std::string(name) + " must be a whole number up to " + std::to_string(most) +
                      ", is \"" + std::string(text) + "\"");
  }
  return value;
}

/// The hosts of a Slurm list: "a,node[01-03,7]-x" is a, node01-x, node02-x, node03-x, node7-x. One
/// bracket per name. Throws ConfigError for what is no such list.
inline std::vector<std::string> slurm_hosts(std::string_view list) {
  const auto refuse = [&] {
    return ConfigError("SLURM_NODELIST must be a list such as \"a,node[01-03,7]\", is \"" +
                       std::string(list) + "\"");
  };
  constexpr std::size_t most = 100'000;
  std::vector<std::string> hosts;
  const auto add = [&](std::string host) {
    if (host.empty() || hosts.size() == most) throw refuse();
    hosts.push_back(std::move(host));
  };
  const auto expand = [&](std::string_view name) {
    const std::size_t open = name.find('[');
    const std::size_t close = name.find(']');
    if (open == std::string_view::npos && close == std::string_view::npos) {
      return add(std::string(name));
    }
    if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
        name.find('[', open + 1) != std::string_view::npos) {
      throw refuse();
    }
    const std::string before(name.substr(0, open));
    const std::string after(name.substr(close + 1));
    std::string_view ranges = name.substr(open + 1, close - open - 1);
    while (true) {
      const std::size_t comma = ranges.find(',');
      const std::string_view range = ranges.substr(0, comma);
      const std::size_t dash = range.find('-');
      const std::string_view low = range.substr(0, dash);
      const std::string_view high = dash == std::string_view::npos ? low : range.substr(dash + 1);
      constexpr std::uint32_t largest = 999'999'999;
      const std::uint32_t first = number("SLURM_NODELIST", low, largest);
      const std::uint32_t last = number("SLURM_NODELIST", high, largest);
      if (last < first) throw refuse();
      for (std::uint32_t i = first; i <= last; ++i) {
        std::string digits = std::to_string(i);
        if (digits.size() < low.size()) digits.insert(0, low.size() - digits.size(), '0');
        add(before + digits + after);
      }
      if (comma == std::string_view::npos) return;
      ranges.remove_prefix(comma + 1);
    }
  };
  std::size_t depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    const char c = i < list.size() ? list[i] : ',';
    if (c == '[') ++depth;
    if (c == ']' && depth > 0) --depth;
    if (c != ',' || (depth > 0 && i < list.size())) continue;
    expand(list.substr(begin, i - begin));
    begin = i + 1;
  }
  return hosts;
}

}  // namespace environment

/// What the environment says of this process, or nothing if no launcher is known there: torchrun
/// (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), OpenMPI (OMPI_COMM_WORLD_RANK,
/// OMPI_COMM_WORLD_SIZE), Slurm (SLURM_PROCID, SLURM_NTASKS, SLURM_NODELIST), in this order. Throws
/// ConfigError, naming the variable, if one is missing or makes no sense.
inline std::optional<LaunchInfo> launch_from(const Variables& variables) {
  constexpr std::uint32_t most_nodes = 65'535;  // later numbers are for those who come later
  const auto get = [&](const char* name) {
    const char* value = variables(name);
    return value != nullptr ? std::string(value) : std::string();
  };
  const auto need = [&](const char* name, const char* beside) {
    std::string value = get(name);
    if (value.empty()) {
      throw ConfigError(std::string(name) + " is not set, but " + beside + " is");
    }
    return value;
  };
  const auto launch = [&](const char* launcher, const char* rank, const char* size) {
    LaunchInfo made;
    made.launcher = launcher;
    made.rank = environment::number(rank, get(rank), most_nodes);
    made.size = environment::number(size, need(size, rank), most_nodes);
    if (made.rank >= made.size) {
      throw ConfigError(std::string(rank) + " must be below " + size + ", got " +
                        std::to_string(made.rank) + " of " + std::to_string(made.size));
    }
    return made;
  };
  // An allocation of Slurm sets some of its variables in the launching shell, too, where torchrun
  // or mpirun may be started.
  if (!get("RANK").empty()) {
    LaunchInfo made = launch("torchrun", "RANK", "WORLD_SIZE");
    made.first = need("MASTER_ADDR", "RANK");
    made.port = static_cast<std::uint16_t>(
        environment::number("MASTER_PORT", need("MASTER_PORT", "RANK"), 65'535));
    return made;
  }
  if (!get("OMPI_COMM_WORLD_RANK").empty()) {
    return launch("OpenMPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
  }
  if (!get("SLURM_PROCID").empty()) {
    LaunchInfo made = launch("Slurm", "SLURM_PROCID", "SLURM_NTASKS");
    std::string list = get("SLURM_STEP_NODELIST");
    if (list.empty()) list = need("SLURM_NODELIST", "SLURM_PROCID");
    made.first = environment::slurm_hosts(list).front();
    return made;
  }
  return std::nullopt;
}

}  // namespace gossamer::transport
