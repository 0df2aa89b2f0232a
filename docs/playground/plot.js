// Axes, lines and fields in SVG and canvas: what the page's four plots share.

"use strict";

const Draw = (() => {
  const NS = "http://www.w3.org/2000/svg";

  function svg(name, attributes = {}, parent = null, text = null) {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  // Short form of a number: four decimals, or three significant digits and a power of ten.
  function format(value) {
    if (value === null || value === undefined) return "";
    if (Number.isNaN(value)) return "not a number";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    let text;
    if (size === 0) text = "0";
    else if (size >= 1e4 || size < 1e-3) text = value.toExponential(2).replace("e+", "e");
    else if (size >= 100) text = value.toFixed(1);
    else text = value.toFixed(4);
    return text.replace(/-/g, "−");
  }

  const tickLabel = (value) => String(Number(value.toPrecision(6))).replace(/-/g, "−");

  // "linear", or "symlog": asinh(v / unit), linear near 0 and logarithmic far out.
  function makeScale(kind, unit, [low, high], [from, to]) {
    const forth = kind === "symlog" ? (v) => Math.asinh(v / unit) : (v) => v;
    const back = kind === "symlog" ? (t) => unit * Math.sinh(t) : (t) => t;
    const a = forth(low);
    const b = forth(high);
    const scale = (v) => from + ((forth(v) - a) / (b - a)) * (to - from);
    scale.invert = (pixel) => back(a + ((pixel - from) / (to - from)) * (b - a));
    scale.domain = [low, high];
    scale.ticks = (count) =>
      kind === "symlog" ? symlogTicks(low, high, unit) : linearTicks(low, high, count);
    return scale;
  }

  function linearTicks(low, high, count) {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const size = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const ticks = [];
    for (let i = Math.ceil(low / size - 1e-9); i * size <= high + 1e-9 * size; i++) ticks.push(i * size);
    return ticks;
  }

  function symlogTicks(low, high, unit) {
    const ticks = low <= 0 && high >= 0 ? [0] : [];
    for (let v = unit; v <= Math.max(-low, high) * 1.001; v *= 10) {
      if (v <= high * 1.001 && v >= low) ticks.push(v);
      if (-v >= low * 1.001 && -v <= high) ticks.push(-v);
    }
    return ticks;
  }

  // Sizes and colours are read once, and again after `forget`.
  let generation = 0;
  const colours = new Map();

  function forget() {
    generation++;
    colours.clear();
  }

  // An SVG over a canvas that fill their container, with axes.
  class Plot {
    constructor(container, margin = {}) {
      this.container = container;
      this.margin = { top: 8, right: 10, bottom: 36, left: 46, ...margin };
      this.canvas = document.createElement("canvas");
      this.svg = svg("svg", { "aria-hidden": "true" });
      container.append(this.canvas, this.svg);
      this.axes = svg("g", { class: "axes" }, this.svg);
      this.id = `clip-${container.id}`;
      this.clip = svg("rect", {}, svg("clipPath", { id: this.id }, svg("defs", {}, this.svg)));
      this.body = svg("g", { "clip-path": `url(#${this.id})` }, this.svg);
      this.top = svg("g", {}, this.svg);
      this.axesKey = "";
    }

    // Fit to the container, once after each `forget`: reading sizes between writes is slow.
    measure() {
      if (this.measured === generation && this.left === this.margin.left) return;
      this.measured = generation;
      this.left = this.margin.left;
      this.width = this.container.clientWidth;
      this.height = this.container.clientHeight;
      const { top, right, bottom, left } = this.margin;
      this.inner = { x: left, y: top, w: this.width - left - right, h: this.height - top - bottom };
      const { x, y, w, h } = this.inner;
      Object.entries({ x, y, width: Math.max(w, 1), height: Math.max(h, 1) }).forEach(([k, v]) =>
        this.clip.setAttribute(k, v),
      );
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      Object.assign(this.canvas.style, {
        left: `${x}px`,
        top: `${y}px`,
        width: `${w}px`,
        height: `${h}px`,
      });
    }

    // Scales and axes; `x` and `y` are { domain, label, kind, unit, ticks }.
    layout(x, y) {
      this.measure();
      const { inner } = this;
      const right = inner.x + inner.w;
      const bottom = inner.y + inner.h;
      this.x = makeScale(x.kind, x.unit, x.domain, [inner.x, right]);
      this.y = makeScale(y.kind, y.unit, y.domain, [bottom, inner.y]);
      const key = JSON.stringify([x, y, this.width, this.height]);
      if (key === this.axesKey) return false;
      this.axesKey = key;
      this.axes.replaceChildren();
      const thin = (ticks, scale, space) => {
        let last = -Infinity;
        return [...ticks]
          .sort((a, b) => scale(a) * Math.sign(space) - scale(b) * Math.sign(space))
          .filter((t) => {
            const at = scale(t) * Math.sign(space);
            if (at - last < Math.abs(space)) return false;
            last = at;
            return true;
          });
      };
      for (const t of thin(x.ticks ?? this.x.ticks(inner.w / 44), this.x, 34)) {
        const at = this.x(t);
        svg("line", { x1: at, x2: at, y1: inner.y, y2: bottom, class: "grid" }, this.axes);
        svg("text", { x: at, y: bottom + 15, "text-anchor": "middle" }, this.axes, tickLabel(t));
      }
      for (const t of thin(y.ticks ?? this.y.ticks(inner.h / 45), this.y, -18)) {
        const at = this.y(t);
        svg("line", { x1: inner.x, x2: right, y1: at, y2: at, class: "grid" }, this.axes);
        svg("text", { x: inner.x - 6, y: at + 4, "text-anchor": "end" }, this.axes, tickLabel(t));
      }
      const middle = inner.x + inner.w / 2;
      svg("text", { x: middle, y: bottom + 31, "text-anchor": "middle", class: "label" }, this.axes, x.label);
      const turned = `translate(11 ${inner.y + inner.h / 2}) rotate(-90)`;
      svg("text", { transform: turned, "text-anchor": "middle", class: "label" }, this.axes, y.label);
      return true;
    }

    // Where a pointer event is, in the plot's units.
    at(event) {
      const box = this.svg.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      return { px, py, x: this.x.invert(px), y: this.y.invert(py) };
    }

    // A function of (x, y) on a grid, as an array of rows from the bottom to the top.
    sample(side, f) {
      const { x, y, w, h } = this.inner;
      return Array.from({ length: side }, (_, i) =>
        Array.from({ length: side }, (_, j) =>
          f(this.x.invert(x + (w * j) / (side - 1)), this.y.invert(y + h - (h * i) / (side - 1))),
        ),
      );
    }

    clearField() {
      this.canvas.width = 1;
    }

    // Paint a grid, interpolated to pixels: level(value) is an index into colours, which are
    // [red, green, blue, alpha]; `contour`, if given, is the colour between two levels.
    paint(grid, level, colours, contour = null) {
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.max(1, Math.round(this.inner.w * ratio));
      const height = Math.max(1, Math.round(this.inner.h * ratio));
      this.canvas.width = width;
      this.canvas.height = height;
      const context = this.canvas.getContext("2d");
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const packed = new Uint32Array(new Uint8ClampedArray(colours.flat()).buffer);
      const line = contour && new Uint32Array(new Uint8ClampedArray(contour).buffer)[0];
      const side = grid.length - 1;
      const levels = new Int16Array(width * height);
      for (let row = 0, k = 0; row < height; row++) {
        const v = (1 - row / Math.max(height - 1, 1)) * side;
        const i = Math.min(Math.floor(v), side - 1);
        const [lower, upper, dv] = [grid[i], grid[i + 1], v - i];
        for (let column = 0; column < width; column++, k++) {
          const u = (column / Math.max(width - 1, 1)) * side;
          const j = Math.min(Math.floor(u), side - 1);
          const du = u - j;
          const below = lower[j] + (lower[j + 1] - lower[j]) * du;
          const above = upper[j] + (upper[j + 1] - upper[j]) * du;
          const here = level(below + (above - below) * dv);
          levels[k] = Math.max(0, Math.min(colours.length - 1, here));
          // Where the levels lie closer than four pixels their lines would be a blot.
          const apart = (far) => Math.abs(levels[k] - levels[k - far]);
          const edge =
            contour &&
            ((column > 0 && apart(1)) || (row > 0 && apart(width))) &&
            (column < 4 || apart(4) < 2) &&
            (row < 4 || apart(4 * width) < 2);
          pixels[k] = edge ? line : packed[levels[k]];
        }
      }
      context.putImageData(image, 0, 0);
    }
  }

  // A colour of the style sheet as [red, green, blue].
  function colour(name) {
    if (!colours.has(name)) {
      const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
      colours.set(
        name,
        [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)),
      );
    }
    return colours.get(name);
  }

  const mix = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);

  const path = (points) =>
    points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  return { svg, format, forget, Plot, colour, mix, path };
})();
