// SPDX-License-Identifier: MIT
/// What can be seen: means, distances, fingerprints, progress and records.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/run_recorder.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::model::Buffers;
using gossamer::model::FlatModel;
using gossamer::observe::clock;
using gossamer::observe::grouped;
using gossamer::observe::GroupState;
using gossamer::observe::ProgressLine;
using gossamer::observe::ProgressState;
using gossamer::observe::Replica;
using gossamer::observe::RunRecord;
using tests::Approx;

std::unique_ptr<FlatModel> model_of(std::vector<torch::Tensor> tensors) {
  return std::make_unique<FlatModel>(gossamer::model::detail::tensors_of(tensors));
}

/// Models with two tensors of odd sizes and two dtypes.
struct Models {
  explicit Models(std::size_t n) {
    Generator random(tests::seed, n);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<torch::Tensor> tensors{torch::zeros({3, 5}, torch::kDouble),
                                         torch::zeros({7}, torch::kFloat)};
      for (auto& tensor : tensors) {
        auto flat = tensor.view({-1});
        for (std::int64_t k = 0; k < flat.numel(); ++k) flat[k] = random.uniform() - 0.5;
      }
      weights.push_back(random.uniform() + 0.1);
      sum += weights.back();
      values.push_back(tensors);
      models.push_back(model_of(tensors));
    }
    for (std::size_t i = 0; i < n; ++i) {
      weights[i] /= sum;
      members.push_back({models[i].get(), weights[i]});
    }
  }
  std::vector<std::vector<torch::Tensor>> values;
  std::vector<double> weights;
  std::vector<std::unique_ptr<FlatModel>> models;
  std::vector<Replica> members;
};

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Two nodes that have taken so many steps of 10 samples each, with a loss of 2 in each.
GroupState state_of(std::uint64_t steps) {
  GroupState state;
  for (gossamer::PeerId id = 0; id < 2; ++id) {
    gossamer::Counters counters;
    counters.steps = steps;
    counters.samples = 10 * steps;
    counters.weight = 0.25 + 0.5 * id;
    counters.loss_sum = 2.0 * static_cast<double>(steps);
    counters.messages_sent = 3;
    state.nodes.push_back({id, counters});
    state.totals += counters;
  }
  state.weight_of_all = 1;
  state.elapsed = state.wall = std::chrono::seconds(steps);
  return state;
}

torch::nn::Sequential normed(double mean) {
  torch::nn::Sequential net(torch::nn::Linear(2, 3), torch::nn::BatchNorm1d(3));
  net->named_buffers()["1.running_mean"].fill_(mean);
  net->named_buffers()["1.num_batches_tracked"].fill_(static_cast<std::int64_t>(mean));
  return net;
}

}  // namespace

TEST_CASE("Mean, weighted mean and consensus error are their definitions", "[observe]") {
  const std::size_t n = GENERATE(1, 2, 3, 8);
  CAPTURE(n);
  const Models models(n);
  const auto mean = gossamer::observe::mean(models.members);
  const auto weighted = gossamer::observe::weighted_mean(models.members);
  double error = 0;
  for (std::size_t part = 0; part < 2; ++part) {
    auto plain = torch::zeros(models.values[0][part].sizes(), torch::kDouble);
    auto heavy = plain.clone();
    for (std::size_t i = 0; i < n; ++i) {
      const auto x = models.values[i][part].to(torch::kDouble);
      plain += x / static_cast<double>(n);
      heavy += models.weights[i] * x;
    }
    for (std::size_t i = 0; i < n; ++i) {
      error += (models.values[i][part].to(torch::kDouble) - plain).square().sum().item<double>();
    }
    const double tolerance = part == 0 ? 1e-14 : 1e-6;
    const auto of = [&](const gossamer::model::Flat& flat) {
      return models.models[0]->views(flat)[part].tensor.to(torch::kDouble);
    };
    CHECK((of(mean) - plain).abs().max().item<double>() < tolerance);
    CHECK((of(weighted) - heavy).abs().max().item<double>() < tolerance);
  }
  CHECK(gossamer::observe::consensus_error(models.members) == Approx(error).margin(1e-12));
}

TEST_CASE("Equal models have no consensus error, not even by rounding", "[observe]") {
  std::vector<std::unique_ptr<FlatModel>> models;
  std::vector<Replica> members;
  for (int i = 0; i < 7; ++i) {
    models.push_back(model_of({torch::arange(100, torch::kFloat).mul(0.1).add(1e6)}));
    members.push_back({models.back().get(), 1.0 / 7});
  }
  CHECK(gossamer::observe::consensus_error(members) == 0);
}

