// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <span>
#include <string_view>

// Files of the source tree that are part of the program: cmake/wherry_embed.cmake makes these functions.
namespace wherry::app {

struct embedded_file {
    std::string_view name;
    std::string_view text;
};

std::span<const embedded_file> sink_templates() noexcept;
std::span<const embedded_file> transport_templates() noexcept;
std::span<const embedded_file> cipher_templates() noexcept;

}  // namespace wherry::app
