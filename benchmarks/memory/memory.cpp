// SPDX-License-Identifier: MIT
/// What an exchange allocates, and what a node keeps: every call of the C library's allocator is
/// counted.
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/none.hpp>

#include <ATen/ops/full.h>
#include <malloc.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdio>
#include <fstream>

namespace {

std::atomic<std::int64_t> allocations{0};
std::atomic<std::int64_t> live_bytes{0};
std::atomic<std::int64_t> peak_bytes{0};

void* counted(void* block) {
  if (block == nullptr) return nullptr;
  ++allocations;
  const auto live = live_bytes += static_cast<std::int64_t>(malloc_usable_size(block));
  auto peak = peak_bytes.load();
  while (live > peak && !peak_bytes.compare_exchange_weak(peak, live)) {
  }
  return block;
}

void uncounted(void* block) {
  if (block != nullptr) live_bytes -= static_cast<std::int64_t>(malloc_usable_size(block));
}

}  // namespace

// glibc lets a program put its own functions in place of these, and has its own under other names.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return counted(__libc_calloc(count, size)); }
void* realloc(void* block, std::size_t size) {
  uncounted(block);
  return counted(__libc_realloc(block, size));
}
void* memalign(std::size_t alignment, std::size_t size) {
  return counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  uncounted(block);
  __libc_free(block);
}
}

namespace {

using namespace gossamer;

using Vector = std::vector<at::Tensor>;  // of one

/// A step that allocates nothing: the gradient of |x|^2 / 2, written in place, and a small step.
class Quadratic final : public GossipNode<Vector> {
 public:
  Quadratic(Context context, std::int64_t size)
      : GossipNode(std::move(context), Vector{at::full({size}, 1.0F, at::kFloat)}),
        gradient_(at::zeros({size}, at::kFloat)) {}

 private:
  double local_step() override {
    auto* const x = model()[0].data_ptr<float>();
    auto* const g = gradient_.data_ptr<float>();
    const std::int64_t n = model()[0].numel();
    for (std::int64_t i = 0; i < n; ++i) g[i] = x[i];
    for (std::int64_t i = 0; i < n; ++i) x[i] -= 0.001F * g[i];
    return 0;
  }

  at::Tensor gradient_;
};

/// What two nodes that step in turn, each so many times, allocate in all, once the pools and queues
/// have their size; and the messages that they send meanwhile.
std::pair<double, double> allocations_of(const rule::AnyRule& rule, std::int64_t size, int steps) {
  const auto hub = transport::ThreadHub::make(2);
  Quadratic one(Context{hub->endpoint(0), rule, {}, 0.5}, size);
  Quadratic other(Context{hub->endpoint(1), rule, {}, 0.5}, size);
  const StopCondition endless;
  const auto take = [&](int count) {
    for (int i = 0; i < count; ++i) {
      one.advance(endless, transport::Time(0));
      other.advance(endless, transport::Time(0));
    }
  };
  const auto sent = [&] { return one.counters().messages_sent + other.counters().messages_sent; };
  take(100);
  const auto before = allocations.load();
  const auto sent_before = sent();
  take(steps);
  return {static_cast<double>(allocations.load() - before),
          static_cast<double>(sent() - sent_before)};
}

/// Of nodes that push after every step, beyond those of nodes that never do: every sixteenth step
/// lists the model's tensors anew, to see that they are still the bound ones.
double allocations_per_exchange(std::int64_t size) {
  constexpr int steps = 1000;
  const auto [alone, none] = allocations_of(rule::None(), size, steps);
  const auto [pushing, messages] = allocations_of(rule::GoSgd(1), size, steps);
  return (pushing - alone) / messages;
}

/// The most that a node ever held, in models: itself, its gradient, and copies under way.
double peak_models_per_node(std::size_t nodes, std::int64_t size) {
  const auto before = live_bytes.load();
  ThreadGroup<Quadratic> group(GroupOptions(nodes), rule::GoSgd(1), [&](Context context) {
    return std::make_unique<Quadratic>(std::move(context), size);
  });
  peak_bytes = live_bytes.load();
  group.run_until(StopCondition().steps(200));
  const auto model = static_cast<double>(size) * sizeof(float);
  return static_cast<double>(peak_bytes - before) / static_cast<double>(nodes) / model;
}

}  // namespace

int main(int argc, char** argv) {
  nlohmann::ordered_json figures;
  figures["allocations_per_exchange"] = allocations_per_exchange(286'154);
  figures["peak_models_per_node"] = peak_models_per_node(8, 4'000'000);
  std::printf("%s\n", figures.dump(1).c_str());
  if (argc > 1) std::ofstream(argv[1]) << figures.dump(1) << '\n';
  return 0;
}
