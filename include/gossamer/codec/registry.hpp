// SPDX-License-Identifier: MIT
/// All codecs, by name.
#pragma once

#include <gossamer/codec/bfloat16.hpp>
#include <gossamer/codec/exact.hpp>
#include <gossamer/codec/float16.hpp>
#include <gossamer/codec/int4.hpp>
#include <gossamer/codec/int8.hpp>
#include <gossamer/codec/random_k.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/sparse_sign.hpp>
#include <gossamer/codec/ternary.hpp>
#include <gossamer/codec/top_k.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>

#include <charconv>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::codec {

/// What there is to know of a codec before it is chosen.
struct Entry {
  std::string usage;   ///< how `from_name` takes it: "top_k:FRACTION"
  AnyCodec codec;      ///< one of them
  std::string source;  ///< where it comes from

  /// Of a vector of a million numbers.
  [[nodiscard]] double bits_per_number() const {
    return 8e-6 * static_cast<double>(codec->bytes(1'000'000));
  }
  /// The worst case of a million numbers, see `Codec`.
  [[nodiscard]] double delta() const { return codec->delta(1'000'000); }
};

/// Every codec, each option once, from many bits to few.
inline std::vector<Entry> all() {
  const std::string max = "Max, IRE Transactions on Information Theory 1960";
  const std::string qsgd = "Alistarh et al., QSGD, NeurIPS 2017";
  const auto chance = Rounding::stochastic;
  return {{"exact", Exact(), "float32"},
          {"float16", Float16(), "IEEE 754"},
          {"bfloat16", BFloat16(), "the upper half of float32"},
          {"bfloat16:stochastic", BFloat16(chance), "the upper half of float32"},
          {"int8", Int8(), "a step per block"},
          {"int8:stochastic", Int8(chance), qsgd},
          {"int4", Int4(), "a step per block"},
          {"int4:stochastic", Int4(chance), qsgd},
          {"two_bits", TwoBits(), max},
          {"ternary", Ternary(), max},
          {"sign", Sign(), "Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019"},
          {"sparse_sign:FRACTION", SparseSign(0.1), "Sattler et al., IJCNN 2019"},
          {"top_k:FRACTION", TopK(0.01), "Aji, Heafield, EMNLP 2017"},
          {"random_k:FRACTION", RandomK(0.01), "Stich, Cordonnier, Jaggi, NeurIPS 2018"},
          {"random_k:FRACTION:unbiased", RandomK(0.01, true),
           "Stich, Cordonnier, Jaggi, NeurIPS 2018"}};
}

/// The codec of that name, options included: "sign", "int4:stochastic", "top_k:0.01". Throws
/// ConfigError for a name that is none, with a list of those that are, and for a fraction outside
/// (0, 1].
inline AnyCodec from_name(std::string_view name) {
  const std::size_t colon = name.find(':');
  for (Entry& entry : all()) {
    const std::string_view usage = entry.usage;
    const std::size_t hole = usage.find("FRACTION");
    if (hole == std::string_view::npos) {
      if (name == usage) return std::move(entry.codec);
      continue;
    }
    if (colon == std::string_view::npos || name.substr(0, colon + 1) != usage.substr(0, hole)) {
      continue;
    }
    const std::string_view options = name.substr(colon + 1);
    double fraction = 0;
    const auto [end, error] =
        std::from_chars(options.data(), options.data() + options.size(), fraction);
    const std::string_view rest = options.substr(static_cast<std::size_t>(end - options.data()));
    if (error != std::errc() || rest != usage.substr(hole + 8)) continue;
    if (usage.substr(0, hole) == "top_k:") return TopK(fraction);
    if (usage.substr(0, hole) == "sparse_sign:") return SparseSign(fraction);
    return RandomK(fraction, !rest.empty());
  }
  std::string known;
  for (const Entry& entry : all()) known += (known.empty() ? "" : ", ") + entry.usage;
  throw ConfigError(
      c10::str("codec::from_name: no codec is called \"", name, "\"; there are: ", known));
}

}  // namespace gossamer::codec
