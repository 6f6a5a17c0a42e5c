"use strict";
// Classifies the pictures that are dropped on the page or chosen, in the browser. `model.json` says how.

const BAND = 1 << 22;  // pixels that are read at once: phones have canvases no larger than 16 megapixels
const LONGEST = 16384;  // pixels of a side: browsers leave a longer canvas empty, without a word
const SHORTEST = 448;  // pixels of the canvas that shows a picture
const OPACITY = 0.75;
const COLOURS = [[70, 98, 216], [41, 187, 236], [163, 253, 60], [251, 128, 34], [200, 40, 10]];  // cool to hot

const element = (id) => document.getElementById(id);
const say = (text) => { element("status").textContent = text; };
let model, session, shown;
let last = Promise.resolve();  // one picture after the other

async function start() {
  if (location.protocol === "file:") {
    return;  // the page itself says what to do
  }
  say("Loading the network …");
  const here = new URL("onnxruntime/", document.baseURI).href;
  ort.env.wasm.numThreads = 1;  // more need headers that plain servers do not send
  ort.env.wasm.wasmPaths = {
    mjs: `${here}ort-wasm-simd-threaded.js`,
    wasm: `${here}ort-wasm-simd-threaded.wasm`,
  };
  model = await (await got("model.json")).json();
  session = await ort.InferenceSession.create(await (await got(model.file)).arrayBuffer());
  document.title = model.name;
  document.querySelector("h1").textContent = model.name;
  model.outputs.forEach((name, index) => {
    if (name.startsWith("gates_")) {
      element("stage").add(new Option(`with the spatial gates of stage ${name.slice(6)}`, index));
    }
  });
  element("stage").hidden = element("stage").length === 1;
  document.querySelector("main").hidden = false;
  say("Ready.");
}

async function got(path) {
  const response = await fetch(path, {cache: "no-cache"});  // of one export, not of an earlier one
  if (!response.ok) {
    throw new Error(`${path}: ${response.status} ${response.statusText}`);
  }
  return response;
}

// The picture in a file, and whether parts of it are transparent. Browsers turn it as its EXIF says.
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
  } catch {
    throw new Error("it is no picture that this browser can read");
  }
  const {width, height} = bitmap;
  if (Math.max(width, height) > LONGEST) {
    throw new Error(`it has ${width}x${height} pixels, and browsers draw up to ${LONGEST} on a side`);
  }
  const data = new Uint8ClampedArray(3 * width * height);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(height, Math.ceil(BAND / width));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  let transparent = false;
  for (let top = 0, at = 0; top < height; top += canvas.height) {
    const rows = Math.min(canvas.height, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const band = context.getImageData(0, 0, width, rows).data;
    for (let i = 0; i < band.length; i += 4) {
      data[at++] = band[i];
      data[at++] = band[i + 1];
      data[at++] = band[i + 2];
      transparent ||= band[i + 3] < 255;
    }
  }
  bitmap.close();
  return {width, height, data, transparent};
}

// What the network saw of a picture, and its outputs by their names.
async function run(picture) {
  const seen = Preprocess.apply(picture, model.steps);
  const [, height, width] = model.shape;
  if (seen.width !== width || seen.height !== height) {
    throw new Error(`it becomes ${seen.width}x${seen.height}, and the network takes ${width}x${height}`);
  }
  const input = new ort.Tensor("float32", Preprocess.normalize(seen, model.scaling), [1, ...model.shape]);
  const found = await session.run({[session.inputNames[0]]: input});
  return {seen, outputs: session.outputNames.map((name) => found[name])};
}

// Numbers of the classes to show, best first.
function chosen(scores) {
  const best = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || b - a);
  return model.topk === null ? best.filter((n) => scores[n] >= model.threshold) : best.slice(0, model.topk);
}

function show({seen, outputs}) {
  shown = {seen, outputs};
  const scores = outputs[0].data;
  element("classes").replaceChildren(...chosen(scores).map((number) => {
    const row = document.createElement("tr");
    row.insertCell().textContent = model.label_names ? model.label_names[number] : number;
    const score = document.createElement("data");
    score.value = scores[number];
    score.textContent = `${(100 * scores[number]).toFixed(1)} %`;
    row.insertCell().append(score);
    return row;
  }));
  element("answer").hidden = false;
  draw();
}

function draw() {
  const {seen, outputs} = shown;
  const canvas = element("picture"), context = canvas.getContext("2d");
  const times = Math.max(1, Math.ceil(SHORTEST / Math.max(seen.width, seen.height)));
  canvas.width = seen.width * times;
  canvas.height = seen.height * times;
  context.drawImage(canvasOf(seen.width, seen.height, (i) => [...seen.data.subarray(3 * i, 3 * i + 3), 255]),
    0, 0, canvas.width, canvas.height);
  const index = element("stage").value;
  if (index !== "") {
    const [, blocks, height, width] = outputs[index].dims;
    const stride = times * model.strides[index];  // the map may reach beyond the picture, below and on the right
    context.drawImage(canvasOf(width, height, coloured(meanOf(outputs[index].data, blocks))),
      0, 0, width * stride, height * stride);
  }
}

function canvasOf(width, height, pixel) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.set(pixel(i), 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// The mean of a stage's blocks, place by place.
function meanOf(data, blocks) {
  const mean = new Float32Array(data.length / blocks);
  data.forEach((value, i) => { mean[i % mean.length] += value / blocks; });
  return mean;
}

// From a place of a map to its colour, from its least value to its greatest; cool is transparent.
function coloured(map) {
  const low = map.reduce((a, b) => Math.min(a, b)), high = map.reduce((a, b) => Math.max(a, b));
  return (i) => {
    const heat = high > low ? (map[i] - low) / (high - low) : 0;
    const place = heat * (COLOURS.length - 1), below = Math.min(Math.floor(place), COLOURS.length - 2);
    const mixed = COLOURS[below].map((value, c) => value + (place - below) * (COLOURS[below + 1][c] - value));
    return [...mixed, 255 * OPACITY * heat];
  };
}

function take(files) {
  const [file] = files;
  if (file && session) {
    last = last.then(() => classify(file));
  }
}

async function classify(file) {
  say(`${file.name} …`);
  try {
    const picture = await decode(file);
    const begin = performance.now();
    show(await run(picture));
    const took = Math.round(performance.now() - begin);
    const note = picture.transparent ? "; what is transparent is seen otherwise than in Python" : "";
    say(`${file.name}: ${took} ms${note}`);
  } catch (error) {
    element("answer").hidden = true;
    say(`${file.name}: ${error.message}`);
  }
}

element("file").addEventListener("change", (event) => take(event.target.files));
element("stage").addEventListener("change", draw);
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
start().catch((error) => say(`The network cannot be loaded: ${error.message}`));
