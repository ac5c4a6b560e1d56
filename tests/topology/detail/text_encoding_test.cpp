// SPDX-License-Identifier: MIT
/// Text in each encoding that is read is the same text; what is not what it claims is refused.
#include <gossamer/error.hpp>
#include <gossamer/topology/detail/text_encoding.hpp>

#include <tests/support.hpp>

#include <string>

namespace {

using namespace std::string_literals;
using gossamer::ConfigError;
using gossamer::topology::detail::as_utf8;
using gossamer::topology::detail::first_not_utf8;

std::string refused(const std::string& bytes) {
  return tests::message_of<ConfigError>([&] { (void)as_utf8(bytes, "FILE"); });
}

TEST_CASE("The same text comes out of UTF-8, UTF-16 and Latin-1", "[topology][parse]") {
  CHECK(as_utf8("\xef\xbb\xbfZ\xc3\xbcrich", "FILE") == "Z\xc3\xbcrich");
  CHECK(as_utf8("\xff\xfeZ\0\xfc\0"s, "FILE") == "Z\xc3\xbc");
  CHECK(as_utf8("\xfe\xff\0Z\0\xfc\x20\xac\xd8\x3d\xde\x00"s, "FILE") ==
        "Z\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
  CHECK(as_utf8("<\0a\0"s, "FILE") == "<a");
  CHECK(as_utf8("\0<\0a"s, "FILE") == "<a");
  const auto declared = [](const std::string& name, const std::string& rest) {
    const std::string head = "<?xml version=\"1.0\" encoding=\"" + name + "\"?>";
    return as_utf8(head + rest, "FILE").substr(head.size());
  };
  CHECK(declared("ISO-8859-1", "\xe9\x80") == "\xc3\xa9\xc2\x80");
  CHECK(declared("windows-1252", "\xe9\x80") == "\xc3\xa9\xe2\x82\xac");
  CHECK(declared("UTF-8", "\xc3\xa9") == "\xc3\xa9");
}

TEST_CASE("Text that is not what it claims to be is refused, and packed files by their packer",
          "[topology][parse]") {
  CHECK(refused("\xff\xfeZ"s) == "FILE: is not UTF-16: at byte 0 half a character ends it");
  CHECK(refused("\xfe\xff\xd8\x3d\0Z"s) == "FILE: is not UTF-16: at byte 0 stands half of a pair");
  CHECK(refused("\xfe\xff\xde\0"s) == "FILE: is not UTF-16: at byte 0 stands half of a pair");
  CHECK(refused("<?xml version='1.0' encoding='Shift_JIS'?>") ==
        "FILE: must be in UTF-8, UTF-16, ISO-8859-1 or windows-1252, and be what it says, got the "
        "encoding 'shift_jis'");
  CHECK(refused("0 1\0"s) == "FILE: is not text: byte 3 is 0");
  CHECK(refused("\x1f\x8b\x08") ==
        "FILE: must be unpacked, is compressed with gzip (topology/graph_file.hpp reads it)");
  CHECK(refused("BZh9") == "FILE: must be unpacked, is compressed with bzip2");
  CHECK(refused("\xfd\x37zXZ\0"s) == "FILE: must be unpacked, is compressed with xz");
  CHECK(refused("\x28\xb5\x2f\xfd") == "FILE: must be unpacked, is compressed with zstd");
  CHECK(refused("PK\x03\x04") == "FILE: must be unpacked, is compressed with zip");
}

TEST_CASE("The first byte that is not UTF-8 is found", "[topology][parse]") {
  for (const std::string good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                 "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    CHECK(first_not_utf8(good) == good.size());
  }
  // A stray tail, too long, a half pair, too high, cut short, none at all.
  for (const std::string bad : {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
                                "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xc3(", "\xff"}) {
    CHECK(first_not_utf8("ab" + bad) == 2);
  }
}

}  // namespace
