// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// Sending and receiving from a C++ program. This is all that it takes:
//
//     const wherry::endpoint here;
//     wherry::send(here, "tcp://host:9417", {wherry::message("hello"), wherry::file("model.stl")});
//
//     wherry::receiver inbox(here, "tcp://localhost:9417", [](const wherry::received_item& item) -> wherry::reply {
//         return "got " + std::to_string(item.content.size()) + " bytes";
//     });
//     inbox.run();
//
// Nothing in it prints, ends the program, or touches signals; what goes wrong is told by wherry::error, or in results.
#include "wherry/callback_sink.hpp"
#include "wherry/dialer.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/error.hpp"
#include "wherry/receiver.hpp"
#include "wherry/send.hpp"
#include "wherry/sending.hpp"
#include "wherry/text.hpp"
