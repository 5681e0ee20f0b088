// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "call_note.hpp"
#include "wherry/cipher.hpp"
#include "wherry/mutex.hpp"
#include "wherry/plugin.h"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

namespace wherry {

// A configured instance of a loaded plugin. It holds the library, and everything that is born of the instance holds it,
// so that a shared object outlives all that came out of it.
struct plugin_instance {
    using function_table = std::variant<wherry_transport_functions, wherry_cipher_functions, wherry_sink_functions>;

    plugin_instance(std::shared_ptr<const void> library, const wherry_instance_functions& lifecycle,
                    const function_table& functions, void* handle, std::string name, const noted_plugin& calls)
        : library(std::move(library)),
          lifecycle(lifecycle),
          functions(functions),
          handle(handle),
          name(std::move(name)),
          calls(calls) {}
    ~plugin_instance() {
        const call_note note(calls, plugin_function::destroy);
        lifecycle.destroy(handle);
    }
    plugin_instance(const plugin_instance&) = delete;
    plugin_instance& operator=(const plugin_instance&) = delete;

    std::shared_ptr<const void> library;
    const wherry_instance_functions lifecycle;
    const function_table functions;  // of its kind
    void* const handle;              // whatever create() gave: null, too, of a plugin that keeps no state
    std::string name;
    const noted_plugin& calls;
    std::unique_ptr<mutex> serial;  // set for a plugin that wants one call at a time
};

// The C table of an instance as the C++ class that the engine and the library use. REQUIRES: the table is of that kind.
std::unique_ptr<transport> adapt_transport(std::shared_ptr<plugin_instance> instance);
std::unique_ptr<cipher> adapt_cipher(std::shared_ptr<plugin_instance> instance);
std::unique_ptr<sink> adapt_sink(std::shared_ptr<plugin_instance> instance);

}  // namespace wherry
