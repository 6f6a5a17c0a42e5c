"use strict";
// What the page keeps to itself, for web_drive.html.
window.probe = {
  model: () => model,
  // Directives of the page's policy that keep it from sending something to `address`.
  leak: async (address) => {
    const stopped = new Set();
    document.addEventListener("securitypolicyviolation", (event) => stopped.add(event.effectiveDirective));
    for (const [name, values] of [
      ["img", {src: address}], ["script", {src: address}], ["link", {rel: "stylesheet", href: address}],
      ["iframe", {src: address}], ["video", {src: address}], ["object", {data: address}],
    ]) {
      document.body.append(Object.assign(document.createElement(name), values));
    }
    await fetch(address, {mode: "no-cors"}).catch(() => {});
    navigator.sendBeacon(address, "picture");
    document.body.append(Object.assign(document.createElement("iframe"), {name: "other"}));
    const form = Object.assign(document.createElement("form"), {action: address, method: "post", target: "other"});
    document.body.append(form);
    form.submit();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return [...stopped].sort();
  },
  outputs: () => shown.outputs.map(({dims, data}) => ({dims, data: Array.from(data)})),
  resize: ({width, height, data}, step) => Array.from(Preprocess.resize({width, height, data}, step).data),
};
