#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>

#include "error_of.hpp"
#include "filesystem_sink.hpp"
#include "temporary_folder.hpp"

namespace {

// What a disk that is going bad does: syncing a folder fails, after something else has happened meanwhile.
std::atomic<bool> folders_fail{false};
std::function<void()> meanwhile;

}  // namespace

// In place of the C library's, for this program only.
extern "C" int fsync(int fd) {
    struct stat what {};
    if (folders_fail && ::fstat(fd, &what) == 0 && S_ISDIR(what.st_mode)) {
        if (meanwhile) std::exchange(meanwhile, nullptr)();
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace wherry::filesystem {
namespace {

class filesystem_sink_fault : public testing::Test {
protected:
    filesystem_sink_fault() {
        chosen.directory = (folder.path() / "in").string();
        peer.fingerprint = "SHA256:test";
    }
    ~filesystem_sink_fault() override {
        folders_fail = false;
        meanwhile = nullptr;
    }

    void deliver(sink& into, const std::string& name, const std::string& content) {
        struct : response {
            using response::append;
            void append(const_bytes) override {}
            void set_outcome(std::string_view) override {}
        } answer;
        offer what;
        what.name = name;
        what.size = content.size();
        const auto item = into.begin(what, {"test", peer});
        item->write(as_bytes(content));
        item->finish(answer);
    }
    std::string content_of(const std::string& name) const {
        std::ifstream file(chosen.directory + "/" + name);
        std::stringstream all;
        all << file.rdbuf();
        return file ? all.str() : "(there is none)";
    }

    test::temporary_folder folder;
    options chosen;
    identity peer;
};

TEST_F(filesystem_sink_fault, a_new_file_that_cannot_be_made_durable_is_taken_back) {
    sink into(chosen);
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
    EXPECT_EQ(content_of("a"), "(there is none)");
}

TEST_F(filesystem_sink_fault, an_old_file_comes_back_if_the_new_one_cannot_be_made_durable) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a", "old");
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
    EXPECT_EQ(content_of("a"), "old");
    folders_fail = false;
    deliver(into, "a", "newer");
    EXPECT_EQ(content_of("a"), "newer");
}

TEST_F(filesystem_sink_fault, what_another_delivery_has_put_there_meanwhile_stays) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        deliver(into, "a", "old");
        const std::string name = policy == existing_policy::rename ? "a (1)" : "a";
        meanwhile = [&] {
            // The other delivery's own sync succeeds.
            folders_fail = false;
            if (policy == existing_policy::rename) ::unlink((chosen.directory + "/" + name).c_str());
            deliver(into, name, "another's");
        };
        folders_fail = true;
        EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
        EXPECT_EQ(content_of(name), "another's");
    }
}

TEST_F(filesystem_sink_fault, a_folder_that_could_not_be_made_durable_is_not_taken_for_durable_later) {
    sink into(chosen);
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "sub/a", "x"); }).code(), errc::io);
    struct stat none {};
    EXPECT_NE(::stat((chosen.directory + "/sub").c_str(), &none), 0);
}

}  // namespace
}  // namespace wherry::filesystem
