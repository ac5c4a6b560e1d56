// SPDX-License-Identifier: MIT
/// Codecs by name.
#include <gossamer/codec/registry.hpp>
#include <gossamer/error.hpp>

#include <tests/support.hpp>

#include <set>
#include <string>

namespace {

using gossamer::ConfigError;
using gossamer::codec::AnyCodec;
using gossamer::codec::from_name;

TEST_CASE("Every codec is found by the name that it has", "[codec][registry]") {
  std::set<std::string> names;
  for (const auto& entry : gossamer::codec::all()) {
    const std::string name = entry.codec->name();
    const AnyCodec found = from_name(name);
    CHECK(found->name() == name);
    CHECK(found->bytes(12345) == entry.codec->bytes(12345));
    CHECK(found->is_unbiased() == entry.codec->is_unbiased());
    CHECK(entry.bits_per_number() > 0.1);
    CHECK(entry.bits_per_number() <= 32);
    CHECK_FALSE(entry.source.empty());
    names.insert(name);
    const AnyCodec copy = found;
    CHECK(copy->name() == name);
  }
  CHECK(names.size() == 15);
  CHECK(from_name("top_k:0.25")->name() == "top_k:0.25");
  CHECK(from_name("random_k:1e-3:unbiased")->name() == "random_k:0.001:unbiased");
}

TEST_CASE("A name that is no codec's is refused with those that are", "[codec][registry]") {
  for (const char* name : {"", "sing", "sign:", "top_k", "top_k:", "top_k:x", "top_k:0.1x",
                           "int8:unbiased", "random_k:0.1:biased", "sign "}) {
    const auto text = tests::message_of<ConfigError>([name] { from_name(name); });
    CHECK_THAT(text, tests::contains("no codec is called \"" + std::string(name) + "\""));
    CHECK_THAT(text, tests::contains("int4:stochastic"));
    CHECK_THAT(text, tests::contains("top_k:FRACTION"));
  }
  CHECK(tests::message_of<ConfigError>([] { from_name("top_k:1.5"); }) ==
        "TopK: fraction must lie in (0, 1], got 1.5");
  CHECK(tests::message_of<ConfigError>([] { from_name("random_k:0"); }) ==
        "RandomK: fraction must lie in (0, 1], got 0");
  CHECK(tests::message_of<ConfigError>([] { from_name("sparse_sign:-1"); }) ==
        "SparseSign: fraction must lie in (0, 1], got -1");
}

}  // namespace
