// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <array>

#include "application.hpp"
#include "developer_program.hpp"
#include "internal.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
    using namespace wherry::app;
    run_developer_program_for({argv + std::min(argc, 1), argv + argc});
    // A further command is a further line here.
    const std::array commands = {&keygen_command(),       &authorize_command_entry(),
                                 &keys_command(),         &receive_command(),
                                 &send_command(),         &chat_command(),
                                 &devices_command(),      &pair_command(),
                                 &plugins_command(),      &new_plugin_command(),
                                 &check_plugin_command(), &bench_command()};
    return run_program({commands, run_internal}, argc, argv);
}
