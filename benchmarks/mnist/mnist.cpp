// SPDX-License-Identifier: MIT
/// The MNIST experiment of the Elastic Gossip thesis: W simulated nodes of equal speed train a
/// perceptron 784-1024-1024-1024-10, each on its part of every batch. Writes one small record.
///
///     mnist FOLDER RECORD [--rule NAME] [--probability P] [--nodes W] [--epochs N] [--seed S]
///           [--own-images] [--device cpu|cuda]
#include <gossamer/error.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/allocator.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/replace_file.hpp>
#include <gossamer/simulation/group.hpp>
#include <shared/idx.hpp>
#include <shared/validators.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;
using torch::nn::Sequential;

struct Options {
  std::filesystem::path data;
  std::filesystem::path record;
  std::string rule = "elastic_gossip";
  double probability = 0.125;
  std::size_t nodes = 4;
  std::int64_t epochs = 10;
  std::uint64_t seed = 1;
  bool own_images = false;  // a node sees every W-th image only, else all in the course of time
  at::Device device = at::kCPU;
  double learning_rate = 0.001;  // this and the next three: the thesis's
  double momentum = 0.99;
  std::int64_t batch = 128;         // over all nodes
  std::int64_t validation = 8'800;  // images of the training set that are not trained on
};

struct Images {
  torch::Tensor pixels;  // (n, 784) float
  torch::Tensor labels;  // (n,) int64
};

Images read(const Options& o, const std::string& which) {
  const auto& folder = o.data;
  const auto pixels = examples::read_idx(folder / (which + "-images-idx3-ubyte"), 3);
  const auto labels = examples::read_idx(folder / (which + "-labels-idx1-ubyte"), 1);
  if (pixels.size(0) != labels.size(0) || pixels[0].numel() != 784) {
    throw gossamer::ConfigError("MNIST: " + folder.string() + " does not hold the data set");
  }
  const auto values = pixels.view({pixels.size(0), 784}).to(torch::kFloat).div_(255);
  return {values.sub_(0.1307).div_(0.3081).to(o.device), labels.to(torch::kLong).to(o.device)};
}

Sequential perceptron(at::Device device) {
  using torch::nn::Dropout;
  using torch::nn::Linear;
  using torch::nn::ReLU;
  Sequential network(Dropout(0.2), Linear(784, 1024), ReLU(), Dropout(0.5), Linear(1024, 1024),
                     ReLU(), Dropout(0.5), Linear(1024, 1024), ReLU(), Dropout(0.5),
                     Linear(1024, 10));
  network->to(device);
  return network;
}

/// One of W nodes: of each batch, which is the same for all, it takes its part.
class Worker final : public gossamer::GradientNode<Sequential> {
 public:
  Worker(gossamer::Context context, const Options& o, const Images& train)
      : GradientNode(std::move(context), (torch::manual_seed(o.seed), perceptron(o.device))),
        options_(o),
        train_(train),
        optimizer_(model()->parameters(),
                   torch::optim::SGDOptions(o.learning_rate).momentum(o.momentum).nesterov(true)) {}

 protected:
  double gradient() override {
    const std::int64_t own = options_.batch / static_cast<std::int64_t>(options_.nodes);
    const std::int64_t per_epoch = train_.labels.size(0) / options_.batch;
    const auto step = static_cast<std::int64_t>(counters().steps);
    if (step % per_epoch == 0) shuffle(static_cast<std::uint64_t>(step / per_epoch));
    const std::int64_t begin = options_.own_images ? step % per_epoch * own
                                                   : step % per_epoch * options_.batch +
                                                         own * static_cast<std::int64_t>(id());
    const auto which = order_.narrow(0, begin, own);
    model()->zero_grad(/*set_to_none=*/true);  // nothing to add to: two passes fewer
    const auto loss =
        torch::cross_entropy_loss(model()->forward(train_.pixels.index_select(0, which)),
                                  train_.labels.index_select(0, which));
    loss.backward();
    return loss.item<double>();
  }
  void apply() override { optimizer_.step(); }

