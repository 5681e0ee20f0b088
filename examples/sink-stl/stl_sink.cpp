// SPDX-License-Identifier: BSD-2-Clause
// sink-stl: measures models in STL, the format of 3D printers, while they come, and answers the sender with their
// triangles, size, surface area and volume. It stores nothing, and says so.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "wherry/sdk.hpp"

namespace {

using point = std::array<double, 3>;

point operator-(const point& a, const point& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
point cross(const point& a, const point& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
double dot(const point& a, const point& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

[[noreturn]] void malformed(const std::string& why) {
    throw wherry::error(wherry::errc::refused, "this is no sound STL model: " + why);
}

std::string number(double value) {
    std::array<char, 32> text{};
    return {text.data(),
            std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 9).ptr};
}

// ---- What is measured ----

class measures {
public:
    void add(const std::array<point, 3>& corners) {
        if (triangles_++ == 0) origin_ = corners[0];
        for (const auto& corner : corners) {
            for (std::size_t axis = 0; axis < 3; ++axis) {
                if (!std::isfinite(corner[axis])) malformed("triangle " + std::to_string(triangles_) + " has no end");
                lowest_[axis] = std::min(lowest_[axis], corner[axis]);
                highest_[axis] = std::max(highest_[axis], corner[axis]);
            }
        }
        const auto normal = cross(corners[1] - corners[0], corners[2] - corners[0]);
        area_ += std::sqrt(dot(normal, normal)) / 2;
        for (std::size_t axis = 0; axis < 3; ++axis) facing_[axis] += normal[axis] / 2;
        // From a corner of the model: far from (0, 0, 0), where scanners put them, digits would be lost.
        volume_ += dot(corners[0] - origin_, cross(corners[1] - origin_, corners[2] - origin_)) / 6;
    }

    std::string text() const {
        if (triangles_ == 0) malformed("it has no triangle");
        std::string lines = "triangles: " + std::to_string(triangles_) + "\nsize:";
        for (std::size_t axis = 0; axis < 3; ++axis)
            lines += (axis > 0 ? " x " : " ") + number(highest_[axis] - lowest_[axis]);
        lines += "\nsurface area: " + number(area_) + "\nvolume: ";
        // What faces one way in a closed surface faces the other way elsewhere. Coordinates have seven digits.
        const bool is_open = std::sqrt(dot(facing_, facing_)) > 1e-5 * area_;
        return lines + (is_open ? "none, for the surface has a hole" : number(std::abs(volume_)));
    }

private:
    static constexpr double infinite = std::numeric_limits<double>::infinity();
    std::uint64_t triangles_ = 0;
    point origin_{}, lowest_{infinite, infinite, infinite}, highest_{-infinite, -infinite, -infinite}, facing_{};
    double area_ = 0, volume_ = 0;
};

// ---- The two forms of STL. Their bytes come in pieces that end anywhere ----

class parser {
public:
    virtual ~parser() = default;
    virtual void read(std::string_view bytes, measures& into) = 0;
    virtual void end() = 0;  // no more bytes
};

template <class Number>
Number little_endian(const char* bytes) {
    std::uint32_t bits = 0;
    for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<unsigned char>(bytes[i]);
    Number value;
    static_assert(sizeof value == sizeof bits);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

constexpr std::size_t header_bytes = 80, start_bytes = header_bytes + 4, triangle_bytes = 50;

// 80 bytes of anything, the number of triangles, then 50 bytes each: normal, three corners, two bytes of anything.
class binary_parser final : public parser {
public:
    void read(std::string_view bytes, measures& into) override {
        while (!bytes.empty()) {
            const auto taken = std::min(wanted() - held_.size(), bytes.size());
            held_ += bytes.substr(0, taken);
            bytes.remove_prefix(taken);
            if (held_.size() < wanted()) return;
            if (has_started_)
                triangle(into);
            else
                expected_ = little_endian<std::uint32_t>(held_.data() + header_bytes), has_started_ = true;
            held_.clear();
        }
    }

    void end() override {
        if (!has_started_) malformed("it ends before its first triangle");
        if (done_ == expected_ && !held_.empty()) too_long();
        if (done_ != expected_)
            malformed("it ends after " + std::to_string(done_) + " of " + std::to_string(expected_) + " triangles");
    }

private:
    std::size_t wanted() const { return has_started_ ? triangle_bytes : start_bytes; }

    [[noreturn]] void too_long() const {
        malformed("it goes on behind its " + std::to_string(expected_) + " triangles");
    }

    void triangle(measures& into) {
        if (done_++ == expected_) too_long();
        std::array<point, 3> corners{};
        for (std::size_t i = 0; i < 9; ++i) corners[i / 3][i % 3] = little_endian<float>(held_.data() + 12 + 4 * i);
        into.add(corners);
    }

    std::string held_;
    bool has_started_ = false;
    std::uint64_t expected_ = 0, done_ = 0;
};

// Words with blanks between them: "facet normal 0 0 1 outer loop vertex 0 0 0 ... endloop endfacet". A number is '#'.
class text_parser final : public parser {
public:
    void read(std::string_view bytes, measures& into) override {
        for (const char c : bytes) {
            if (c == ' ' || (c >= '\t' && c <= '\r')) {
                if (!word_.empty()) word(into);
                if (c == '\n') skips_line_ = false, ++line_;
            } else if (!skips_line_) {
                if (word_.size() == 64) malformed(where() + " has a word that is too long");
                word_ += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            }
        }
    }

    void end() override {
        const bool has_ended = word_.empty() ? is_outside() : at_ == 0 && word_ == "endsolid";
        if (!has_ended) malformed("it ends in the middle, in line " + std::to_string(line_));
    }

private:
    static constexpr std::array<std::string_view, 21> grammar = {
        "facet",  "normal", "#", "#", "#",      "outer", "loop", "vertex", "#",       "#",       "#",
        "vertex", "#",      "#", "#", "vertex", "#",     "#",    "#",      "endloop", "endfacet"};
    static constexpr std::size_t outside = grammar.size();  // of "solid NAME" and "endsolid NAME"

    bool is_outside() const { return at_ == outside; }
    std::string where() const { return "line " + std::to_string(line_); }

    void word(measures& into) {
        const auto said = std::exchange(word_, {});
        const auto wanted = is_outside() ? std::string_view("solid") : grammar[at_];
        if (is_outside() || (at_ == 0 && said == "endsolid")) {
            if (is_outside() && said != wanted) wrong(said, wanted);
            at_ = is_outside() ? 0 : outside;
            skips_line_ = true;  // a name, of any words
        } else if (wanted == "#") {
            numbers_[count_++] = value(said);
            ++at_;
        } else if (said != wanted) {
            wrong(said, at_ == 0 ? "facet or endsolid" : wanted);
        } else if (++at_ == grammar.size()) {
            at_ = count_ = 0;
            into.add({{{numbers_[3], numbers_[4], numbers_[5]},
                       {numbers_[6], numbers_[7], numbers_[8]},
                       {numbers_[9], numbers_[10], numbers_[11]}}});
        }
    }

    double value(std::string_view said) const {
        double parsed = 0;
        const auto digits = said.substr(said.starts_with('+') ? 1 : 0);
        const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
        if (failure != std::errc() || end != digits.data() + digits.size()) wrong(said, "a number");
        return parsed;
    }

    [[noreturn]] void wrong(std::string_view said, std::string_view wanted) const {
        malformed(where() + " has '" + std::string(said) + "' where " + std::string(wanted) + " should be");
    }

    std::string word_;
    bool skips_line_ = false;
    std::size_t at_ = outside, count_ = 0, line_ = 1;
    std::array<double, 12> numbers_{};
};

// ---- The plugin ----

class model final : public wherry::delivery {
public:
    explicit model(std::optional<std::uint64_t> size) : size_(size) {}

    void write(wherry::const_bytes bytes) override {
        auto text = wherry::as_text(bytes);
        if (!parser_) {
            const auto taken = std::min(start_bytes - start_.size(), text.size());
            start_ += text.substr(0, taken);
            text.remove_prefix(taken);
            if (start_.size() == start_bytes) choose();
        }
        if (parser_) parser_->read(text, measures_);
    }

    void finish(wherry::response& answer) override {
        if (!parser_) choose();
        parser_->end();
        answer.append(measures_.text() + "\nThe model was measured, and not stored.");
        answer.set_outcome("measured");
    }

    void abort(partial) noexcept override {}

private:
    // Files in binary may begin with "solid", too. But no text has a NUL, as a number of less than 16 million has.
    void choose() {
        const bool is_text = start_.starts_with("solid") && start_.find('\0') == start_.npos;
        const bool is_whole = start_.size() == start_bytes;
        const std::uint64_t count = is_whole ? little_endian<std::uint32_t>(start_.data() + header_bytes) : 0;
        const bool has_its_size = size_ && is_whole && *size_ == start_bytes + triangle_bytes * count;
        if (is_text && !has_its_size) {
            parser_ = std::make_unique<text_parser>();
        } else {
            if (size_ && !has_its_size)
                malformed("it neither begins with 'solid', nor is it as long as the triangles that it counts");
            parser_ = std::make_unique<binary_parser>();
        }
        parser_->read(start_, measures_);
    }

    const std::optional<std::uint64_t> size_;
    std::string start_;
    std::unique_ptr<parser> parser_;
    measures measures_;
};

class stl_sink final : public wherry::sink {
public:
    stl_sink(const wherry::settings&, const wherry::host_services&) {}

    // Called from many threads at once, which meet nowhere: what there is to know is in the delivery.
    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer&) override {
        if (what.kind == wherry::item_kind::message || what.kind == wherry::item_kind::folder)
            throw wherry::error(wherry::errc::refused, "this receiver measures models; send an STL file");
        return std::make_unique<model>(what.size);
    }
};

}  // namespace

WHERRY_PLUGIN(stl_sink, "stl", "1.0.0", "measures STL models, and stores nothing", wherry::no_options)
