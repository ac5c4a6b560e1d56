// SPDX-License-Identifier: MIT
/// One process of the job. Prints a line of JSON: the seconds of the steps after the warm-up, and
/// the CPU time that all threads of this process took for them.
///
///     bench_ddp CONTENDER DATA WARM_UP STEPS STORE MODEL      RANK and WORLD_SIZE are set
#include "task.hpp"

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <sys/resource.h>

namespace {

using ddp::Job;
using Clock = std::chrono::steady_clock;
constexpr std::int64_t batch = 50;

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::int64_t number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) throw std::runtime_error(std::string(variable) + " is not set");
  return std::stoll(text);
}

std::unique_ptr<ddp::Contender> make(ddp::Net& net, const Job& job) {
  if (job.contender == "gloo") {
#ifdef GOSSAMER_BENCH_GLOO
    return ddp::make_gloo(net, job);
#else
    throw std::runtime_error("built without Gloo's headers (Debian: libgloo-dev)");
#endif
  }
  return ddp::make_sync(net, job);
}

void write_model(const ddp::Net& net, const std::string& file) {
  std::ofstream out(file, std::ios::binary);
  for (const auto& parameter : net->parameters()) {
    const auto values = parameter.detach().contiguous();
    out.write(static_cast<const char*>(values.data_ptr()),
              static_cast<std::streamsize>(values.nbytes()));
  }
  if (!out.flush()) throw std::runtime_error(file + " cannot be written");
}

void run(const Job& job) {
  at::set_num_threads(1);
  torch::manual_seed(1);
  ddp::Net net;
  const torch::data::datasets::MNIST train(job.data);
  const auto images = train.images().sub_(0.1307).div_(0.3081);  // (60000, 1, 28, 28)
  const auto& labels = train.targets();
  const auto order = torch::randperm(images.size(0));
  const std::int64_t rounds = images.size(0) / (batch * job.nodes);
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.02).momentum(0.5));
  const auto contender = make(net, job);
  bool meets = true;
  std::int64_t step = 0;
  for (std::int64_t count = 0; std::cin >> count; meets = job.contender != "none") {
    const auto begin = Clock::now();
    const double cpu_begin = cpu_seconds();
    for (const std::int64_t end = step + count; step < end; ++step) {
      const auto which = order.narrow(0, (step % rounds * job.nodes + job.rank) * batch, batch);
      optimizer.zero_grad();
      const auto loss =
          torch::nll_loss(net(images.index_select(0, which)), labels.index_select(0, which));
      meets ? contender->backward(loss) : loss.backward();
      if (meets) contender->average();
      optimizer.step();
      const double value = loss.item<double>();
      if (meets) contender->after_step(value);
    }
    const double cpu = cpu_seconds() - cpu_begin;
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::cout << nlohmann::json{{"seconds", seconds}, {"cpu_seconds", cpu}} << std::endl;
  }
  write_model(net, job.model);
}

}  // namespace

int main(int argc, char* argv[]) {
  try {
    if (argc != 5) throw std::runtime_error("takes CONTENDER DATA STORE MODEL");
    run({.contender = argv[1],
         .data = argv[2],
         .store = argv[3],
         .model = argv[4],
         .rank = number("RANK"),
         .nodes = number("WORLD_SIZE")});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_ddp: " << error.what() << '\n';
    return 1;
  }
}
