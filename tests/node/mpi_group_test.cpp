// SPDX-License-Identifier: MIT
/// Nodes that are ranks of one job. All ranks run each of these cases, and meet in each.
#include <gossamer/error.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/mpi_group.hpp>
#include <gossamer/observe/digest.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::MpiGroup;
using gossamer::MpiGroupOptions;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::transport::MpiCommunicator;
using tests::Approx;
using namespace std::chrono_literals;

int rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}
int ranks() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}
double sum_over_ranks(double mine) {
  double sum = 0;
  MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return sum;
}
/// What each rank has, where all have as many characters.
std::set<std::string> of_all_ranks(const std::string& mine) {
  std::vector<char> all(mine.size() * static_cast<std::size_t>(ranks()));
  MPI_Allgather(mine.data(), static_cast<int>(mine.size()), MPI_CHAR, all.data(),
                static_cast<int>(mine.size()), MPI_CHAR, MPI_COMM_WORLD);
  std::set<std::string> texts;
  for (std::size_t at = 0; at < all.size(); at += mine.size()) {
    texts.emplace(all.data() + at, mine.size());
  }
  return texts;
}

/// Learns numbers of its rank's own, so that nodes differ but for what they exchange.
class Line final : public gossamer::GradientNode<torch::nn::Linear> {
 public:
  Line(Context context, int throw_at)
      : GradientNode(std::move(context), torch::nn::Linear(3, 2)), throw_at_(throw_at) {}
  std::vector<gossamer::transport::Reason> gone;
  std::string first;  // its parameters' digest when it began

  [[nodiscard]] std::string digest() const {
    const std::vector<gossamer::observe::Replica> one{{&parameters(), 1.0}};
    return gossamer::observe::digest(one);
  }

 private:
  /// Who has not will not hear of a peer that has gone.
  [[nodiscard]] bool all_have_begun() {
    const auto peers = engine().context().peers();
    return std::all_of(peers.begin(), peers.end(),
                       [this](PeerId peer) { return engine().context().counters(peer).steps > 0; });
  }
  void on_start() override { first = digest(); }
  double gradient() override {
    if (throw_at_ >= 0 && static_cast<int>(counters().steps) >= throw_at_ && all_have_begun()) {
      throw std::runtime_error("out of data");
    }
    model()->zero_grad();
    const auto loss = (model()->forward(torch::ones({1, 3})) - static_cast<double>(id())).pow(2);
    loss.sum().backward();
    return loss.sum().item<double>();
  }
  void apply() override {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model()->parameters()) parameter.sub_(0.01 * parameter.grad());
  }
  void on_peer_left(PeerId /*peer*/, gossamer::transport::Reason reason) override {
    gone.push_back(reason);
    if (reason != gossamer::transport::Reason::finished) request_stop();
  }
  int throw_at_;
};

MpiGroupOptions options() {
  return MpiGroupOptions().node(NodeOptions().drain_timeout(60s)).tick(5ms);
}
auto maker(int throw_at = -1) {
  return [throw_at](Context context) {
    torch::manual_seed(static_cast<std::uint64_t>(rank()));  // all begin with another model
    return std::make_unique<Line>(std::move(context), throw_at);
  };
}

}  // namespace

TEST_CASE("Four ranks that gossip keep all weight", "[node][mpi][ranks]") {
  MpiGroup<Line> member(MpiCommunicator::make(), options(), gossamer::rule::GoSgd(0.5), maker());
  CHECK(member.node().weight() == Approx(1.0 / ranks()));
  member.run(StopCondition().steps(300));
  CHECK(sum_over_ranks(member.node().weight()) == Approx(1.0).margin(tests::weight_tolerance));
  CHECK(member.node().counters().messages_sent > 0);
  CHECK(member.totals().steps >= 300 * static_cast<unsigned>(ranks()));
  CHECK(member.peers().size() == static_cast<std::size_t>(ranks() - 1));
}

