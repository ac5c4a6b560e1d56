// SPDX-License-Identifier: MIT
/// What gzip has packed comes out whole, or is refused: cut at any byte, damaged, or followed.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/gzip.hpp>

#include <tests/gzipped.hpp>
#include <tests/support.hpp>

#include <string>

namespace {

using gossamer::ConfigError;
using gossamer::gunzip;
using tests::gzipped;

std::string refused(const std::string& bytes, std::size_t most = 1000) {
  return tests::message_of<ConfigError>([&] { (void)gunzip(bytes, "FILE", most); });
}

TEST_CASE("What gzip has packed comes out whole, however long and in however many members",
          "[gzip][parse]") {
  gossamer::Generator random(tests::seed, 40);
  std::string text;
  for (const std::size_t size : {0U, 1U, 65'536U, 300'000U}) {
    while (text.size() < size) text += static_cast<char>(random.below(256));
    CHECK(gunzip(gzipped(text), "FILE") == text);
    CHECK(gunzip(gzipped(text) + gzipped("") + gzipped("more"), "FILE") == text + "more");
  }
  CHECK(gossamer::is_gzip(gzipped("")));
  CHECK_FALSE(gossamer::is_gzip("0 1\n"));
}

TEST_CASE("A gzip file that is cut, damaged, followed by others or too long is refused",
          "[gzip][parse]") {
  const std::string packed = gzipped("0 1\n1 2\n2 0\n");
  for (std::size_t size = 2; size < packed.size(); ++size) {
    CAPTURE(size);
    CHECK(refused(packed.substr(0, size)) == "FILE: gzip: ends in the middle");
  }
  std::string wrong_sum = packed;
  wrong_sum[packed.size() - 6] ^= 1;
  CHECK(refused(wrong_sum) == "FILE: gzip: is damaged: incorrect data check");
  CHECK(refused(packed + "0 3\n") == "FILE: gzip: 4 bytes follow its end");
  CHECK(refused("0 1\n") == "FILE: gzip: must begin with the bytes 1f 8b");
  CHECK(gunzip(gzipped(std::string(1000, 'x')), "FILE", 1000).size() == 1000);
  CHECK(refused(gzipped(std::string(1001, 'x'))) ==
        "FILE: gzip: must hold at most 1000 bytes, has more");
}

}  // namespace
