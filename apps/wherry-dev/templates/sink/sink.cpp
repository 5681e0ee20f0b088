// sink-@NAME@: stores each delivery as a file of its own, and answers with that file's name.
#include <fcntl.h>
#include <filesystem>
#include "wherry/sdk.hpp"
#include "wherry/unique_fd.hpp"

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }
struct incoming final : wherry::delivery {  // one delivery; one thread at a time uses it
    explicit incoming(const std::string& place) : folder(place), hidden(place + "/.XXXXXX") {
        file.reset(::mkostemp(hidden.data(), O_CLOEXEC));
        if (!file.is_open()) fail("no file can be made");
    }
    ~incoming() override { ::unlink(hidden.c_str()); }
    void write(wherry::const_bytes bytes) override {
        for (ssize_t n = 0; !bytes.empty(); bytes = bytes.subspan(static_cast<std::size_t>(n)))
            if ((n = ::write(file.get(), bytes.data(), bytes.size())) <= 0) fail("it cannot be written");
    }
    void finish(wherry::response& answer) override {  // to return is to promise that the disk has it
        const auto name = hidden.substr(folder.size() + 2), path = folder + "/" + name;
        const wherry::unique_fd names(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        answer.append("stored as " + name);  // first, for it can fail
        if (::fsync(file.get()) != 0 || ::link(hidden.c_str(), path.c_str()) != 0) fail("it cannot be stored");
        if (::fsync(names.get()) != 0) ::unlink(path.c_str()), fail("its name cannot be stored");
    }
    void abort(partial) noexcept override {}  // the hidden file goes with this object
    std::string folder, hidden;
    wherry::unique_fd file;
};
struct store final : wherry::sink {  // begin() runs on many threads at once; to throw is to refuse
    store(const wherry::settings& options, const wherry::host_services&) : folder(options.text("directory")) {
        std::filesystem::create_directories(folder);
    }
    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        return std::make_unique<incoming>(folder);
    }
    const std::string folder;
};
constexpr wherry_option options[] = {wherry::path_option("directory", "@NAME@-deliveries", "folder for what comes")};
WHERRY_PLUGIN(store, "@NAME@", "0.1.0", "stores each delivery as a file of its own", options)
