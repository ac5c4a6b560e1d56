// SPDX-License-Identifier: MIT
/// examples/adopt/mnist/after.cpp to the letter, but that its Gossip also writes what it does, a
/// line of JSON each, into a file beside GOSSAMER_TRIAL, for adopted.py.
#include <gossamer/distributed.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/group_record.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cstdlib>
#include <fstream>
#include <unistd.h>
#include <utility>

namespace gossamer {

class WatchedGossip : public Gossip {
 public:
  template <class... Models>
  explicit WatchedGossip(Context context, Models&... models)
      : WatchedGossip(*context.transport, context.weight, std::move(context), models...) {}
  ~WatchedGossip() {
    const bool landed = finish();
    write({{"landed", landed},
           {"weight", weight()},
           {"steps", counters().steps},
           {"merged", counters().messages_merged},
           {"peers", peers_now()}});
  }
  WatchedGossip(const WatchedGossip&) = delete;
  WatchedGossip& operator=(const WatchedGossip&) = delete;

  void step(double loss) {
    Gossip::step(loss);
    if (counters().steps % 20 == 1) write({{"steps", counters().steps}});
  }
  void average() {
    Gossip::average();
    const std::array self{observe::Replica{&parameters(), weight()}};
    write({{"mean", observe::digest(self)}});
  }

 private:
  using Json = nlohmann::ordered_json;

  template <class... Models>
  WatchedGossip(transport::Transport& transport, double begin, Context&& context, Models&... models)
      : Gossip(std::move(context), models...),
        tcp_(dynamic_cast<transport::Tcp*>(&transport)),
        report_(std::string(std::getenv("GOSSAMER_TRIAL")) + "-" + std::to_string(getpid())) {
    write({{"node", id()}, {"begin", begin}});
    // What a peer that is lost was given, before it comes back.
    on_peer_left([this](PeerId peer, transport::Reason reason) {
      if (reason == transport::Reason::lost) write({{"lost", peer}, {"peers", peers_now()}});
    });
  }
  void write(const Json& line) { report_ << line.dump() << std::endl; }
  [[nodiscard]] Json peers_now() const {
    return tcp_ != nullptr ? Json(observe::peer_records(tcp_->view())) : Json::array();
  }

  transport::Tcp* tcp_;
  std::ofstream report_;
};

}  // namespace gossamer

#define Gossip WatchedGossip
#include "../../examples/adopt/mnist/after.cpp"  // NOLINT(bugprone-suspicious-include)
