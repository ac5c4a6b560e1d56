// SPDX-License-Identifier: MIT
/// Codes of whole models, and the pool that they come from.
#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/registry.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/tensors.hpp>

#include <tests/codec/codec_samples.hpp>
#include <tests/support.hpp>

#include <limits>
#include <optional>
#include <thread>

namespace {

using gossamer::Generator;
using gossamer::codec::BufferCode;
using gossamer::codec::bytes_of;
using gossamer::codec::Coded;
using gossamer::codec::CodedPool;
using gossamer::codec::CodeRule;
using gossamer::codec::from_name;
using gossamer::model::Flat;
using gossamer::model::FlatModel;
using gossamer::model::Layout;
using gossamer::model::NamedTensor;
using gossamer::model::Tensors;

at::Tensor random(at::IntArrayRef sizes, std::uint64_t stream, at::ScalarType dtype = at::kFloat) {
  at::Tensor tensor = at::empty(sizes, at::kFloat);
  const auto numbers = tests::codec::gaussian(static_cast<std::size_t>(tensor.numel()), stream);
  std::copy(numbers.begin(), numbers.end(), tensor.data_ptr<float>());
  return tensor.to(dtype);
}

/// Parameters of four dtypes, one complex, one transposed, and two buffers.
struct Model {
  Model() {
    tensors.parameters = {{"weight", random({30, 20}, 4701)},
                          {"bias", random({7}, 4702)},
                          {"double", random({300}, 4703, at::kDouble)},
                          {"half", random({41}, 4704, at::kHalf)},
                          {"bfloat16", random({33}, 4705, at::kBFloat16)},
                          {"transposed", random({9, 5}, 4706).t()},
                          {"complex", at::complex(random({10}, 4707), random({10}, 4708))}};
    tensors.buffers = {{"running_mean", random({6}, 4709)},
                       {"running_var", random({6}, 4710, at::kDouble).abs()}};
  }
  Tensors tensors;
};

Flat clone(const Flat& flat) {
  Flat copy = flat.zeros_like();
  copy.copy_from(flat);
  return copy;
}
bool equal(const Flat& a, const Flat& b) {
  for (std::size_t s = 0; s < a.segments().size(); ++s) {
    const at::Tensor& one = a.segments()[s];
    if (std::memcmp(one.data_ptr(), b.segments()[s].data_ptr(), one.nbytes()) != 0) return false;
  }
  return true;
}

TEST_CASE("A model's code is decoded to the bits that its sender has, for every codec",
          "[codec][coded][parse]") {
  Model model;
  const FlatModel flat_model(model.tensors);
  const Flat& flat = flat_model.flat();
  const Layout& layout = flat_model.layout();
  CodedPool pool;
  for (const auto& entry : gossamer::codec::all()) {
    Generator generator(tests::seed, 4711);
    const Flat before = clone(flat);
    const Flat decoded = flat.zeros_like();
    const Coded coded = encode(flat, layout, *entry.codec, generator, pool, decoded);
    REQUIRE(coded);
    CHECK(coded.size() == bytes_of(layout, *entry.codec));
    CHECK(equal(flat, before));
    const Flat received = flat.zeros_like();
    const auto error = decode(coded.bytes(), layout, *entry.codec, received);
    INFO(entry.codec->name() << ": " << (error ? error->text() : "accepted"));
    REQUIRE_FALSE(error);
    CHECK(equal(decoded, received));
    for (const auto& slot : layout.slots) {
      if (slot.is_buffer) CHECK(at::equal(slot.view(received), slot.view(flat)));
    }
    Generator same(tests::seed, 4711);
    const Flat in_place = clone(flat);
    REQUIRE(encode(in_place, layout, *entry.codec, same, pool, in_place));
    CHECK(equal(in_place, decoded));
    same = Generator(tests::seed, 4711);
    const Coded blind = encode(flat, layout, *entry.codec, same, pool, Flat());
    const bool same_code = std::equal(blind.bytes().begin(), blind.bytes().end(),
                                      coded.bytes().begin(), coded.bytes().end());
    CHECK(same_code);
  }
  CHECK(pool.out() == 0);
  CHECK(pool.made() == 2);
}

TEST_CASE("The exact code of a model is the model", "[codec][coded]") {
  Model model;
  const FlatModel flat_model(model.tensors);
  CodedPool pool;
  Generator generator(tests::seed);
  const Flat decoded = flat_model.flat().zeros_like();
  REQUIRE(encode(flat_model.flat(), flat_model.layout(), gossamer::codec::Exact(), generator, pool,
                 decoded));
  CHECK(equal(decoded, flat_model.flat()));
}

TEST_CASE("No block crosses a slot: each is coded as if it were alone", "[codec][coded]") {
  const at::Tensor first = random({300}, 4712);
  const at::Tensor second = random({70}, 4713);
  const FlatModel both({.parameters = {{"first", first.clone()}, {"second", second.clone()}}});
  CodedPool pool;
  Generator generator(tests::seed);
  const gossamer::codec::Sign sign;
  const Coded coded = encode(both.flat(), both.layout(), sign, generator, pool, Flat());
  REQUIRE(coded.size() == sign.bytes(300) + sign.bytes(70));
  std::size_t at = 0;
  for (const at::Tensor& alone : {first, second}) {
    const FlatModel one({.parameters = {{"alone", alone.clone()}}});
    const Coded part = encode(one.flat(), one.layout(), sign, generator, pool, Flat());
    const auto there = coded.bytes().subspan(at, part.size());
    const bool same = std::equal(there.begin(), there.end(), part.bytes().begin());
    CHECK(same);
    at += part.size();
  }
}

TEST_CASE("Buffers that are left out are neither read nor written", "[codec][coded]") {
  Model model;
  const FlatModel flat_model(model.tensors);
  const Layout& layout = flat_model.layout();
  const gossamer::codec::Int8 codec;
  CHECK(bytes_of(layout, codec) - bytes_of(layout, codec, BufferCode::left_out) ==
        6 * sizeof(float) + 6 * sizeof(double));
  CodedPool pool;
  Generator generator(tests::seed);
  for (const auto& slot : layout.slots) {
    if (slot.is_buffer) slot.view(flat_model.flat()).fill_(std::numeric_limits<double>::infinity());
  }
  CHECK_FALSE(encode(flat_model.flat(), layout, codec, generator, pool, Flat()));
  const Flat decoded = flat_model.flat().zeros_like();
  const Coded coded =
      encode(flat_model.flat(), layout, codec, generator, pool, decoded, BufferCode::left_out);
  REQUIRE(coded);
  const Flat received = flat_model.flat().zeros_like();
  REQUIRE_FALSE(decode(coded.bytes(), layout, codec, received, BufferCode::left_out));
  CHECK(equal(decoded, received));
  for (const auto& slot : layout.slots) {
    if (slot.is_buffer) CHECK(slot.view(received).count_nonzero().item<std::int64_t>() == 0);
  }
}

TEST_CASE("A model's code that is damaged is refused", "[codec][coded][parse]") {
  Model model;
  const FlatModel flat_model(model.tensors);
  const Layout& layout = flat_model.layout();
  const gossamer::codec::Sign codec;
  CodedPool pool;
  Generator generator(tests::seed);
  const Coded coded = encode(flat_model.flat(), layout, codec, generator, pool, Flat());
  const Flat out = flat_model.flat().zeros_like();
  std::vector<std::byte> bytes(coded.bytes().begin(), coded.bytes().end());
  REQUIRE_FALSE(decode(bytes, layout, codec, out));
  const auto refusal = [&] { return decode(bytes, layout, codec, out); };
  bytes[1] = std::byte{0xff};  // the first scale
  REQUIRE(refusal());
  CHECK(refusal()->rule == CodeRule::scale);
  bytes.assign(coded.bytes().begin(), coded.bytes().end());
  bytes.back() = std::byte{0x7f};  // the last buffer: a variance that is infinite
  bytes[bytes.size() - 2] = std::byte{0xf0};
  REQUIRE(refusal());
  CHECK(refusal()->rule == CodeRule::number);
  bytes.pop_back();
  CHECK(refusal()->rule == CodeRule::length);
  bytes.clear();
  CHECK(refusal()->rule == CodeRule::length);
}

TEST_CASE("A parameter that is not finite has no code, and costs the pool nothing",
          "[codec][coded]") {
  const FlatModel model({.parameters = {{"w", random({300}, 4714)}}});
  model.flat().segments()[0][299] = std::numeric_limits<float>::quiet_NaN();
  CodedPool pool;
  Generator generator(tests::seed);
  CHECK_FALSE(
      encode(model.flat(), model.layout(), gossamer::codec::Sign(), generator, pool, model.flat()));
  CHECK(pool.out() == 0);
}

TEST_CASE("In steady state a pool of codes makes no more of them", "[codec][coded]") {
  CodedPool pool;
  for (int i = 0; i < 10; ++i) {
    Coded one = pool.take(100 + static_cast<std::size_t>(i));
    const Coded other = one;
    CHECK(one.size() == other.size());
    CHECK(one.bytes().data() == other.bytes().data());
    one = pool.take(7);
    CHECK(pool.out() == 2);
  }
  CHECK(pool.out() == 0);
  CHECK(pool.made() == 2);
  CHECK_FALSE(Coded());
  CHECK(Coded().bytes().empty());
}

TEST_CASE("Codes may be dropped by other threads, and after their pool",
          "[codec][coded][threads]") {
  auto pool = std::make_optional<CodedPool>();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    Coded coded = pool->take(1000);
    std::fill(coded.writable().begin(), coded.writable().end(), static_cast<std::byte>(i));
    threads.emplace_back([coded = std::move(coded), i] {
      const Coded mine = coded;
      for (const std::byte b : mine.bytes()) {
        if (b != static_cast<std::byte>(i)) std::abort();
      }
    });
  }
  pool.reset();
  for (auto& thread : threads) thread.join();
}

}  // namespace
