// SPDX-License-Identifier: MIT
// A program of examples/adopt to the letter, but that its Gossip also writes the loss of each step,
// a number a line, into the file beside GOSSAMER_CURVE that has the process's place in its name.
#include <gossamer/distributed.hpp>

#include <cstdlib>
#include <fstream>
#include <string>

namespace gossamer {

class WrittenGossip : public Gossip {
 public:
  using Gossip::Gossip;

  void step(double loss) {
    Gossip::step(loss);
    if (!curve_.is_open()) {
      curve_.open(std::string(std::getenv("GOSSAMER_CURVE")) + "-" + std::to_string(place()));
    }
    curve_ << loss << '\n';
  }

 private:
  std::ofstream curve_;
};

}  // namespace gossamer

#define Gossip WrittenGossip
#include GOSSAMER_ADOPTED  // NOLINT(bugprone-suspicious-include)
