// SPDX-License-Identifier: MIT
/// Checkpoints: what comes back, what is refused and how, and that a file is whole or not there.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/replace_file.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>

#include <spawn.h>
#include <tests/support.hpp>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ;  // of the process, for posix_spawn

namespace {

using gossamer::Archive;
using gossamer::CheckpointError;
using gossamer::CheckpointHeader;
using gossamer::Context;
using gossamer::Generator;
using gossamer::GradientNode;
using gossamer::GroupOptions;
using gossamer::load_checkpoint;
using gossamer::NodeOptions;
using gossamer::parse_archive;
using gossamer::save_checkpoint;
using gossamer::serialize;
using gossamer::StopCondition;
using gossamer::ThreadGroup;
using gossamer::observe::replace_file;
using gossamer::rule::AnyRule;

enum class Colour : std::uint8_t { red = 1, blue = 7 };

/// One of each kind of value.
struct Everything {
  int number = 0;
  double real = 0;
  bool flag = false;
  Colour colour = Colour::red;
  std::string text;
  std::vector<float> list;
  torch::Tensor tensor = torch::zeros({2, 3}, torch::kDouble);
  Generator random{0, 0};

  void checkpoint(Archive& archive) {
    archive("number", number);
    archive("real", real);
    archive("flag", flag);
    archive.within("inner", [&] {
      archive("colour", colour);
      archive("text", text);
      archive.within("deeper", [&] { archive("list", list); });
    });
    archive("tensor", tensor);
    archive("random", random);
  }
};

Everything example() {
  Everything e;
  e.number = -5;
  e.real = 0.1;
  e.flag = true;
  e.colour = Colour::blue;
  e.text = std::string("bytes\0\n\xff", 8);
  e.list = {1.5F, -0.0F, 3e30F};
  e.tensor = torch::arange(6, torch::kDouble).view({3, 2}).t();  // not contiguous
  e.random = Generator(tests::seed, 9);
  for (int i = 0; i < 7; ++i) e.random();
  return e;
}

std::string bytes_of(Everything& e) {
  Archive archive;
  e.checkpoint(archive);
  return serialize(archive);
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string refusal(const std::string& bytes) {
  return tests::message_of<CheckpointError>([&] { parse_archive(bytes, "run.ckpt"); });
}

/// The bytes with another header, its checksum made to fit.
std::string with_header(std::string bytes, const std::function<void(CheckpointHeader&)>& change) {
  CheckpointHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

/// Noisy descent with momentum; all of its state is in the checkpoint.
class Learner : public GradientNode<std::vector<torch::Tensor>> {
 public:
  explicit Learner(Context context, std::int64_t d = 4)
      : GradientNode(std::move(context), {torch::full({d}, 2.0, torch::kDouble).requires_grad_()}),
        random_(generator()),
        optimizer_({model()[0]}, torch::optim::SGDOptions(0.05).momentum(0.9)) {}
  int starts = 0;
  bool with_more = false;

 private:
  double gradient() override {
    optimizer_.zero_grad();
    auto loss = (model()[0] - random_.uniform()).square().sum();
    loss.backward();
    return loss.item<double>();
  }
  void apply() override { optimizer_.step(); }
  void on_start() override { ++starts; }
  void on_checkpoint(Archive& archive) override {
    archive("random", random_);
    std::string state;
    if (!archive.loading()) {
      std::ostringstream out;
      torch::save(optimizer_, out);
      state = out.str();
    }
    archive("optimizer", state);
    if (archive.loading()) {
      std::istringstream in(state);
      torch::load(optimizer_, in);
    }
    double more = 1;
    if (with_more) archive("more", more);
  }

  Generator random_;
  torch::optim::SGD optimizer_;
};

using Group = ThreadGroup<Learner>;

std::unique_ptr<Group> make_group(std::size_t nodes, const AnyRule& rule, std::int64_t d = 4,
                                  bool with_more = false) {
  return std::make_unique<Group>(GroupOptions(nodes).node(NodeOptions().seed(tests::seed)), rule,
                                 [&](Context context) {
                                   auto node = std::make_unique<Learner>(std::move(context), d);
                                   node->with_more = with_more;
                                   return node;
                                 });
}

AnyRule rule_named(const std::string& name) {
  if (name == "none") return gossamer::rule::None{};
  if (name == "gosgd") return gossamer::rule::GoSgd(0.5);
  if (name == "persyn") return gossamer::rule::PerSyn(4);
  return gossamer::rule::Sync{};
}

std::string saved(Group& group) {
  Archive archive;
  group.checkpoint(archive);
  return serialize(archive);
}

void restore(Group& group, const std::string& bytes) {
  Archive archive = parse_archive(bytes, "run.ckpt");
  group.checkpoint(archive);
}

}  // namespace

TEST_CASE("Every kind of value comes back from the file bit for bit", "[node][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "run.ckpt";
  Everything before = example();
  save_checkpoint(before, path);
  Everything after;
  after.list = {9, 9, 9, 9, 9};
  after.text = "other";
  load_checkpoint(after, path);
  CHECK(after.number == -5);
  CHECK(after.real == 0.1);
  CHECK(after.flag);
  CHECK(after.colour == Colour::blue);
  CHECK(after.text == before.text);
  CHECK(after.list == before.list);
  CHECK(std::signbit(after.list[1]));
  CHECK(torch::equal(after.tensor, before.tensor));
  CHECK(after.random.state() == before.random.state());
  CHECK(after.random() == before.random());
  CHECK(bytes_of(after) == bytes_of(before));
  CHECK_FALSE(std::filesystem::exists(path.string() + ".part"));
}

TEST_CASE("A tensor that is not contiguous is restored in place", "[node][parse]") {
  Everything before = example();
  const std::string bytes = bytes_of(before);
  const torch::Tensor base = torch::zeros({3, 2}, torch::kDouble);
  Everything after;
  after.tensor = base.t();
  Archive archive = parse_archive(bytes, "run.ckpt");
  after.checkpoint(archive);
  CHECK(torch::equal(base.t(), before.tensor));
}

TEST_CASE("A generator goes on from any number of draws", "[node][parse]") {
  for (int drawn = 0; drawn < 10; ++drawn) {
    Generator original(tests::seed, 3);
    for (int i = 0; i < drawn; ++i) original();
    Archive out;
    out("g", original);
    Archive in(out.entries());
    Generator restored(1, 1);
    in("g", restored);
    for (int i = 0; i < 9; ++i) CHECK(restored() == original());
  }
}

TEST_CASE("A checkpoint cut off at any length is refused and says so", "[node][parse]") {
  Everything e = example();
  const std::string bytes = bytes_of(e);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string text = refusal(bytes.substr(0, length));
    CAPTURE(length, text);
    if (length < 8) {
      REQUIRE(text == "run.ckpt: not a Gossamer checkpoint");
    } else if (length < 32) {
      REQUIRE(text ==
              "run.ckpt: truncated: expected at least 32 bytes, got " + std::to_string(length));
    } else {
      REQUIRE(text == "run.ckpt: truncated: expected " + std::to_string(bytes.size() - 32) +
                          " bytes after the header, got " + std::to_string(length - 32));
    }
  }
  CHECK(refusal(bytes + "x") ==
        "run.ckpt: too long: expected " + std::to_string(bytes.size() - 32) +
            " bytes after the header, got " + std::to_string(bytes.size() - 31));
}

TEST_CASE("A checkpoint with any bit flipped is refused", "[node][parse]") {
  Everything e = example();
  const std::string bytes = bytes_of(e);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      CAPTURE(i, bit);
      CHECK_THROWS_AS(parse_archive(flipped, "run.ckpt"), CheckpointError);
      if (i >= sizeof(CheckpointHeader)) {
        REQUIRE(refusal(flipped) == "run.ckpt: damaged: its checksum does not match its content");
      }
    }
  }
}

