// SPDX-License-Identifier: MIT
/// A fingerprint of models, to tell whether two runs ended in the same bits. Needs OpenSSL, hence
/// not part of gossamer.hpp.
#pragma once

#include <gossamer/observe/consensus.hpp>

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace gossamer::observe {

/// SHA-256 (hexadecimal) over the parameters and averaged buffers of all members, in their order,
/// each tensor's numbers in row-major order as they are in memory.
inline std::string digest(std::span<const Replica> members) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const Replica& member : members) {
    for (const model::Slot& slot : member.model->layout().slots) {
      const at::Tensor values = slot.view(member.model->flat()).to(at::kCPU).contiguous();
      good = good && EVP_DigestUpdate(context.get(), values.data_ptr(), values.nbytes()) == 1;
    }
  }
  good = good && EVP_DigestFinal_ex(context.get(), hash.data(), &size) == 1;
  if (!good) throw std::runtime_error("digest: OpenSSL has no SHA-256 here");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    constexpr char digits[] = "0123456789abcdef";
    text += digits[hash[i] >> 4U];
    text += digits[hash[i] & 15U];
  }
  return text;
}

}  // namespace gossamer::observe