TEST_CASE("All ranks begin with the parameters of the first", "[node][mpi][ranks]") {
  MpiGroup<Line> member(MpiCommunicator::make(), options(), gossamer::rule::None(), maker());
  member.run(StopCondition().steps(1));
  CHECK(of_all_ranks(member.node().first).size() == 1);
}

TEST_CASE("Ranks under a synchronous rule end with the same bits", "[node][mpi][ranks]") {
  for (const bool pieces : {false, true}) {
    MpiGroup<Line> member(MpiCommunicator::make(), options(),
                          gossamer::rule::Sync().chunks(pieces ? ranks() : 1), maker());
    member.run(StopCondition().steps(20));
    CHECK(member.node().counters().steps == 20);
    CHECK(of_all_ranks(member.node().digest()).size() == 1);
  }
}

TEST_CASE("A rank that leaves hands its weight over, and waits for the job's end",
          "[node][mpi][ranks]") {
  const bool leaves = rank() == ranks() - 1;
  MpiGroup<Line>* self = nullptr;
  const auto all_have_begun = [&] {  // who has not will not hear of a peer that has gone
    const auto peers = self->peers();
    return std::all_of(peers.begin(), peers.end(),
                       [](const auto& peer) { return peer.status.steps > 0; });
  };
  MpiGroup<Line> member(MpiCommunicator::make(),
                        options().leave_when([&] { return leaves && all_have_begun(); }),
                        gossamer::rule::GoSgd(0.5), maker());
  self = &member;
  member.run(StopCondition().duration(60s));  // the others: until that one has gone
  const double weight = member.node().weight();
  CHECK(sum_over_ranks(weight) == Approx(1.0).margin(tests::weight_tolerance));
  if (leaves) CHECK(weight == 0);
}

TEST_CASE("A rank whose node throws goes, and the others end in order", "[node][mpi][ranks]") {
  using gossamer::transport::Reason;
  const bool fails = rank() == 1;
  MpiGroup<Line> member(MpiCommunicator::make(), options(), gossamer::rule::GoSgd(0.5),
                        maker(fails ? 10 : -1));
  if (fails) {
    const auto text =
        tests::message_of<NodeError>([&] { member.run(StopCondition().duration(60s)); });
    CHECK(text == "node 1: out of data");
  } else {
    member.run(StopCondition().duration(60s));  // until the news has come
    // Who hears of it before this one does may have finished before, too.
    const auto& gone = member.node().gone;
    CHECK(std::count(gone.begin(), gone.end(), Reason::lost) == 1);
  }
}

TEST_CASE("Ranks with different models refuse each other", "[node][mpi][ranks]") {
  using namespace gossamer::transport;
  Mpi mpi(MpiCommunicator::make());
  REQUIRE(mpi.gather(static_cast<std::size_t>(ranks() - 1), 60s));
  const gossamer::model::Flat shape({torch::zeros({4})});
  const std::string model = rank() == 0 ? "weight Float [4]\n" : "weight Float [2, 2]\n";
  try {
    mpi.set_model_layout(model, shape);
  } catch (const ConfigError& error) {  // one that has heard of the others' already
    const std::string text = error.what();
    CHECK_THAT(text, tests::contains("different models") && tests::contains("weight Float [4]"));
    return;
  }
  // The first has a peer of its model at no rank, the others have each other.
  const std::size_t alike = rank() == 0 ? 0 : static_cast<std::size_t>(ranks() - 2);
  const Time deadline = mpi.now() + 60s;
  while (mpi.peers().size() > alike && mpi.now() < deadline) {
    mpi.wait(deadline);
    try {
      while (const auto event = mpi.poll()) CHECK(std::holds_alternative<PeerLeft>(*event));
    } catch (const ConfigError& error) {  // one that hears of it later
      CHECK_THAT(std::string(error.what()), tests::contains("different models"));
      return;
    }
  }
  CHECK(mpi.peers().size() <= alike);
}
