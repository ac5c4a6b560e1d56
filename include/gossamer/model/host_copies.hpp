// SPDX-License-Identifier: MIT
/// Copies of snapshots in host memory, for transports that read and write payloads there.
#pragma once

#include <gossamer/model/chunk.hpp>
#include <gossamer/model/fence.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/snapshot.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer::model {

namespace detail {

/// Reached when devices have come to events. Until then it keeps the snapshot that they copy from.
class DeviceFence final : public Fence {
 public:
  DeviceFence(std::vector<c10::Event> events, Snapshot source)
      : events_(std::move(events)), source_(std::move(source)) {}
  /// Waits: neither memory may be used again before.
  ~DeviceFence() override { DeviceFence::wait(); }

  [[nodiscard]] bool ready() const override {
    if (reached_.load(std::memory_order_acquire)) return true;
    const std::lock_guard lock(mutex_);
    if (reached_.load(std::memory_order_relaxed)) return true;
    const auto is_over = [](const c10::Event& event) { return event.query(); };
    if (!std::all_of(events_.begin(), events_.end(), is_over)) return false;
    source_ = {};
    reached_.store(true, std::memory_order_release);
    return true;
  }
  /// By asking: LibTorch 1.13 cannot wait for an event of any device.
  void wait() const override {
    while (!ready()) std::this_thread::sleep_for(std::chrono::microseconds(20));
  }

 private:
  mutable std::mutex mutex_;
  mutable std::atomic<bool> reached_{false};
  std::vector<c10::Event> events_;
  mutable Snapshot source_;
};

}  // namespace detail

/// The second pool of a node whose payloads may not lie where its model does. Rules write into
/// snapshots beside the model; what is sent is a copy from here, in pinned memory if the model is
/// on CUDA.
///
/// A device copies on a stream of its own, which waits, on the device, for what the current stream
/// has to do before, and the copy has a fence. The current stream does not wait for it: what is
/// copied is a snapshot already, which goes back to its pool after the copy, and not the model. So
/// a push costs the current stream one copy within the device, and its host a few calls.
///
/// Threads  one at a time; copies as any snapshot.
class HostCopies {
 public:
  /// Of models like `model`, which is only looked at.
  explicit HostCopies(const Flat& model) : shape_(shape_of(model)), pool_(shape_) {}

  /// What the copies look like; not to be read.
  [[nodiscard]] const Flat& shape() const noexcept { return shape_; }
  [[nodiscard]] const SnapshotPool& pool() const noexcept { return pool_; }
  /// Bytes copied so far between memory like this and other memory, either way: copies from here,
  /// and what arithmetic has brought to models from payloads of this shape.
  [[nodiscard]] std::uint64_t staged() const noexcept { return shape_.apart()->staged; }

  /// A copy of those parts of `source`, into which nobody may write before the fence is reached.
  Snapshot copy_of(const Snapshot& source, std::span<const Chunk> parts) {
    const at::NoGradGuard no_grad;
    Snapshot copy = pool_.take();
    const Flat& to = copy.writable();
    std::vector<c10::Device> devices;
    for (const at::Tensor& segment : source->segments()) {
      const bool is_new =
          std::find(devices.begin(), devices.end(), segment.device()) == devices.end();
      if (!segment.is_cpu() && is_new) devices.push_back(segment.device());
    }
    if (devices.empty()) {
      for (const Chunk part : parts) to.copy_from(*source, part);
      return copy;
    }
    std::vector<c10::Event> events;
    events.reserve(devices.size());
    for (const c10::Device device : devices) events.push_back(copy_on(device, to, *source, parts));
    for (std::size_t s = 0; s < to.segments().size(); ++s) {
      if (!source->segments()[s].is_cpu()) continue;
      for (const Chunk part : parts) to.segment(s).copy_from(source->segment(s), part);
    }
    copy.set_fence(std::make_shared<detail::DeviceFence>(std::move(events), source));
    return copy;
  }

 private:
  /// Vectors of the model's lengths that take no memory.
  static Flat shape_of(const Flat& model) {
    auto apart = std::make_shared<Apart>();
    std::vector<at::Tensor> all;
    for (const at::Tensor& segment : model.segments()) {
      apart->pinned = apart->pinned || segment.is_cuda();
      all.push_back(at::zeros({1}, segment.options().device(at::kCPU)).expand(segment.sizes()));
    }
    return {std::move(all), std::move(apart)};
  }

  /// Has a device copy its segments; the event is their end.
  c10::Event copy_on(c10::Device device, const Flat& to, const Flat& from,
                     std::span<const Chunk> parts) {
    const c10::impl::VirtualGuardImpl runtime(device.type());
    const c10::Stream stream = stream_of(device, runtime);
    c10::Event written(device.type());
    written.record(runtime.getStream(device));
    written.block(stream);
    const c10::StreamGuard on_stream(stream);
    for (std::size_t s = 0; s < from.segments().size(); ++s) {
      const at::Tensor& source = from.segments()[s];
      if (source.device() != device) continue;
      for (const Chunk part : parts) {
        const std::int64_t begin = part.begin(source.numel());
        const std::int64_t length = part.end(source.numel()) - begin;
        if (length == 0) continue;
        to.segments()[s].narrow(0, begin, length).copy_(source.narrow(0, begin, length), true);
        to.count_staged(from, static_cast<std::size_t>(length) * source.element_size());
      }
    }
    c10::Event done(device.type());
    done.record(stream);
    return done;
  }
  c10::Stream stream_of(c10::Device device, const c10::impl::VirtualGuardImpl& runtime) {
    for (const c10::Stream& one : streams_) {
      if (one.device() == device) return one;
    }
    return streams_.emplace_back(runtime.getStreamFromGlobalPool(device));
  }

  Flat shape_;
  SnapshotPool pool_;
  std::vector<c10::Stream> streams_;  // one per device
};

}  // namespace gossamer::model
