// SPDX-License-Identifier: MIT
// Eight nodes learn CIFAR-10 together, by gossip: ../cifar10 in one file, for reading. The same
// network and data; images are drawn with replacement.
#include <gossamer/gossamer.hpp>

#include <CLI/CLI.hpp>
#include <torch/torch.h>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using torch::Tensor;
using torch::nn::Sequential;

constexpr std::int64_t batch = 20;  // images
constexpr std::int64_t crop = 28;   // side of what the network sees of an image, in pixels

struct Images {
  Tensor pixels;  // (n, 3, 32, 32) uint8
  Tensor labels;  // (n,) int64, 0 to 9
};

/// Files of 10,000 records: a byte for the label, then a plane each for red, green and blue.
Images read(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  std::vector<Tensor> records;
  for (const std::string& name : names) {
    const Tensor part = torch::empty({10'000, 1 + 3 * 32 * 32}, torch::kUInt8);
    std::ifstream file(folder / name, std::ios::binary);
    if (!file.read(static_cast<char*>(part.data_ptr()), part.numel()) || file.peek() != EOF) {
      throw std::runtime_error((folder / name).string() +
                               " must hold 10,000 images of CIFAR-10; give --data DIR, or fetch "
                               "them: ./examples/run.sh cifar10_short --download");
    }
    records.push_back(part);
  }
  const Tensor all = torch::cat(records);
  return {all.slice(1, 1).reshape({-1, 3, 32, 32}), all.select(1, 0).to(torch::kLong)};
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
  CifarNode(gossamer::Context context, const Images& train)
      : GossipNode(std::move(context), make_network()),
        train_(train),
        random_(generator()),
        optimizer_(model()->parameters(), torch::optim::SGDOptions(/*lr=*/0.01).momentum(0.9)) {}

 private:
  /// One mini-batch, on this node's own thread; between two of them the rule sends and merges.
  double local_step() override {
    const auto [images, labels] = next_batch();
    optimizer_.zero_grad();
    const Tensor loss = torch::cross_entropy_loss(model()->forward(images), labels);
    loss.backward();
    optimizer_.step();
    return loss.item<double>();
  }

  /// Random images, each cut out at random, half of them mirrored.
  std::pair<Tensor, Tensor> next_batch() {
    std::vector<Tensor> images;
    std::vector<Tensor> labels;
    for (std::int64_t i = 0; i < batch; ++i) {
      const std::int64_t index = random_.below(50'000);
      const std::int64_t top = random_.below(32 - crop + 1);
      const std::int64_t left = random_.below(32 - crop + 1);
      const Tensor image = train_.pixels[index].narrow(1, top, crop).narrow(2, left, crop);
      images.push_back(random_.below(2) == 1 ? image.flip(2) : image);
      labels.push_back(train_.labels[index]);
    }
    return {normalised(torch::stack(images)), torch::stack(labels)};
  }

  const Images& train_;
  gossamer::Generator random_;
  torch::optim::SGD optimizer_;
};

/// The share of the test images that the network gets right, by their centres.
double accuracy(Sequential network, const Images& test) {
  const torch::NoGradGuard no_grad;
  network->eval();
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < test.labels.size(0); i += 50) {
    const Tensor pixels = test.pixels.narrow(0, i, 50).narrow(2, 2, crop).narrow(3, 2, crop);
    const Tensor guesses = network->forward(normalised(pixels)).argmax(1);
    right += guesses.eq(test.labels.narrow(0, i, 50)).sum().item<std::int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(test.labels.size(0));
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace gossamer;
  CLI::App app("Eight nodes learn CIFAR-10 together, by gossip.", "cifar10_short");
  std::filesystem::path data;
  std::uint64_t images = 60'000;
  app.add_option("--data", data, "Folder with CIFAR-10's binary version, or its parent")
      ->envname("GOSSAMER_DATA");
  app.add_option("--images", images, "Over all nodes")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (exists(data / "cifar-10-batches-bin")) data /= "cifar-10-batches-bin";
  const Images train = read(data, {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                   "data_batch_4.bin", "data_batch_5.bin"});
  const Images test = read(data, {"test_batch.bin"});

  tune_allocator();
  torch::manual_seed(1);
  ThreadGroup<CifarNode> group(GroupOptions(8).node(NodeOptions().seed(1).samples_per_step(batch)),
                               rule::GoSgd(/*probability=*/0.1), [&](Context context) {
                                 return std::make_unique<CifarNode>(std::move(context), train);
                               });
  const Sequential mean = make_network();
  for (std::uint64_t part = 1; part <= 5; ++part) {
    group.run_until(Budget().samples(images * part / 5));
    observe::copy_into(mean, group.mean(), group.members());
    std::cout << group.totals().samples << " images: accuracy " << accuracy(mean, test)
              << " (mean model)" << std::endl;
  }
  group.finish();
  std::cout << "messages " << group.totals().messages_merged << ", total weight "
            << group.total_weight() << '\n';
} catch (const std::exception& error) {
  std::cerr << "cifar10_short: " << error.what() << '\n';
  return 1;
}
