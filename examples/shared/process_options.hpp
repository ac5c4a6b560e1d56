// SPDX-License-Identifier: MIT
/// The options of a node in a process of its own: its place among the others, and TCP.
#pragma once

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gossamer::transport {
struct TcpOptions;
}

namespace examples {

/// What a process is told, on the command line or by a launcher.
struct ProcessOptions {
  std::int64_t rank = -1;        ///< as given; negative: a launcher says, or this is a newcomer
  std::uint32_t number = 0;      ///< this node's
  bool has_place = true;         ///< the number was given, not drawn
  std::uint32_t world_size = 0;  ///< how many nodes the run begins with
  std::string listen = "127.0.0.1:0";
  std::string advertise;
  std::vector<std::string> contacts;
  std::uint16_t port = 29400;  ///< of the first node, if a launcher does not say
  std::string default_run = "gossamer";
  std::string run = default_run;
  std::filesystem::path shared_key;
  std::filesystem::path authority;
  std::filesystem::path certificate;
  std::filesystem::path key;
  bool insecure = false;
  double gather_seconds = 60;
  double drain_seconds = 30;

  /// Adds them to a program, as a group of its help.
  void add_to(CLI::App& app, const char* help_group);
  /// This node's place in a run of so many nodes; `wants_nodes`: their number was given. Returns
  /// how many the run begins with. Throws ConfigError for an environment that makes no sense, and
  /// if more than one node is wanted and there is nobody to dial.
  std::size_t find_place(std::size_t nodes, bool wants_nodes);

  /// How far this process's ports are from those that the command line names, which are the first
  /// node's: those of one machine each have their own. A number that was drawn is no distance.
  [[nodiscard]] std::uint32_t port_offset() const { return has_place ? number : 0; }

  [[nodiscard]] std::chrono::milliseconds gather() const { return milliseconds(gather_seconds); }
  [[nodiscard]] std::chrono::milliseconds drain() const { return milliseconds(drain_seconds); }
  /// What says where, with whom, and how safely to talk. Log lines go to standard error.
  [[nodiscard]] gossamer::transport::TcpOptions tcp(const std::string& program) const;

 private:
  static std::chrono::milliseconds milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds));
  }
};

}  // namespace examples
