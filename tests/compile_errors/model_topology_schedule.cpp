// SPDX-License-Identifier: MIT
// expect: Model needs: a torch::nn::Module (or holder, or pointer), a std::vector<at::Tensor>, or
// expect: Topology needs: std::optional<PeerId> operator()(PeerContext& context) const
// expect: Schedule needs: bool operator()(PeerContext& context) const
#include <gossamer/model/tensors.hpp>
#include <gossamer/schedule/schedule.hpp>
#include <gossamer/topology/topology.hpp>

#include <vector>

namespace {

struct Clusters {
  at::Tensor centres;
};
struct Everybody {
  std::vector<gossamer::PeerId> operator()(gossamer::PeerContext&) const { return {}; }
};
struct Whenever {
  void operator()(gossamer::PeerContext&) const {}
};

}  // namespace

int main() {
  gossamer::model::check_model<Clusters>();
  gossamer::topology::check_topology<Everybody>();
  gossamer::schedule::check_schedule<Whenever>();
}
