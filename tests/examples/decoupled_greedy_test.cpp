// SPDX-License-Identifier: MIT
/// Modules of a network that learn by heads of their own: in order, drawn, on threads, over TCP.
#include <gossamer/codec/exact.hpp>
#include <gossamer/error.hpp>

#include <decoupled_greedy/chain.hpp>
#include <decoupled_greedy/process.hpp>
#include <tests/support.hpp>
#include <tests/transport/tcp_group.hpp>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using decoupled::Chain;
using decoupled::Learner;
using decoupled::make_part;
using decoupled::NetworkPlan;
using decoupled::Options;
using decoupled::Part;
using gossamer::ConfigError;

std::int64_t count(const Part& part) {
  std::int64_t n = 0;
  for (const auto* module : {&part.body, &part.head}) {
    for (const at::Tensor& one : (*module)->parameters()) n += one.numel();
  }
  return n;
}

/// Ten steps of small modules.
Options small(const std::string& mode, const std::string& activations = "float32") {
  Options options;
  options.width = 4;
  options.batch = 8;
  options.images = 80;
  options.train_images = 40;
  options.test_images = 20;
  options.buffer = 4;
  options.mode = mode;
  options.activations = activations;
  options.quantizer.codes(16);
  options.evaluate_every = 40;
  options.check();
  return options;
}

const cifar10::Dataset& data() {
  static const cifar10::Dataset made = cifar10::synthetic(tests::seed, 40, 20);
  return made;
}

std::unique_ptr<Chain> trained(const Options& options) {
  auto chain = std::make_unique<Chain>(options, data());
  chain->train([] {}, [] {});
  return chain;
}

bool have_equal_bits(Chain& a, Chain& b, std::size_t module) {
  const auto one = a.learners()[module]->part().body->parameters();
  const auto other = b.learners()[module]->part().body->parameters();
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!at::equal(one[i], other[i])) return false;
  }
  return one.size() == other.size();
}

/// What is said of a command line that is refused; an empty text of one that is not.
std::string refusal(std::vector<std::string> words) {
  words.insert(words.begin(), "decoupled_greedy");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const std::ostringstream text;
  std::streambuf* before = std::cerr.rdbuf(text.rdbuf());
  Options options;
  (void)options.parse(static_cast<int>(argv.size()), argv.data());
  std::cerr.rdbuf(before);
  return text.str();
}

}  // namespace

