// SPDX-License-Identifier: MIT
/// Activations as indices into codebooks that follow them.
#pragma once

#include <gossamer/codec/int8.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/vector_dequantizer.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace gossamer::pipeline {

/// The writer's end. Channels are cut into groups; at each place of each image a group's numbers
/// are one vector, which becomes the index of the nearest of its codebook's codewords. Codewords
/// are exponential means of what was theirs:
///
///     N_k <- decay N_k + (1 - decay) n_k,  m_k <- decay m_k + (1 - decay) sum of them,
///     e_k = m_k / N_k
///
/// and one whose N_k falls below a twentieth of the mean begins anew at a vector of the batch. On
/// the wire go the indices, whole codebooks once, and from then on, every `update_every` batches,
/// an int8 code of what has changed. Both ends add the decoded change, so they have the same bits,
/// and what a code leaves out stays for the next one.
///
/// Bytes    batch * places * channels / group; an update about channels * codes.
/// Cost     codes * group multiplications per vector.
/// Threads  one object by one thread at a time.
/// Throws   ConfigError from the constructor for an option that cannot work.
/// Source   Belilovsky et al., "Decoupled greedy learning of CNNs for synchronous and asynchronous
///          distributed learning", 2021, arXiv:2106.06401, whose abstract has online vector
///          quantization of activations; its constants could not be checked. The means: van den
///          Oord, Vinyals, Kavukcuoglu, NeurIPS 2017, appendix A.1.
/// Differs  ours: groups of channels, `update_every`, coded changes, new beginnings, all defaults.
class VectorQuantizer {
 public:
  explicit VectorQuantizer(std::int64_t channels, const VectorQuantizerOptions& options = {})
      : code_(channels, options),
        options_(options),
        random_(options.seed(), 0x7671),
        counts_(at::zeros({code_.groups, code_.codes})),
        sums_(at::zeros({code_.groups, code_.codes, code_.width})) {}

  /// The code of (batch, channels, ...) float32 numbers on the CPU; empty if one is not finite.
  /// Without `learn` the codebooks stay as they are.
  std::vector<std::byte> encode(const at::Tensor& values, bool learn = true) {
    const at::NoGradGuard no_grad;
    if (!values.isfinite().all().item<bool>()) return {};
    const at::Tensor x = values.reshape({values.size(0), code_.groups, code_.width, -1})
                             .permute({1, 0, 3, 2})
                             .reshape({code_.groups, -1, code_.width});
    if (!shared_.defined()) begin(x);
    const bool due = learn && learned_ > 0 && learned_ % options_.update_every() == 0;
    const Kind kind = whole_ ? Kind::whole : due ? Kind::update : Kind::same;
    std::vector<std::byte> out(Code::header + code_.book_bytes(kind) +
                               static_cast<std::size_t>(code_.groups * x.size(1)));
    if (kind != Kind::same) ++version_;
    whole_ = false;
    std::memcpy(out.data(), &version_, sizeof version_);
    out[Code::header - 1] = static_cast<std::byte>(kind);
    write_books(kind, std::span(out).subspan(Code::header, code_.book_bytes(kind)));
    std::byte* to = out.data() + Code::header + code_.book_bytes(kind);
    for (std::int64_t g = 0; g < code_.groups; ++g, to += x.size(1)) {
      const at::Tensor book = shared_[g];
      // |x - e|^2 without |x|^2, which is the same for all
      const at::Tensor distance = at::addmm(book.square().sum(1), x[g], book.t(), 1, -2);
      const at::Tensor index = distance.argmin(1);
      std::memcpy(to, index.to(at::kByte).data_ptr(), static_cast<std::size_t>(x.size(1)));
      if (learn) follow(g, x[g], index);
    }
    learned_ += learn ? 1 : 0;
    return out;
  }
  /// The next code brings whole codebooks: the reader has lost a code, or its own memory.
  void restart() { whole_ = true; }

 private:
  using Code = detail::VectorCode;
  using Kind = Code::Kind;

  at::Tensor some_vector(const at::Tensor& x) {
    return x[random_.below(static_cast<std::uint32_t>(x.size(0)))];
  }
  void begin(const at::Tensor& x) {
    shared_ = at::empty({code_.groups, code_.codes, code_.width});
    for (std::int64_t g = 0; g < code_.groups; ++g) {
      for (std::int64_t k = 0; k < code_.codes; ++k) shared_[g][k].copy_(some_vector(x[g]));
    }
  }
  void follow(std::int64_t g, const at::Tensor& x, const at::Tensor& index) {
    const double fresh = 1 - options_.decay();
    const at::Tensor counts = counts_[g];
    const at::Tensor sums = sums_[g];
    counts.mul_(options_.decay()).add_(index.bincount({}, code_.codes), fresh);
    sums.mul_(options_.decay()).index_add_(0, index, x * fresh);
    const float mean = counts.mean().item<float>();
    auto* count = counts.data_ptr<float>();
    for (std::int64_t k = 0; k < code_.codes; ++k) {
      if (count[k] >= 0.05F * mean) continue;
      count[k] = mean;
      sums[k].copy_(some_vector(x) * mean);
    }
  }
  void write_books(Kind kind, std::span<std::byte> out) {
    if (kind == Kind::update) {
      const at::Tensor change = sums_ / counts_.unsqueeze(2) - shared_;
      const auto numbers = Code::floats(change);
      if (!codec::Int8().encode(numbers, numbers, random_, out)) {  // means beyond float32
        std::fill(out.begin(), out.end(), std::byte{0});            // say that nothing has changed
        change.zero_();
      }
      shared_.add_(change);
    } else if (kind == Kind::whole) {
      std::memcpy(out.data(), shared_.data_ptr(), out.size());
    }
  }

  Code code_;
  VectorQuantizerOptions options_;
  Generator random_;
  at::Tensor counts_;          // (groups, codes): N
  at::Tensor sums_;            // (groups, codes, group): m
  at::Tensor shared_;          // the codebooks as the reader has them
  std::uint64_t version_ = 0;  // of these
  std::uint64_t learned_ = 0;  // batches
  bool whole_ = true;
};

}  // namespace gossamer::pipeline
