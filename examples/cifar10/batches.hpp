// SPDX-License-Identifier: MIT
/// Turns images into batches for a network: random crops and flips to train, centre crops to test.
#pragma once

#include <cifar10/dataset.hpp>
#include <gossamer/generator.hpp>
#include <shared/shards.hpp>

#include <ATen/core/Tensor.h>
#include <torch/arg.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cifar10 {

using examples::all;
using examples::overlapping_shard;
using examples::shard;

/// What is subtracted from a channel of pixel / 255, and what the difference is divided by; red,
/// green, blue. The default is the mean and standard deviation of the CIFAR-10 training images.
struct Normalisation {
  std::array<float, 3> mean = {0.49140F, 0.48216F, 0.44653F};
  std::array<float, 3> deviation = {0.24703F, 0.24349F, 0.26159F};  ///< each > 0
};

/// A normalised value for each channel and each pixel value.
using Lookup = std::array<std::array<float, 256>, 3>;

struct BatchOptions {
  /// Side of the crop in pixels: 28 cuts a random 28x28 window; 32 pads by 4 black pixels on each
  /// side and cuts a random 32x32 window.
  TORCH_ARG(std::int64_t, crop) = 28;
  /// Whether the window is random; otherwise the middle one.
  TORCH_ARG(bool, random_crop) = true;
  /// Whether half of the images are mirrored left to right.
  TORCH_ARG(bool, flip) = true;
  TORCH_ARG(Normalisation, normalisation) = Normalisation();
};

/// An endless stream of random training batches over some of the images. Each epoch visits every
/// index once, in a new order; a batch may span the end of an epoch. Equal arguments give equal
/// bits. Distinct objects may be used from distinct threads, even over the same images; one object
/// may not.
class Batches {
 public:
  /// @param indices which images; a repeated index counts as another image.
  /// @param batch   images per batch, >= 1.
  /// @throws gossamer::ConfigError for wrong images, no or out-of-range indices, or a bad option.
  Batches(const Images& images, std::vector<std::int64_t> indices, std::int64_t batch,
          gossamer::Generator generator, const BatchOptions& options = {});

  /// The next batch: images (batch, 3, crop, crop) float32, labels (batch,) int64.
  std::pair<at::Tensor, at::Tensor> next();

  /// The number of epochs completed.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  /// Images per epoch.
  [[nodiscard]] std::size_t size() const noexcept { return indices_.size(); }

  /// All that `restore` needs to go on with the same bits in another object made with the same
  /// arguments: seed, stream, draws now, draws at the start of the epoch, position, epoch, size.
  [[nodiscard]] std::vector<std::uint64_t> state() const;
  /// @throws gossamer::CheckpointError when the state is of another form or of another number of
  ///         indices; the object is then unchanged.
  void restore(const std::vector<std::uint64_t>& state);

 private:
  void shuffle();

  Images images_;
  std::vector<std::int64_t> indices_;
  std::int64_t batch_;
  gossamer::Generator generator_;
  BatchOptions options_;
  Lookup lookup_;
  std::vector<std::int64_t> order_;     // this epoch's permutation of indices_
  std::uint64_t drawn_at_shuffle_ = 0;  // so that order_ can be computed again
  std::size_t position_ = 0;            // the next element of order_
  std::uint64_t epoch_ = 0;
};

/// Images `begin` to `end - 1` for testing: the middle 28x28 window, or all 32x32 pixels.
/// @param crop 28 or 32.
/// @return (end - begin, 3, crop, crop) float32 and (end - begin,) int64.
/// @throws gossamer::ConfigError for wrong images, a bad range or a bad option.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> centre_crops(
    const Images& images, std::int64_t begin, std::int64_t end, std::int64_t crop = 28,
    const Normalisation& normalisation = {});

}  // namespace cifar10
