// SPDX-License-Identifier: MIT
/// What the user of the library writes: one node that trains the network on its data.
#pragma once

#include <cifar10/batches.hpp>
#include <cifar10/networks.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/optim/adahessian.hpp>
#include <gossamer/optim/kept_state.hpp>
#include <gossamer/optim/quasi_global_sgd.hpp>
#include <shared/dirichlet_shards.hpp>

#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace cifar10 {

/// The network that the options ask for; equal on all nodes but for dropout's random bits.
inline std::shared_ptr<Network> make_network(const Options& o) {
  return make_network(
      o.network,
      NetworkOptions().dropout(o.dropout).seed(o.seed).crop(o.crop).channels_last(o.channels_last));
}

/// Which of the training images are a node's.
inline std::vector<std::int64_t> images_of(const Options& o, const Images& train,
                                           std::size_t node) {
  if (!o.shard) return all(train.size());
  if (o.dirichlet == 0) {
    return overlapping_shard(train.size(), node % o.members(), o.members(), o.overlap);
  }
  const at::Tensor labels = train.labels.contiguous();
  const std::span<const std::int64_t> span(labels.data_ptr<std::int64_t>(),
                                           static_cast<std::size_t>(labels.numel()));
  return examples::dirichlet_shards(span, o.members(), o.dirichlet, o.seed)[node % o.members()];
}

/// The training images of one node, in its own order.
inline Batches make_batches(const Options& o, const Images& train, std::size_t node,
                            gossamer::Generator generator) {
  Normalisation raw{{0, 0, 0}, {1, 1, 1}};
  return Batches(train, images_of(o, train, node), o.batch, generator,
                 BatchOptions()
                     .crop(o.crop)
                     .flip(o.flip)
                     .random_crop(o.random_crop)
                     .normalisation(o.normalise ? Normalisation() : raw));
}

/// The optimizer that the options ask for.
inline std::unique_ptr<torch::optim::Optimizer> make_optimizer(const Options& o,
                                                               std::vector<at::Tensor> parameters,
                                                               std::size_t node) {
  if (o.optimizer == "adahessian") {
    return std::make_unique<gossamer::optim::AdaHessian>(
        std::move(parameters), gossamer::optim::AdaHessianOptions(o.learning_rate)
                                   .weight_decay(o.weight_decay)
                                   .seed(o.seed * 4096 + node));
  }
  if (o.optimizer == "quasi_global" || o.optimizer == "quasi_global_nesterov") {
    return std::make_unique<gossamer::optim::QuasiGlobalSgd>(
        std::move(parameters), gossamer::optim::QuasiGlobalSgdOptions(o.learning_rate)
                                   .momentum(o.momentum)
                                   .weight_decay(o.weight_decay)
                                   .nesterov(o.optimizer != "quasi_global"));
  }
  return std::make_unique<torch::optim::SGD>(std::move(parameters),
                                             torch::optim::SGDOptions(o.learning_rate)
                                                 .momentum(o.momentum)
                                                 .nesterov(o.optimizer == "nesterov")
                                                 .weight_decay(o.weight_decay));
}

/// One peer: a network, its optimizer, and a stream of mini-batches.
class CifarNode : public gossamer::GradientNode<std::shared_ptr<Network>> {
 public:
  CifarNode(gossamer::Context context, const Options& o, const Images& train)
      : GradientNode(std::move(context), make_network(o)),
        keeps_momentum_(o.keep_momentum),
        batches_(make_batches(o, train, id(), generator())),
        optimizer_(make_optimizer(o, model()->parameters(), id())),
        learning_rate_(o.learning_rate),
        second_order_(o.optimizer == "adahessian") {
    model()->reseed_dropout(o.seed * 4096 + id());
  }

  /// Writes when each step begins, in seconds of the steady clock, and how long this thread has
  /// waited for a core until then (where Linux says so, else 0), one step a line.
  void log_steps(const std::filesystem::path& file) {
    step_log_.open(file);
    if (!step_log_) throw gossamer::ConfigError("step log " + file.string() + ": cannot be made");
    step_log_ << std::fixed << std::setprecision(6);
  }

 protected:
  void prepare_step() override { batch_ = batches_.next(); }

  /// The mean cross-entropy of one mini-batch, and its gradients.
  double gradient() override {
    if (step_log_.is_open()) {
      const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
      double computed = 0;
      double waited = 0;
      std::ifstream("/proc/thread-self/schedstat") >> computed >> waited;  // ns
      step_log_ << now.count() << ' ' << waited / 1e9 << std::endl;
    }
    const auto [images, labels] = std::move(batch_);
    optimizer_->zero_grad();
    const torch::Tensor loss = at::cross_entropy_loss(model()->forward(images), labels);
    loss.backward({}, second_order_, second_order_);
    return loss.item<double>();
  }

  void apply() override {
    if (takes_back_) kept_.keep(*optimizer_);
    optimizer_->step();
  }

 private:
  void on_restart() override {
    if (takes_back_) return kept_.restore(*optimizer_);
    if (keeps_momentum_) return;
    if (auto* quasi_global = dynamic_cast<gossamer::optim::QuasiGlobalSgd*>(optimizer_.get())) {
      quasi_global->reset_momentum();
    }
    for (auto& entry : optimizer_->state()) {
      auto* sgd = dynamic_cast<torch::optim::SGDParamState*>(entry.second.get());
      if (sgd != nullptr && sgd->momentum_buffer().defined()) sgd->momentum_buffer().zero_();
    }
  }

  /// Optimizer, place in the data and dropout's generator: a resumed node goes on as if nothing had
  /// happened, with the learning rate that it has now.
  void on_checkpoint(gossamer::Archive& archive) override {
    std::vector<std::uint64_t> place = batches_.state();
    archive("batches", place);
    at::Generator& dropout = model()->generator();
    torch::Tensor dropout_state = dropout.get_state();
    archive("dropout", dropout_state);
    if (takes_back_) archive_kept(archive);
    archive_optimizer(archive, "optimizer");
    if (archive.loading()) {
      batches_.restore(place);
      dropout.set_state(dropout_state);
      for (auto& group : optimizer_->param_groups()) group.options().set_lr(learning_rate_);
    }
  }
  void archive_optimizer(gossamer::Archive& archive, const std::string& name) {
    std::ostringstream out;
    if (!archive.loading()) torch::save(*optimizer_, out);
    std::string bytes = out.str();
    archive(name, bytes);
    if (!archive.loading()) return;
    std::istringstream in(bytes);
    torch::load(*optimizer_, in);
  }
  /// By way of the optimizer, whose own state is as before when this saves.
  void archive_kept(gossamer::Archive& archive) {
    gossamer::optim::KeptState own;
    own.keep(*optimizer_);
    kept_.restore(*optimizer_);
    archive_optimizer(archive, "kept");
    kept_.keep(*optimizer_);
    if (!archive.loading()) own.restore(*optimizer_);
  }

  bool keeps_momentum_;
  Batches batches_;
  std::pair<at::Tensor, at::Tensor> batch_;  // of the next step
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::ofstream step_log_;
  double learning_rate_;             // of this run: the one before may have had another
  bool second_order_;                // the gradients need their graph
  gossamer::optim::KeptState kept_;  // for a rule that takes steps back
  bool takes_back_ = engine().rule().name() == "acco";
};

}  // namespace cifar10