TEST_CASE("Means leave the models as they are", "[observe]") {
  const Models models(3);
  const auto before = models.values[0][0].clone();
  auto mean = gossamer::observe::mean(models.members);
  mean.segments()[0].zero_();
  auto weighted = gossamer::observe::weighted_mean(models.members);
  weighted.segments()[0].zero_();
  CHECK(torch::equal(models.values[0][0], before));
}

TEST_CASE("Members without weight do not count in the weighted mean", "[observe]") {
  const auto one = model_of({torch::full({3}, 1.0)});
  const auto three = model_of({torch::full({3}, 3.0)});
  const auto gone = model_of({torch::full({3}, std::numeric_limits<float>::infinity())});
  const auto huge = model_of({torch::full({3}, 1e20)});
  const auto first = [](const std::vector<Replica>& members) {
    return gossamer::observe::weighted_mean(members).segments()[0][0].item<float>();
  };
  CHECK(first({{one.get(), 0.25}, {gone.get(), 0}, {three.get(), 0.75}}) == 2.5F);
  CHECK(first({{one.get(), 0}, {three.get(), 0}}) == 1);
  // Also where the first has none.
  CHECK(first({{huge.get(), 0}, {one.get(), 0.25}, {three.get(), 0.75}}) == 2.5F);
  CHECK(first({{gone.get(), 0}, {one.get(), 0.25}, {three.get(), 0.75}}) == 2.5F);
}

TEST_CASE("The number of effective nodes lies between 1 and all", "[observe]") {
  const auto model = model_of({torch::zeros({1})});
  const auto effective = [&](const std::vector<double>& weights) {
    std::vector<Replica> members;
    for (const double weight : weights) members.push_back({model.get(), weight});
    return gossamer::observe::effective_nodes(members);
  };
  CHECK(effective({1}) == 1);
  CHECK(effective({0.25, 0.25, 0.25, 0.25}) == Approx(4.0));
  CHECK(effective({1, 0, 0}) == 1);
  CHECK(effective({0.5, 0.25, 0.25}) == Approx(1 / (0.25 + 2 * 0.0625)));
  CHECK(effective({2, 1, 1}) == Approx(1 / (0.25 + 2 * 0.0625)));  // shares, not weights
  CHECK(effective({0, 0}) == 0);
}

TEST_CASE("copy_into puts a mean into a module, statistics according to the policy", "[observe]") {
  const auto policy = GENERATE(Buffers::average, Buffers::local, Buffers::reset);
  CAPTURE(static_cast<int>(policy));
  std::vector<torch::nn::Sequential> nets;
  std::vector<std::unique_ptr<FlatModel>> models;
  std::vector<Replica> members;
  for (int i = 0; i < 3; ++i) {
    nets.push_back(normed(3 * i + 1));  // 1, 4, 7
    torch::NoGradGuard no_grad;
    nets.back()->parameters()[0].fill_(i);
    models.push_back(
        std::make_unique<FlatModel>(gossamer::model::detail::tensors_of(nets.back()), policy));
    members.push_back({models.back().get(), 1.0 / 3});
  }
  torch::nn::Sequential target = normed(100);
  gossamer::observe::copy_into(target, gossamer::observe::mean(members), members);
  CHECK((target->parameters()[0] == 1).all().item<bool>());
  CHECK((target->named_buffers()["1.running_mean"] == 4).all().item<bool>());
  CHECK((target->named_buffers()["1.running_var"] == 1).all().item<bool>());
  CHECK(target->named_buffers()["1.num_batches_tracked"].item<std::int64_t>() == 1);
  target->eval();
  CHECK(target->forward(torch::ones({1, 2})).isfinite().all().item<bool>());
  // The members are as they were, and share no memory with the target.
  CHECK((nets[0]->named_buffers()["1.running_mean"] == 1).all().item<bool>());
  torch::NoGradGuard no_grad;
  target->parameters()[0].fill_(50);
  CHECK((nets[1]->parameters()[0] == 1).all().item<bool>());
}

TEST_CASE("The consensus error counts parameters, not statistics", "[observe]") {
  std::vector<std::unique_ptr<FlatModel>> models;
  std::vector<Replica> members;
  for (int i = 0; i < 2; ++i) {
    auto net = normed(i);
    torch::NoGradGuard no_grad;
    for (auto& parameter : net->parameters()) parameter.fill_(1);
    models.push_back(std::make_unique<FlatModel>(gossamer::model::detail::tensors_of(net)));
    members.push_back({models.back().get(), 0.5});
  }
  CHECK(gossamer::observe::consensus_error(members) == 0);
}

