// SPDX-License-Identifier: BSD-2-Clause
// deliver ADDRESS TEXT [FILE]...: sends a message and files, and shows what the receiver answers.
#include <iostream>
#include <syncstream>
#include <wherry/wherry.hpp>

// Shows each result as it comes; several may come at once.
class result_printer final : public wherry::send_observer {
    void ended(const wherry::ended_item& item, const wherry::delivery_result& result) override {
        std::osyncstream(std::cout) << wherry::to_string(item.what.kind) << " " << wherry::printable(item.what.name)
                                    << ": " << (result.ok() ? "delivered" : wherry::printable(result.text)) << " ["
                                    << wherry::printable(result.outcome) << "] "
                                    << wherry::printable(wherry::as_text(result.response)) << std::endl;
    }
};

int main(int argc, char** argv) try {
    if (argc < 3) throw wherry::error(wherry::errc::bad_input, "give ADDRESS TEXT [FILE]...");
    const wherry::endpoint here;  // the keys of ~/.config/wherry, which the program wherry has, too
    const auto own = here.make_key("deliver");
    std::cout << "the receiver must know this key: " << own.key.line(own.comment) << std::endl;

    std::vector<wherry::item> items = {wherry::message(argv[2])};
    for (int i = 3; i < argc; ++i) items.push_back(wherry::file(argv[i]));
    wherry::send_options options;
    options.new_peer = wherry::first_contact::remember;  // trust the key that this address shows first
    options.retry = 3;

    result_printer results;
    options.observer = &results;
    const auto sent = wherry::send(here, argv[1], items, options);
    return sent.ok() ? 0 : 1;
} catch (const std::exception& e) {
    std::cerr << "deliver: " << wherry::printable(e.what()) << std::endl;
    return 2;
}
