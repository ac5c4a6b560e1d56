// SPDX-License-Identifier: MIT
/// Graphs from files that may be gzip-compressed, and their names. Needs TinyXML-2 and zlib, hence
/// not part of gossamer.hpp.
#pragma once

#include <gossamer/gzip.hpp>
#include <gossamer/named.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/graphml.hpp>
#include <gossamer/topology/registry.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// The text of a file, unpacked if gzip has packed it. Throws ConfigError if it cannot be read.
inline std::string read_graph_file_gz(const std::filesystem::path& path) {
  std::string bytes = read_graph_file(path);
  return is_gzip(bytes) ? gunzip(bytes, path.string()) : std::move(bytes);
}

/// As `read_edge_list`.
inline EdgeList read_edge_list_gz(const std::filesystem::path& path,
                                  std::optional<Edges> ways = std::nullopt) {
  return parse_edge_list(read_graph_file_gz(path), path.string(), ways);
}

/// As `read_graphml`.
inline EdgeList read_graphml_gz(const std::filesystem::path& path) {
  return parse_graphml(read_graph_file_gz(path), path.string());
}

/// All that are known, and files: "edges:FILE" and "graphml:FILE", compressed or not.
inline std::vector<Entry> known_with_files() {
  std::vector<Entry> table = known();
  table.push_back(graphml_entry());
  for (Entry& entry : table) {
    if (entry.usage.name() == "edges") {
      entry.make = [](const NamedParameters& p, const RegistryOptions&) -> Made {
        return read_edge_list_gz(p.text(0));
      };
    } else if (entry.usage.name() == "graphml") {
      entry.make = [](const NamedParameters& p, const RegistryOptions&) -> Made {
        return read_graphml_gz(p.text(0));
      };
    }
  }
  return table;
}

}  // namespace gossamer::topology