TEST_CASE("The digest is SHA-256 of the numbers in row-major order", "[observe]") {
  const auto digest = [](const std::vector<torch::Tensor>& tensors) {
    const auto model = model_of(tensors);
    const std::vector<Replica> members{{model.get(), 1}};
    return gossamer::observe::digest(members);
  };
  // sha256 of the bytes 00 00 80 3f 00 00 00 40, little-endian 1.0f and 2.0f
  const std::string known = "b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37";
  const std::uint16_t order = 1;
  if (*reinterpret_cast<const unsigned char*>(&order) == 1) {
    CHECK(digest({torch::tensor({1.0F, 2.0F})}) == known);
    CHECK(digest({torch::tensor({1.0F}), torch::tensor({2.0F})}) == known);  // gaps do not count
  }
  const auto base = torch::arange(6, torch::kFloat).view({2, 3});
  const std::string expected = digest({base.clone()});
  CHECK(expected.size() == 64);
  CHECK(digest({base.t().contiguous().t()}) == expected);  // whatever the order in memory
  CHECK(digest({base.t().contiguous()}) != expected);
  CHECK(digest({base + 1e-6}) != expected);
  CHECK(digest({base.to(torch::kDouble)}) != expected);
  for (std::int64_t i = 0; i < 6; ++i) {
    auto other = base.clone();
    other.view({-1})[i] = -0.0F;  // differs from 0 by one bit
    CHECK(digest({other}) != expected);
  }
}

TEST_CASE("The digest knows the order of the members", "[observe]") {
  const Models models(2);
  const std::vector<Replica> there{models.members[0], models.members[1]};
  const std::vector<Replica> back{models.members[1], models.members[0]};
  CHECK(gossamer::observe::digest(there) != gossamer::observe::digest(back));
  auto heavier = there;
  heavier[0].weight = 0.9;
  CHECK(gossamer::observe::digest(there) == gossamer::observe::digest(heavier));
}

TEST_CASE("Numbers are grouped by thousands", "[observe]") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(grouped(123456) == "123,456");
  CHECK(grouped(std::numeric_limits<std::uint64_t>::max()) == "18,446,744,073,709,551,615");
}

TEST_CASE("Times read as a clock", "[observe]") {
  CHECK(clock(0) == "0:00");
  CHECK(clock(65) == "1:05");
  CHECK(clock(59.6) == "1:00");
  CHECK(clock(3599.4) == "59:59");
  CHECK(clock(3599.6) == "1:00:00");
  CHECK(clock(2 * 3600 + 180) == "2:03:00");
  CHECK(clock(100 * 3600) == "100:00:00");
  CHECK(clock(-1) == "-:--");
  CHECK(clock(std::nan("")) == "-:--");
  CHECK(clock(std::numeric_limits<double>::infinity()) == "-:--");
}

TEST_CASE("The progress line says how far, how fast, and how long yet", "[observe]") {
  ProgressState state;
  state.done = 50'000;
  state.total = 200'000;
  state.fraction = 0.25;
  state.seconds = 60;
  state.left = 180;
  state.speed = 833.4;
  state.loss = 1.23456;
  state.consensus_error = 0.00123456;
  state.messages = 1500;
  CHECK(ProgressLine::text(state, "images") ==
        "50,000 / 200,000 images   25 %  833 images/s  loss 1.2346  consensus 0.001235  "
        "messages 1,500  left 3:00");
  state.total = 0;
  state.fraction = 0;
  state.left = -1;
  state.consensus_error = -1;
  CHECK(ProgressLine::text(state, "steps") ==
        "50,000 steps    0 %  833 steps/s  loss 1.2346  messages 1,500  left -:--");
}

TEST_CASE("A terminal gets one line that is rewritten, a file gets lines", "[observe]") {
  ProgressState state;
  state.done = 1;
  const std::string text = ProgressLine::text(state, "steps");
  std::ostringstream terminal;
  ProgressLine live(terminal, true, "steps");
  live.show(state);
  CHECK(terminal.str() == "\r" + text + "\033[K");
  live.say("evaluated");
  CHECK(terminal.str() == "\r" + text + "\033[K\r\033[Kevaluated\n");
  live.clear();  // nothing is open
  CHECK(terminal.str() == "\r" + text + "\033[K\r\033[Kevaluated\n");

  std::ostringstream file;
  ProgressLine rare(file, false, "steps", std::chrono::seconds(1000));
  rare.show(state);
  rare.show(state);
  rare.say("evaluated");
  rare.clear();
  CHECK(file.str() == "evaluated\n");

  std::ostringstream often;
  ProgressLine plain(often, false, "steps", std::chrono::seconds(0));
  plain.show(state);
  plain.show(state);
  CHECK(often.str() == text + "\n" + text + "\n");
}

