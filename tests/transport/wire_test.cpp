// SPDX-License-Identifier: MIT
/// Frames as bytes: what is written is read, and nothing else is believed.
#include <gossamer/generator.hpp>
#include <gossamer/transport/wire/numbers.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <tests/support.hpp>
#include <tests/transport/wire_samples.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::wire;
using Bytes = std::vector<std::byte>;
using gossamer::transport::wire::Model;

std::span<const std::byte, FrameHeader::size> head(const Bytes& bytes) {
  return std::span(bytes).first<FrameHeader::size>();
}
std::span<const std::byte> fields(const Bytes& bytes) {
  return std::span(bytes).subspan(FrameHeader::size);
}

WireError error_of(const Bytes& bytes) {
  const auto parsed = parse_header(head(bytes), run, model_bytes);
  REQUIRE(std::holds_alternative<WireError>(parsed));
  return std::get<WireError>(parsed);
}

template <class Number>
void put(Bytes& bytes, std::size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
}

template <class Body>
Body read_back(const Body& body) {
  const Bytes bytes = frame_of(body);
  const auto header = parse_header(head(bytes), run, model_bytes);
  REQUIRE(std::holds_alternative<FrameHeader>(header));
  CHECK(std::get<FrameHeader>(header).kind == Body::kind);
  CHECK(std::get<FrameHeader>(header).bytes() == bytes.size());
  CHECK_FALSE(check_fields(bytes, std::get<FrameHeader>(header)));
  const auto parsed = parse_fields<Body>(fields(bytes));
  REQUIRE(std::holds_alternative<Body>(parsed));
  CHECK((frame_of(std::get<Body>(parsed)) == bytes));
  return std::get<Body>(parsed);
}

