// SPDX-License-Identifier: BSD-2-Clause
#include <array>

#include "developer_commands.hpp"
#include "program.hpp"
#include "wherry/conformance.hpp"

int main(int argc, char** argv) {
    using namespace wherry::app;
    // A process of check-plugin.
    if (argc == 3 && argv[1] == wherry::conformance::child_argument) return wherry::conformance::run_as_child(argv[2]);
    const std::array commands = {&new_plugin_command(), &check_plugin_command()};
    return run_program({commands}, argc, argv);
}
