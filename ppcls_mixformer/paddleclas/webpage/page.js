"use strict";
// Classifies the pictures that are dropped on the page, pasted or chosen, in the browser. `model.json` says how.

const VERSION = document.currentScript.src.split("?")[1];  // of all files that belong together
const BAND = 1 << 22;  // pixels that are read at once: phones have canvases no larger than 16 megapixels
const LONGEST = 16384;  // pixels of a side: browsers leave a longer canvas empty, without a word
const SHORTEST = 448;  // pixels of the canvas that shows a picture
const OPACITY = 0.75;
const HEIC = /^ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)/;  // from the fifth byte of a file on
// A module with one function, which makes a vector and drops it.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11];
const COLOURS = [[70, 98, 216], [41, 187, 236], [163, 253, 60], [251, 128, 34], [200, 40, 10]];  // cool to hot

const element = (id) => document.getElementById(id);
const say = (text) => { element("status").textContent = text; };
const percent = (score) => `${(100 * score).toFixed(1)} %`;
const done = [];  // what is to be shown of each picture
let model, session, shown;

async function start() {
  if (location.protocol === "file:") {
    return;  // the page itself says what to do
  }
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(new Uint8Array(SIMD))) {
    throw new Error("this browser has no WebAssembly with SIMD; take Chrome or Edge 91, Firefox 89, Safari 16.4, or a newer one");
  }
  if (typeof ort === "undefined" || typeof Preprocess === "undefined") {
    throw new Error("files of its folder are missing; export it anew");
  }
  say("Loading the network …");
  const here = new URL("onnxruntime/", document.baseURI).href;
  ort.env.wasm.numThreads = 1;  // more need headers that plain servers do not send
  ort.env.wasm.wasmPaths = {
    mjs: `${here}ort-wasm-simd-threaded.js?${VERSION}`,
    wasm: `${here}ort-wasm-simd-threaded.wasm?${VERSION}`,
  };
  model = await (await got("model.json")).json();
  if (model.page !== VERSION) {
    throw new Error("the browser has kept an earlier page; reload it");
  }
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
    const head = String.fromCharCode(...new Uint8Array(await file.slice(4, 12).arrayBuffer().catch(() => [])));
    throw new Error(HEIC.test(head) ? "it is HEIC, which this browser cannot read; save it as JPEG"
      : "it is no picture that this browser can read");
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

function label(number) {
  return model.label_names ? model.label_names[number] : String(number);
}

// The best class of a result in words.
function best({outputs}) {
  const [number] = chosen(outputs[0].data);
  return number === undefined ? "no label" : `${label(number)}, ${percent(outputs[0].data[number])}`;
}

function show(result) {
  shown = result;
  const scores = result.outputs[0].data;
  const rows = chosen(scores).map((number) => {
    const row = document.createElement("tr");
    row.insertCell().textContent = label(number);
    const score = document.createElement("data");
    score.value = scores[number];
    score.textContent = percent(scores[number]);
    row.insertCell().append(score);
    return row;
  });
  if (!rows.length) {
    rows.push(document.createElement("tr"));
    rows[0].insertCell().textContent = `No label reaches ${percent(model.threshold)}.`;
    rows[0].cells[0].colSpan = 2;
  }
  element("classes").replaceChildren(...rows);
  element("answer").hidden = false;
  draw();
}

function draw() {
  const {name, seen, outputs} = shown;
  const canvas = element("picture"), context = canvas.getContext("2d");
  const times = Math.max(1, Math.ceil(SHORTEST / Math.max(seen.width, seen.height)));
  canvas.width = seen.width * times;
  canvas.height = seen.height * times;
  context.drawImage(canvasOf(seen.width, seen.height, (i) => [...seen.data.subarray(3 * i, 3 * i + 3), 255]),
    0, 0, canvas.width, canvas.height);
  const index = element("stage").value, overlay = element("stage").selectedOptions[0].text;
  canvas.setAttribute("aria-label", `${name} as the network saw it, ${seen.width}x${seen.height} pixels, ${overlay}`);
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
  last = last.then(() => session && classifyAll(files));
}

async function classifyAll(files) {
  let failed = 0;
  for (const file of files) {
    failed += await classify(file) ? 0 : 1;
  }
  if (files.length > 1) {
    say(`${files.length} pictures, ${failed} of them not classified`);
  }
}

// Whether a file could be classified.
async function classify(file) {
  const {name} = file;
  say(`${name} …`);
  try {
    const picture = await decode(file);
    const begin = performance.now();
    const result = {name, ...await run(picture)};
    const took = Math.round(performance.now() - begin);
    const note = picture.transparent ? "; what is transparent is seen otherwise than in Python" : "";
    add(name, best(result), result);
    say(`${name}: ${best(result)} (${took} ms)${note}`);
    return true;
  } catch (error) {
    add(name, error.message, null);
    say(`${name}: ${error.message}`);
    return false;
  }
}

// Adds a picture to those that can be chosen, and shows it.
function add(name, said, result) {
  element("which").add(new Option(`${name}: ${said}`));
  element("which").selectedIndex = done.push(result) - 1;
  element("choice").hidden = done.length < 2;
  showChosen();
}

function showChosen() {
  const result = done[element("which").selectedIndex];
  element("answer").hidden = result === null;
  if (result !== null) {
    show(result);
  }
}

// Of the clipboard or of what is dropped. Its list of files is empty once the event is over.
function takeFrom(event, transfer) {
  event.preventDefault();
  const files = [...transfer.files];
  if (files.length || !session) {
    take(files);
  } else {
    say("That is no file: save the picture, and drop or choose its file.");
  }
}

let last = start().catch((error) => say(`The network cannot be loaded: ${error.message}`));  // one picture after the other
element("file").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = "";  // or the same file could not be chosen again
});
element("which").addEventListener("change", showChosen);
addEventListener("paste", (event) => takeFrom(event, event.clipboardData));
element("stage").addEventListener("change", draw);
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  element("drop").classList.remove("over");
  takeFrom(event, event.dataTransfer);
});