TEST_CASE("A frame is read as it was written", "[transport][wire][parse]") {
  const Hello hello = read_back(sample_hello());
  CHECK(hello.node == 3);
  CHECK(hello.incarnation == 1'700'000'000'000'000'000);
  CHECK(hello.world_size == 8);
  CHECK(hello.probe);
  CHECK(hello.model == 42);
  CHECK(hello.earlier_incarnation == 41);
  CHECK(hello.address == "[::1]:4000");
  CHECK(hello.asks_members);
  CHECK(hello.agreement == "rule\tpersyn(tau 10)\n");

  CHECK(read_back(Model{7, "a\nb"}).text == "a\nb");

  const Members members = read_back(sample_members());
  REQUIRE(members.entries.size() == 3);
  CHECK(members.entries[0].checked);
  CHECK(members.entries[1].node == 70'000);
  CHECK(members.entries[1].presence == Presence::left);
  CHECK(members.entries[1].address == "node-b.example:4001");
  CHECK(members.entries[2].incarnation == 12);
  CHECK(members.entries[2].report.status.bytes_sent == 4096);

  CHECK(read_back(Refusal{Refusal::Code::address, "no"}).code == Refusal::Code::address);

  const Ping ping = read_back(sample_ping());
  CHECK(ping.number == 9);
  CHECK(ping.answer);
  CHECK(ping.calm);
  CHECK(ping.activity_epoch == 4);
  CHECK(ping.settled);
  CHECK(ping.expected == 6);
  CHECK(ping.known == 7);
  CHECK(ping.connected == 8);
  CHECK(ping.report.version == 17);
  CHECK(ping.report.status.loss_sum == 1.5);
  CHECK(ping.report.status.age_sum == 9);
  CHECK(ping.report.status.age_max == 4);

  const DeliveryBody body = read_back(sample_delivery());
  CHECK((body.frame.from == SessionSide{11, 2}));
  CHECK((body.frame.to == SessionSide{12, 3}));
  CHECK((body.frame.reported == SessionSide{13, 1}));
  CHECK(body.frame.reported_delivered == 5);
  CHECK((body.frame.open && body.frame.asks && body.frame.leaving_seen));
  CHECK_FALSE(body.frame.leaving);
  CHECK(body.frame.accepted == 6);
  CHECK(body.frame.granted == 7);
  CHECK(body.frame.delivered == 4);
  CHECK(body.frame.seen == 9);
  CHECK(body.frame.wanted == 8);
  CHECK(body.frame.withdrawn == 3);
  CHECK(body.frame.sequence == 8);
  CHECK(body.finished);
  CHECK_FALSE(body.finished_seen);
  CHECK(body.reason == Reason::lost);
  CHECK(body.payload);
  REQUIRE(body.frame.offer);
  CHECK(body.frame.offer->kind == 6);
  CHECK(body.frame.offer->round == 99);
  CHECK(body.frame.offer->step == 77);
  CHECK(body.frame.offer->weight == 0.125);
  CHECK((body.frame.offer->chunk == gossamer::model::Chunk{2, 3}));
  CHECK_FALSE(read_back(DeliveryBody{}).frame.offer);

  DeliveryBody announced = sample_delivery();
  announced.payload = false;
  announced.frame.later = 1'000'000;
  announced.in_pieces = 500'000;
  announced = read_back(announced);
  CHECK(announced.frame.later == 1'000'000);
  CHECK(announced.in_pieces == 500'000);
}

TEST_CASE("A frame has the bytes that the format says, on every machine",
          "[transport][wire][parse]") {
  const Bytes bytes = frame_of(Model{0x0102030405060708, "hi"});
  const std::vector<int> expected{'G',  'S',  'M',  'R',  5,    0,  2, 0, 0x88, 0x77, 0x66,
                                  0x55, 0x44, 0x33, 0x22, 0x11, 14, 0, 0, 0,    0,    0,
                                  0,    0,    0,    0,    0,    0,  0, 0, 0,    0};
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(std::to_integer<int>(bytes[i]) == expected[i]);
  const std::vector<int> after{8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 'h', 'i'};
  REQUIRE(bytes.size() == FrameHeader::size + after.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(std::to_integer<int>(bytes[FrameHeader::size + i]) == after[i]);
  }
}

TEST_CASE("A header that breaks a rule is refused, with the value", "[transport][wire][parse]") {
  const Bytes good = frame_of(sample_ping());
  Bytes bad = good;
  put(bad, 0, 'X');
  CHECK(error_of(bad).rule == WireRule::magic);

  bad = good;
  put(bad, 4, std::uint16_t{9});
  CHECK(error_of(bad).rule == WireRule::version);
  CHECK_THAT(error_of(bad).text(), tests::contains("version 9") && tests::contains("version 5"));

  for (const int kind : {0, 8, 255}) {
    bad = good;
    put(bad, 6, static_cast<std::uint8_t>(kind));
    CHECK(error_of(bad).rule == WireRule::kind);
  }

  bad = good;
  put(bad, 8, run + 1);
  CHECK(error_of(bad).rule == WireRule::run);
  bad = frame_of(Refusal{});
  put(bad, 8, run + 1);  // one may say that it is of another run
  CHECK(std::holds_alternative<FrameHeader>(parse_header(head(bad), run, model_bytes)));

  for (const std::size_t at : {7U, 20U, 23U}) {
    bad = good;
    put(bad, at, std::uint8_t{1});
    CHECK(error_of(bad).rule == WireRule::values);
  }
}

TEST_CASE("A length beyond its limit is refused before anything is read for it",
          "[transport][wire][parse]") {
  Bytes bad = frame_of(sample_hello());
  put(bad, 16, std::uint32_t{4097});
  CHECK(error_of(bad).rule == WireRule::fields);
  CHECK(error_of(bad).value == 4097);
  CHECK(error_of(bad).limit == 4096);

  bad = frame_of(sample_members());
  put(bad, 16, std::uint32_t{0xffffffffU});
  CHECK(error_of(bad).rule == WireRule::fields);

  for (const std::uint64_t length : {model_bytes + 1, ~std::uint64_t{0}}) {
    CHECK(error_of(frame_of(sample_delivery(), length)).rule == WireRule::payload);
  }
  CHECK(error_of(frame_of(sample_hello(), model_bytes)).rule == WireRule::payload);
  const std::uint64_t beyond = gossamer::transport::wire::piece_bytes + 1;
  const Bytes piece = frame_of(gossamer::transport::wire::Piece{}, beyond);
  const auto refused = parse_header(head(piece), run, 1U << 30U);
  REQUIRE(std::holds_alternative<WireError>(refused));
  CHECK(std::get<WireError>(refused).rule == WireRule::payload);
}

TEST_CASE("A part that is none of its parts is refused", "[transport][wire][parse]") {
  for (const gossamer::model::Chunk part : {gossamer::model::Chunk{3, 3}, {0, 0}}) {
    DeliveryBody body = sample_delivery();
    body.frame.offer->chunk = part;
    const Bytes bytes = frame_of(body);
    const auto header = std::get<FrameHeader>(parse_header(head(bytes), run, model_bytes));
    const auto frame = parse_frame(bytes, header);
    REQUIRE(std::holds_alternative<WireError>(frame));
    CHECK(std::get<WireError>(frame).rule == WireRule::values);
  }
}

TEST_CASE("A list or a text that claims more than there is is refused",
          "[transport][wire][parse]") {
  Bytes claims = frame_of(Members{});
  put(claims, FrameHeader::size, std::uint32_t{1});
  CHECK(std::holds_alternative<WireError>(parse_fields<Members>(fields(claims))));
  claims = frame_of(Model{});
  put(claims, FrameHeader::size + 8, std::uint32_t{1});
  CHECK(std::holds_alternative<WireError>(parse_fields<Model>(fields(claims))));
  claims.resize(claims.size() + 2);  // and one byte more than it says
  CHECK(std::holds_alternative<WireError>(parse_fields<Model>(fields(claims))));
}

TEST_CASE("Truncated fields are refused at every length", "[transport][wire][parse]") {
  for (const Bytes& bytes : all_samples()) {
    const auto header = std::get<FrameHeader>(parse_header(head(bytes), run, model_bytes));
    for (std::size_t n = 0; n < header.fields; ++n) {
      bool accepted = false;
      visit_fields(header.kind, fields(bytes).first(n), [&](const auto&) { accepted = true; });
      INFO("kind " << static_cast<int>(header.kind) << ", " << n << " bytes");
      CHECK_FALSE(accepted);
    }
  }
}

TEST_CASE("Any bit that is turned around is found", "[transport][wire][parse]") {
  for (const Bytes& good : all_samples()) {
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= std::byte{1} << (bit % 8);
      const auto header = parse_header(head(bad), run, model_bytes);
      if (std::holds_alternative<WireError>(header)) continue;
      if (std::get<FrameHeader>(header).fields != good.size() - FrameHeader::size) continue;
      if (!check_fields(bad, std::get<FrameHeader>(header)))
        FAIL("bit " << bit << " is not missed");
    }
  }
}

TEST_CASE("Random fields are refused or read to the same bytes", "[transport][wire][parse]") {
  gossamer::Generator random(tests::seed, 5);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = all_samples()[random.below(7)];
    const auto kind = std::get<FrameHeader>(parse_header(head(bytes), run, model_bytes)).kind;
    for (std::uint32_t n = random.below(6); n > 0; --n) {
      const auto room = static_cast<std::uint32_t>(bytes.size() - FrameHeader::size);
      bytes[FrameHeader::size + random.below(room)] = std::byte(random.below(256));
    }
    visit_fields(kind, fields(bytes), [&](const auto& body) {
      const Bytes again = frame_of(body);
      CHECK(std::ranges::equal(fields(again), fields(bytes)));
    });
  }
}

