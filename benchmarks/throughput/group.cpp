// SPDX-License-Identifier: MIT
/// The library's nodes: the example's class, one of them slow if asked for.
#include "contender.hpp"
#include <cifar10/node.hpp>
#include <gossamer/node/thread_group.hpp>

namespace throughput {
namespace {

class DraggedNode final : public cifar10::CifarNode {
 public:
  DraggedNode(gossamer::Context context, const Job& job)
      : CifarNode(std::move(context), job.options, job.images), slow_(id() == 0 ? job.slow : 1) {}

 private:
  double gradient() override {
    const auto begin = Clock::now();
    const double loss = CifarNode::gradient();
    drag(begin, slow_);
    return loss;
  }

  double slow_;
};

class Group final : public Contender {
 public:
  explicit Group(const Job& job)
      : group_(gossamer::GroupOptions(job.options.members())
                   .node(gossamer::NodeOptions()
                             .seed(job.options.seed)
                             .samples_per_step(static_cast<std::uint64_t>(job.options.batch))),
               job.options.make_rule(), [&](gossamer::Context context) {
                 return std::make_unique<DraggedNode>(std::move(context), job);
               }) {}

  double train(Seconds duration) override {
    const auto samples = group_.totals().samples;
    const auto begin = group_.elapsed();
    const auto length = std::chrono::duration_cast<std::chrono::nanoseconds>(duration);
    group_.run_for(gossamer::StopCondition().duration(length));
    return static_cast<double>(group_.totals().samples - samples) /
           (group_.elapsed() - begin).count();
  }

 private:
  gossamer::ThreadGroup<DraggedNode> group_;
};

}  // namespace

std::unique_ptr<Contender> make_group(const Job& job, const std::string& rule, double probability) {
  Job own = job;
  own.options.rule = rule;
  own.options.probability = probability;
  return std::make_unique<Group>(own);
}

}  // namespace throughput
