// SPDX-License-Identifier: MIT
/// The language model: its text, its network, and that nodes which gossip learn.
#include <gossamer/error.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/rule/acco.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossip_lm/node.hpp>

#include <ATen/ATen.h>
#include <tests/support.hpp>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using language::LanguageNode;
using language::Transformer;
using language::TransformerOptions;
using tests::Approx;
namespace rule = gossamer::rule;
using Group = gossamer::SimulatedGroup<LanguageNode>;

/// A file that is gone with this object.
struct File {
  explicit File(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  tests::TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "text";
};

at::Tensor bytes(const std::vector<std::int64_t>& values) {
  return at::tensor(values, at::kLong).to(at::kByte);
}

TransformerOptions tiny() {
  return TransformerOptions().width(16).layers(1).heads(2).context(16).seed(tests::seed);
}

/// Four words in random order: what is inside a word can be known, what comes next cannot.
std::string babble(std::size_t words) {
  gossamer::Generator random(tests::seed, 5200);
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    text += std::vector<std::string>{"gossip ", "whisper ", "rumour ", "hearsay "}[random.below(4)];
  }
  return text;
}

struct Learned {
  double bits;
  double unigram;
  std::string digest;
};

/// Two nodes on that text; the mean of their models on its last tenth.
Learned learned(const rule::AnyRule& rule, std::uint64_t steps) {
  const File file(babble(2000));
  const auto text = language::read_text(file.path, tiny().context());
  language::Training training;
  training.learning_rate = 0.01;
  training.nodes = 2;
  training.pieces = steps * 2 * static_cast<std::uint64_t>(training.batch);
  const auto node = gossamer::NodeOptions().seed(tests::seed).samples_per_step(8);
  Group group(gossamer::SimulatedGroupOptions(2).node(node), rule, [&](gossamer::Context context) {
    const auto part = language::part_of(text.train, context.transport->self(), 2, 16);
    return std::make_unique<LanguageNode>(std::move(context), tiny(), training, part);
  });
  group.run(gossamer::StopCondition().samples(training.pieces));
  auto mean = std::make_shared<Transformer>(tiny());
  gossamer::observe::copy_into(mean, group.mean(), group.replicas());
  const auto pieces = language::even_pieces(text.held_out, 16, 1000);
  return {language::measured_bits(*mean, pieces), language::unigram_bits(text.train, pieces),
          gossamer::observe::digest(group.replicas())};
}

}  // namespace

TEST_CASE("The last tenth of a text is held out, and parts cover the rest once",
          "[examples][language]") {
  std::string all;
  for (int i = 0; i < 205; ++i) all += static_cast<char>(i);
  const File file(all);
  const auto text = language::read_text(file.path, 4);
  CHECK(text.train.size(0) == 185);
  CHECK(text.held_out.size(0) == 20);
  CHECK(text.held_out[0].item<int>() == 185);
  std::int64_t next = 0;
  for (std::size_t node = 0; node < 3; ++node) {
    const auto part = language::part_of(text.train, node, 3, 4);
    CHECK(part[0].item<std::int64_t>() == next);
    next += part.size(0);
  }
  CHECK(next == 185);
  CHECK(at::equal(language::part_of(text.train, 4, 3, 4), language::part_of(text.train, 1, 3, 4)));
}

TEST_CASE("A text that is too short or cannot be read is refused", "[examples][language]") {
  const File file(std::string(99, 'a'));
  CHECK_THAT(tests::message_of<ConfigError>([&] { (void)language::read_text(file.path, 9); }),
             tests::contains("must have at least 100 bytes, ten pieces of 10, got 99"));
  CHECK_THAT(tests::message_of<ConfigError>([&] { (void)language::read_text("/no/file", 9); }),
             tests::contains("text /no/file: cannot be read"));
  const auto text = language::read_text(file.path, 8);
  CHECK_THAT(tests::message_of<ConfigError>([&] { (void)language::part_of(text.train, 1, 20, 8); }),
             tests::contains("node 1 of 20 must have more than 8 bytes to train on, got 5"));
}