TEST_CASE("Progress counts speed from the first run, and the loss from the last evaluation",
          "[observe]") {
  using gossamer::StopCondition;
  using Time = gossamer::observe::Callback::Time;
  std::ostringstream out;
  gossamer::observe::Progress progress(ProgressLine(out, true, "images"),
                                       StopCondition().samples(4000));
  progress.on_run_begin(Time(0), state_of(100));  // restored
  ProgressState now = progress.progress_of(state_of(150));
  CHECK(now.done == 3000);
  CHECK(now.total == 4000);
  CHECK(now.fraction == Approx(0.75));
  CHECK(now.seconds == Approx(50));
  CHECK(now.speed == Approx(20));
  CHECK(now.left == Approx(50));
  CHECK(now.loss == Approx(2));
  CHECK(now.consensus_error == -1);
  CHECK(now.messages == 6);
  CHECK(now.network.empty());
  progress.on_evaluation(Time(0), {{"consensus_error", 0.5}}, state_of(150));
  progress.on_run_begin(Time(0), state_of(150));
  CHECK(progress.progress_of(state_of(150)).loss == Approx(2));  // the last that is known
  GroupState later = state_of(160);
  later.totals.loss_sum += 20;  // over 20 steps
  now = progress.progress_of(later);
  CHECK(now.loss == Approx(3));
  CHECK(now.speed == Approx(20));
  CHECK(now.consensus_error == 0.5);
  progress.on_tick(Time(0), later);
  CHECK(out.str() == "\r" + ProgressLine::text(now, "images") + "\033[K");

  gossamer::observe::Progress timed(
      ProgressLine(out, true, "images"),
      StopCondition().samples(4000).duration(std::chrono::seconds(200)));
  CHECK(timed.progress_of(state_of(50)).fraction == Approx(0.25));
  CHECK(timed.progress_of(state_of(50)).left == Approx(150));
}

TEST_CASE("A recorder adds a line for each evaluation, with what the group is", "[observe]") {
  using gossamer::observe::RunRecorder;
  using Time = gossamer::observe::Callback::Time;
  const tests::TemporaryFolder folder;
  RunRecorder recorder(folder.path() / "run", false, "images");
  CHECK(recorder.last("test_loss", 7) == 7);
  recorder.on_evaluation(Time(0),
                         {{"test_loss", 0.5}, {"lost", std::nan("")}, {"tested", std::uint64_t{9}}},
                         state_of(1));
  CHECK(read(recorder.record().metrics_path()) ==
        R"({"wall_seconds":1.0,"images":20,"steps":2,"train_loss":2.0,"test_loss":0.5,)"
        R"("lost":null,"tested":9,"total_weight":1.0,"messages_sent":6,"messages_merged":0,)"
        R"("messages_returned":0,"age_mean":0.0,"age_max":0,"bytes_sent":0,"node_ids":[0,1],)"
        R"("weights":[0.25,0.75],"steps_per_node":[1,1],"age_mean_per_node":[0.0,0.0],)"
        R"("age_max_per_node":[0,0]})"
        "\n");
  CHECK(recorder.last("test_loss", 7) == 0.5);
  CHECK(recorder.last("lost", 7) == 7);

  GroupState simulated = state_of(3);
  simulated.is_virtual = true;
  simulated.weight_of_all = std::nullopt;  // only a part can be seen
  simulated.totals.loss_sum += 4;          // over the 4 steps since
  gossamer::Archive saved;
  recorder.checkpoint(saved);
  recorder.on_evaluation(Time(0), {}, simulated);
  CHECK(recorder.last("train_loss", 0) == Approx(3));
  CHECK(recorder.last("virtual_seconds", 0) == 3);
  CHECK(recorder.last("weight", 0) == 1);
  const auto summary = recorder.summary(state_of(5));
  CHECK(summary["images"] == 100);
  CHECK(summary["images_per_second"] == 20);
  CHECK(summary["train_loss"] == Approx(3));

  gossamer::Archive archive(saved.entries());
  recorder.checkpoint(archive);
  recorder.rewind(20);
  CHECK(recorder.last()["steps"] == 2);
  recorder.on_evaluation(Time(0), {}, simulated);
  CHECK(recorder.last("train_loss", 0) == Approx(3));
  const std::string text = read(recorder.record().metrics_path());
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
}

