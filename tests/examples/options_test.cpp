// SPDX-License-Identifier: MIT
/// The main example's command line: what is taken, and what is refused and how.
#include <cifar10/options.hpp>

#include <tests/support.hpp>

#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace {

using cifar10::Options;

/// What a command line is read as, or what is said of it on standard error.
struct Parsed {
  explicit Parsed(std::vector<std::string> words) {
    words.insert(words.begin(), "cifar10");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    std::ostringstream text;
    std::streambuf* const before = std::cerr.rdbuf(text.rdbuf());
    int status = 0;
    options = cifar10::parse(static_cast<int>(arguments.size()), arguments.data(), status);
    std::cerr.rdbuf(before);
    said = text.str();
    if (!options) CHECK(status == 2);
  }

  std::optional<Options> options;
  std::string said;
};

std::string refused(const std::vector<std::string>& words) {
  const Parsed parsed(words);
  CHECK_FALSE(parsed.options);
  return parsed.said;
}

}  // namespace

TEST_CASE("An empty --data is refused, since the synthetic set is not what is meant",
          "[examples][options]") {
  CHECK(refused({"--data", ""}) == "cifar10: --data: must be a folder, got nothing\n");
  CHECK_FALSE(refused({"--data="}).empty());
  CHECK(Parsed({"--data", "/some/where"}).options->data == "/some/where");
}

TEST_CASE("A seed below 0 is refused, and not taken for a large one", "[examples][options]") {
  for (const std::string seed : {"-1", "1.5", "1e3", "seven", "18446744073709551616"}) {
    CHECK(refused({"--seed", seed}) ==
          "cifar10: --seed: must be a whole number from 0 to 18446744073709551615, got " + seed +
              "\n");
  }
  CHECK(Parsed({"--seed", "18446744073709551615"}).options->seed == 18446744073709551615U);
}

TEST_CASE("Numbers beyond any run are refused", "[examples][options]") {
  CHECK(refused({"--images", "1000000000000001"}) ==
        "cifar10: --images: must be at most 1e+15, got 1000000000000001\n");
  CHECK(refused({"--images", "1e30"}) ==
        "cifar10: --images: must be a whole number from 0 to 18446744073709551615, got 1e30\n");
  CHECK(refused({"--images", "0"}) == "cifar10: --images: must be a number above 0, got 0\n");
  CHECK(refused({"--steps", "1000000000000", "--nodes", "100", "--batch", "50"}) ==
        "cifar10: --steps: must be at most 200000000000 with 100 nodes and batches of 50, got "
        "1000000000000\n");
  CHECK(refused({"--seconds", "1e10"}) == "cifar10: --seconds: must be at most 1e+09, got 1e10\n");
  CHECK(refused({"--learning-rate", "1e9"}) ==
        "cifar10: --learning-rate: must be at most 1000, got 1e9\n");
  CHECK(refused({"--learning-rate", "0.01x"}) ==
        "cifar10: --learning-rate: must be a number above 0, got 0.01x\n");
  CHECK(refused({"--tau", "1000000000001"}) ==
        "cifar10: --tau: must be at most 1e+12, got 1000000000001\n");
  CHECK(refused({"--transport", "tcp", "--port", "70000"}).starts_with("cifar10: --port: must "));
  CHECK(Parsed({"--steps", "200000000000", "--nodes", "100", "--batch", "50"})
            .options->total_images() == 1'000'000'000'000'000);
}

TEST_CASE("An option that is given again takes the last value, a list takes all",
          "[examples][options]") {
  const auto last = Parsed({"--seed", "1", "--seed", "2", "--seed", "3", "--quiet", "--quiet",
                            "--data", "a", "--data", "b", "--rule", "sync", "--rule", "gosgd"});
  REQUIRE(last.options);
  CHECK(last.options->seed == 3);
  CHECK(last.options->data == "b");
  CHECK(last.options->rule == "gosgd");
  CHECK(last.options->quiet);
  const auto list = Parsed({"--transport", "tcp", "--rank", "1", "--nodes", "2", "--contact",
                            "127.0.0.1:7000", "--contact", "127.0.0.1:7001"});
  REQUIRE(list.options);
  CHECK(list.options->process.contacts ==
        std::vector<std::string>{"127.0.0.1:7000", "127.0.0.1:7001"});
}

TEST_CASE("ACCO is refused with an optimizer that cannot go back, and within slowmo",
          "[examples][options]") {
  CHECK(refused({"--rule", "acco", "--optimizer", "quasi_global"}) ==
        "cifar10: --rule acco: needs --optimizer sgd or nesterov, whose steps can be taken back, "
        "got quasi_global\n");
  CHECK(refused({"--rule", "slowmo", "--base", "acco"}) ==
        "cifar10: --base: slowmo needs a rule that takes no steps back, got acco\n");
  CHECK(Parsed({"--rule", "acco", "--optimizer", "nesterov", "--momentum", "0.9"}).options);
}

TEST_CASE("A live page has an address in any case, and no other is taken", "[examples][options]") {
  CHECK(Parsed({"--watch", "8080"}).options->watch == "127.0.0.1:8080");
  CHECK(Parsed({"--watch", "0.0.0.0:8080"}).options->watch == "0.0.0.0:8080");
  CHECK_THAT(refused({"--watch", "host:70000"}), tests::contains("cifar10: --watch: an address"));
}

TEST_CASE("A graph that the rule cannot use is refused when the rule is made",
          "[examples][options]") {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "circle.txt").string();
  std::ofstream(file) << "# Directed graph: circle\n1 2\n2 3\n3 1\n";
  CHECK(refused({"--rule", "d_psgd", "--nodes", "3", "--graph", "edges:" + file}) ==
        "cifar10: d_psgd: needs a graph whose edges go both ways, got edges:" + file + "\n");
  CHECK(Parsed({"--rule", "sgp", "--nodes", "3", "--graph", "edges:" + file}).options);
  CHECK_THAT(refused({"--rule", "gosgd", "--graph", "edges:" + file}),
             tests::contains("cifar10: rule gosgd goes by no graph, so it takes no graph, got " +
                             ("edges:" + file) + "; those that do: sgp, "));
  CHECK_THAT(refused({"--rule", "easgd", "--topology", "ring"}),
             tests::contains("cifar10: rule easgd chooses no peers, so it takes no topology, got "
                             "ring; those that do: gosgd, "));
  CHECK_THAT(refused({"--rule", "gosgd", "--graph", "ring"}), tests::contains(", got ring; "));
  CHECK(Parsed({"--rule", "gosgd", "--nodes", "3", "--topology", "edges:" + file}).options);
  std::ofstream(file) << "1 2\n3 4\n";
  CHECK(refused({"--rule", "sgp", "--nodes", "4", "--graph", "edges:" + file}) ==
        "cifar10: " + file +
            ": the graph is not in one piece: node 3 cannot be reached from node 1\n");
}