TEST_CASE("A file that claims to be something else is refused by what it is", "[node][parse]") {
  Everything e = example();
  const std::string bytes = bytes_of(e);
  CHECK(refusal("") == "run.ckpt: not a Gossamer checkpoint");
  CHECK(refusal("PK\x03\x04 a file of torch::save, say") == "run.ckpt: not a Gossamer checkpoint");
  CHECK(refusal(with_header(bytes, [](auto& h) { h.version = 2; })) ==
        "run.ckpt: of version 2, this program reads version 1");
  CHECK(refusal(with_header(bytes, [](auto& h) {
          h.order = 0x04030201;
          h.version = 0x01000000;
        })) == "run.ckpt: written by a machine of another byte order");
  CHECK(refusal(with_header(bytes, [](auto& h) { h.size = ~std::uint64_t{0}; })) ==
        "run.ckpt: truncated: expected 18446744073709551615 bytes after the header, got " +
            std::to_string(bytes.size() - 32));
}

TEST_CASE("Entries that reach beyond the end are refused though the checksum fits",
          "[node][parse]") {
  const auto sealed = [](const std::string& content) {
    CheckpointHeader header;
    header.size = content.size();
    header.checksum = XXH3_64bits(content.data(), content.size());
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + content;
  };
  const auto number = [](auto n) {
    return std::string(reinterpret_cast<const char*>(&n), sizeof n);
  };
  const std::string beyond = "run.ckpt: damaged: an entry reaches beyond the end of the file";
  CHECK(refusal(sealed("abc")) == beyond);
  CHECK(refusal(sealed(number(std::uint32_t{4}) + "abc")) == beyond);
  CHECK(refusal(sealed(number(std::uint32_t{0xffffffff}) + "abc")) == beyond);
  CHECK(refusal(sealed(number(std::uint32_t{3}) + "abc")) == beyond);
  CHECK(refusal(sealed(number(std::uint32_t{3}) + "abc" + number(std::uint64_t{2}) + "x")) ==
        beyond);
  CHECK(refusal(sealed(number(std::uint32_t{3}) + "abc" + number(~std::uint64_t{0}) + "x")) ==
        beyond);
  CHECK(parse_archive(sealed(""), "x").entries().empty());
  const Archive one =
      parse_archive(sealed(number(std::uint32_t{1}) + "a" + number(std::uint64_t{1}) + "x"), "x");
  CHECK(one.entries() == std::map<std::string, std::string>{{"a", "x"}});
}

