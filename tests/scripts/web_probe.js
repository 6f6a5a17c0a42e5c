"use strict";
// What the page keeps to itself, for web_drive.html.
window.probe = {
  outputs: () => shown.outputs.map(({dims, data}) => ({dims, data: Array.from(data)})),
  resize: ({width, height, data}, step) => Array.from(Preprocess.resize({width, height, data}, step).data),
};
