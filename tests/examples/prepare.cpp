// Writes what examples/cpp hands to a network: `prepare FOLDER PICTURE.ppm`, sizes, names and float32 values.
#include <cstdio>

#include "../../examples/cpp/preprocess.h"

int main(int, char** arguments) {
    try {
        const std::filesystem::path description = std::filesystem::path(arguments[1]) / "inference.yml";
        const Prepared prepared = prepare(read_ppm(arguments[2]), read_description(description));
        std::printf("%d %d %zu\n", prepared.height, prepared.width, prepared.names.size());
        for (const std::string& name : prepared.names) std::printf("%s\n", name.c_str());
        std::fwrite(prepared.input.data(), sizeof(float), prepared.input.size(), stdout);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