TEST_CASE("The decoupled networks have as many parameters as the authors' code makes",
          "[examples][networks]") {
  const NetworkPlan three{"three", 128, 3, 1};
  CHECK(count(make_part(three, 0)) == 1'240'970);
  CHECK(count(make_part(three, 1)) == 1'640'970);
  CHECK(count(make_part(three, 2)) == 411'274);
  const NetworkPlan six{"six", 128, 6, 1};
  CHECK(count(make_part(six, 0)) == 799'882);
  CHECK(count(make_part(six, 5)) == 14'982'154);
}

TEST_CASE("Each module takes what the one before it makes, however the network is cut",
          "[examples][networks]") {
  for (const std::string& name : decoupled::network_names()) {
    for (std::int64_t modules = 1; modules <= decoupled::block_count(name); ++modules) {
      at::Tensor x = at::zeros({2, 3, 32, 32});
      std::int64_t last = 0;
      for (std::int64_t i = 0; i < modules; ++i) {
        Part part = make_part({name, 4, modules, 1}, i);
        CHECK(x.sizes().slice(1) == at::IntArrayRef(part.input));
        x = part.body->forward(x);
        CHECK(x.sizes().slice(1) == at::IntArrayRef(part.output));
        CHECK(part.head->forward(x).sizes() == at::IntArrayRef({2, 10}));
        last = x.numel();
      }
      CHECK(last == (name == "three" ? 2 * 4 : 2 * 16 * 8 * 8));
    }
  }
}

TEST_CASE("How activations travel moves the modules after them, and not the one before",
          "[examples][pipeline]") {
  const auto exact = trained(small("sync"));
  const auto again = trained(small("sync"));
  for (const std::size_t module : {0U, 1U, 2U}) CHECK(have_equal_bits(*exact, *again, module));
  for (const std::string activations : {"int8", "vq"}) {
    const auto coded = trained(small("sync", activations));
    CHECK(have_equal_bits(*exact, *coded, 0));
    CHECK_FALSE(have_equal_bits(*exact, *coded, 1));
    CHECK(coded->links()[0]->bytes() < exact->links()[0]->bytes());
  }
  const std::size_t numbers = 8 * 4 * 10 * 10;
  CHECK(exact->links()[0]->bytes() == 10 * (4 + 2 * 8 + gossamer::codec::Exact().bytes(numbers)));
}

TEST_CASE("Back-propagation is a network of one module", "[examples][pipeline]") {
  const auto chain = trained(small("backprop"));
  CHECK(chain->learners().size() == 1);
  CHECK(chain->links().empty());
  CHECK(chain->evaluate().accuracy.size() == 1);
}

TEST_CASE("In drawn order every module takes its steps, and a slow one makes it longer",
          "[examples][pipeline]") {
  Options options = small("async");
  const auto even = trained(options);
  const auto again = trained(options);
  for (const std::size_t module : {0U, 1U, 2U}) {
    CHECK(have_equal_bits(*even, *again, module));
    CHECK(even->learners()[module]->steps() == 10);
  }
  options.slow_module = 1;
  options.slowdown = 8;
  const auto slowed = trained(options);
  CHECK(slowed->turns() > 2 * even->turns());
  for (const auto& learner : slowed->learners()) CHECK(learner->steps() == 10);
}

TEST_CASE("Each module on a machine of its own takes its steps, and is measured",
          "[examples][pipeline]") {
  Options options = small("threads", "vq");
  options.slow_module = 2;
  options.slowdown = 2;
  const auto chain = trained(options);
  for (const auto& learner : chain->learners()) CHECK(learner->steps() == 10);
  const auto scores = chain->evaluate();
  REQUIRE(scores.accuracy.size() == 3);
  for (const double accuracy : scores.accuracy) CHECK((accuracy >= 0 && accuracy <= 1));
}

TEST_CASE("A module that is saved and loaded answers as before and goes on from its step",
          "[examples][pipeline]") {
  const tests::TemporaryFolder folder;
  const Options options = small("sync");
  Learner one(options, 0);
  const auto read = decoupled::reader(options, data().train);
  for (int i = 0; i < 5; ++i) one.learn(read());
  one.save(folder.path() / "module.pt");
  Options other = options;
  other.seed = 2;
  Learner two(other, 0);
  two.load(folder.path() / "module.pt");
  CHECK(two.steps() == 5);
  const auto batch = read();
  std::int64_t right = 0;
  CHECK(at::equal(one.test(batch, right).values, two.test(batch, right).values));
}

TEST_CASE("Modules over TCP train, and the test images go through all of them",
          "[examples][pipeline][tcp]") {
  const tests::TemporaryFolder folder;
  Options options = small("sync", "vq");
  std::vector<std::unique_ptr<gossamer::transport::Tcp>> ends;
  std::vector<gossamer::observe::RunRecord::Json> found(3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto place = tests::tcp::options_of(i).world_size(3);
    if (i > 0) place.contacts({ends.front()->address()});
    ends.push_back(std::make_unique<gossamer::transport::Tcp>(place));
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      gossamer::observe::RunRecord record(folder.path() / std::to_string(i));
      found[i] = decoupled::run_module(options, data(), record, *ends[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : found) {
    CHECK(one["module_steps"][0] == 10);
    CHECK(one["messages_refused"] == 0);
  }
  CHECK(found[0]["bytes_sent"] > 0);
  CHECK(found[2]["bytes_sent"] == 0);
}

TEST_CASE("decoupled_greedy says in a sentence what is wrong with a command line", "[examples]") {
  CHECK(refusal({"--mode", "backprop", "--modules", "2"}) ==
        "decoupled_greedy: --modules: --mode backprop has 1, got 2\n");
  CHECK(refusal({"--modules", "4"}) ==
        "decoupled_greedy: --modules: must lie in [1, 3] for three, got 4\n");
  CHECK(refusal({"--slowdown", "2"}) ==
        "decoupled_greedy: --slow-module and --slowdown: need each other, and a --slowdown above "
        "1\n");
  CHECK(refusal({"--slowdown", "2", "--slow-module", "1"}) ==
        "decoupled_greedy: --slow-module: needs --mode async, threads or tcp, got sync\n");
  CHECK(refusal({"--images", "100"}) ==
        "decoupled_greedy: --images: must be at least one --batch of 128, got 100\n");
  CHECK(refusal({"--activations", "vq", "--group", "3"}) ==
        "decoupled_greedy: --group: must divide --width, which is 128, got 3\n");
  CHECK(refusal({"--resume"}) == "decoupled_greedy: --resume: needs --mode tcp and --out\n");
  CHECK(refusal({"--rank", "1"}) == "decoupled_greedy: --rank: needs --mode tcp, got sync\n");
  CHECK(refusal({"--activations", "int9"}).find("no codec is called \"int9\"") !=
        std::string::npos);
  CHECK(refusal({"--batch", "1"}).find("must lie in [2, 65535], got 1") != std::string::npos);
  CHECK(refusal({"--mode", "async", "--slow-module", "2", "--slowdown", "1.1"}).empty());
}
