// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// What sdbus-c++ 1 (Debian 12) and 2 (Debian 13) write differently.
#if __has_include(<sdbus-c++/VTableItems.h>)
#define WHERRY_SDBUS_MAJOR 2
#else
#define WHERRY_SDBUS_MAJOR 1
#endif

namespace wherry::rfcomm {

#if WHERRY_SDBUS_MAJOR >= 2
using service_name = sdbus::ServiceName;
using interface_name = sdbus::InterfaceName;
using method_name = sdbus::MethodName;
using signal_name = sdbus::SignalName;
using error_name = sdbus::Error::Name;
// What the handler of a reply gets; like a pointer, it is true if there was an error.
using reply_error = std::optional<sdbus::Error>;
#else
using service_name = std::string;
using interface_name = std::string;
using method_name = std::string;
using signal_name = std::string;
using error_name = std::string;
using reply_error = const sdbus::Error*;
#endif

inline sdbus::Error bus_error(const char* name, const std::string& message) {
    return sdbus::Error(error_name(name), message);
}

inline std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& connection, const std::string& service,
                                                 const std::string& path) {
    return sdbus::createProxy(connection, service_name(service), sdbus::ObjectPath(path));
}

enum class reply { expected, never };

// Makes an object whose methods and properties are there from publish() on.
class object_maker {
public:
    object_maker(sdbus::IConnection& connection, const std::string& path)
        : object_(sdbus::createObject(connection, sdbus::ObjectPath(path))) {}

    template <class Handler>
    object_maker& method(const char* interface, const char* name, Handler handler, reply answer = reply::expected) {
#if WHERRY_SDBUS_MAJOR >= 2
        auto made = sdbus::registerMethod(name).implementedAs(std::move(handler));
        if (answer == reply::never) made.withNoReply();
        items_[interface].push_back(std::move(made));
#else
        // In one expression each: what registerMethod() returns refers to temporary strings.
        if (answer == reply::never)
            object_->registerMethod(name).onInterface(interface).implementedAs(std::move(handler)).withNoReply();
        else
            object_->registerMethod(name).onInterface(interface).implementedAs(std::move(handler));
#endif
        return *this;
    }

    template <class Getter>
    object_maker& property(const char* interface, const char* name, Getter getter) {
#if WHERRY_SDBUS_MAJOR >= 2
        items_[interface].push_back(sdbus::registerProperty(name).withGetter(std::move(getter)));
#else
        object_->registerProperty(name).onInterface(interface).withGetter(std::move(getter));
#endif
        return *this;
    }

    // REQUIRES: it is called once, and last.
    std::unique_ptr<sdbus::IObject> publish() {
#if WHERRY_SDBUS_MAJOR >= 2
        for (auto& [interface, items] : items_) object_->addVTable(interface_name(interface), std::move(items));
#else
        object_->finishRegistration();
#endif
        return std::move(object_);
    }

private:
    std::unique_ptr<sdbus::IObject> object_;
#if WHERRY_SDBUS_MAJOR >= 2
    std::map<std::string, std::vector<sdbus::VTableItem>> items_;
#endif
};

// The sender of the call whose handler runs.
inline std::string current_sender(const sdbus::IObject& object) {
#if WHERRY_SDBUS_MAJOR >= 2
    return object.getCurrentlyProcessedMessage().getSender();
#else
    return object.getCurrentlyProcessedMessage()->getSender();
#endif
}

[[nodiscard]] inline sdbus::Slot add_match(sdbus::IConnection& connection, const std::string& match,
                                           std::function<void(sdbus::Message&)> handle) {
#if WHERRY_SDBUS_MAJOR >= 2
    return connection.addMatch(
        match, [handle = std::move(handle)](sdbus::Message message) { handle(message); }, sdbus::return_slot);
#else
    return connection.addMatch(match, std::move(handle));
#endif
}

// Deals with one message; false if there was none.
inline bool process_message(sdbus::IConnection& connection) {
#if WHERRY_SDBUS_MAJOR >= 2
    return connection.processPendingEvent();
#else
    return connection.processPendingRequest();
#endif
}

// A second descriptor to wait for, readable when there is something to do; -1 where there is none.
inline int event_descriptor([[maybe_unused]] const sdbus::IConnection::PollData& data) noexcept {
#if WHERRY_SDBUS_MAJOR >= 2
    return data.eventFd;
#else
    return -1;
#endif
}

}  // namespace wherry::rfcomm
