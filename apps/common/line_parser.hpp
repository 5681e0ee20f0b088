// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <boost/program_options.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "wherry/plugin_host.hpp"

namespace wherry::app {

// A word of the command line, or an option with its value.
struct token {
    std::string name;  // "" for an argument
    std::string value;
    std::string written;
    bool is_known = true;
};

// Takes a command line apart, by Boost.Program_options: into tokens, in their order.
class line_parser {
public:
    // Makes an option known. The first of a name counts.
    void add(const std::string& name, const plugin_option& row, char letter = 0);

    // Throws error(errc::bad_input) for an option without its value. Unknown options are tokens, too.
    std::vector<token> parse(const std::vector<std::string>& arguments) const;

private:
    // A boolean needs no value, but may have one after '=': nothing that Program_options has means just that, so this
    // turns "--quiet" and "-q" into their long form with a value; anything else is left to it.
    struct boolean_style {
        std::vector<boost::program_options::option> operator()(std::vector<std::string>& arguments) const;

        std::set<std::string> names;
        std::map<char, std::string> letters;
    };

    boost::program_options::options_description described_;
    boolean_style booleans_;
    std::set<std::string> added_;
};

}  // namespace wherry::app
