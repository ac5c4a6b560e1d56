// SPDX-License-Identifier: MIT
/// The same nodes as threads of this process, under a virtual clock, or one of many on TCP.
#include <cifar10/cluster.hpp>
#include <cifar10/tcp_cluster.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/simulated_group.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace cifar10 {
namespace {

using Clock = std::chrono::steady_clock;

/// What both kinds do alike.
template <class Group>
class ClusterOf : public Cluster {
 public:
  template <class GroupOptions>
  ClusterOf(const GroupOptions& group, const Options& options, const Images& train)
      : group_(group, options.make_rule(), [&options, &train](gossamer::Context context) {
          return std::make_unique<CifarNode>(std::move(context), options, train);
        }) {}

  void finish() override { group_.finish(); }
  std::vector<gossamer::observe::Member> members() const override { return group_.members(); }
  gossamer::transport::Status totals() const override { return group_.totals(); }
  double total_weight() const override { return group_.total_weight(); }
  void checkpoint(gossamer::Archive& archive) override { group_.checkpoint(archive); }

 protected:
  Group group_;
};

gossamer::Budget budget_of(std::uint64_t images, double seconds_left) {
  gossamer::Budget budget;
  if (images != Stretch::no_limit) budget.samples(images);
  if (seconds_left > 0) budget.duration(gossamer::transport::seconds(seconds_left));
  return budget;
}

class Threads final : public ClusterOf<gossamer::ThreadGroup<CifarNode>> {
 public:
  using ClusterOf::ClusterOf;

  void train(const Stretch& stretch) override {
    const double left = stretch.seconds > 0 ? std::max(1e-9, stretch.seconds - wall_seconds()) : 0;
    group_.run_until(budget_of(stretch.images, left));
  }
  std::vector<CifarNode*> nodes() override {
    std::vector<CifarNode*> all;
    for (std::size_t i = 0; i < group_.size(); ++i) all.push_back(&group_[i]);
    return all;
  }
  double wall_seconds() const override { return group_.elapsed().count(); }
};

class Simulated final : public ClusterOf<gossamer::SimulatedGroup<CifarNode>> {
 public:
  Simulated(const gossamer::SimulatedGroupOptions& group, const Options& options,
            const Images& train, std::function<void()> on_tick)
      : ClusterOf(group, options, train), on_tick_(std::move(on_tick)) {
    at::set_num_threads(1);  // the same bits on any number of cores
  }

  void train(const Stretch& stretch) override {
    if (!group_.is_training()) {
      group_.begin(budget_of(
          stretch.rest_at, stretch.seconds > 0 ? std::max(1e-9, stretch.seconds - seconds()) : 0));
    }
    Clock::time_point tick = Clock::now();
    const auto enough = [&] {
      if (Clock::now() - tick > std::chrono::milliseconds(200)) {
        count(tick);
        on_tick_();
      }
      return stretch.images < stretch.rest_at && group_.world().totals().samples >= stretch.images;
    };
    group_.go_on(enough);
    count(tick);
  }
  std::vector<CifarNode*> nodes() override {
    std::vector<CifarNode*> all;
    for (gossamer::PeerId id = 0; id < group_.size(); ++id) {
      if (group_.is_live(id)) all.push_back(&group_[id]);
    }
    return all;
  }
  double wall_seconds() const override { return wall_; }
  std::optional<double> virtual_seconds() const override { return group_.elapsed().count(); }
  bool is_calm() const override { return group_.world().is_calm(); }
  void checkpoint(gossamer::Archive& archive) override {
    ClusterOf::checkpoint(archive);
    archive("wall_seconds", wall_);
  }

 private:
  void count(Clock::time_point& since) {
    const Clock::time_point now = Clock::now();
    wall_ += std::chrono::duration<double>(now - since).count();
    since = now;
  }

  std::function<void()> on_tick_;
  double wall_ = 0;
};

}  // namespace

std::unique_ptr<Cluster> make_cluster(const Options& options, const Images& train,
                                      std::function<bool()> stop_when,
                                      std::function<void()> on_tick) {
  const auto node = gossamer::NodeOptions()
                        .seed(options.seed)
                        .samples_per_step(static_cast<std::uint64_t>(options.batch))
                        .buffers(options.buffer_policy());
  if (options.transport == "simulated") {
    return std::make_unique<Simulated>(
        options.simulation().node(node).stop_when(std::move(stop_when)), options, train,
        std::move(on_tick));
  }
  if (options.transport == "tcp") {
    return make_tcp_cluster(options, node, train, std::move(stop_when), std::move(on_tick));
  }
  return std::make_unique<Threads>(gossamer::GroupOptions(options.members())
                                       .node(node)
                                       .stop_when(std::move(stop_when))
                                       .on_tick(std::move(on_tick)),
                                   options, train);
}

}  // namespace cifar10
