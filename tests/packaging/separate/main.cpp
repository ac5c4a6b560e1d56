// SPDX-License-Identifier: MIT
// A training loop of which this file does not read the network's headers.
#include <gossamer/distributed.hpp>

#ifdef ASIO_VERSION
#error "distributed.hpp reads Asio, which gossamer::distributed compiles apart"
#endif

#include <ATen/ops/zeros.h>

#include <iostream>
#include <vector>

int main() {
  std::vector<at::Tensor> model{at::zeros({1})};
  gossamer::Gossip gossip(gossamer::join_run(gossamer::rule::GoSgd(0.1)), model);
  for (int i = 0; i < 10; ++i) gossip.step();
  const bool ended = gossip.finish();
  std::cout << "weight " << gossip.weight() << '\n';
  return ended && gossip.weight() == 1 ? 0 : 1;
}