TEST_CASE("A value that is missing or of another size is named", "[node][parse]") {
  Everything e = example();
  Archive full;
  e.checkpoint(full);
  for (const auto& [name, value] : full.entries()) {
    auto entries = full.entries();
    entries.erase(name);
    Archive lacking(entries);
    Everything target;
    CHECK(tests::message_of<CheckpointError>([&] { target.checkpoint(lacking); }) ==
          "checkpoint: expected a value \"" + name + "\", found none");
    if (name == "inner/text") continue;  // of any size
    entries = full.entries();
    entries[name] += "x";
    Archive longer(entries);
    const auto text = tests::message_of<CheckpointError>([&] { target.checkpoint(longer); });
    CHECK_THAT(text,
               Catch::Matchers::StartsWith("checkpoint: \"" + name + "\" must have ") &&
                   Catch::Matchers::EndsWith(" bytes, got " + std::to_string(value.size() + 1)));
  }
}

TEST_CASE("A flag is true or false, whatever byte a checkpoint has for it", "[node][parse]") {
  Archive archive(std::map<std::string, std::string>{{"flag", "\x02"}});
  bool flag = false;
  try {
    archive("flag", flag);
    unsigned char byte = 0;
    std::memcpy(&byte, &flag, 1);
    CHECK(byte <= 1);
  } catch (const CheckpointError&) {
    SUCCEED("refused");
  }
}

TEST_CASE("Values that nobody asks for are ignored", "[node][parse]") {
  Everything e = example();
  Archive full;
  e.checkpoint(full);
  auto entries = full.entries();
  entries["of a later program"] = "x";
  Archive more(entries);
  Everything target;
  target.checkpoint(more);
  CHECK(bytes_of(target) == bytes_of(e));
}

TEST_CASE("A file that is not there is named", "[node][parse]") {
  const tests::TemporaryFolder folder;
  Everything e;
  const auto path = folder.path() / "none.ckpt";
  CHECK(tests::message_of<CheckpointError>([&] { load_checkpoint(e, path); }) ==
        path.string() + ": cannot be opened");
  write(path, "GOSSAMER, but short");
  CHECK(tests::message_of<CheckpointError>([&] { load_checkpoint(e, path); }) ==
        path.string() + ": truncated: expected at least 32 bytes, got 19");
}

