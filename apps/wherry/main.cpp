#include <array>

#include "application.hpp"
#include "internal.hpp"
#include "program.hpp"
#include "wherry/conformance.hpp"

int main(int argc, char** argv) {
    using namespace wherry::app;
    // A process of wherry check-plugin.
    if (argc == 3 && argv[1] == wherry::conformance::child_argument) return wherry::conformance::run_as_child(argv[2]);
    // A further command is a further line here.
    const std::array commands = {&keygen_command(),       &authorize_command_entry(),
                                 &keys_command(),         &receive_command(),
                                 &send_command(),         &chat_command(),
                                 &devices_command(),      &pair_command(),
                                 &plugins_command(),      &new_plugin_command(),
                                 &check_plugin_command(), &bench_command()};
    return run_program({commands, run_internal}, argc, argv);
}