TEST_CASE("A text that is too long is cut off, not sent", "[transport][wire][parse]") {
  const Refusal refusal = read_back(Refusal{Refusal::Code::model, std::string(2000, 'x')});
  CHECK(refusal.text.size() == 2000);
  const Bytes bytes = frame_of(Refusal{Refusal::Code::model, std::string(5000, 'x')});
  CHECK(std::get<Refusal>(parse_fields<Refusal>(fields(bytes))).text.size() == 2000);
}

TEST_CASE("One number that is not finite is found wherever it is", "[transport][wire][parse]") {
  using gossamer::model::Flat;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kHalf, torch::kBFloat16,
                           torch::kComplexFloat, torch::kComplexDouble}) {
    for (const std::int64_t n : {1, 7, 4096, 9000}) {
      INFO(dtype << ", " << n << " numbers");
      const at::Tensor numbers = torch::ones({n}, torch::kDouble).to(dtype);
      const Flat flat({torch::ones({3}), numbers});
      numbers[n / 2] = torch::tensor(-6e4, torch::kDouble).to(dtype);  // large, but finite
      CHECK(all_finite(flat));
      for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
        for (const double bad : {infinity, -infinity, nan, -nan}) {
          const at::Tensor before = numbers[at].clone();
          numbers[at] = torch::tensor(bad, torch::kDouble).to(dtype);
          CHECK_FALSE(all_finite(flat));
          numbers[at] = before;
        }
      }
      CHECK(all_finite(flat));
    }
  }
  CHECK(all_finite(torch::full({3}, -1, torch::kLong)));
  CHECK(all_finite(Flat()));
}

}  // namespace