TEST_CASE("A resumed group ends in the bits of one that was not interrupted", "[node][parse]") {
  const auto [rule, nodes] = GENERATE(table<std::string, std::size_t>(
      {{"none", 1}, {"gosgd", 1}, {"persyn", 1}, {"sync", 1}, {"sync", 3}, {"persyn", 3}}));
  const std::uint64_t pause = GENERATE(0, 1, 4, 7);
  CAPTURE(rule, nodes, pause);
  const auto whole = make_group(nodes, rule_named(rule));
  whole->run_until(StopCondition().steps(12));

  const auto first = make_group(nodes, rule_named(rule));
  if (pause > 0) first->run_until(StopCondition().steps(pause));
  const tests::TemporaryFolder folder;
  save_checkpoint(*first, folder.path() / "run.ckpt");
  const auto second = make_group(nodes, rule_named(rule));
  load_checkpoint(*second, folder.path() / "run.ckpt");
  CHECK(second->totals().steps == pause * nodes);
  CHECK(second->elapsed() == first->elapsed());
  second->run_until(StopCondition().steps(12));

  for (std::size_t i = 0; i < nodes; ++i) {
    CHECK(torch::equal((*second)[i].model()[0], (*whole)[i].model()[0]));
    CHECK((*second)[i].weight() == (*whole)[i].weight());
    CHECK((*second)[i].counters().steps == 12);
    CHECK((*second)[i].counters().loss_sum == (*whole)[i].counters().loss_sum);
    CHECK((*second)[i].counters().messages_sent == (*whole)[i].counters().messages_sent);
    CHECK((*second)[i].engine().context().generator().state() ==
          (*whole)[i].engine().context().generator().state());
    CHECK((*second)[i].starts == (pause > 0 ? 0 : 1));
  }
}

TEST_CASE("A gossiping group comes back whole and goes on", "[node][parse]") {
  const auto first = make_group(4, rule_named("gosgd"));
  first->run_until(StopCondition().steps(20));
  const auto second = make_group(4, rule_named("gosgd"));
  restore(*second, saved(*first));
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(torch::equal((*second)[i].model()[0], (*first)[i].model()[0]));
    CHECK((*second)[i].weight() == (*first)[i].weight());
  }
  Archive one;
  Archive two;
  first->checkpoint(one);
  second->checkpoint(two);
  for (const auto& [name, value] : one.entries()) {
    if (Catch::Matchers::EndsWith("optimizer").match(name))
      continue;  // LibTorch numbers its archives
    INFO(name);
    CHECK((two.entries().at(name) == value));
  }
  CHECK(two.entries().size() == one.entries().size());
  CHECK(second->totals().steps == first->totals().steps);
  second->run(StopCondition().steps(30));
  CHECK(second->totals().steps >= 120);
  CHECK(second->total_weight() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A checkpoint of another run is refused by what differs", "[node][parse]") {
  const auto group = make_group(2, rule_named("gosgd"));
  const std::string bytes = saved(*group);
  const auto text = [&](const std::unique_ptr<Group>& other) {
    return tests::message_of<CheckpointError>([&] { restore(*other, bytes); });
  };
  CHECK(text(make_group(3, rule_named("gosgd"))) ==
        "checkpoint: of a group of 2 nodes, this one has 3");
  CHECK(text(make_group(2, rule_named("sync"))) ==
        "checkpoint: of a run with rule gosgd, this one has sync");
  CHECK(text(make_group(2, rule_named("gosgd"), 5)) ==
        "checkpoint: of another model: \"tensor 0 Double [5], strides [1]\" here is "
        "\"tensor 0 Double [4], strides [1]\" there");
  CHECK(text(make_group(2, rule_named("gosgd"), 4, true)) ==
        "checkpoint: expected a value \"0/user/more\", found none");
  Archive of_a_group = parse_archive(bytes, "run.ckpt");
  CHECK(tests::message_of<CheckpointError>([&] { (*group)[0].checkpoint(of_a_group); }) ==
        "checkpoint: expected a value \"node/started\", found none");
}

