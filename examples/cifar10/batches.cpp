// SPDX-License-Identifier: MIT
/// Batch assembly: one pass over the pixels through a table of normalised values.
#include <cifar10/batches.hpp>
#include <gossamer/error.hpp>

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace cifar10 {
namespace {

using gossamer::ConfigError;

constexpr std::int64_t padding_width = 4;  // black pixels on each side, for crops of 32

void check(const Images& images, std::int64_t crop) {
  const auto& pixels = images.pixels;
  const auto& labels = images.labels;
  if (!pixels.defined() || pixels.dim() != 4 || pixels.size(1) != channel_count ||
      pixels.size(2) != image_side || pixels.size(3) != image_side ||
      pixels.scalar_type() != at::kByte || !pixels.is_contiguous() || !pixels.is_cpu()) {
    throw ConfigError(
        "batches: the pixels must be a contiguous (n, 3, 32, 32) uint8 tensor on "
        "the CPU");
  }
  if (!labels.defined() || labels.dim() != 1 || labels.size(0) != pixels.size(0) ||
      labels.scalar_type() != at::kLong || !labels.is_contiguous() || !labels.is_cpu()) {
    throw ConfigError(c10::str("batches: the labels must be a contiguous (", pixels.size(0),
                               ",) int64 tensor on the CPU"));
  }
  if (crop != 28 && crop != 32) {
    throw ConfigError(c10::str("batches: crop must be 28 or 32, got ", crop));
  }
}

Lookup make_lookup(const Normalisation& normalisation) {
  Lookup lookup{};
  for (std::size_t c = 0; c < lookup.size(); ++c) {
    const auto mean = static_cast<double>(normalisation.mean[c]);
    const auto deviation = static_cast<double>(normalisation.deviation[c]);
    if (!std::isfinite(mean) || !(deviation > 0) || !std::isfinite(deviation)) {
      throw ConfigError(c10::str("batches: normalisation of channel ", c,
                                 " needs a finite mean and a deviation > 0, got ", mean, " and ",
                                 deviation));
    }
    for (std::size_t value = 0; value < 256; ++value) {
      lookup[c][value] = static_cast<float>((static_cast<double>(value) / 255 - mean) / deviation);
    }
  }
  return lookup;
}

/// Writes the crop x crop window whose upper left corner is (left, top), which may lie outside.
/// @param image (3, 32, 32); @param out (3, crop, crop).
void write_window(const std::uint8_t* image, std::int64_t left, std::int64_t top, std::int64_t crop,
                  bool mirror, const Lookup& lookup, float* out) {
  const auto first = std::max<std::int64_t>(0, -left);  // columns of the window inside the image
  const auto last = std::min(crop, image_side - left);
  for (const auto& table : lookup) {
    for (auto y = top; y < top + crop; ++y) {
      if (y < 0 || y >= image_side) {
        std::fill_n(out, crop, table[0]);
      } else {
        const auto* row = image + y * image_side;
        std::fill_n(out, first, table[0]);
        for (auto x = first; x < last; ++x) out[x] = table[row[left + x]];
        std::fill(out + last, out + crop, table[0]);
        if (mirror) std::reverse(out, out + crop);
      }
      out += crop;
    }
    image += image_side * image_side;
  }
}

}  // namespace

Batches::Batches(const Images& images, std::vector<std::int64_t> indices, std::int64_t batch,
                 gossamer::Generator generator, const BatchOptions& options)
    : images_(images),
      indices_(std::move(indices)),
      batch_(batch),
      generator_(generator),
      options_(options),
      lookup_(make_lookup(options.normalisation())) {
  check(images_, options_.crop());
  if (batch_ < 1) throw ConfigError(c10::str("batches: batch must be at least 1, got ", batch_));
  if (indices_.empty()) throw ConfigError("batches: there must be at least one index, got none");
  for (const auto index : indices_) {
    if (index < 0 || index >= images_.size()) {
      throw ConfigError(
          c10::str("batches: an index must lie in [0, ", images_.size(), "), got ", index));
    }
  }
  shuffle();
}

void Batches::shuffle() {
  drawn_at_shuffle_ = generator_.state().drawn;
  order_ = indices_;
  for (auto left = order_.size(); left > 1; --left) {
    std::swap(order_[left - 1], order_[generator_.below(static_cast<std::uint32_t>(left))]);
  }
  position_ = 0;
}

std::pair<at::Tensor, at::Tensor> Batches::next() {
  const auto crop = options_.crop();
  auto pixels = at::empty({batch_, channel_count, crop, crop}, at::kFloat);
  auto labels = at::empty({batch_}, at::kLong);
  const auto* source = images_.pixels.data_ptr<std::uint8_t>();
  const auto* source_labels = images_.labels.data_ptr<std::int64_t>();
  auto* out = pixels.data_ptr<float>();
  auto* out_labels = labels.data_ptr<std::int64_t>();
  const auto padding = crop == image_side ? padding_width : 0;
  const auto centre = (image_side - crop) / 2;
  const auto offsets = static_cast<std::uint32_t>(image_side + 2 * padding - crop + 1);
  for (std::int64_t i = 0; i < batch_; ++i) {
    const auto index = order_[position_];
    const bool random = options_.random_crop();
    const auto left = random ? std::int64_t{generator_.below(offsets)} - padding : centre;
    const auto top = random ? std::int64_t{generator_.below(offsets)} - padding : centre;
    const bool mirror = options_.flip() && generator_.below(2) == 1;
    write_window(source + index * image_pixels, left, top, crop, mirror, lookup_, out);
    out += channel_count * crop * crop;
    out_labels[i] = source_labels[index];
    if (++position_ == order_.size()) {
      ++epoch_;
      shuffle();
    }
  }
  return {std::move(pixels), std::move(labels)};
}

std::vector<std::uint64_t> Batches::state() const {
  const auto& state = generator_.state();
  return {state.seed, state.stream, state.drawn,    drawn_at_shuffle_,
          position_,  epoch_,       indices_.size()};
}

void Batches::restore(const std::vector<std::uint64_t>& state) {
  if (state.size() != 7) {
    throw gossamer::CheckpointError(c10::str("batches: a state has 7 numbers, got ", state.size()));
  }
  if (state[6] != indices_.size()) {
    throw gossamer::CheckpointError(c10::str("batches: the state is of ", state[6],
                                             " images, these batches have ", indices_.size()));
  }
  if (state[4] >= indices_.size() || state[3] > state[2]) {
    throw gossamer::CheckpointError(
        c10::str("batches: the state is damaged: position ", state[4], " of ", indices_.size(),
                 ", ", state[2], " numbers drawn, ", state[3], " at the start of the epoch"));
  }
  generator_ = gossamer::Generator({state[0], state[1], state[3]});
  shuffle();
  generator_ = gossamer::Generator({state[0], state[1], state[2]});
  position_ = state[4];
  epoch_ = state[5];
}

std::pair<at::Tensor, at::Tensor> centre_crops(const Images& images, std::int64_t begin,
                                               std::int64_t end, std::int64_t crop,
                                               const Normalisation& normalisation) {
  check(images, crop);
  if (begin < 0 || begin > end || end > images.size()) {
    throw ConfigError(c10::str("centre_crops: the range must lie in [0, ", images.size(), "], got ",
                               begin, " to ", end));
  }
  const auto lookup = make_lookup(normalisation);
  const auto* source = images.pixels.data_ptr<std::uint8_t>();
  auto pixels = at::empty({end - begin, channel_count, crop, crop}, at::kFloat);
  auto* out = pixels.data_ptr<float>();
  const auto corner = (image_side - crop) / 2;
  for (auto i = begin; i < end; ++i) {
    write_window(source + i * image_pixels, corner, corner, crop, false, lookup, out);
    out += channel_count * crop * crop;
  }
  return {std::move(pixels), images.labels.slice(0, begin, end).clone()};
}

}  // namespace cifar10
