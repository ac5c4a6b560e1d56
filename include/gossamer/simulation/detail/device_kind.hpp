// SPDX-License-Identifier: MIT
/// A kind of device, as a cluster file has it, and what one device of that kind is.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/simulation/compute_cost.hpp>
#include <gossamer/simulation/energy.hpp>
#include <gossamer/simulation/options.hpp>
#include <gossamer/simulation/throttled_cost.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer {

/// A value, or a range from which each device draws its own.
struct DeviceValue {
  double low = 0;
  double high = 0;
  bool by_logarithm = false;  ///< equal shares of the draws in equal ratios, not differences

  [[nodiscard]] double draw(Generator random) const {
    if (low == high) return low;
    const double u = random.uniform();
    return by_logarithm ? low * std::pow(high / low, u) : low + (high - low) * u;
  }
};

/// The bytes per second of a device in one direction.
struct DeviceRate {
  DeviceValue value;
  std::shared_ptr<transport::TracedRate> trace;  ///< if set, in place of the value,
  DeviceValue offset;                            ///< from there on
};

/// What devices of one kind have in common. Each device's draws depend on the seed and its number
/// alone.
struct DeviceKind {
  enum class Draw : std::uint32_t {
    step,
    uplink,
    downlink,
    offset,
    outages,
    latency,
    loss,
    step_energy,
    byte_energy,
    sleep
  };
  /// How long its way to the network is there, and gone.
  struct Outages {
    transport::Time mean_up{0};
    transport::Time mean_down{0};
    double when_down = 0;
  };
  /// From when on steps take longer.
  struct Throttle {
    transport::Time after{0};
    double factor = 1;
  };
  /// When it sleeps.
  struct Sleep {
    double share = 0;  ///< of the devices at a time, and of the time of each,
    transport::Time every{0};
    transport::Time until{0};
  };

  std::uint64_t seed = 0;
  PeerId first = 0;
  std::size_t count = 0;

  DeviceValue seconds_per_step;
  double sigma = 0;                    ///< of the logarithm of one device's steps
  std::vector<transport::Time> trace;  ///< of steps, if any
  std::optional<Throttle> throttle;
  std::optional<DeviceRate> uplink;
  std::optional<DeviceRate> downlink;
  std::optional<Outages> outages;
  DeviceValue latency;  ///< beside the link's
  DeviceValue loss;
  std::optional<Sleep> sleep;
  DeviceValue joules_per_step;
  DeviceValue joules_per_byte;

  [[nodiscard]] Generator random(Draw what, PeerId id) const {
    constexpr std::uint64_t device_stream = std::uint64_t{5} << 48U;
    return Generator(seed, device_stream + (static_cast<std::uint64_t>(what) << 32U) + id);
  }
  [[nodiscard]] bool has(PeerId id) const { return id >= first && id - first < count; }
  [[nodiscard]] bool has_access() const { return uplink || downlink || outages; }
  [[nodiscard]] bool has_energy() const {
    return joules_per_step.high > 0 || joules_per_byte.high > 0;
  }

  [[nodiscard]] cost::Any cost(PeerId id) const {
    cost::Any any;
    const auto median = transport::seconds(seconds_per_step.draw(random(Draw::step, id)));
    if (!trace.empty()) {
      any = cost::Trace(trace);
    } else if (sigma > 0) {
      any = cost::LogNormal(median, sigma);
    } else {
      any = cost::Constant(median);
    }
    if (throttle) any = cost::Throttled(any, throttle->after, throttle->factor);
    return any;
  }

  /// `up` and `down` are what a device without rates of its own has; 0: no limit.
  [[nodiscard]] transport::SimulatedAccess access(PeerId id, double up, double down) const {
    std::shared_ptr<transport::TwoStates> states;
    if (outages) {
      states = std::make_shared<transport::TwoStates>(outages->mean_up, outages->mean_down,
                                                      random(Draw::outages, id));
    }
    return {law(uplink, Draw::uplink, id, up, states),
            law(downlink, Draw::downlink, id, down, states)};
  }

  [[nodiscard]] transport::Time own_latency(PeerId id) const {
    return transport::seconds(latency.draw(random(Draw::latency, id)));
  }
  [[nodiscard]] double own_loss(PeerId id) const { return loss.draw(random(Draw::loss, id)); }
  [[nodiscard]] DeviceEnergy energy(PeerId id) const {
    return {joules_per_step.draw(random(Draw::step_energy, id)),
            joules_per_byte.draw(random(Draw::byte_energy, id))};
  }

  /// One sleep of one device.
  struct Nap {
    PeerId node = 0;
    transport::Time at{0};
    transport::Time length{0};
  };
  /// Evenly staggered, in an order that is drawn: if `share` of the devices is a whole number, so
  /// many are asleep at any time.
  [[nodiscard]] std::vector<Nap> naps() const {
    std::vector<Nap> all;
    if (!sleep || !(sleep->share > 0)) return all;
    std::vector<PeerId> order(count);
    std::iota(order.begin(), order.end(), first);
    Generator draws = random(Draw::sleep, first);
    for (std::size_t i = count; i > 1; --i) {
      std::swap(order[i - 1], order[draws.below(static_cast<std::uint32_t>(i))]);
    }
    const auto every = static_cast<double>(sleep->every.count());
    const auto length = transport::Time(static_cast<transport::Time::rep>(every * sleep->share));
    for (std::size_t i = 0; i < count; ++i) {
      const double place = static_cast<double>(i) / static_cast<double>(count) - 1;
      transport::Time at(static_cast<transport::Time::rep>(every * place));
      for (; at < sleep->until; at += sleep->every) {  // the first has begun before time 0
        const transport::Time begin = std::max(at, transport::Time(0));
        const transport::Time end = std::min(at + length, sleep->until);
        if (begin < end) all.push_back({order[i], begin, end - begin});
      }
    }
    return all;
  }

 private:
  [[nodiscard]] std::shared_ptr<transport::RateLaw> law(
      const std::optional<DeviceRate>& rate, Draw what, PeerId id, double otherwise,
      const std::shared_ptr<transport::TwoStates>& states) const {
    constexpr double no_limit = 1e15;
    std::shared_ptr<transport::RateLaw> own;
    if (rate && rate->trace) {
      own = rate->trace->from(transport::seconds(rate->offset.draw(random(Draw::offset, id))));
    } else if (rate) {
      own = std::make_shared<transport::ConstantRate>(rate->value.draw(random(what, id)));
    } else if (otherwise > 0 || states) {
      own = std::make_shared<transport::ConstantRate>(otherwise > 0 ? otherwise : no_limit);
    }
    if (!states) return own;
    return std::make_shared<transport::TwoStateRate>(own, states, outages->when_down);
  }
};

}  // namespace gossamer
