// SPDX-License-Identifier: MIT
/// Images per second of each way to train, taken in turn, round after round, so that what else the
/// machine does hits all alike. A ratio is the median over the rounds.
#include "contender.hpp"
#include <gossamer/node/allocator.hpp>

#include <ATen/ops/randint.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>

namespace {

struct Entry {
  std::string name;
  std::unique_ptr<throughput::Contender> contender;
  std::vector<double> speeds = {};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 9;
  double seconds = 3;
  double slow = 1;
  bool tune = true;
  std::string out;
  cifar10::Options options;
  CLI::App app{"Training throughput, with and without gossip"};
  app.add_option("--rounds", rounds, "Rounds over all contenders")->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "Of each contender in a round")->check(CLI::PositiveNumber);
  app.add_option("--nodes", options.nodes, "Nodes, or ranks")->check(CLI::PositiveNumber);
  app.add_option("--slow", slow, "Node 0 takes that many times as long for a step");
  app.add_flag("!--untuned", tune, "Without gossamer::tune_allocator()");
  app.add_option("--out", out, "Where to write the figures (JSON)");
  CLI11_PARSE(app, argc, argv);

  if (tune) gossamer::tune_allocator();
  options.momentum = 0.9;
  const cifar10::Images images{at::randint(256, {2000, 3, 32, 32}, at::kByte),
                               at::randint(10, {2000}, at::kLong)};
  const throughput::Job job{options, images, slow};
  std::vector<Entry> entries;
  throughput::Job channels_last = job;
  channels_last.options.channels_last = true;
  if (slow == 1) {
    entries.push_back({"bare loop", throughput::make_bare(job)});
    entries.push_back({"channels last", throughput::make_group(channels_last, "none", 0)});
  }
  entries.push_back({"none", throughput::make_group(job, "none", 0)});
  entries.push_back({"gosgd p=0.02", throughput::make_group(job, "gosgd", 0.02)});
  entries.push_back({"gosgd p=1", throughput::make_group(job, "gosgd", 1)});
  entries.push_back({"sync", throughput::make_group(job, "sync", 1)});
#ifdef GOSSAMER_BENCH_GLOO
  entries.push_back({"gloo all-reduce", throughput::make_gloo(job)});
#endif
  for (auto& entry : entries) entry.contender->train(throughput::Seconds(seconds / 2));  // warm-up
  for (int round = 0; round < rounds; ++round) {
    for (auto& entry : entries) {
      entry.speeds.push_back(entry.contender->train(throughput::Seconds(seconds)));
    }
    std::cerr << "round " << round + 1 << " of " << rounds << '\n';
  }

  const auto none = std::find_if(entries.begin(), entries.end(),
                                 [](const Entry& entry) { return entry.name == "none"; });
  nlohmann::ordered_json figures = nlohmann::ordered_json::object();
  for (const Entry& entry : entries) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < entry.speeds.size(); ++i) {
      ratios.push_back(entry.speeds[i] / none->speeds[i]);
    }
    figures[entry.name] = {{"images_per_second", median(entry.speeds)},
                           {"of_none", median(ratios)}};
    std::printf("%-16s %7.0f images/s   %.3f of none\n", entry.name.c_str(), median(entry.speeds),
                median(ratios));
  }
  if (!out.empty()) std::ofstream(out) << figures.dump(1) << '\n';
  return 0;
}
