// SPDX-License-Identifier: MIT
/// For which strength of the pull EASGD stays stable on f(x) = x^2 / 2, by trying: workers take
/// their steps one after the other, or all wait for the centre, beside what theory says. Prints a
/// line of JSON for each step size.
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/simulation/group.hpp>

#include <ATen/ops/ones.h>
#include <c10/util/StringUtil.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::Easgd;
using gossamer::rule::easgd_largest_alpha;
using gossamer::rule::EasgdOptions;

/// Goes down x^2 / 2 by steps of eta x.
class Slope final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  Slope(gossamer::Context context, double eta)
      : GossipNode(std::move(context), {at::ones({1}, at::kDouble)}), eta_(eta) {}

  double& x() { return *model()[0].data_ptr<double>(); }

 private:
  double local_step() override {
    x() -= eta_ * x();
    return 0;
  }
  double eta_;
};

/// Whether workers and centre come together, from x = 1 and a centre at 0.
bool is_stable(std::size_t workers, double eta, double alpha, bool synchronous) {
  gossamer::SimulatedGroup<Slope> group(
      gossamer::SimulatedGroupOptions(workers + 1),
      Easgd(EasgdOptions().tau(1).alpha(alpha).synchronous(synchronous)),
      [eta](gossamer::Context context) {
        return std::make_unique<Slope>(std::move(context), eta);
      });
  group[0].x() = 0;
  for (int round = 0; round < 3000; ++round) {
    for (std::size_t id = 1; id <= workers; ++id) {
      group[id].advance(StopCondition(), gossamer::transport::Time(0));
      if (!synchronous) group.settle();
    }
    group.settle();
    double size = 0;
    for (std::size_t id = 0; id <= workers; ++id) size = std::max(size, std::abs(group[id].x()));
    if (size > 1e3) return false;
    if (size < 1e-9) return true;
  }
  return true;
}

/// The largest stable alpha, to 0.0005, by halving.
double boundary(std::size_t workers, double eta, bool synchronous) {
  double low = 0;
  double high = 4;
  while (high - low > 0.001) {
    const double middle = (low + high) / 2;
    (is_stable(workers, eta, middle, synchronous) ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

int main() {
  for (const double eta : {0.01, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.9}) {
    const nlohmann::ordered_json record = {{"name", c10::str("eta=", eta)},
                                           {"eta", eta},
                                           {"theory", easgd_largest_alpha(eta)},
                                           {"workers_1", boundary(1, eta, false)},
                                           {"workers_2_in_turn", boundary(2, eta, false)},
                                           {"workers_4_in_turn", boundary(4, eta, false)},
                                           {"theory_4_synchronous", easgd_largest_alpha(eta, 4)},
                                           {"workers_4_synchronous", boundary(4, eta, true)}};
    std::cout << record << std::endl;
  }
}