TEST_CASE("Pieces are bytes that follow each other, and even ones predict each byte once",
          "[examples][language]") {
  const at::Tensor text = at::arange(50).to(at::kByte);
  gossamer::Generator random(tests::seed, 5201);
  const auto drawn = language::random_pieces(text, 200, 7, random);
  CHECK(drawn.sizes() == at::IntArrayRef({200, 7}));
  CHECK(at::equal(drawn.narrow(1, 1, 6), drawn.narrow(1, 0, 6) + 1));
  CHECK(drawn.min().item<int>() == 0);
  CHECK(drawn.max().item<int>() == 49);
  const auto even = language::even_pieces(text, 7, 1000);
  CHECK(at::equal(even.narrow(1, 1, 7).reshape({-1}), at::arange(1, 50)));
  const auto few = language::even_pieces(text, 7, 21);
  CHECK(at::equal(few.select(1, 0), at::tensor({0, 14, 28}, at::kLong)));
}

TEST_CASE("Who knows only frequencies needs their cross-entropy", "[examples][language]") {
  // 256 + 4 counts: 1 + 3 of byte 65, 1 + 1 of byte 66, 1 of the others.
  const auto train = bytes({65, 65, 66, 65});
  const at::Tensor pieces = at::tensor({9, 65, 66}, at::kLong).view({1, 3});
  CHECK(language::unigram_bits(train, pieces) ==
        Approx((std::log2(260 / 4.0) + std::log2(260 / 2.0)) / 2));
}

TEST_CASE("The transformer looks back only, and begins as its seed says", "[examples][language]") {
  Transformer network(tiny());
  const torch::NoGradGuard no_grad;
  const at::Tensor text = at::arange(32).view({2, 16}) * 7;
  at::Tensor other = text.clone();
  other.narrow(1, 9, 7).fill_(3);
  const at::Tensor scores = network.forward(text);
  const at::Tensor changed = network.forward(other);
  CHECK(scores.sizes() == at::IntArrayRef({2, 16, 256}));
  CHECK(at::equal(scores.narrow(1, 0, 9), changed.narrow(1, 0, 9)));
  CHECK_FALSE(at::allclose(scores.select(1, 9), changed.select(1, 9)));
  CHECK(at::equal(Transformer(tiny()).forward(text), scores));
  CHECK_FALSE(at::equal(Transformer(tiny().seed(99)).forward(text), scores));
  CHECK(std::abs(network.bits(text).item<double>() - 8) < 0.5);
  CHECK(network.parameter_count() == 256 * 16 * 2 + 16 * 16 + 12 * 16 * 16 + 13 * 16 + 2 * 16);
  CHECK(Transformer(TransformerOptions()).parameter_count() == 1'339'840);
}

TEST_CASE("Options that make no transformer are refused", "[examples][language]") {
  CHECK(tests::message_of<ConfigError>([] { Transformer(tiny().heads(3)); }) ==
        "TransformerOptions: width must be a multiple of heads, 3, got 16");
  CHECK(tests::message_of<ConfigError>([] { Transformer(tiny().layers(0)); }) ==
        "TransformerOptions: layers must be at least 1, got 0");
}

TEST_CASE("The learning rate rises for a tenth of the run, and falls to a tenth",
          "[examples][language]") {
  language::Training training;
  training.learning_rate = 1;
  CHECK(training.rate_at(0) == Approx(0.01));
  CHECK(training.rate_at(0.05) == Approx(0.5));
  CHECK(training.rate_at(0.1) == Approx(1));
  CHECK(training.rate_at(0.55) == Approx(0.55));
  CHECK(training.rate_at(1) == Approx(0.1));
  CHECK(training.rate_at(2) == Approx(0.1));
}

TEST_CASE("Two nodes that gossip learn what frequencies do not tell", "[examples][language]") {
  const rule::AnyRule rule = GENERATE(0, 1) == 0 ? rule::AnyRule(rule::GoSgd(0.1)) : rule::Acco();
  const Learned outcome = learned(rule, 250);
  CAPTURE(rule->name(), outcome.bits, outcome.unigram);
  CHECK(outcome.bits < 0.6 * outcome.unigram);
}

TEST_CASE("Two simulated runs of the language model end in the same bits", "[examples][language]") {
  const Learned one = learned(rule::GoSgd(0.5), 12);
  const Learned other = learned(rule::GoSgd(0.5), 12);
  CHECK(one.digest == other.digest);
  CHECK(one.bits == other.bits);
}
