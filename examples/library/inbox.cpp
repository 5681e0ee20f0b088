// SPDX-License-Identifier: BSD-2-Clause
// inbox [ADDRESS]: shows messages, counts the lines of everything else, and answers, until it is interrupted.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <wherry/wherry.hpp>

static wherry::reply take(const wherry::received_item& item) {
    if (item.content.empty()) throw wherry::error(wherry::errc::refused, "there is nothing in it");
    if (item.what.kind == wherry::item_kind::message) {
        std::cout << wherry::printable(item.sender.label) << ": " << wherry::printable(item.text()) << std::endl;
        return "read";
    }
    const auto text = item.text();
    return wherry::reply(std::to_string(std::count(text.begin(), text.end(), '\n')) + " lines").as("counted");
}

int main(int argc, char** argv) try {
    // Before there is a second thread, so that only sigwait() below gets them.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);

    const wherry::endpoint here;
    std::cout << "this receiver's key is " << here.make_key("inbox").key.fingerprint() << std::endl;
    wherry::receiver inbox(here, argc > 1 ? argv[1] : "tcp://", take);
    inbox.start();
    std::cout << "listening on " << inbox.address() << std::endl;

    int which = 0;
    sigwait(&ends, &which);
    inbox.stop();
    inbox.wait();
    return 0;
} catch (const std::exception& e) {
    std::cerr << "inbox: " << wherry::printable(e.what()) << std::endl;
    return 2;
}
