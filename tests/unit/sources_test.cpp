// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/sources.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "temporary_folder.hpp"
#include "wherry/error.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::string read_all(source& from, std::size_t step = 7) {
    std::string all;
    std::vector<std::byte> piece(step);
    for (std::size_t got = 0; (got = from.read(piece)) > 0;) all += as_text(const_bytes(piece).first(got));
    EXPECT_EQ(from.read(piece), 0u) << "the end is the end";
    return all;
}

class sources_test : public testing::Test {
protected:
    fs::path write(const std::string& name, const std::string& content) {
        const auto file = folder_ / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << content;
        return file;
    }

    static std::vector<std::string> names(const sending_plan& plan) {
        std::vector<std::string> all;
        for (const auto& item : plan.items)
            all.push_back(std::string(to_string(item.kind)) + " " + item.name + (item.problem ? " !" : ""));
        return all;
    }

    const test::temporary_folder made_;
    const fs::path folder_ = made_.path();
};

TEST_F(sources_test, file_tells_what_it_is) {
    const auto file = write("a.txt", "twelve bytes");
    ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
    const timespec times[] = {{5, 6}, {1'000'000'007, 123'456'789}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    file_source one(file, "a.txt", resuming::wanted, symlinks::skip);
    EXPECT_EQ(one.what().kind, item_kind::file);
    EXPECT_EQ(one.what().name, "a.txt");
    EXPECT_EQ(one.what().size, 12u);
    EXPECT_EQ(one.what().mode, 0640u);
    EXPECT_EQ(one.what().mtime, (file_time{1'000'000'007, 123'456'789}));
    EXPECT_TRUE(one.what().wants_resume);
    EXPECT_FALSE(one.may_wait());
    EXPECT_EQ(read_all(one), "twelve bytes");
}

TEST_F(sources_test, file_of_any_size_by_any_step) {
    for (const std::size_t size : {0, 1, 6, 7, 8, 14, 15}) {
        const std::string content(size, 'x');
        const auto file = write("sized", content);
        file_source one(file, "sized", resuming::no, symlinks::skip);
        EXPECT_EQ(read_all(one), content);
    }
}

TEST_F(sources_test, what_is_given_twice_is_sent_once) {
    write("top/a", "x");
    write("top/inner/b", "y");
    const auto file = write("c", "z");
    fs::create_symlink("top", folder_ / "again");
    sending_plan plan;
    plan.add_path(folder_ / "top", symlinks::skip);
    plan.add_path(file, symlinks::skip);
    plan.add_path(folder_ / "again/../top/", symlinks::skip);
    plan.add_path(folder_ / "top/../c", symlinks::skip);
    plan.add_message("m");
    plan.add_message("m");
    plan.settle_names();
    EXPECT_THAT(names(plan), ElementsAre("file top/a", "file top/inner/b", "folder top/inner", "folder top", "file c",
                                         "message ", "message "));
    ASSERT_EQ(plan.skipped.size(), 2u);
    EXPECT_EQ(plan.skipped[0].path, folder_ / "again/../top");
    EXPECT_EQ(plan.skipped[1].path, folder_ / "top/../c");
    EXPECT_EQ(plan.skipped[1].why, "it is given twice, and sent once");
}

TEST_F(sources_test, two_things_with_one_name_are_refused) {
    write("one/a", "x");
    write("two/a", "x");
    sending_plan folders;
    folders.add_path(folder_ / "one/a", symlinks::skip);
    folders.add_path(folder_ / "two/a", symlinks::skip);
    EXPECT_THROW(folders.settle_names(), error);
    sending_plan input;
    input.add_path(folder_ / "one/a", symlinks::skip);
    input.add_stdin("a");
    EXPECT_THROW(input.settle_names(), error);
}

TEST_F(sources_test, file_goes_on_from_anywhere) {
    const auto file = write("a", "0123456789");
    file_source one(file, "a", resuming::wanted, symlinks::skip);
    one.seek(7);
    EXPECT_EQ(read_all(one), "789");
    one.seek(10);
    EXPECT_EQ(read_all(one), "");
    one.seek(0);
    EXPECT_EQ(read_all(one), "0123456789");
    EXPECT_THROW(one.seek(11), error);
}

void expect_changed(source& one) {
    try {
        read_all(one);
        ADD_FAILURE() << "read to its end";
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::io);
        EXPECT_THAT(e.what(), HasSubstr("'a' changed while it was being sent; send it again"));
    }
}

TEST_F(sources_test, file_that_grows) {
    const auto file = write("a", std::string(100, 'x'));
    file_source one(file, "a", resuming::no, symlinks::skip);
    std::ofstream(file, std::ios::app) << 'y';
    expect_changed(one);
}

TEST_F(sources_test, file_that_shrinks) {
    const auto file = write("a", std::string(100, 'x'));
    file_source one(file, "a", resuming::no, symlinks::skip);
    fs::resize_file(file, 50);
    expect_changed(one);
}

TEST_F(sources_test, file_that_is_written_over) {
    const auto file = write("a", std::string(100, 'x'));
    const timespec long_ago[] = {{1, 0}, {1, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), long_ago, 0), 0);
    file_source one(file, "a", resuming::no, symlinks::skip);
    std::fstream(file, std::ios::in | std::ios::out) << "other";
    expect_changed(one);
}

TEST_F(sources_test, changed_file_never_gives_its_last_bytes) {
    const auto file = write("a", "0123456789");
    // Room for more, for one byte more, for all of it, for less.
    for (const std::size_t room : {64u, 11u, 10u, 3u, 1u}) {
        fs::resize_file(file, 10);
        file_source one(file, "a", resuming::no, symlinks::skip);
        std::ofstream(file, std::ios::app) << 'y';
        std::vector<std::byte> piece(room);
        std::size_t given = 0;
        EXPECT_THROW(for (;;) given += one.read(piece), error) << room;
        EXPECT_LT(given, 10u) << room;
    }
}

TEST_F(sources_test, file_that_grows_behind_its_last_piece) {
    const auto file = write("a", "0123456789");
    for (const std::size_t room : {64u, 4u, 3u}) {
        fs::resize_file(file, 10);
        file_source one(file, "a", resuming::no, symlinks::skip);
        std::vector<std::byte> piece(room);
        if (room == 64) {
            // What is there at the last look is what was sent, whatever comes later.
            EXPECT_EQ(one.read(piece), 10u);
            std::ofstream(file, std::ios::app) << 'y';
            EXPECT_EQ(one.read(piece), 0u);
            continue;
        }
        EXPECT_EQ(one.read(piece), room);
        std::ofstream(file, std::ios::app) << 'y';
        expect_changed(one);
    }
}

TEST_F(sources_test, file_that_shrinks_in_the_middle) {
    const auto file = write("a", "0123456789");
    for (const std::uintmax_t left : {0u, 4u, 5u, 9u}) {
        std::ofstream(file) << "0123456789";
        file_source one(file, "a", resuming::no, symlinks::skip);
        std::array<std::byte, 4> piece{};
        EXPECT_EQ(one.read(piece), 4u);
        fs::resize_file(file, left);
        expect_changed(one);
    }
}

TEST_F(sources_test, empty_file) {
    const auto file = write("a", "");
    file_source one(file, "a", resuming::no, symlinks::skip);
    std::array<std::byte, 1> piece{};
    EXPECT_EQ(one.read(piece), 0u);
    EXPECT_EQ(one.read(piece), 0u);
    file_source grown(file, "a", resuming::no, symlinks::skip);
    std::ofstream(file, std::ios::app) << 'y';
    expect_changed(grown);
}

TEST_F(sources_test, file_into_as_much_room_as_it_takes) {
    const auto file = write("a", "0123456789");
    file_source one(file, "a", resuming::wanted, symlinks::skip);
    std::array<std::byte, 10> piece{};
    EXPECT_EQ(one.read(piece), 10u);
    EXPECT_EQ(as_text(piece), "0123456789");
    EXPECT_EQ(one.read(piece), 0u);
    // And it is looked at anew when it is read anew.
    one.seek(5);
    EXPECT_EQ(one.read(mutable_bytes(piece).first(5)), 5u);
    EXPECT_EQ(as_text(const_bytes(piece).first(5)), "56789");
    one.seek(0);
    std::ofstream(file, std::ios::app) << 'y';
    EXPECT_THROW(one.read(piece), error);
}

TEST_F(sources_test, file_that_another_replaced_and_that_changed_before) {
    const auto file = write("a", "0123456789");
    file_source one(file, "a", resuming::no, symlinks::skip);
    std::ofstream(file, std::ios::app) << 'y';
    fs::rename(write("b", "newer"), file);
    expect_changed(one);
}

TEST_F(sources_test, file_that_is_written_over_and_dated_back) {
    const auto path = write("a", "old content");
    file_source source(path, "a", resuming::no, symlinks::skip);
    std::byte all[64];
    ASSERT_EQ(source.read(mutable_bytes(all).first(4)), 4u);
    const auto dated = fs::last_write_time(path);
    // The time of a change has the grain of the kernel's clock.
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    std::fstream(path, std::ios::in | std::ios::out) << "new content";
    fs::last_write_time(path, dated);
    EXPECT_THROW(source.read(all), error);
}

TEST_F(sources_test, file_whose_inode_alone_changes_is_sent) {
    std::string content;
    for (int i = 0; i < 100'000; ++i) content += std::to_string(i);
    const std::vector<std::function<void(const fs::path&)>> changes = {
        [](const fs::path& file) { fs::permissions(file, fs::perms::owner_read); },
        [](const fs::path& file) { fs::create_hard_link(file, file.string() + ".link"); },
        [](const fs::path& file) { fs::rename(file, file.string() + ".moved"); },
        [](const fs::path& file) { fs::remove(file); },
    };
    for (std::size_t i = 0; i < changes.size(); ++i)
        for (const std::size_t offset : {0u, 77u}) {
            const auto file = write("a" + std::to_string(i) + "-" + std::to_string(offset), content);
            file_source one(file, "a", resuming::wanted, symlinks::skip);
            one.seek(offset);
            std::vector<std::byte> piece(1001);
            ASSERT_EQ(one.read(piece), piece.size());
            std::this_thread::sleep_for(std::chrono::milliseconds(30));
            changes[i](file);
            EXPECT_EQ(std::string(as_text(piece)) + read_all(one, 4099), content.substr(offset)) << i;
        }
}

TEST_F(sources_test, file_whose_sent_part_is_written_over_and_dated_back_is_not_sent) {
    const std::string content(10'000, 'x');
    for (const int where : {0, 31, 999, 1000, 9'999}) {
        const auto file = write("a", content);
        file_source one(file, "a", resuming::no, symlinks::skip);
        const auto dated = fs::last_write_time(file);
        std::vector<std::byte> piece(9'999);
        ASSERT_EQ(one.read(piece), piece.size());
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        std::fstream(file, std::ios::in | std::ios::out).seekp(where) << 'y';
        fs::last_write_time(file, dated);
        if (where == 9'999) {
            // It was not read yet, so what is sent is what is there.
            EXPECT_EQ(read_all(one), "y");
        } else {
            expect_changed(one);
        }
    }
}

TEST_F(sources_test, file_that_is_replaced_is_sent_as_it_was) {
    const auto file = write("a", "old");
    file_source one(file, "a", resuming::no, symlinks::skip);
    fs::rename(write("b", "newer"), file);
    EXPECT_EQ(read_all(one), "old");
}

TEST_F(sources_test, what_is_no_file_by_then) {
    sending_plan plan;
    plan.add_path(write("f/a", "x").parent_path(), symlinks::skip);
    fs::remove(folder_ / "f/a");
    EXPECT_THROW(open_item(plan.items[0], resuming::no), error);
    ASSERT_EQ(::mkfifo((folder_ / "f/a").c_str(), 0600), 0);
    EXPECT_THROW(open_item(plan.items[0], resuming::no), error);  // and does not wait for a writer
    fs::remove(folder_ / "f/a");
    fs::create_symlink("/etc/passwd", folder_ / "f/a");
    EXPECT_THROW(open_item(plan.items[0], resuming::no), error);
}

TEST_F(sources_test, folder_comes_behind_its_contents_in_the_order_of_names) {
    write("top/b/2", "");
    write("top/b/1", "1");
    write("top/a", "");
    fs::create_directories(folder_ / "top/c");
    sending_plan plan;
    plan.add_path(folder_ / "top/", symlinks::skip);
    EXPECT_THAT(names(plan), ElementsAre("file top/a", "file top/b/1", "file top/b/2", "folder top/b", "folder top/c",
                                         "folder top"));
    const auto last = open_item(plan.items.back(), resuming::wanted);
    EXPECT_EQ(last->what().kind, item_kind::folder);
    EXPECT_EQ(last->what().size, 0u);
    EXPECT_FALSE(last->what().wants_resume);
    EXPECT_TRUE(last->what().mode && last->what().mtime);
    EXPECT_EQ(read_all(*last), "");
}

TEST_F(sources_test, names_are_last_components) {
    write("top/inner/a", "");
    EXPECT_EQ(name_to_send("a/b.txt"), "b.txt");
    EXPECT_EQ(name_to_send("a/b///"), "b");
    EXPECT_EQ(name_to_send(folder_ / "top/inner/."), "inner");
    EXPECT_EQ(name_to_send(folder_ / "top/inner/.."), "top");
    EXPECT_EQ(name_to_send(folder_ / "top/inner/../"), "top");
    EXPECT_THROW(name_to_send("/"), error);
    EXPECT_THROW(name_to_send("/.."), error);
    EXPECT_EQ(name_to_send("odd\xFF\nname"), "odd\xFF\nname");
}

TEST_F(sources_test, links_in_folders_are_skipped_with_a_note) {
    write("top/a", "x");
    fs::create_symlink("a", folder_ / "top/link");
    sending_plan plan;
    plan.add_path(folder_ / "top", symlinks::skip);
    EXPECT_THAT(names(plan), ElementsAre("file top/a", "folder top"));
    ASSERT_EQ(plan.skipped.size(), 1u);
    EXPECT_EQ(plan.skipped[0].path, folder_ / "top/link");
    EXPECT_THAT(plan.skipped[0].why, HasSubstr("--follow"));
}

TEST_F(sources_test, links_in_folders_are_followed_on_request) {
    write("elsewhere/b", "y");
    write("top/a", "x");
    fs::create_symlink("a", folder_ / "top/link");
    fs::create_symlink("../elsewhere", folder_ / "top/other");
    fs::create_symlink("nowhere", folder_ / "top/broken");
    sending_plan plan;
    plan.add_path(folder_ / "top", symlinks::follow);
    EXPECT_THAT(names(plan), ElementsAre("file top/a", "file top/broken !", "file top/link", "file top/other/b",
                                         "folder top/other", "folder top"));
    EXPECT_EQ(read_all(*open_item(plan.items[2], resuming::no)), "x");
}

TEST_F(sources_test, loops_of_links_end) {
    write("top/in/a", "x");
    fs::create_directory_symlink("..", folder_ / "top/in/up");
    fs::create_directory_symlink("itself", folder_ / "top/itself");
    sending_plan plan;
    plan.add_path(folder_ / "top", symlinks::follow);
    EXPECT_THAT(names(plan), ElementsAre("file top/in/a", "folder top/in", "file top/itself !", "folder top"));
    ASSERT_EQ(plan.skipped.size(), 1u);
    EXPECT_EQ(plan.skipped[0].path, folder_ / "top/in/up");
}

TEST_F(sources_test, link_that_is_named_is_followed) {
    fs::create_symlink(write("a", "x"), folder_ / "link");
    sending_plan plan;
    plan.add_path(folder_ / "link", symlinks::skip);
    EXPECT_THAT(names(plan), ElementsAre("file link"));
    EXPECT_EQ(read_all(*open_item(plan.items[0], resuming::no)), "x");
}

TEST_F(sources_test, special_files) {
    write("top/a", "x");
    ASSERT_EQ(::mkfifo((folder_ / "top/pipe").c_str(), 0600), 0);
    sending_plan plan;
    plan.add_path(folder_ / "top", symlinks::skip);
    EXPECT_THAT(names(plan), ElementsAre("file top/a", "folder top"));
    ASSERT_EQ(plan.skipped.size(), 1u);
    EXPECT_EQ(plan.skipped[0].why, "a named pipe");

    sending_plan named;
    named.add_path(folder_ / "top/pipe", symlinks::skip);
    ASSERT_EQ(named.items.size(), 1u);
    EXPECT_THAT(named.items[0].problem->what(), HasSubstr("is a named pipe"));
}

TEST_F(sources_test, what_is_missing_is_an_item_with_a_problem) {
    sending_plan plan;
    plan.add_path(folder_ / "no\nne", symlinks::skip);
    ASSERT_EQ(plan.items.size(), 1u);
    ASSERT_TRUE(plan.items[0].problem);
    EXPECT_EQ(plan.items[0].problem->code(), errc::io);
    EXPECT_THAT(plan.items[0].problem->what(), HasSubstr("no\\x0Ane' cannot be read: No such file"));
    EXPECT_THROW(open_item(plan.items[0], resuming::no), error);
}

TEST_F(sources_test, name_that_is_too_long_is_told) {
    planned_item item;
    item.path = write("a", "x");
    item.name = std::string(limits::max_item_name_bytes + 1, 'x');
    EXPECT_THROW(open_item(item, resuming::no), error);
}

TEST_F(sources_test, message) {
    sending_plan plan;
    plan.add_message("two\nlines");
    const auto one = open_item(plan.items[0], resuming::wanted);
    EXPECT_EQ(one->what().kind, item_kind::message);
    EXPECT_EQ(one->what().name, "");
    EXPECT_EQ(one->what().size, 9u);
    EXPECT_EQ(read_all(*one), "two\nlines");
}

TEST(pipe_source, reads_to_the_end) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], "some bytes", 10), 10);
    ::close(ends[1]);
    pipe_source one(ends[0], "stdin");
    EXPECT_EQ(one.what().kind, item_kind::data);
    EXPECT_EQ(one.what().size, std::nullopt);
    EXPECT_TRUE(one.may_wait());
    EXPECT_EQ(read_all(one), "some bytes");
    ::close(ends[0]);
}

TEST(pipe_source, wait_can_be_stopped) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pipe_source one(ends[0], "stdin");
    std::thread stopper([&] { one.stop(errc::cancelled); });
    std::array<std::byte, 8> piece;
    try {
        one.read(piece);
        ADD_FAILURE();
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::cancelled);
    }
    stopper.join();
    one.stop(errc::io);
    EXPECT_THROW(one.read(piece), error);
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace wherry
