// SPDX-License-Identifier: MIT
/// The transfer with libcurl: resumed when it breaks, cut off when it is too long.
#include <cifar10/transfer.hpp>
#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace cifar10 {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;
using Clock = std::chrono::steady_clock;

constexpr int attempts_allowed = 5;

/// Bytes in a file; 0 when there is none.
std::uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : size;
}

/// One request that appends to a file, and what became of it.
class Transfer {
 public:
  Transfer(const Archive& archive, fs::path part, std::ostream& log)
      : archive_(archive), part_(std::move(part)), log_(log) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl_.reset(curl_easy_init());
    if (curl_ == nullptr) throw ConfigError("download: libcurl cannot start");
    set(CURLOPT_URL, archive_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, archive_.url.starts_with("https:") ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 5L);
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, 20L);  // seconds
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes per second ...
    set(CURLOPT_LOW_SPEED_TIME, 30L);  // ... for this many seconds
    set(CURLOPT_USERAGENT, "gossamer");
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_data);
    set(CURLOPT_WRITEDATA, this);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() {
    curl_.reset();
    curl_global_cleanup();
  }

  /// Asks for what the file still lacks. True when the file is complete; false when it broke off
  /// and another attempt may help.
  bool run() {
    done_ = begin_ = size_of(part_);
    file_.reset(std::fopen(part_.c_str(), "ab"));
    if (file_ == nullptr) fail_to_write(errno);
    const auto range = c10::str(begin_, "-");
    set(CURLOPT_RANGE, begin_ > 0 ? range.c_str() : nullptr);
    error_[0] = '\0';
    first_ = true;
    problem_.clear();
    start_ = Clock::now();
    const auto code = curl_easy_perform(curl_.get());
    if (std::fclose(file_.release()) != 0 && write_error_ == 0) write_error_ = errno;
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    if (!problem_.empty()) {
      std::error_code ignored;
      fs::remove(part_, ignored);
      throw ConfigError(problem_);
    }
    if (write_error_ != 0) fail_to_write(write_error_);
    return judge(code);
  }

  /// Why the last attempt broke off.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  struct Free {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  template <class T>
  void set(CURLoption option, T value) {
    const auto code = curl_easy_setopt(curl_.get(), option, value);
    if (code != CURLE_OK) {
      throw ConfigError(c10::str("download: libcurl refuses option ", static_cast<int>(option),
                                 ": ", curl_easy_strerror(code)));
    }
  }

  [[noreturn]] void fail_to_write(int error) const {
    throw ConfigError(
        c10::str("download: cannot write ", part_.string(), ": ", std::strerror(error)));
  }

  [[nodiscard]] long status() const {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  bool judge(CURLcode code) {
    const auto http = status();
    reason_ = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
    if (code == CURLE_OK) {
      if (done_ == archive_.bytes) return true;
      reason_ = "the server ended the transfer";
      return false;
    }
    if (code == CURLE_HTTP_RETURNED_ERROR && http == 416 && begin_ > 0) {  // not satisfiable
      std::error_code ignored;
      fs::remove(part_, ignored);
      return false;
    }
    const bool broken =
        code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
        code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_HTTP2 ||
        code == CURLE_HTTP2_STREAM || (code == CURLE_HTTP_RETURNED_ERROR && http >= 500);
    // A server that once answered may be back in a moment.
    const bool lost =
        received_ && (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                      code == CURLE_SSL_CONNECT_ERROR);
    if (broken || lost) return false;
    throw ConfigError(c10::str("download: cannot fetch ", archive_.url, ": ", reason_));
  }

  /// libcurl's call-back; anything but the number of bytes ends the transfer. No exception may
  /// cross the C code.
  static std::size_t on_data(const char* data, std::size_t one, std::size_t n, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return transfer.append({data, one * n}) ? one * n : 0;
    } catch (...) {
      transfer.thrown_ = std::current_exception();
      return 0;
    }
  }

  bool append(std::string_view data) {
    received_ = true;
    if (std::exchange(first_, false) && begin_ > 0 && status() != 206) {
      log_ << "the server cannot resume; starting over\n";
      if (::ftruncate(::fileno(file_.get()), 0) != 0) {
        write_error_ = errno;
        return false;
      }
      done_ = begin_ = 0;
    }
    if (data.size() > archive_.bytes - done_) {
      problem_ = c10::str("download: ", archive_.url, " must have ", archive_.bytes,
                          " bytes, the server sends more");
      return false;
    }
    if (std::fwrite(data.data(), 1, data.size(), file_.get()) != data.size()) {
      write_error_ = errno;
      return false;
    }
    const auto before = done_ * 10 / archive_.bytes;
    done_ += data.size();
    if (done_ * 10 / archive_.bytes != before) show_progress();
    return true;
  }

  void show_progress() {
    const std::chrono::duration<double> seconds = Clock::now() - start_;
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%.1f of %.1f MB (%d %%), %.1f MB/s\n",
                  static_cast<double>(done_) * 1e-6, static_cast<double>(archive_.bytes) * 1e-6,
                  static_cast<int>(done_ * 100 / archive_.bytes),
                  static_cast<double>(done_ - begin_) * 1e-6 / std::max(seconds.count(), 1e-3));
    log_ << line.data() << std::flush;
  }

  const Archive& archive_;
  fs::path part_;
  std::ostream& log_;
  std::unique_ptr<CURL, Free> curl_;
  std::unique_ptr<std::FILE, Free> file_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string problem_;  // why no attempt can help
  std::string reason_;
  std::exception_ptr thrown_;  // by the call-back
  int write_error_ = 0;
  std::uint64_t begin_ = 0;  // bytes in the file before this attempt
  std::uint64_t done_ = 0;   // and now
  bool first_ = true;
  bool received_ = false;  // any data in any attempt
  Clock::time_point start_;
};

}  // namespace

void fetch(const Archive& archive, const fs::path& part, std::ostream& log,
           std::chrono::milliseconds pause) {
  auto done = size_of(part);
  if (done == archive.bytes) return;
  if (done > archive.bytes) {
    std::error_code ignored;
    fs::remove(part, ignored);
    done = 0;
  }
  Transfer transfer(archive, part, log);
  if (done > 0) log << "resuming after " << done << " bytes\n";
  for (int attempt = 1; !transfer.run(); ++attempt) {
    done = size_of(part);
    if (attempt == attempts_allowed) {
      throw ConfigError(c10::str("download: ", archive.url, " broke off ", attempts_allowed,
                                 " times, at last after ", done, " of ", archive.bytes,
                                 " bytes: ", transfer.reason()));
    }
    log << "broke off after " << done << " bytes (" << transfer.reason() << "); resuming\n";
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

}  // namespace cifar10
