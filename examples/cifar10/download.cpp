// SPDX-License-Identifier: MIT
/// From a url to an unpacked folder, a step at a time, skipping the steps that are done.
#include <cifar10/download.hpp>
#include <cifar10/transfer.hpp>
#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>
#include <fcntl.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace cifar10 {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

/// Holds an exclusive lock on a file; other processes, and other threads of this one, wait.
class FileLock {
 public:
  explicit FileLock(const fs::path& file)
      : descriptor_(::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    int result = descriptor_ < 0 ? -1 : 0;
    while (result == 0 && (result = ::flock(descriptor_, LOCK_EX)) < 0 && errno == EINTR) {
      result = 0;
    }
    if (result < 0) {
      const int error = errno;
      if (descriptor_ >= 0) ::close(descriptor_);
      throw ConfigError(
          c10::str("download: cannot lock ", file.string(), ": ", std::strerror(error)));
    }
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

/// True when the six files are there; their contents are `load`'s business.
bool complete(const fs::path& folder) {
  std::error_code ignored;
  for (int batch = 1; batch <= 5; ++batch) {
    if (!fs::is_regular_file(folder / c10::str("data_batch_", batch, ".bin"), ignored)) {
      return false;
    }
  }
  return fs::is_regular_file(folder / "test_batch.bin", ignored);
}

/// Deletes `file` and throws unless it has the right digest.
void verify(const Archive& archive, const fs::path& file) {
  const auto got = sha256(file);
  if (got == archive.sha256) return;
  std::error_code ignored;
  fs::remove(file, ignored);
  throw ConfigError(c10::str("download: ", archive.url, " must have the SHA-256 digest ",
                             archive.sha256, ", got ", got, "; the file was deleted"));
}

}  // namespace

Archive official_archive() {
  return {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
          "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170'052'171};
}

fs::path cache_directory() {
  for (const auto& [variable, below] : {std::pair{"XDG_CACHE_HOME", ""}, {"HOME", ".cache"}}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && fs::path(value).is_absolute()) {
      return (*below == '\0' ? fs::path(value) : fs::path(value) / below) / "gossamer";
    }
  }
  throw ConfigError(
      "cache_directory: XDG_CACHE_HOME or HOME must be an absolute path, got neither");
}

std::string sha256(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  bool good =
      in && context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::array<char, 65'536> buffer;
  while (good && !in.eof()) {
    in.read(buffer.data(), buffer.size());
    good = !in.bad() && EVP_DigestUpdate(context.get(), buffer.data(),
                                         static_cast<std::size_t>(in.gcount())) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  good = good && EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1;
  if (!good) throw ConfigError(c10::str("sha256: cannot read ", file.string()));
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4U];
    text += "0123456789abcdef"[digest[i] & 15U];
  }
  return text;
}

fs::path download(const Archive& archive, const fs::path& cache, std::ostream& log,
                  std::chrono::milliseconds pause) {
  const auto folder = cache / "cifar-10-batches-bin";
  if (complete(folder)) return folder;
  const auto name = archive.url.substr(archive.url.find_last_of('/') + 1);
  if (archive.bytes == 0 || name.empty() || name.find_first_of("?#") != std::string::npos) {
    throw ConfigError(
        c10::str("download: the archive must have a size and a url that ends in a "
                 "file's name, got ",
                 archive.bytes, " bytes and '", archive.url, "'"));
  }
  std::error_code error;
  fs::create_directories(cache, error);
  if (error) {
    throw ConfigError(
        c10::str("download: cannot make the folder ", cache.string(), ": ", error.message()));
  }
  const FileLock lock(cache / (name + ".lock"));
  if (complete(folder)) return folder;  // another process was faster
  const auto file = cache / name;
  if (fs::exists(file, error) && sha256(file) != archive.sha256) {
    log << file.string() << " is damaged; fetching it again\n";
    fs::remove(file, error);
  }
  if (!fs::exists(file, error)) {
    const auto part = cache / (name + ".part");
    log << "fetching " << archive.url << '\n';
    fetch(archive, part, log, pause);
    verify(archive, part);
    fs::rename(part, file, error);
    if (error) {
      throw ConfigError(c10::str("download: cannot rename ", part.string(), ": ", error.message()));
    }
  }
  log << "unpacking " << file.string() << '\n';
  return unpack(file, cache);
}

}  // namespace cifar10
