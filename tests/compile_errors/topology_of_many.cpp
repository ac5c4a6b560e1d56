// expect: Topology needs: std::optional<PeerId> operator()(rule::Scope& scope) const
// SPDX-License-Identifier: MIT
#include <gossamer/topology/topology.hpp>

#include <vector>

namespace {
struct Everybody {
  std::vector<gossamer::PeerId> operator()(gossamer::rule::Scope&) const { return {}; }
};
}  // namespace

int main() { gossamer::topology::check_topology<Everybody>(); }