TEST_CASE("A record keeps a line per evaluation, in the order of its keys", "[observe][parse]") {
  const tests::TemporaryFolder folder;
  RunRecord record(folder.path() / "runs" / "first");
  record.add({{"step", 1}, {"loss", 0.5}, {"a", "text"}});
  CHECK(read(record.metrics_path()) == "{\"step\":1,\"loss\":0.5,\"a\":\"text\"}\n");  // at once
  record.add({{"step", 2}});
  CHECK(read(record.metrics_path()) == "{\"step\":1,\"loss\":0.5,\"a\":\"text\"}\n{\"step\":2}\n");
}

TEST_CASE("Numbers that are not finite become null", "[observe]") {
  const tests::TemporaryFolder folder;
  RunRecord record(folder.path() / "run");
  record.add({{"a", std::nan("")}, {"b", std::numeric_limits<double>::infinity()}, {"c", 1.5}});
  CHECK(read(record.metrics_path()) == "{\"a\":null,\"b\":null,\"c\":1.5}\n");
  record.write_summary({{"a", -std::numeric_limits<double>::infinity()}});
  CHECK(read(record.summary_path()) == "{\n  \"a\": null\n}\n");
}

TEST_CASE("Text that is not UTF-8 does not end a run", "[observe]") {
  const tests::TemporaryFolder folder;
  RunRecord record(folder.path() / "run");
  CHECK_NOTHROW(record.add({{"file", "caf\xe9"}}));
  CHECK_NOTHROW(record.write_summary({{"file", "caf\xe9"}}));
}

TEST_CASE("A folder that holds a run is refused, and resumed when asked", "[observe]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "run";
  RunRecord(path).add({{"step", 1}});
  CHECK(tests::message_of<ConfigError>([&] { RunRecord again(path); }) ==
        "run folder " + path.string() + ": holds a run already; resume it, or name another folder");
  CHECK(read(path / "metrics.jsonl") == "{\"step\":1}\n");
  RunRecord resumed(path, true);
  resumed.add({{"step", 2}});
  CHECK(read(path / "metrics.jsonl") == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("A folder that cannot be made is named", "[observe]") {
  const tests::TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const auto path = folder.path() / "file" / "run";
  CHECK_THAT(tests::message_of<ConfigError>([&] { RunRecord record(path); }),
             Catch::Matchers::StartsWith("run folder " + path.string() + ": cannot be made: "));
  std::filesystem::create_directories(folder.path() / "odd" / "metrics.jsonl");
  CHECK(tests::message_of<ConfigError>([&] { RunRecord record(folder.path() / "odd", true); }) ==
        "run folder " + (folder.path() / "odd").string() + ": cannot be written to");
}

TEST_CASE("A resumed record drops what came after the checkpoint, half a line included",
          "[observe][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "run";
  const std::string kept = "{\"step\":1,\"b\":0,\"a\":1}\n{\"step\":2}\n";
  const auto up_to_two = [](const RunRecord::Json& line) { return line["step"] <= 2; };
  for (const char* rest : {"", "{\"step\":3}\n", "{\"step\":3}\n{\"st", "{\"step\":3", "\n\n",
                           "\xff\xfe", "{\"step\":2"}) {
    CAPTURE(rest);
    std::filesystem::create_directories(path);
    std::ofstream(path / "metrics.jsonl") << kept << rest;
    RunRecord record(path, true);
    record.rewind(up_to_two);
    CHECK(read(record.metrics_path()) == kept);
    record.add({{"step", 3}});
    CHECK(read(record.metrics_path()) == kept + "{\"step\":3}\n");
  }
}

TEST_CASE("A summary is there whole, and replaced whole", "[observe]") {
  const tests::TemporaryFolder folder;
  RunRecord record(folder.path() / "run");
  CHECK_FALSE(std::filesystem::exists(record.summary_path()));
  record.write_summary({{"z", 1}, {"a", 2}});
  CHECK(read(record.summary_path()) == "{\n  \"z\": 1,\n  \"a\": 2\n}\n");
  std::filesystem::create_symlink("/dev/full", record.summary_path().string() + ".part");
  CHECK_THROWS_AS(record.write_summary({{"z", 3}}), std::runtime_error);
  CHECK(read(record.summary_path()) == "{\n  \"z\": 1,\n  \"a\": 2\n}\n");
  record.write_summary({{"z", 3}});
  CHECK(read(record.summary_path()) == "{\n  \"z\": 3\n}\n");
}
