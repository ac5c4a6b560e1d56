// SPDX-License-Identifier: MIT
/// Frames to and from one peer on MPI, in their order.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/mpi/communicator.hpp>
#include <gossamer/transport/mpi/transfer.hpp>
#include <gossamer/transport/wire/body.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace gossamer::transport {

/// A frame is one message; its payload follows in messages of its own, from the sender's snapshot
/// or code, into one of the receiver, and other frames pass meanwhile. An empty message is the last
/// one. MPI neither loses nor damages nor overtakes, so payloads have no checksum here.
///
/// Threads  one at a time.
class MpiConnection {
 public:
  MpiConnection(std::shared_ptr<MpiCommunicator> communicator, PeerId self, PeerId peer)
      : communicator_(std::move(communicator)),
        peer_(peer),
        rank_(communicator_->rank_of(peer)),
        out_(communicator_->tag(self, peer)),
        in_(communicator_->tag(peer, self)) {}
  MpiConnection(MpiConnection&&) = default;
  MpiConnection(const MpiConnection&) = delete;
  MpiConnection& operator=(const MpiConnection&) = delete;
  MpiConnection& operator=(MpiConnection&&) = delete;
  ~MpiConnection() {
    for (auto* queue : {&leaving_, &coming_}) {
      for (MpiTransfer& transfer : *queue) communicator_->adopt(std::move(transfer));
    }
    if (content_) communicator_->adopt(std::move(content_->transfer));
  }

  // Out.

  /// Whether one more frame may go, and what it may bring: one payload at a time.
  [[nodiscard]] bool fits() const { return leaving_.size() < most_frames; }
  [[nodiscard]] Load load() const {
    const auto carries = [](const MpiTransfer& one) { return one.has_content(); };
    return std::any_of(leaving_.begin(), leaving_.end(), carries) ? Load::offers : Load::content;
  }
  [[nodiscard]] bool is_idle() const { return leaving_.empty(); }

