// deliver ADDRESS TEXT [FILE]...: sends a message and files, and shows what the receiver answers.
#include <iostream>
#include <wherry/wherry.hpp>

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

    const auto sent = wherry::send(here, argv[1], items, options);
    for (const auto& one : sent.items)
        std::cout << wherry::to_string(one.kind) << " " << wherry::printable(one.name) << ": "
                  << (one.ok() ? "delivered" : wherry::printable(one.text)) << " [" << wherry::printable(one.outcome)
                  << "] " << wherry::printable(one.response_text()) << std::endl;
    return sent.ok() ? 0 : 1;
} catch (const std::exception& e) {
    std::cerr << "deliver: " << wherry::printable(e.what()) << std::endl;
    return 2;
}
