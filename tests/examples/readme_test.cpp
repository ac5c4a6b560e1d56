// SPDX-License-Identifier: MIT
/// The pages and the examples say the same.
#include <gossamer/simulation/cluster_file.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace {

std::string content_of(const std::string& file) {
  std::ifstream in(std::string(GOSSAMER_SOURCE_DIR) + "/" + file);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Lines of code: without blank ones, comments, and the marks "// added" and "// changed".
std::vector<std::string> code_of(const std::string& file) {
  std::istringstream in(content_of(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    line.erase(std::min(line.size(), line.find("//")));
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

/// The length of the longest common subsequence.
std::size_t common_lines(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::vector<std::size_t>> best(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      best[i + 1][j + 1] = a[i] == b[j] ? best[i][j] + 1 : std::max(best[i][j + 1], best[i + 1][j]);
    }
  }
  return best[a.size()][b.size()];
}

TEST_CASE("README shows the hello program word for word, in at most 40 lines", "[readme]") {
  const std::string hello = content_of("examples/hello/hello.cpp");
  CHECK(content_of("README.md").find("```cpp\n" + hello + "```\n") != std::string::npos);
  CHECK(std::count(hello.begin(), hello.end(), '\n') <= 40);
}

TEST_CASE("The simulation page's cluster file can be simulated", "[readme]") {
  const std::string page = content_of("include/gossamer/simulation/README.md");
  const std::size_t begin = page.find("```toml\n") + 8;
  const tests::TemporaryFolder folder;
  std::ofstream(folder.path() / "cluster.toml")
      << page.substr(begin, page.find("```", begin) - begin);
  const auto cluster = gossamer::ClusterFile::read(folder.path() / "cluster.toml");
  CHECK(cluster.world().nodes() == 8);
  CHECK(cluster.plan().size() == 2);
}

TEST_CASE("Gossip in the existing loop is three lines more and two changed", "[readme]") {
  const auto before = code_of("examples/existing_loop/before.cpp");
  const auto after = code_of("examples/existing_loop/existing_loop.cpp");
  CHECK(after.size() == before.size() + 3);
  CHECK(before.size() - common_lines(before, after) == 2);
}

TEST_CASE("A program that is adopted has three lines more, a GAN four, and one changed",
          "[readme]") {
  struct Adopted {
    std::string name;
    std::size_t added, changed;
    std::size_t optional;  // for the mean model, and to leave on SIGTERM
  };
  for (const Adopted& one : {Adopted{"mnist", 3, 1, 2}, Adopted{"gan", 4, 1, 0},
                             Adopted{"lstm", 3, 1, 0}, Adopted{"finetune", 3, 1, 0}}) {
    CAPTURE(one.name);
    const auto before = code_of("examples/adopt/" + one.name + "/before.cpp");
    const auto after = code_of("examples/adopt/" + one.name + "/after.cpp");
    CHECK(after.size() == before.size() + one.added + one.optional);
    CHECK(before.size() - common_lines(before, after) == one.changed);
    CHECK(after.size() <= 120);
  }
}

}  // namespace
