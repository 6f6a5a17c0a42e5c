"use strict";
// From the pixels of a picture to the network's input. Resizing repeats the arithmetic of Pillow and of OpenCV,
// so that scores are those of Python; a canvas would resize in a way of its own in each browser.
// A picture is {width, height, data}: data is RGB, a byte each, row by row.

const Preprocess = (() => {
  const LARGEST = 16384;  // pixels of a side

  // Pillow

  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : (((x - 5) * x + 8) * x - 4) * -0.5);
  const FILTERS = {  // weight at a distance, below `support`
    box: {support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)},
    bilinear: {support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x))},
    hamming: {support: 1, weight: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0)},
    bicubic: {support: 2, weight: (x) => (Math.abs(x) < 2 ? cubic(Math.abs(x)) : 0)},
    lanczos: {support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)},
  };
  const BITS = 22;  // behind the point of a weight

  function pillow(picture, width, height, filter) {
    if (filter === "nearest") {
      return nearest(picture, middles(picture.width, width), middles(picture.height, height));
    }
    let {data} = picture;
    if (width !== picture.width) {
      data = resample(data, picture.height, 3, windows(picture.width, width, FILTERS[filter]), picture.width);
    }
    if (height !== picture.height) {
      data = resample(data, 1, 3 * width, windows(picture.height, height, FILTERS[filter]), picture.height);
    }
    return {width, height, data};
  }

  // For each place of the result: the first place of the source that it is made of, and weights from there on.
  function windows(from, to, {support, weight}) {
    const scale = from / to, stretch = Math.max(scale, 1), reach = support * stretch;
    return Array.from({length: to}, (_, place) => {
      const center = (place + 0.5) * scale;
      const first = Math.max(Math.trunc(center - reach + 0.5), 0);
      const end = Math.min(Math.trunc(center + reach + 0.5), from);
      const shares = [];
      for (let x = first; x < end; x++) {
        shares.push(weight((x - center + 0.5) * (1 / stretch)));
      }
      const sum = shares.reduce((total, share) => total + share, 0);
      return {first, weights: shares.map((share) => {
        const value = (share / sum) * (1 << BITS);
        return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
      })};
    });
  }

  // Of `data` as [outer, length, inner] the middle axis, which becomes as long as `windows`.
  function resample(data, outer, inner, windows, length) {
    const result = new Uint8ClampedArray(outer * windows.length * inner);
    let at = 0;
    for (let row = 0; row < outer; row++) {
      for (const {first, weights} of windows) {
        const start = (row * length + first) * inner;
        for (let i = 0; i < inner; i++) {
          let sum = 1 << (BITS - 1);
          for (let k = 0, place = start + i; k < weights.length; k++, place += inner) {
            sum += data[place] * weights[k];
          }
          result[at++] = sum >> BITS;
        }
      }
    }
    return result;
  }

  // Places of the source by Pillow's nearest neighbour, which adds up the steps.
  function middles(from, to) {
    let place = (from / to) * 0.5;
    return Array.from({length: to}, () => {
      const found = Math.min(Math.floor(place), from - 1);
      place += from / to;
      return found;
    });
  }

  function nearest({width, data}, columns, rows) {
    const result = new Uint8ClampedArray(rows.length * columns.length * 3);
    let at = 0;
    for (const row of rows) {
      for (const column of columns) {
        const start = (row * width + column) * 3;
        result[at++] = data[start];
        result[at++] = data[start + 1];
        result[at++] = data[start + 2];
      }
    }
    return {width: columns.length, height: rows.length, data: result};
  }

  // OpenCV

  const ONE = 2048;  // a weight of 1

  function openCV(picture, width, height, filter) {
    if (filter === "nearest") {
      const places = (from, to) =>
        Array.from({length: to}, (_, place) => Math.min(Math.floor(place * (1 / (to / from))), from - 1));
      return nearest(picture, places(picture.width, width), places(picture.height, height));
    }
    if (width === picture.width && height === picture.height) {
      return picture;
    }
    return picture.width === 2 * width && picture.height === 2 * height
      ? halved(picture) : linear(picture, width, height);
  }

  // Left neighbour of each place of the result, and the weights of this and the next one.
  function neighbours(from, to, clamp) {
    const scale = 1 / (to / from);
    return Array.from({length: to}, (_, place) => {
      const exact = Math.fround((place + 0.5) * scale - 0.5);
      let left = Math.floor(exact), share = Math.fround(exact - left);
      if (clamp && (left < 0 || left >= from - 1)) {
        left = left < 0 ? 0 : from - 1;
        share = 0;
      }
      const weights = [roundHalfEven(Math.fround(1 - share) * ONE), roundHalfEven(share * ONE)];
      return {places: [left, left + 1].map((x) => Math.min(Math.max(x, 0), from - 1)), weights};
    });
  }

  function linear(picture, width, height) {
    const columns = neighbours(picture.width, width, true);
    const stretched = new Map();  // rows of the source, resized and times ONE
    const stretch = (row) => {
      if (!stretched.has(row)) {
        const values = new Int32Array(3 * width), start = row * picture.width * 3;
        columns.forEach(({places: [left, right], weights: [a, b]}, x) => {
          for (let c = 0; c < 3; c++) {
            values[3 * x + c] = picture.data[start + 3 * left + c] * a + picture.data[start + 3 * right + c] * b;
          }
        });
        stretched.set(row, values);
      }
      return stretched.get(row);
    };
    const result = new Uint8ClampedArray(3 * width * height);
    neighbours(picture.height, height, false).forEach(({places: [top, bottom], weights: [a, b]}, y) => {
      const above = stretch(top), below = stretch(bottom);
      for (let i = 0; i < above.length; i++) {
        const sum = ((a * (above[i] >> 4)) >> 16) + ((b * (below[i] >> 4)) >> 16);
        result[y * above.length + i] = (sum + 2) >> 2;
      }
    });
    return {width, height, data: result};
  }

  // OpenCV's special case of its linear filter.
  function halved({width, height, data}) {
    const result = new Uint8ClampedArray(data.length / 4), row = 3 * width;
    let at = 0;
    for (let y = 0; y < height; y += 2) {
      for (let x = 0; x < width; x += 2) {
        for (let c = 0, i = (y * width + x) * 3; c < 3; c++, i++) {
          result[at++] = (data[i] + data[i + 3] + data[i + row] + data[i + row + 3] + 2) >> 2;
        }
      }
    }
    return {width: width / 2, height: height / 2, data: result};
  }

  // Steps, as the export's transforms have them

  function roundHalfEven(value) {
    const low = Math.floor(value), rest = value - low;
    return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
  }

  function resize(picture, {size, resize_short: short, backend, filter}) {
    const ratio = short / Math.min(picture.width, picture.height);
    const [width, height] = size || [picture.width, picture.height].map((side) => roundHalfEven(side * ratio));
    if (Math.max(width, height) > LARGEST) {
      throw new Error(`a picture of ${picture.width}x${picture.height} would become one of ${width}x${height}`);
    }
    return (backend === "pil" ? pillow : openCV)(picture, width, height, filter);
  }

  // A window of the picture from (left, top) on, which may reach beyond it; there it has the colour `value`.
  function cut(picture, left, top, width, height, value) {
    const result = new Uint8ClampedArray(3 * width * height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const column = x + left, row = y + top;
        const inside = column >= 0 && column < picture.width && row >= 0 && row < picture.height;
        for (let c = 0; c < 3; c++) {
          result[at++] = inside ? picture.data[3 * (row * picture.width + column) + c] : value[c];
        }
      }
    }
    return {width, height, data: result};
  }

  function crop(picture, {size: [width, height]}) {
    if (width > picture.width || height > picture.height) {
      throw new Error(`a crop of ${width}x${height} does not fit into a picture of ${picture.width}x${picture.height}`);
    }
    const left = Math.floor((picture.width - width) / 2), top = Math.floor((picture.height - height) / 2);
    return cut(picture, left, top, width, height);
  }

  function pad(picture, {size, value}) {
    const columns = Math.max(size[0] - picture.width, 0), rows = Math.max(size[1] - picture.height, 0);
    const left = -Math.floor(columns / 2), top = -Math.floor(rows / 2);
    return cut(picture, left, top, picture.width + columns, picture.height + rows, value);
  }

  const STEPS = {ResizeImage: resize, CropImage: crop, PadImage: pad};

  function apply(picture, steps) {
    return steps.reduce((current, {name, ...values}) => STEPS[name](current, values), picture);
  }

  // [3, height, width] in the arithmetic of float32.
  function normalize({width, height, data}, {scale, mean, std}) {
    const plane = width * height, input = new Float32Array(3 * plane), float = Math.fround;
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < plane; i++) {
        input[c * plane + i] = float(float(float(data[3 * i + c] * scale) - mean[c]) / std[c]);
      }
    }
    return input;
  }

  return {apply, normalize, resize};
})();
