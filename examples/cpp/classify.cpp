// Names what a picture shows: `classify FOLDER PICTURE.ppm`, where FOLDER is an export with inference.onnx.
#include <onnxruntime_cxx_api.h>

#include <cstdio>

#include "preprocess.h"

constexpr size_t SHOWN = 5;

// The program's first output for one picture: a score for each class.
std::vector<float> run(const std::filesystem::path& program, Prepared& picture) {
    Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "classify");
    Ort::Session session(environment, program.c_str(), Ort::SessionOptions());
    Ort::AllocatorWithDefaultOptions allocator;
    const auto input_name = session.GetInputNameAllocated(0, allocator);
    const auto output_name = session.GetOutputNameAllocated(0, allocator);
    const char *inputs[] = {input_name.get()}, *outputs[] = {output_name.get()};
    const int64_t shape[] = {1, 3, picture.height, picture.width};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto tensor = Ort::Value::CreateTensor<float>(
        memory, picture.input.data(), picture.input.size(), shape, std::size(shape));
    const auto results = session.Run(Ort::RunOptions(), inputs, &tensor, 1, outputs, 1);
    const float* scores = results[0].GetTensorData<float>();
    return {scores, scores + results[0].GetTensorTypeAndShapeInfo().GetElementCount()};
}

void classify(const std::filesystem::path& folder, const std::string& path) {
    Prepared picture = prepare(read_ppm(path), read_description(folder / "inference.yml"));
    const std::vector<float> scores = run(folder / "inference.onnx", picture);
    std::vector<size_t> classes(scores.size());
    std::iota(classes.begin(), classes.end(), 0);
    std::stable_sort(classes.begin(), classes.end(),
                     [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    classes.resize(std::min(classes.size(), SHOWN));
    for (const size_t number : classes) {
        const bool named = number < picture.names.size();
        const std::string name = named ? picture.names[number] : std::to_string(number);
        std::printf("%.6f\t%s\n", scores[number], name.c_str());
    }
}

int main(int count, char** arguments) {
    try {
        require(count == 3, "two arguments are needed: the folder of an export, and a picture");
        classify(arguments[1], arguments[2]);
    } catch (const std::exception& error) {
        const std::string line = std::regex_replace(error.what(), std::regex("\\s+"), " ");
        std::fprintf(stderr, "error: %s\n", line.c_str());
        return 1;
    }
}
