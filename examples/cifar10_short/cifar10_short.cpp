// SPDX-License-Identifier: MIT
// Eight nodes learn CIFAR-10 together, by gossip: ../cifar10 in one file, for reading.
#include <gossamer/gossamer.hpp>

#include <CLI/CLI.hpp>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

namespace {

using torch::Tensor;
using torch::nn::Sequential;

constexpr std::int64_t batch = 20;  // images
constexpr std::int64_t crop = 28;   // side of what the network sees of an image, in pixels

/// A file of records, (10000, 3073) uint8: a label, 0 to 9, then (3, 32, 32) pixels.
Tensor read(const std::filesystem::path& name) {
  const Tensor records = torch::empty({10'000, 1 + 3 * 32 * 32}, torch::kUInt8);
  std::ifstream file(name, std::ios::binary);
  if (!file.read(static_cast<char*>(records.data_ptr()), records.numel()) || file.peek() != EOF) {
    throw std::runtime_error(name.string() +
                             " must hold 10,000 images of CIFAR-10; give --data DIR, or fetch "
                             "them: ./examples/run.sh cifar10_short --download");
  }
  return records;
}

/// Bytes to floats whose mean is 0 and standard deviation 1 in each channel, over all images.
Tensor normalised(const Tensor& pixels) {
  const Tensor mean = torch::tensor({0.4914, 0.4822, 0.4465}, torch::kFloat).view({3, 1, 1});
  const Tensor deviation = torch::tensor({0.2470, 0.2435, 0.2616}, torch::kFloat).view({3, 1, 1});
  return (pixels / 255 - mean) / deviation;
}

/// The network of the GoSGD papers: (n, 3, 28, 28) to (n, 10), 286,154 parameters.
Sequential make_network() {
  using namespace torch::nn;
  return Sequential(Conv2d(3, 64, 5), MaxPool2d(2), ReLU(),    // (n, 64, 12, 12)
                    Conv2d(64, 128, 5), MaxPool2d(2), ReLU(),  // (n, 128, 4, 4)
                    Conv2d(128, 64, 3), ReLU(), Flatten(),     // (n, 256)
                    Dropout(0.5), Linear(256, 10));
}

/// One node: its own copy of the network, its own optimizer, its own order of the images.
class CifarNode final : public gossamer::GossipNode<Sequential> {
 public:
  CifarNode(gossamer::Context context, Tensor train)
      : GossipNode(std::move(context), make_network()),
        train_(std::move(train)),
        random_(generator()),
        optimizer_(model()->parameters(), torch::optim::SGDOptions(/*lr=*/0.01).momentum(0.9)) {}

 private:
  /// One mini-batch, on this node's own thread; between two of them the rule sends and merges.
  double local_step() override {
    std::vector<Tensor> images, labels;
    for (std::int64_t i = 0; i < batch; ++i) {  // any images, mirrored and cut out at random
      const Tensor record = train_[random_.below(50'000)];
      Tensor image = record.slice(0, 1).view({3, 32, 32});
      if (random_.below(2) == 1) image = image.flip(2);
      image = image.narrow(1, random_.below(32 - crop + 1), crop);
      images.push_back(image.narrow(2, random_.below(32 - crop + 1), crop));
      labels.push_back(record[0]);
    }
    optimizer_.zero_grad();
    const Tensor loss = torch::cross_entropy_loss(
        model()->forward(normalised(torch::stack(images))), torch::stack(labels).to(torch::kLong));
    loss.backward();
    optimizer_.step();
    return loss.item<double>();
  }

  Tensor train_;
  gossamer::Generator random_;
  torch::optim::SGD optimizer_;
};

/// The share of the test images that the network gets right, by their centres.
double accuracy(Sequential network, const Tensor& test) {
  const torch::NoGradGuard no_grad;
  network->eval();
  double right = 0;
  for (const Tensor& part : test.split(50)) {
    const Tensor images = normalised(part.slice(1, 1).view({-1, 3, 32, 32}));
    const Tensor centres = images.narrow(2, 2, crop).narrow(3, 2, crop);
    right += network->forward(centres).argmax(1).eq(part.select(1, 0)).sum().item<double>();
  }
  return right / static_cast<double>(test.size(0));
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace gossamer;
  CLI::App app("Eight nodes learn CIFAR-10 together, by gossip.", "cifar10_short");
  std::filesystem::path data;
  std::uint64_t images = 60'000;
  app.add_option("--data", data, "Folder of CIFAR-10's binary version")->envname("GOSSAMER_DATA");
  app.add_option("--images", images, "Over all nodes")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (exists(data / "cifar-10-batches-bin")) data /= "cifar-10-batches-bin";
  const Tensor train = torch::cat({read(data / "data_batch_1.bin"), read(data / "data_batch_2.bin"),
                                   read(data / "data_batch_3.bin"), read(data / "data_batch_4.bin"),
                                   read(data / "data_batch_5.bin")});
  const Tensor test = read(data / "test_batch.bin");

  tune_allocator();
  torch::manual_seed(1);
  const auto make_node = [&](Context context) {
    return std::make_unique<CifarNode>(std::move(context), train);
  };
  ThreadGroup<CifarNode> group(GroupOptions(8).node(NodeOptions().seed(1).samples_per_step(batch)),
                               rule::GoSgd(/*probability=*/0.1), make_node);
  const Sequential mean = make_network();
  for (std::uint64_t part = 1; part <= 5; ++part) {
    group.run_until(StopCondition().samples(images * part / 5));
    observe::copy_into(mean, group.mean(), group.replicas());
    std::cout << group.totals().samples << " images: accuracy " << accuracy(mean, test)
              << " (mean model)" << std::endl;
  }
  std::cout << "total weight " << group.total_weight() << '\n';
} catch (const std::exception& error) {
  std::cerr << "cifar10_short: " << error.what() << '\n';
  return 1;
}