 private:
  /// The same order on all nodes; of its own images, where it has such.
  void shuffle(std::uint64_t epoch) {
    gossamer::Generator random(options_.seed, 10'000 + epoch);
    order_ = options_.own_images
                 ? torch::arange(static_cast<std::int64_t>(id()), train_.labels.size(0),
                                 static_cast<std::int64_t>(options_.nodes))
                 : torch::arange(train_.labels.size(0));
    auto* order = order_.data_ptr<std::int64_t>();
    for (auto i = static_cast<std::uint32_t>(order_.numel()); i > 1; --i) {
      std::swap(order[i - 1], order[random.below(i)]);
    }
    order_ = order_.to(options_.device);
  }

  const Options& options_;
  const Images& train_;
  torch::optim::SGD optimizer_;
  torch::Tensor order_;
};

gossamer::rule::AnyRule make_rule(const Options& o) {
  using namespace gossamer::rule;
  if (o.rule == "sync") return Sync();
  if (o.rule == "none") return None();
  if (o.rule == "gossiping_pull") return GossipingPull(o.probability);
  if (o.rule == "gosgd") return GoSgd(o.probability);
  return ElasticGossip(o.probability, 0.5);
}

double accuracy(Sequential& network, const Images& images) {
  const torch::NoGradGuard no_grad;
  network->eval();
  const auto right = network->forward(images.pixels).argmax(1).eq(images.labels).sum();
  network->train();
  return right.item<double>() / static_cast<double>(images.labels.size(0));
}

void run(const Options& o) {
  at::set_num_threads(1);
  Images train = read(o, "train");
  const Images test = read(o, "t10k");
  const std::int64_t used = train.labels.size(0) - o.validation;
  const Images validation{train.pixels.narrow(0, used, o.validation),
                          train.labels.narrow(0, used, o.validation)};
  train = {train.pixels.narrow(0, 0, used), train.labels.narrow(0, 0, used)};

  gossamer::SimulatedGroup<Worker> group(
      gossamer::SimulatedGroupOptions(o.nodes).node(gossamer::NodeOptions().seed(o.seed)),
      make_rule(o), [&](gossamer::Context context) {
        return std::make_unique<Worker>(std::move(context), o, train);
      });
  Sequential mean = perceptron(o.device);
  Json record = {{"rule", o.rule},
                 {"probability", o.probability},
                 {"nodes", o.nodes},
                 {"epochs", o.epochs},
                 {"seed", o.seed},
                 {"learning_rate", o.learning_rate},
                 {"momentum", o.momentum},
                 {"batch", o.batch},
                 {"own_images", o.own_images},
                 {"device", o.device.str()},
                 {"libtorch", TORCH_VERSION}};
  std::vector<double> validation_accuracy;
  const auto steps = static_cast<std::uint64_t>(used / o.batch);
  for (std::int64_t epoch = 1; epoch <= o.epochs; ++epoch) {
    group.run_until(gossamer::StopCondition().steps(steps * static_cast<std::uint64_t>(epoch)));
    const auto members = group.replicas();
    gossamer::observe::copy_into(mean, gossamer::observe::mean(members), members);
    validation_accuracy.push_back(accuracy(mean, validation));
    std::printf("epoch %d: %.4f on the validation set (mean model), loss %.4f\n",
                static_cast<int>(epoch), validation_accuracy.back(),
                group.totals().loss_sum / static_cast<double>(group.totals().steps));
    std::fflush(stdout);
  }
  Sequential first = perceptron(o.device);
  const auto members = group.replicas();
  gossamer::observe::copy_into(first, members.front().model->flat(), members);
  record.update({{"validation_accuracy", validation_accuracy},
                 {"test_accuracy_node_0", accuracy(first, test)},
                 {"test_accuracy_mean", accuracy(mean, test)},
                 {"consensus_error", gossamer::observe::consensus_error(members)},
                 {"messages_sent", group.totals().messages_sent},
                 {"bytes_sent", group.totals().bytes_sent}});
  std::cout << record.dump(1) << '\n';
  gossamer::observe::replace_file(o.record, record.dump(1) + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  Options o;
  CLI::App app("The MNIST experiment of the Elastic Gossip thesis", "mnist");
  app.add_option("data", o.data, "Folder with MNIST's four files")->required();
  app.add_option("record", o.record, "File for the record")->required();
  app.add_option("--rule", o.rule, "elastic_gossip, gossiping_pull, gosgd, sync or none")
      ->check(examples::one_of({"elastic_gossip", "gossiping_pull", "gosgd", "sync", "none"}));
  app.add_option("--probability", o.probability, "Of an exchange after a step")
      ->check(examples::within(0, 1));
  app.add_option("--nodes", o.nodes, "W, which divides the batch")->check(examples::within(1, 128));
  app.add_option("--epochs", o.epochs, "Times that the data is gone through")
      ->check(examples::positive());
  app.add_option("--seed", o.seed, "Seed of everything random");
  app.add_flag("--own-images", o.own_images, "A node sees every W-th image only, always the same");
  std::string device = "cpu";
  app.add_option("--device", device, "Where the nodes train: cpu or cuda")
      ->check(examples::one_of({"cpu", "cuda"}));
  CLI11_PARSE(app, argc, argv);
  try {
    o.device = at::Device(device);
    run(o);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "mnist: " << error.what() << '\n';
    return 1;
  }
}
