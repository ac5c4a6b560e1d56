// SPDX-License-Identifier: MIT
/// The main job: nodes that gossip train a network on CIFAR-10.
#include <cifar10/dataset.hpp>
#include <cifar10/options.hpp>
#include <cifar10/training.hpp>
#include <gossamer/node/allocator.hpp>
#include <shared/mpi_job.hpp>

#include <exception>
#include <iostream>
#include <optional>

namespace {

/// The data that the options name; without any, a synthetic set, and a loud word about it.
cifar10::Dataset find_data(const cifar10::Options& options) {
  if (!options.data.empty()) return cifar10::load(options.data);
  std::cerr << "\n"
               "*** NOT CIFAR-10: this run uses synthetic images of textures and shapes. ***\n"
               "*** For the real ones: --data DIR, GOSSAMER_DATA=DIR, or                 ***\n"
               "*** ./examples/run.sh cifar10 --download.                                ***\n"
               "\n";
  return cifar10::synthetic(options.seed);
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  int status = 0;
  auto options = cifar10::parse(argc, argv, status);
  if (!options) return status;
  std::optional<examples::MpiJob> job;
  try {
    if (options->transport == "mpi") {
      job.emplace(options->process.number, options->nodes, options->out);
    }
    const cifar10::Dataset dataset = find_data(*options);
    return cifar10::Training(*options, dataset).run();
  } catch (const std::exception& error) {
    std::cerr << "cifar10: " << error.what() << '\n';
    if (job) examples::MpiJob::abort();  // the other ranks would wait for this one
    return 1;
  }
}
