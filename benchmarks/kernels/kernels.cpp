// SPDX-License-Identifier: MIT
/// A snapshot beside memcpy, and a merge beside the best loop, at 1, 16 and 256 MB; this file is
/// compiled with -O2, as a user's may be.
#include "rival.hpp"
#include <gossamer/model/mix.hpp>
#include <gossamer/model/snapshot.hpp>

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <benchmark/benchmark.h>

#include <cstring>

namespace {

using gossamer::model::Flat;

constexpr std::int64_t megabyte = 1'000'000;

Flat vector_of(std::int64_t megabytes, float value) {
  const auto numbers = megabytes * megabyte / static_cast<std::int64_t>(sizeof(float));
  return Flat({at::full({numbers}, value, at::kFloat)});
}

void count_bytes(benchmark::State& state, const Flat& flat, int passes) {
  state.SetBytesProcessed(state.iterations() * passes * static_cast<std::int64_t>(flat.bytes()));
}

void snapshot(benchmark::State& state) {
  const Flat model = vector_of(state.range(0), 1);
  gossamer::model::SnapshotPool pool(model);
  pool.take();  // its memory is there from now on
  for (auto _ : state) {
    auto copy = pool.take();
    copy.writable().copy_from(model);
    benchmark::ClobberMemory();
  }
  count_bytes(state, model, 2);
}

void memory_copy(benchmark::State& state) {
  const Flat from = vector_of(state.range(0), 1);
  const Flat to = vector_of(state.range(0), 0);
  for (auto _ : state) {
    std::memcpy(to.segments()[0].data_ptr(), from.segments()[0].data_ptr(), from.bytes());
    benchmark::ClobberMemory();
  }
  count_bytes(state, from, 2);
}

void merge(benchmark::State& state) {
  const Flat x = vector_of(state.range(0), 1);
  const Flat y = vector_of(state.range(0), 0);
  for (auto _ : state) {
    gossamer::model::mix(y, x, 0.3);
    benchmark::ClobberMemory();
  }
  count_bytes(state, x, 3);
}

void best_loop(benchmark::State& state) {
  const Flat x = vector_of(state.range(0), 1);
  const Flat y = vector_of(state.range(0), 0);
  auto* const to = y.segments()[0].data_ptr<float>();
  const auto* const from = x.segments()[0].data_ptr<float>();
  for (auto _ : state) {
    triad(to, from, 0.3F, x.segments()[0].numel());
    benchmark::ClobberMemory();
  }
  count_bytes(state, x, 3);
}

void libtorch_lerp(benchmark::State& state) {
  const Flat x = vector_of(state.range(0), 1);
  const Flat y = vector_of(state.range(0), 0);
  for (auto _ : state) {
    y.segments()[0].lerp_(x.segments()[0], 0.3);
    benchmark::ClobberMemory();
  }
  count_bytes(state, x, 3);
}

void sizes(benchmark::internal::Benchmark* one) { one->Arg(1)->Arg(16)->Arg(256); }

}  // namespace

BENCHMARK(snapshot)->Apply(sizes);
BENCHMARK(memory_copy)->Apply(sizes);
BENCHMARK(merge)->Apply(sizes);
BENCHMARK(best_loop)->Apply(sizes);
BENCHMARK(libtorch_lerp)->Apply(sizes);

int main(int argc, char** argv) {
  at::set_num_threads(1);  // as in a node
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