TEST_CASE("A file is replaced whole", "[observe][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  replace_file(path, "first, and longer");
  CHECK(read(path) == "first, and longer");
  replace_file(path, "second");
  CHECK(read(path) == "second");
  replace_file(path, "");
  CHECK(read(path).empty());
  write(path.string() + ".part", "left behind by a killed process");
  replace_file(path, "third");
  CHECK(read(path) == "third");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("A file that cannot be written leaves the old one, and the error names it",
          "[observe][parse]") {
  const tests::TemporaryFolder folder;
  const auto missing = folder.path() / "no folder" / "file";
  CHECK(tests::message_of<std::runtime_error>([&] { replace_file(missing, "x"); }) ==
        "cannot create " + missing.string() + ": No such file or directory");

  const auto path = folder.path() / "file";
  replace_file(path, "old");
  // A disk without room, in place of the temporary file.
  std::filesystem::create_symlink("/dev/full", path.string() + ".part");
  CHECK(tests::message_of<std::runtime_error>([&] { replace_file(path, "new"); }) ==
        "cannot write " + path.string() + ": No space left on device");
  CHECK(read(path) == "old");
  CHECK_FALSE(std::filesystem::is_symlink(path.string() + ".part"));

  const auto taken = folder.path() / "taken";
  std::filesystem::create_directories(taken / "inside");
  const auto text = tests::message_of<std::runtime_error>([&] { replace_file(taken, "x"); });
  CHECK_THAT(text, Catch::Matchers::StartsWith("cannot rename to " + taken.string() + ": "));
  CHECK_FALSE(std::filesystem::exists(taken.string() + ".part"));

  if (geteuid() != 0) {  // root may write anywhere
    const auto locked = folder.path() / "locked";
    std::filesystem::create_directory(locked);
    std::filesystem::permissions(
        locked, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    CHECK(tests::message_of<std::runtime_error>([&] { replace_file(locked / "file", "x"); }) ==
          "cannot create " + (locked / "file").string() + ": Permission denied");
  }
}

TEST_CASE("A checkpoint that cannot be saved leaves the old one", "[node][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "run.ckpt";
  Everything e = example();
  save_checkpoint(e, path);
  e.number = 99;
  std::filesystem::create_symlink("/dev/full", path.string() + ".part");
  CHECK_THROWS_AS(save_checkpoint(e, path), std::runtime_error);
  Everything old;
  load_checkpoint(old, path);
  CHECK(old.number == -5);
}

// Started by the next test in a process of its own, and killed there.
TEST_CASE("(saves one file over and over)", "[.killed]") {
  const char* const path = std::getenv("GOSSAMER_TEST_FILE");
  REQUIRE(path != nullptr);
  for (std::uint64_t i = 0;; ++i) {
    Archive archive;
    std::vector<std::uint64_t> numbers(100'000, i);
    archive("numbers", numbers);
    replace_file(path, serialize(archive));
  }
}

TEST_CASE("A process killed while it saves leaves a whole file", "[node][parse]") {
  if (!std::filesystem::exists("/proc/self/exe")) return;  // only there can it start itself
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (int repeat = 0; repeat < 3; ++repeat) {
    const tests::TemporaryFolder folder;
    const auto path = folder.path() / "run.ckpt";
    const std::string variable = "GOSSAMER_TEST_FILE=" + path.string();
    std::vector<char*> environment{const_cast<char*>(variable.c_str())};
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    environment.push_back(nullptr);
    std::string name = "[.killed]";
    std::vector<char*> arguments{const_cast<char*>(self.c_str()), name.data(), nullptr};
    pid_t child = 0;
    REQUIRE(posix_spawn(&child, self.c_str(), nullptr, nullptr, arguments.data(),
                        environment.data()) == 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const auto number_in_file = [&] {
      std::vector<std::uint64_t> numbers{0};
      if (!std::filesystem::exists(path)) return numbers;
      Archive archive = parse_archive(read(path), path.string());  // whole at any time
      archive("numbers", numbers);
      return numbers;
    };
    while (number_in_file()[0] < 3 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    const auto numbers = number_in_file();
    CHECK(numbers[0] >= 3);
    CHECK(numbers == std::vector<std::uint64_t>(100'000, numbers[0]));
  }
}
