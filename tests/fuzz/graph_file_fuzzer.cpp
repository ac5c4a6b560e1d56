// SPDX-License-Identifier: MIT
/// Fuzzes the readers of graphs: any bytes are a graph in one piece, or a ConfigError.
#include <gossamer/error.hpp>
#include <gossamer/gzip.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/graphml.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using gossamer::topology::EdgeList;
using gossamer::topology::Edges;
using gossamer::topology::Place;

template <class Reader>
void read(Reader reader) {
  try {
    const EdgeList list = reader();
    // Whoever is there, node 0 has a neighbour, and never itself.
    for (const std::size_t members : {list.size(), std::size_t{2}, list.size() + 1}) {
      if (members > 100 || members < 2) continue;
      std::vector<Place> out;
      list.neighbours(0, static_cast<Place>(members), 0, out);
      if (out.empty() || std::count(out.begin(), out.end(), 0U) > 0) std::abort();
    }
  } catch (const gossamer::ConfigError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read([&] { return gossamer::topology::parse_edge_list(text, "input"); });
  read([&] { return gossamer::topology::parse_edge_list(text, "input", Edges::one_way); });
  read([&] { return gossamer::topology::parse_graphml(text, "input"); });
  read([&] {
    return gossamer::topology::parse_graphml(gossamer::gunzip(text, "input", 1U << 20U), "input");
  });
  return 0;
}