  void send(wire::Body body) {
    MpiTransfer& transfer = leaving_.emplace_back();
    std::visit(
        [&transfer](auto& one) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(one)>, wire::DeliveryBody>) {
            if (one.payload) {
              transfer.payload = std::move(one.frame.offer->payload);
              transfer.chunk = one.frame.offer->chunk;
            } else if (one.code > 0) {
              transfer.code = std::move(one.frame.offer->code);
            }
          }
          wire::append_frame(transfer.fields, run, one, transfer.content_bytes());
        },
        body);
    begin(transfer, transfer.fields.size());
    traffic_.bytes_sent += transfer.bytes();
    transfer.begin_content([this](std::byte* bytes, int count, MPI_Request* request) {
      MPI_Isend(bytes, count, MPI_BYTE, rank_, out_ + 1, communicator_->get(), request);
    });
  }
  /// Says that this was all.
  void hang_up() { begin(leaving_.emplace_back(), 0); }

  /// Lets go of what has gone; true if there was some.
  bool clear_sent() {
    const std::size_t before = leaving_.size();
    std::erase_if(leaving_, [](MpiTransfer& one) { return one.done(); });
    return leaving_.size() < before;
  }

  // In.

  /// Begins to receive the frames that are there; true if there were any.
  bool probe() {
    bool any = false;
    while (coming_.size() < most_frames) {
      int there = 0;
      MPI_Message message = MPI_MESSAGE_NULL;
      MPI_Status status{};
      MPI_Improbe(rank_, in_, communicator_->get(), &there, &message, &status);
      if (there == 0) break;
      any = true;
      int count = 0;
      MPI_Get_count(&status, MPI_BYTE, &count);
      MpiTransfer& transfer = coming_.emplace_back();
      transfer.fields.resize(static_cast<std::size_t>(count));
      MPI_Imrecv(transfer.fields.data(), count, MPI_BYTE, &message,
                 &transfer.requests.emplace_back(MPI_REQUEST_NULL));
    }
    return any;
  }

  /// What came: a frame, or, without one, the peer's word that this was all.
  using Arrival = std::optional<wire::Body>;

  /// The next one that is whole. `most` is how long a payload may be; `blank()` gives a snapshot
  /// for it, and codes come into memory of `codes`. Throws std::runtime_error for what is no frame:
  /// the ranks run different programs.
  template <class Blank>
  std::optional<Arrival> next(std::uint64_t most, Blank blank, codec::CodedPool& codes) {
    if (content_ && content_->transfer.done()) return take_content();
    while (!coming_.empty() && coming_.front().done()) {
      MpiTransfer& transfer = coming_.front();
      if (transfer.fields.empty()) {
        if (content_) break;
        pop();
        return Arrival{};
      }
      if (!parsed_) parsed_ = parse(transfer, most);
      const auto* delivery = std::get_if<wire::DeliveryBody>(&*parsed_);
      if (delivery == nullptr || !(delivery->payload || delivery->code > 0)) {
        Arrival arrival = std::exchange(parsed_, std::nullopt);
        pop();
        return arrival;
      }
      if (content_) break;  // that of the one before is not quite here
      content_.emplace(Content{std::move(transfer), *delivery});
      parsed_.reset();
      coming_.pop_front();
      receive_content(blank, codes);
      if (content_->transfer.done()) return take_content();
    }
    return std::nullopt;
  }

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  static constexpr std::size_t most_frames = 16;
  /// All ranks of a communicator are of one run.
  static constexpr std::uint64_t run = 1;

  void begin(MpiTransfer& transfer, std::size_t size) {
    MPI_Isend(transfer.fields.data(), static_cast<int>(size), MPI_BYTE, rank_, out_,
              communicator_->get(), &transfer.requests.emplace_back(MPI_REQUEST_NULL));
    ++traffic_.frames_sent;
  }

  [[nodiscard]] wire::Body parse(const MpiTransfer& transfer, std::uint64_t most) const {
    const std::span<const std::byte> bytes(transfer.fields);
    const auto refuse = [this](const std::string& why) {
      return std::runtime_error("Mpi: what came from node " + std::to_string(peer_) + ": " + why +
                                "; all ranks must run the same program");
    };
    if (bytes.size() < wire::FrameHeader::size) throw refuse("it is no frame");
    const auto header = wire::parse_header(bytes.first<wire::FrameHeader::size>(), run, most);
    if (const auto* error = std::get_if<wire::WireError>(&header)) throw refuse(error->text());
    const auto& good = std::get<wire::FrameHeader>(header);
    if (bytes.size() != wire::FrameHeader::size + good.fields) throw refuse("it is no frame");
    auto frame = wire::parse_frame(bytes, good);
    if (const auto* error = std::get_if<wire::WireError>(&frame)) throw refuse(error->text());
    return std::move(std::get<wire::Body>(frame));
  }
  template <class Blank>
  void receive_content(Blank& blank, codec::CodedPool& codes) {
    auto& [transfer, body] = *content_;
    if (body.payload) transfer.payload = blank();
    if (body.code > 0) transfer.code = codes.take(body.code);
    transfer.chunk = body.frame.offer->chunk;
    transfer.begin_content([this](std::byte* bytes, int count, MPI_Request* request) {
      MPI_Irecv(bytes, count, MPI_BYTE, rank_, in_ + 1, communicator_->get(), request);
    });
  }
  std::optional<Arrival> take_content() {
    auto& [transfer, body] = *content_;
    body.frame.offer->payload = transfer.payload;
    body.frame.offer->code = transfer.code;
    ++traffic_.frames_received;
    traffic_.bytes_received += transfer.bytes();
    Arrival arrival = std::move(body);
    content_.reset();
    return arrival;
  }
  void pop() {
    ++traffic_.frames_received;
    traffic_.bytes_received += coming_.front().bytes();
    coming_.pop_front();
  }

  std::shared_ptr<MpiCommunicator> communicator_;
  PeerId peer_;
  int rank_;
  int out_;
  int in_;
  std::deque<MpiTransfer> leaving_;
  std::deque<MpiTransfer> coming_;
  std::optional<wire::Body> parsed_;  // the first that comes
  /// A frame, while its payload comes.
  struct Content {
    MpiTransfer transfer;
    wire::DeliveryBody body;
  };
  std::optional<Content> content_;
  Traffic traffic_;
};

}  // namespace gossamer::transport
