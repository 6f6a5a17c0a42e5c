// What inference.yml says: how a picture becomes the network's input, and the names of the classes.
#pragma once

#include <filesystem>
#include <map>
#include <regex>
#include <sstream>

#include "picture.h"

struct Step {  // a transform, or a section of the file
    std::string name;
    std::map<std::string, std::vector<std::string>> arguments;

    std::string word(const std::string& key, size_t index = 0) const {
        const auto found = arguments.find(key);
        if (found == arguments.end() || found->second.empty()) return "";
        return found->second[std::min(index, found->second.size() - 1)];
    }

    float number(const std::string& key, size_t index = 0) const {
        std::istringstream text(word(key, index));
        float value = 0;
        const bool usable = text >> value && text.eof() && std::abs(value) < 1e6f;
        require(usable, "inference.yml: " + name + " has no usable number as its " + key);
        return value;
    }
};

// A value as YAML has it: plain, 'quoted' or "quoted".
inline std::string scalar(const std::string& text) {
    if (text.find_first_of("'\"") != 0) return text;
    const bool single = text[0] == '\'', whole = text.size() > 1 && text.back() == text[0];
    require(whole && (single || text.find('\\') == text.npos), "inference.yml: not understood: " + text);
    const std::string inside = text.substr(1, text.size() - 2);
    return single ? std::regex_replace(inside, std::regex("''"), "'") : inside;
}

// Reads the YAML that PyYAML writes of such a file, not all that YAML can be; the steps are in its order.
inline std::vector<Step> read_description(const std::filesystem::path& path) {
    std::ifstream file(path);
    require(file.good(), path.string() + " cannot be read");
    const std::regex form("( *)(- )?(?:(\\w+):(?: +(.*?))?|(.*?))[ \r]*");
    std::vector<Step> steps;
    std::string key;
    for (std::string line; std::getline(file, line);) {
        std::smatch part;
        const bool fits = line.size() < 4096 && std::regex_match(line, part, form);
        require(fits, "inference.yml: not understood: " + line.substr(0, 80));
        const bool item = part[2].matched, has_key = part[3].matched;
        if (has_key && (item || part.length(1) == 0)) {
            steps.push_back({part[3], {}});
            key.clear();
        } else if (has_key && !steps.empty()) {
            std::vector<std::string>& values = steps.back().arguments[key = part[3]];
            std::string value = part[4];
            std::istringstream list(value[0] == '[' ? value.substr(1, value.find(']') - 1) : "");
            while (std::getline(list >> std::ws, value, ',')) values.push_back(scalar(value));
            value = part[4];
            if (value[0] != '[' && !value.empty() && value != "null") values.push_back(scalar(value));
        } else if (item && !key.empty()) {
            steps.back().arguments[key].push_back(scalar(part[5]));
        } else {
            require(part.length(5) == 0 || line[0] == '#', "inference.yml: not understood: " + line);
        }
    }
    return steps;
}

inline Picture resize(const Picture& picture, const Step& step) {
    const std::string how = step.word("interpolation") + " by " + step.word("backend");
    const auto is = [&](const char* form) {
        return std::regex_match(how, std::regex(form, std::regex::icase));
    };
    require(is("(bicubic|bilinear) by pil"),
            "inference.yml: pictures are resized with bicubic or bilinear by pil here, not with " + how);
    double width = step.number(step.word("resize_short").empty() ? "size" : "resize_short"), height = width;
    if (step.word("resize_short").empty()) {
        height = step.number("size", 1);
    } else {
        const double ratio = width / std::min(picture.width, picture.height);
        width = std::nearbyint(picture.width * ratio), height = std::nearbyint(picture.height * ratio);
    }
    require(std::max(width, height) < 1e6, "a picture cannot be resized to sides of a million pixels");
    return resize(picture, int(width), int(height), is("bicubic.*"));
}

// [3, height, width]
inline std::vector<float> normalize(const Picture& picture, const Step& step) {
    std::vector<float> input;
    for (int channel = 0; channel < 3; ++channel) {
        const float scale = step.number("scale");
        const float mean = step.number("mean", channel), std = step.number("std", channel);
        for (size_t i = channel; i < picture.rgb.size(); i += 3)
            input.push_back((picture.rgb[i] * scale - mean) / std);
    }
    return input;
}

struct Prepared {
    int height, width;
    std::vector<float> input;  // [3, height, width]
    std::vector<std::string> names;
};

// Applies the transforms of inference.yml.
inline Prepared prepare(Picture picture, const std::vector<Step>& steps) {
    Prepared prepared{};
    for (const Step& step : steps) {
        if (step.name == "ResizeImage") {
            picture = resize(picture, step);
        } else if (step.name == "CropImage") {
            picture = crop_the_middle(picture, int(step.number("size", 0)), int(step.number("size", 1)));
        } else if (step.name == "NormalizeImage") {
            prepared.input = normalize(picture, step);
        } else if (step.name == "PostProcess" && step.arguments.count("label_list")) {
            prepared.names = step.arguments.at("label_list");
        } else {
            require(std::regex_match(step.name, std::regex("Global|PreProcess|ToCHWImage|PostProcess")),
                    "inference.yml: " + step.name + " is not done here");
        }
    }
    require(!prepared.input.empty(), "inference.yml has no NormalizeImage");
    prepared.height = picture.height, prepared.width = picture.width;
    return prepared;
}
