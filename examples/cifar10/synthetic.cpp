// SPDX-License-Identifier: MIT
/// Draws the synthetic data set: textured shapes among clutter and noise, in integer arithmetic.
#include <cifar10/dataset.hpp>
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace cifar10 {
namespace {

using Colour = std::array<int, channel_count>;
using Canvas = std::array<int, image_pixels>;  // colours before noise, not yet clamped to [0, 255]

// Lengths are in 1/64 pixel, so that everything is an integer.
constexpr int unit = 64;

/// 4096 sin(2 pi turn / 1024), by the rational approximation of Bhaskara I, within 0.2 %.
int sine(int turn) {
  const int half = turn & 511;
  const int product = half * (512 - half);
  const auto value = static_cast<int>(std::int64_t{16'384} * product / (5 * 65'536 - product));
  return (turn & 512) == 0 ? value : -value;
}

/// The square root of an integer below 2^53 is rounded correctly, hence the same everywhere.
int length(int u, int v) { return static_cast<int>(std::sqrt(static_cast<double>(u * u + v * v))); }

/// 0 or 1 in turn, each for one `width`.
int wave(int position, int width) { return ((position + (1 << 16)) / width) & 1; }

/// A rotated frame of reference around a point.
struct Frame {
  int x = 0;
  int y = 0;
  int turn = 0;
  int cosine = sine(turn + 256);
  int sinus = sine(turn);

  /// The centre of pixel (column, row) in this frame.
  [[nodiscard]] std::pair<int, int> of(int column, int row) const {
    const int dx = column * unit + unit / 2 - x;
    const int dy = row * unit + unit / 2 - y;
    return {(cosine * dx + sinus * dy) >> 12, (cosine * dy - sinus * dx) >> 12};
  }
};

/// Disc, square, triangle, ring or cross, filled with stripes (0) or checks (1) of two colours.
struct Figure {
  int shape = 0;
  int texture = 0;
  int radius = 0;
  int width = 0;  // of a stripe
  int phase = 0;
  Frame frame;
  Colour light{};
  Colour dark{};

  /// How far a point lies inside; negative outside.
  [[nodiscard]] int depth(int u, int v) const {
    const int a = std::abs(u);
    const int b = std::abs(v);
    switch (shape) {
      case 0:
        return radius - length(u, v);
      case 1:
        return radius * 7 / 8 - std::max(a, b);
      case 2:
        return radius * 5 / 8 - std::max(v, (a * 887 - v * 512) / 1024);
      case 3:
        return radius / 4 - std::abs(length(u, v) - radius * 3 / 4);
      default:
        return std::max(std::min(radius * 3 / 8 - a, radius - b),
                        std::min(radius * 3 / 8 - b, radius - a));
    }
  }

  /// Draws with edges one pixel wide.
  void draw(Canvas& canvas) const {
    for (int row = 0; row < image_side; ++row) {
      for (int column = 0; column < image_side; ++column) {
        const auto [u, v] = frame.of(column, row);
        const int cover = std::clamp(depth(u, v) + unit / 2, 0, unit);
        if (cover == 0) continue;
        const int on = wave(u + phase, width) ^ (texture == 0 ? 0 : wave(v + phase, width));
        const auto& colour = on == 0 ? light : dark;
        auto* pixel = canvas.data() + row * image_side + column;
        for (const int channel : colour) {
          *pixel += (channel - *pixel) * cover / unit;
          pixel += image_side * image_side;
        }
      }
    }
  }
};

/// Draws images one after the other from one stream of random numbers.
class Painter {
 public:
  explicit Painter(gossamer::Generator generator) : generator_(generator) {
    for (auto& value : noise_) {  // the sum of three dice is close to normal
      value = between(-128, 128) + between(-128, 128) + between(-128, 128);
    }
  }

  Images paint(std::int64_t n) {
    Images images{at::empty({n, channel_count, image_side, image_side}, at::kByte),
                  at::empty({n}, at::kLong)};
    auto* pixels = images.pixels.data_ptr<std::uint8_t>();
    auto* labels = images.labels.data_ptr<std::int64_t>();
    std::array<int, class_count> order{};
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto turn = static_cast<std::size_t>(i % class_count);
      if (turn == 0) {
        for (auto left = order.size(); left > 1; --left) {
          std::swap(order[left - 1], order[generator_.below(static_cast<std::uint32_t>(left))]);
        }
      }
      labels[i] = order[turn];
      paint_one(order[turn], pixels + i * image_pixels);
    }
    return images;
  }

 private:
  int between(int low, int high) {
    return low + static_cast<int>(generator_.below(static_cast<std::uint32_t>(high - low + 1)));
  }
  /// A colour whose channels differ from those of `other` by at most `distance`.
  Colour near(const Colour& other, int distance) {
    Colour colour = other;
    for (auto& channel : colour) channel += between(-distance, distance);
    return colour;
  }
  /// A colour that differs from `other` in all channels, and more often is brighter than darker.
  Colour apart(const Colour& other) {
    Colour colour = other;
    for (auto& channel : colour) {
      const int distance = between(30, 130);
      channel += between(0, 7) == 0 ? -distance : distance;
    }
    return colour;
  }

  Figure figure(int shape, int texture, int radius, const Colour& ground) {
    const int margin = std::min(radius, 13 * unit);
    const int x = between(margin, image_side * unit - margin);
    const int y = between(margin, image_side * unit - margin);
    const int width = between(2 * unit - 16, 4 * unit);
    const int phase = between(0, 2 * width);
    const Frame frame{x, y, between(-100, 100)};
    const auto light = apart(ground);
    return {shape, texture, radius, width, phase, frame, light, near(ground, 40)};
  }

  void paint_one(int label, std::uint8_t* pixels) {
    Canvas canvas;
    const Colour ground = near({90, 90, 90}, 60);
    paint_ground(ground, canvas);
    for (int n = between(0, 3); n > 0; --n) {
      const int shape = between(0, 4);
      const int texture = between(0, 1);
      figure(shape, texture, between(2 * unit, 4 * unit), ground).draw(canvas);
    }
    figure(label / 2, label % 2, between(7 * unit, 13 * unit), ground).draw(canvas);
    const int strength = between(2, 24);  // about the standard deviation of the noise
    for (std::size_t i = 0; i < canvas.size(); i += 4) {
      const auto bits = generator_();
      for (std::size_t k = 0; k < 4; ++k) {
        const int value = canvas[i + k] + noise_[(bits >> (8 * k)) & 255U] * strength / 128;
        pixels[i + k] = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
      }
    }
  }

  /// A gradient with faint stripes or checks of its own.
  void paint_ground(const Colour& ground, Canvas& canvas) {
    const Colour across = near({}, 3);
    const Colour down = near({}, 3);
    const Colour texture = near({}, 25);
    const int kind = between(0, 2);  // plain, stripes, checks
    const int width = between(2 * unit, 5 * unit);
    const Frame frame{image_side * unit / 2, image_side * unit / 2, between(0, 1023)};
    for (int row = 0; row < image_side; ++row) {
      for (int column = 0; column < image_side; ++column) {
        const auto [u, v] = frame.of(column, row);
        const int on = kind == 0 ? 0 : wave(u, width) ^ (kind == 1 ? 0 : wave(v, width));
        auto* pixel = canvas.data() + row * image_side + column;
        const int right = column - static_cast<int>(image_side) / 2;
        const int below = row - static_cast<int>(image_side) / 2;
        for (std::size_t c = 0; c < channel_count; ++c) {
          pixel[c * image_side * image_side] =
              ground[c] + across[c] * right + down[c] * below + on * texture[c];
        }
      }
    }
  }

  gossamer::Generator generator_;
  std::array<int, 256> noise_{};
};

}  // namespace

Dataset synthetic(std::uint64_t seed, std::int64_t train_size, std::int64_t test_size) {
  for (const auto size : {train_size, test_size}) {
    if (size < 1) {
      throw gossamer::ConfigError(
          c10::str("synthetic data set: a size must be at least 1 image, got ", size));
    }
  }
  return {"synthetic", Painter(gossamer::Generator(seed, 0)).paint(train_size),
          Painter(gossamer::Generator(seed, 1)).paint(test_size)};
}

}  // namespace cifar10
