// Pictures: read from binary PPM, resized as Pillow resizes them, cropped. Nothing here knows of a network.
#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

struct Picture {
    int width, height;
    std::vector<unsigned char> rgb;  // [height, width, 3]
};

inline void require(bool holds, const std::string& otherwise) {
    if (!holds) throw std::runtime_error(otherwise);
}

inline Picture read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    require(file.good(), path + " cannot be read");
    std::string magic;
    int sizes[3] = {};  // width, height, the largest value
    file >> magic;
    for (int& size : sizes) {
        for (std::string comment; (file >> std::ws).peek() == '#';) std::getline(file, comment);
        file >> size;
    }
    const bool known = file && magic == "P6" && sizes[0] > 0 && sizes[1] > 0 && sizes[2] == 255;
    require(known, path + " is no binary PPM picture (P6) of 8 bits; README.md says how to make one");
    file.get();
    Picture picture{sizes[0], sizes[1], std::vector<unsigned char>(size_t(3) * sizes[0] * sizes[1])};
    file.read(reinterpret_cast<char*>(picture.rgb.data()), picture.rgb.size());
    require(bool(file), path + " ends within the picture");
    return picture;
}

inline double bilinear(double x) { return std::max(1 - std::abs(x), 0.0); }

inline double bicubic(double x) {
    const double a = -0.5, d = std::abs(x);
    return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

// Gives a picture another width in Pillow's arithmetic, and turns it on its side.
inline Picture resize_and_turn(const Picture& in, int width, bool cubic) {
    const double scale = double(in.width) / width, stretch = std::max(scale, 1.0);
    const double reach = (cubic ? 2 : 1) * stretch;
    Picture out{in.height, width, std::vector<unsigned char>(size_t(3) * in.height * width)};
    for (int x = 0; x < width; ++x) {
        const double center = (x + 0.5) * scale;
        const int first = std::max(int(center - reach + 0.5), 0);
        std::vector<double> weights(std::min(int(center + reach + 0.5), in.width) - first);
        for (size_t i = 0; i < weights.size(); ++i)
            weights[i] = (cubic ? bicubic : bilinear)((first + double(i) - center + 0.5) * (1 / stretch));
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (double& weight : weights) weight = std::round(weight / sum * (1 << 22));
        for (int y = 0; y < in.height; ++y)
            for (int channel = 0; channel < 3; ++channel) {
                int value = 1 << 21;
                for (size_t i = 0; i < weights.size(); ++i)
                    value += in.rgb[(size_t(y) * in.width + first + i) * 3 + channel] * int(weights[i]);
                out.rgb[(size_t(x) * in.height + y) * 3 + channel] = std::clamp(value >> 22, 0, 255);
            }
    }
    return out;
}

inline Picture resize(const Picture& picture, int width, int height, bool cubic) {
    require(width > 0 && height > 0, "a picture cannot be resized to nothing");
    return resize_and_turn(resize_and_turn(picture, width, cubic), height, cubic);
}

inline Picture crop_the_middle(const Picture& in, int width, int height) {
    require(0 < width && width <= in.width && 0 < height && height <= in.height,
            "the crop does not fit into the resized picture");
    Picture out{width, height, {}};
    const int left = (in.width - width) / 2, top = (in.height - height) / 2;
    for (int y = top; y < top + height; ++y) {
        const auto row = in.rgb.begin() + (size_t(y) * in.width + left) * 3;
        out.rgb.insert(out.rgb.end(), row, row + 3 * width);
    }
    return out;
}
