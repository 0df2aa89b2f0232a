"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const floats = (text) =>
    new Float64Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

  const data = JSON.parse($("data").textContent);
  for (const name of ["J", "gradient_max", "theta", "gradient", "X", "y", "share"])
    data[name] = floats(data[name]);
  if (data.J_test) data.J_test = floats(data.J_test);
  const nSteps = data.J.length;
  const nSamples = data.y.length;
  const d = data.names.length - 1;
  const [negative, positive] = data.classes;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const state = {
    step: data.kept,
    sample: 0,
    pair: [...data.parameters],
    playing: false,
    z: new Float64Array(nSamples),
    sigma: new Float64Array(nSamples),
    at: [], // where each sample was drawn
  };

  // ------------------------------------------------------------------ the chain rule

  // σ and 1 - σ: exp(-|z|) cannot overflow, and neither is got by subtraction.
  function sigmoidPair(z) {
    const e = Math.exp(-Math.abs(z));
    const large = 1 / (1 + e);
    const small = e * large;
    return z < 0 ? [small, large] : [large, small];
  }

  const parameter = (step, j) => data.theta[step * (d + 1) + j];
  const feature = (i, j) => (j === d ? 1 : data.X[i * d + j]);

  function weightedSum(step, i) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += data.X[i * d + j] * data.theta[step * (d + 1) + j];
    return sum + parameter(step, d);
  }

  function factors(step, i) {
    const y = data.y[i];
    const z = weightedSum(step, i);
    const [sigma, rest] = sigmoidPair(z);
    const dl_dsigma = 2 * ((1 - y) * sigma - y * rest);
    const dsigma_dz = sigma * rest;
    return { y, z, sigma, l: (y - sigma) ** 2, dl_dsigma, dsigma_dz, dl_dz: dl_dsigma * dsigma_dz };
  }

  const argmax = (value) => {
    let best = 0;
    for (let i = 1; i < nSamples; i++) if (value(i) > value(best)) best = i;
    return best;
  };

  // ------------------------------------------------------------------ words and numbers

  const minus = (text) => text.replaceAll("-", "−").replace("e+", "e");

  function short(value, digits = 4) {
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e4) return minus(String(value));
    if (size < 1e-4 || size >= 1e6) return minus(value.toExponential(digits - 1));
    return minus(size >= 10 ** digits ? value.toFixed(0) : value.toPrecision(digits));
  }

  const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const symbol = (j) => (j === d ? "b" : d === 1 ? "w" : `w of ${data.names[j]}`);
  const axisName = (j) => (j === d ? "bias b" : `weight of ${data.names[j]}`);
  const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

  function where(step) {
    const run = data.run[step];
    const last = data.iteration[data.run.lastIndexOf(run)];
    const text = `iteration ${data.iteration[step]} of ${last}`;
    return data.run.at(-1) > 1 ? `run ${run}, ${text}` : text;
  }

  function numberOf(element, value, digits = 7) {
    element.value = value; // to the last digit
    element.title = String(value);
    element.textContent = short(value, digits);
  }

  // ------------------------------------------------------------------ drawing

  let colours = {};
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["card", "raised", "line", "line-strong", "ink", "muted", "class-0", "class-1",
      "loss-1", "backward", "field-low", "field-high"];
    colours = Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  }

  const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const faded = (hex, alpha) => `rgba(${rgb(hex).join(",")},${alpha})`;
  const linear = (low, high, from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);

  function ticks(low, high, most) {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const size = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough * 0.999);
    const values = [];
    for (let k = Math.ceil(low / size - 1e-9); k * size <= high + 1e-9 * size; k++)
      values.push(k * size);
    return values.map((value) => ({ value, text: minus(String(+value.toPrecision(6))) }));
  }

  function logTicks(low, high) {
    const all = [];
    const decades = Math.log10(high / low);
    const every = Math.max(1, Math.ceil(decades / 6));
    for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++)
      for (const m of decades > 2.5 ? [1] : [1, 2, 5])
        if (m * 10 ** k >= low && m * 10 ** k <= high && (m > 1 || k % every === 0 || every === 1))
          all.push({ value: m * 10 ** k, text: minus(String(+(m * 10 ** k).toPrecision(2))) });
    return all;
  }

  // A canvas of the size it is shown at, empty, with a box for the data.
  function canvasOf(id, margin) {
    const canvas = $(id);
    const { clientWidth: w, clientHeight: h } = canvas;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    g.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    g.lineJoin = "round";
    const [top, right, bottom, left] = margin;
    return { canvas, g, ratio, w, h, x0: left, x1: w - right, y0: top, y1: h - bottom };
  }

  function drawAxes(p, { x, y, xTicks, yTicks, xLabel, yLabel, grid = true }) {
    const { g } = p;
    g.lineWidth = 1;
    g.fillStyle = colours.muted;
    g.strokeStyle = colours.line;
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const { value, text } of yTicks) {
      const at = Math.round(y(value)) + 0.5;
      if (grid) line(g, p.x0, at, p.x1, at);
      g.fillText(text, p.x0 - 6, at);
    }
    g.textAlign = "center";
    g.textBaseline = "top";
    for (const { value, text } of xTicks) {
      const at = Math.round(x(value)) + 0.5;
      if (grid) line(g, at, p.y0, at, p.y1);
      g.fillText(text, Math.min(at, p.w - g.measureText(text).width / 2 - 1), p.y1 + 5);
    }
    g.textBaseline = "alphabetic";
    if (xLabel) g.fillText(fitted(g, xLabel, p.x1 - p.x0), (p.x0 + p.x1) / 2, p.h - 3);
    if (yLabel) {
      g.save();
      g.translate(11, (p.y0 + p.y1) / 2);
      g.rotate(-Math.PI / 2);
      g.fillText(fitted(g, yLabel, p.y1 - p.y0), 0, 0);
      g.restore();
    }
  }

  function fitted(g, text, width) {
    while (text.length > 3 && g.measureText(text).width > width)
      text = `${text.slice(0, -2)}…`;
    return text;
  }

  function line(g, x1, y1, x2, y2) {
    g.beginPath();
    g.moveTo(x1, y1);
    g.lineTo(x2, y2);
    g.stroke();
  }

  function inside(p, draw) {
    p.g.save();
    p.g.beginPath();
    p.g.rect(p.x0, p.y0, p.x1 - p.x0, p.y1 - p.y0);
    p.g.clip();
    draw(p.g);
    p.g.restore();
  }

  // Class 1 is a circle, class 0 a triangle.
  function mark(g, x, y, size, second) {
    g.beginPath();
    if (second) g.arc(x, y, size, 0, 2 * Math.PI);
    else {
      g.moveTo(x, y - 1.15 * size);
      g.lineTo(x + 1.1 * size, y + 0.85 * size);
      g.lineTo(x - 1.1 * size, y + 0.85 * size);
      g.closePath();
    }
  }

  function ring(g, x, y, radius) {
    for (const [width, colour] of [[5, colours.card], [2.5, colours.ink]]) {
      g.beginPath();
      g.arc(x, y, radius, 0, 2 * Math.PI);
      g.lineWidth = width;
      g.strokeStyle = colour;
      g.stroke();
    }
  }

  const isSecond = (i) => data.y[i] > 0.5;
  const isRight = (i) => state.z[i] > 0 === isSecond(i);
  const colourOf = (i) => (isSecond(i) ? colours["class-1"] : colours["class-0"]);

  function extent(j) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < nSamples; i++) {
      low = Math.min(low, data.X[i * d + j]);
      high = Math.max(high, data.X[i * d + j]);
    }
    const margin = 0.08 * (high > low ? high - low : 1);
    return [low - margin, high + margin];
  }
  const extents = d < 3 ? Array.from({ length: d }, (_, j) => extent(j)) : [];

  function drawSamples() {
    [drawCurve, drawBoundary][d - 1]?.() ?? (d > 2 && drawHistogram());
    const right = Array.from({ length: nSamples }, (_, i) => isRight(i)).filter(Boolean).length;
    const text = `${right} of ${nSamples} samples are classified correctly, at σ = 0.5.`;
    $("correct").textContent = text;
    const chosen = factors(state.step, state.sample);
    $("picked").textContent =
      `Sample ${data.shown[state.sample]}: y = ${short(chosen.y)}, σ = ${short(chosen.sigma)}`;
    $("samples").setAttribute("aria-label", `${$("samples-title").textContent}, ${where(state.step)}. ${text}`);
  }

  function drawPoints(g, size) {
    g.lineWidth = 1;
    for (let i = 0; i < nSamples; i++) {
      const [x, y] = state.at[i];
      mark(g, x, y, size, isSecond(i));
      g.fillStyle = colourOf(i);
      g.fill();
      g.lineWidth = isRight(i) ? 1 : 1.6;
      g.strokeStyle = isRight(i) ? colours.card : colours.ink;
      g.stroke();
    }
    const [x, y] = state.at[state.sample];
    ring(g, x, y, size + 4);
  }

  const pointSize = () => Math.max(2.2, Math.min(5, 60 / Math.sqrt(nSamples)));

  // One feature: σ over it, and each sample at its target.
  function drawCurve() {
    const p = canvasOf("samples", [10, 10, 40, 48]);
    const x = linear(...extents[0], p.x0, p.x1);
    const y = linear(-0.08, 1.08, p.y1, p.y0);
    drawAxes(p, { x, y, xTicks: ticks(...extents[0], 6), yTicks: ticks(0, 1, 5),
      xLabel: data.names[0], yLabel: "σ, and y" });
    inside(p, (g) => {
      const [w, b] = [parameter(state.step, 0), parameter(state.step, 1)];
      g.strokeStyle = colours.ink;
      g.lineWidth = 2;
      g.beginPath();
      for (let px = p.x0; px <= p.x1; px++) {
        const value = extents[0][0] + ((px - p.x0) / (p.x1 - p.x0)) * (extents[0][1] - extents[0][0]);
        g.lineTo(px, y(sigmoidPair(w * value + b)[0]));
      }
      g.stroke();
      g.setLineDash([4, 4]);
      g.lineWidth = 1.5;
      if (w !== 0) line(g, x(-b / w), p.y0, x(-b / w), p.y1);
      g.setLineDash([]);
      state.at = Array.from(data.y, (target, i) => [x(data.X[i]), y(target)]);
      const [px] = state.at[state.sample];
      g.strokeStyle = colours.backward;
      line(g, px, y(data.y[state.sample]), px, y(state.sigma[state.sample]));
      drawPoints(g, pointSize());
    });
    return true;
  }

  // Two features: σ in ten bands, the boundary, the samples.
  function drawBoundary() {
    const p = canvasOf("samples", [10, 10, 40, 48]);
    const x = linear(...extents[0], p.x0, p.x1);
    const y = linear(...extents[1], p.y1, p.y0);
    const [w0, w1, b] = [0, 1, 2].map((j) => parameter(state.step, j));
    inside(p, (g) => {
      g.fillStyle = bands(g, p, w0, w1, b);
      g.fillRect(p.x0, p.y0, p.x1 - p.x0, p.y1 - p.y0);
    });
    drawAxes(p, { x, y, xTicks: ticks(...extents[0], 6), yTicks: ticks(...extents[1], 5),
      xLabel: data.names[0], yLabel: data.names[1], grid: false });
    inside(p, (g) => {
      g.strokeStyle = colours.ink;
      g.lineWidth = 2;
      const [[left, right], [low, high]] = extents;
      if (Math.abs(w1) * (high - low) > Math.abs(w0) * (right - left))
        line(g, x(left), y(-(b + w0 * left) / w1), x(right), y(-(b + w0 * right) / w1));
      else if (w0 !== 0)
        line(g, x(-(b + w1 * low) / w0), y(low), x(-(b + w1 * high) / w0), y(high));
      state.at = Array.from(data.y, (_, i) => [x(data.X[2 * i]), y(data.X[2 * i + 1])]);
      drawPoints(g, pointSize());
    });
    return true;
  }

  // σ is constant along lines across w: a gradient with a step at each tenth.
  function bands(g, p, w0, w1, b) {
    const [[left, right], [low, high]] = extents;
    const gx = (w0 * (right - left)) / (p.x1 - p.x0); // of z, a pixel
    const gy = (-w1 * (high - low)) / (p.y1 - p.y0);
    const z0 = b + w0 * left + w1 * high; // at the upper left corner
    const steepness = gx * gx + gy * gy;
    const tone = (sigma) => {
      const band = Math.min(9, Math.floor(10 * sigma));
      const strength = Math.abs(2 * band - 9) / 9;
      return faded(colours[band > 4 ? "class-1" : "class-0"], 0.06 + 0.4 * strength);
    };
    if (Math.sqrt(steepness) * (p.w + p.h) < 1e-3) return tone(sigmoidPair(z0)[0]);
    const ends = Math.log(9); // σ = 0.9
    const point = (z) => [p.x0 + (gx * (z - z0)) / steepness, p.y0 + (gy * (z - z0)) / steepness];
    const gradient = g.createLinearGradient(...point(-ends), ...point(ends));
    for (let k = 1; k < 10; k++) {
      const at = (Math.log(k / (10 - k)) + ends) / (2 * ends);
      gradient.addColorStop(Math.min(1, Math.max(0, at)), tone((k - 0.5) / 10));
      gradient.addColorStop(Math.min(1, Math.max(0, at)), tone((k + 0.5) / 10));
    }
    return gradient;
  }

  // More features: one cell a sample, stacked by tenths of σ, class 1 upwards and class 0 down.
  const N_BINS = 10;
  function drawHistogram() {
    const p = canvasOf("samples", [10, 10, 40, 30]);
    const { g } = p;
    const x = linear(0, 1, p.x0, p.x1);
    const middle = (p.y0 + p.y1) / 2;
    drawAxes(p, { x, y: linear(0, 1, p.y1, p.y0), xTicks: ticks(0, 1, 5), yTicks: [],
      xLabel: `σ(z), the probability of ${positive}` });
    const space = (p.x1 - p.x0) / N_BINS - 4;
    const height = (p.y1 - p.y0) / 2 - 6;
    const nSecond = Array.from(data.y, (_, i) => isSecond(i)).filter(Boolean).length;
    const most = Math.max(nSecond, nSamples - nSecond);
    let cell = 16;
    while (cell > 0.4 && Math.floor(space / cell) * Math.floor(height / cell) < most) cell -= 0.1;
    const across = Math.max(1, Math.floor(space / cell));
    const filled = [new Array(N_BINS).fill(0), new Array(N_BINS).fill(0)];
    state.at = [];
    const gap = cell > 3 ? 1 : cell * 0.2;
    for (let i = 0; i < nSamples; i++) {
      const second = isSecond(i);
      const bin = Math.min(N_BINS - 1, Math.floor(N_BINS * state.sigma[i]));
      const k = filled[+second][bin]++;
      const left = x(bin / N_BINS) + 2 + (space - across * cell) / 2 + (k % across) * cell;
      const away = 3 + (Math.floor(k / across) + 0.5) * cell;
      const top = second ? middle - away : middle + away;
      state.at.push([left + cell / 2, top]);
      g.fillStyle = colourOf(i);
      g.fillRect(left, top - (cell - gap) / 2, cell - gap, cell - gap);
    }
    g.strokeStyle = colours["line-strong"];
    g.lineWidth = 1;
    line(g, p.x0, middle, p.x1, middle);
    g.strokeStyle = colours.ink;
    g.lineWidth = 1.5;
    g.setLineDash([4, 4]);
    line(g, x(0.5), p.y0, x(0.5), p.y1);
    g.setLineDash([]);
    g.save();
    g.fillStyle = colours.muted;
    g.textAlign = "center";
    for (const [name, y] of [[positive, (p.y0 + middle) / 2], [negative, (middle + p.y1) / 2]]) {
      g.save();
      g.translate(14, y);
      g.rotate(-Math.PI / 2);
      g.fillText(fitted(g, name, height), 0, 4);
      g.restore();
    }
    g.restore();
    ring(g, ...state.at[state.sample], Math.max(4.5, cell * 0.75));
  }

  function lossScale(p) {
    let low = Infinity;
    let high = -Infinity;
    for (const values of [data.J, data.J_test ?? []])
      for (const value of values) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    if (low > 0 && high / low > 10) {
      const at = linear(Math.log(low / 1.15), Math.log(high * 1.15), p.y1, p.y0);
      return { y: (v) => at(Math.log(v)), yTicks: logTicks(low / 1.15, high * 1.15) };
    }
    const margin = (high - low || high || 1) * 0.06;
    return {
      y: linear(low - margin, high + margin, p.y1, p.y0),
      yTicks: ticks(low - margin, high + margin, 5),
    };
  }

  const lossBox = () => canvasOf("loss", [10, 14, 40, 58]);
  const lossX = (p) => linear(0, Math.max(1, data.n_iter - 1), p.x0, p.x1);

  function drawLoss() {
    const p = lossBox();
    const { g } = p;
    const x = lossX(p);
    const { y, yTicks } = lossScale(p);
    const whole = ticks(0, Math.max(1, data.n_iter - 1), 6).filter((t) => Number.isInteger(t.value));
    drawAxes(p, { x, y, xTicks: whole, yTicks, xLabel: "iteration", yLabel: "cost J" });
    const curve = (values, upTo) => {
      g.beginPath();
      for (let k = 0; k <= upTo; k++) {
        const broken = k > 0 && data.run[k] !== data.run[k - 1];
        g[k === 0 || broken ? "moveTo" : "lineTo"](x(data.steps[k]), y(values[k]));
      }
      g.stroke();
    };
    const dots = (values, colour) => {
      if (nSteps > 40) return;
      g.fillStyle = colour;
      for (let k = 0; k < nSteps; k++) {
        g.beginPath();
        g.arc(x(data.steps[k]), y(values[k]), 2.5, 0, 2 * Math.PI);
        g.fill();
      }
    };
    if (data.J_test) {
      g.strokeStyle = colours.muted;
      g.lineWidth = 1.8;
      g.setLineDash([6, 4]);
      curve(data.J_test, nSteps - 1);
      g.setLineDash([]);
      dots(data.J_test, colours.muted);
    }
    g.strokeStyle = colours["loss-1"];
    g.lineWidth = 2;
    curve(data.J, nSteps - 1);
    dots(data.J, colours["loss-1"]);
    const at = x(data.steps[state.step]);
    g.strokeStyle = colours.ink;
    g.lineWidth = 1;
    line(g, at, p.y0, at, p.y1);
    if (data.J_test) cursor(g, at, y(data.J_test[state.step]), colours.muted);
    cursor(g, at, y(data.J[state.step]), colours["loss-1"]);
    const test = data.J_test ? `, on the test samples ${short(data.J_test[state.step])}` : "";
    $("cost-note").textContent = `J = ${short(data.J[state.step], 5)} on the training samples${test}.`;
    $("loss").setAttribute("aria-label", `Cost curve, ${where(state.step)}. ${$("cost-note").textContent}`);
  }

  function cursor(g, x, y, colour) {
    g.beginPath();
    g.arc(x, y, 5.5, 0, 2 * Math.PI);
    g.fillStyle = colour;
    g.fill();
    g.lineWidth = 2;
    g.strokeStyle = colours.card;
    g.stroke();
  }

  // ------------------------------------------------------------------ the cost surface

  const GRID = 64;
  const N_LEVELS = 24;
  const surfaces = new Map();
  let painted = {};

  // J over the two parameters, the others as the fitted neuron has them.
  function surfaceOver(i, j) {
    const key = `${i},${j}`;
    if (surfaces.has(key)) return surfaces.get(key);
    const range = (k) => {
      let [low, high] = [0, 0];
      for (let step = 0; step < nSteps; step++) {
        low = Math.min(low, parameter(step, k));
        high = Math.max(high, parameter(step, k));
      }
      // A parameter that moved by rounding alone, as a bias may, gets a range of its own.
      const span = high - low > 1e-9 * largestParameter ? high - low : 1;
      return [low - span / 2, high + span / 2];
    };
    const [first, second] = [range(i), range(j)];
    const rest = new Float64Array(nSamples);
    const kept = data.kept * (d + 1);
    let penalty = 0;
    for (let k = 0; k < d; k++) if (k !== i && k !== j) penalty += data.theta[kept + k] ** 2;
    let share = 0;
    for (let n = 0; n < nSamples; n++) {
      share += data.share[n];
      for (let k = 0; k <= d; k++)
        if (k !== i && k !== j) rest[n] += feature(n, k) * data.theta[kept + k];
    }
    const J = new Float64Array(GRID * GRID);
    const at = ([low, high], k) => low + ((high - low) * k) / (GRID - 1);
    for (let r = 0; r < GRID; r++)
      for (let c = 0; c < GRID; c++) {
        const [u, v] = [at(first, c), at(second, r)];
        let sum = 0;
        for (let n = 0; n < nSamples; n++) {
          const z = rest[n] + u * feature(n, i) + v * feature(n, j);
          const error = data.y[n] - 1 / (1 + Math.exp(-z));
          sum += data.share[n] * error * error;
        }
        const squares = penalty + (i < d ? u * u : 0) + (j < d ? v * v : 0);
        J[r * GRID + c] = sum / share + (data.alpha / 2) * squares;
      }
    const surface = { first, second, J, low: Math.min(...J), high: Math.max(...J) };
    surfaces.set(key, surface);
    return surface;
  }

  function paintSurface(surface, width, height) {
    const image = new ImageData(width, height);
    const [low, high] = [rgb(colours["field-low"]), rgb(colours["field-high"])];
    const span = surface.high - surface.low || 1;
    let above = new Int16Array(width);
    for (let py = 0; py < height; py++) {
      const v = (1 - (py + 0.5) / height) * (GRID - 1);
      const r = Math.min(GRID - 2, Math.floor(v));
      let before = -1;
      const levels = new Int16Array(width);
      for (let px = 0; px < width; px++) {
        const u = ((px + 0.5) / width) * (GRID - 1);
        const c = Math.min(GRID - 2, Math.floor(u));
        const [s, t, k] = [u - c, v - r, r * GRID + c];
        const J = (1 - t) * ((1 - s) * surface.J[k] + s * surface.J[k + 1]) +
          t * ((1 - s) * surface.J[k + GRID] + s * surface.J[k + GRID + 1]);
        const level = Math.min(N_LEVELS - 1,
          Math.floor(N_LEVELS * Math.sqrt(Math.max(0, J - surface.low) / span)));
        levels[px] = level;
        const onLine = (px > 0 && before !== level) || (py > 0 && above[px] !== level);
        const mix = (level + 0.5) / N_LEVELS;
        for (let k3 = 0; k3 < 3; k3++) {
          const value = low[k3] + (high[k3] - low[k3]) * mix;
          image.data[4 * (py * width + px) + k3] = onLine ? value * 0.82 : value;
        }
        image.data[4 * (py * width + px) + 3] = 255;
        before = level;
      }
      above = levels;
    }
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  function drawSurface() {
    const p = canvasOf("surface", [22, 62, 40, 58]);
    const [i, j] = state.pair;
    const surface = surfaceOver(i, j);
    const x = linear(...surface.first, p.x0, p.x1);
    const y = linear(...surface.second, p.y1, p.y0);
    const size = [p.x1 - p.x0, p.y1 - p.y0].map((v) => Math.max(2, Math.round(v * p.ratio)));
    const key = [i, j, ...size, colours["field-low"]].join();
    if (painted.key !== key) painted = { key, image: paintSurface(surface, ...size) };
    const { g } = p;
    g.drawImage(painted.image, p.x0, p.y0, p.x1 - p.x0, p.y1 - p.y0);
    drawAxes(p, { x, y, xTicks: ticks(...surface.first, 5), yTicks: ticks(...surface.second, 5),
      xLabel: axisName(i), yLabel: axisName(j), grid: false });
    drawScale(p, surface);
    const at = (k) => [x(parameter(k, i)), y(parameter(k, j))];
    inside(p, () => {
      const path = (upTo, width, colour) => {
        g.beginPath();
        for (let k = 0; k <= upTo; k++)
          g[k === 0 || data.run[k] !== data.run[k - 1] ? "moveTo" : "lineTo"](...at(k));
        g.lineWidth = width;
        g.strokeStyle = colour;
        g.stroke();
      };
      path(nSteps - 1, 1.2, colours["line-strong"]);
      path(state.step, 4.5, colours.card);
      path(state.step, 2.5, colours["loss-1"]);
      if (nSteps <= 40)
        for (let k = 0; k < nSteps; k++) {
          g.beginPath();
          g.arc(...at(k), 3, 0, 2 * Math.PI);
          g.fillStyle = k <= state.step ? colours["loss-1"] : colours["line-strong"];
          g.fill();
        }
      g.lineWidth = 2;
      g.strokeStyle = colours.ink;
      g.fillStyle = colours.card;
      g.beginPath();
      g.arc(...at(0), 4.5, 0, 2 * Math.PI);
      g.fill();
      g.stroke();
      const [fx, fy] = at(data.kept);
      for (const [width, colour] of [[5, colours.card], [2, colours.ink]]) {
        g.lineWidth = width;
        g.strokeStyle = colour;
        for (const [ux, uy] of [[1, 0], [-1, 0], [0, 1], [0, -1]])
          line(g, fx + 6 * ux, fy + 6 * uy, fx + 12 * ux, fy + 12 * uy);
      }
      cursor(g, ...at(state.step), colours["loss-1"]);
    });
    const text = [i, j].map((k) => `${axisName(k)} ${short(parameter(state.step, k))}`).join(", ");
    const others = d > 1 ? " The contours hold all other parameters as fitted." : "";
    $("surface-note").textContent = `○ start, + fitted.${others}`;
    $("surface").setAttribute("aria-label", `Path on the cost surface, J from ${short(surface.low)} to ${short(surface.high)}. ` +
      `At ${where(state.step)}: ${text}.`);
  }

  function drawScale(p, surface) {
    const { g } = p;
    const [left, width] = [p.x1 + 12, 10];
    const steps = 60;
    const [low, high] = [rgb(colours["field-low"]), rgb(colours["field-high"])];
    for (let k = 0; k < steps; k++) {
      const mix = (Math.floor((k / steps) * N_LEVELS) + 0.5) / N_LEVELS;
      g.fillStyle = `rgb(${low.map((v, c) => v + (high[c] - v) * mix).join()})`;
      const height = (p.y1 - p.y0) / steps;
      g.fillRect(left, p.y1 - (k + 1) * height, width, height + 0.5);
    }
    g.strokeStyle = colours["line-strong"];
    g.lineWidth = 1;
    g.strokeRect(left + 0.5, p.y0 + 0.5, width, p.y1 - p.y0);
    g.fillStyle = colours.muted;
    g.textAlign = "left";
    g.textBaseline = "middle";
    for (const k of [0, 0.5, 1]) {
      const J = surface.low + (surface.high - surface.low) * k * k;
      g.fillText(short(J, 2), left + width + 5, p.y1 - k * (p.y1 - p.y0 - 12) - 6);
    }
    g.textBaseline = "alphabetic";
    g.fillText("J", left + 2, p.y0 - 8);
  }

  // ------------------------------------------------------------------ parameters

  const MOST_LISTED = 60;
  const listed = (() => {
    const weights = Array.from({ length: d }, (_, j) => j);
    if (d >= MOST_LISTED) {
      weights.sort((a, b) => Math.abs(parameter(data.kept, b)) - Math.abs(parameter(data.kept, a)));
      weights.length = MOST_LISTED - 1;
    }
    return [...weights, d];
  })();
  const largestParameter = data.theta.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;

  function cellsOf(row, columns) {
    return Array.from({ length: columns }, () => {
      const cell = row.insertCell();
      cell.className = "value";
      return cell.appendChild(document.createElement("data"));
    });
  }

  function headOf(table, j) {
    const row = table.tBodies[0].insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = j === d ? "bias b" : data.names[j];
    head.title = head.textContent;
    row.append(head);
    return row;
  }

  const parameterRows = listed.map((j) => {
    const row = headOf($("parameters"), j);
    const cell = row.insertCell();
    const track = cell.appendChild(document.createElement("div"));
    track.className = "track";
    const bar = track.appendChild(document.createElement("div"));
    return { j, bar, value: cellsOf(row, 1)[0] };
  });

  function drawParameters() {
    for (const { j, bar, value } of parameterRows) {
      const w = parameter(state.step, j);
      bar.style.transform = `scaleX(${w / largestParameter})`;
      numberOf(value, w, 4);
    }
  }

  // ------------------------------------------------------------------ the sample's chain rule

  const FACTORS = [
    ["z", "w·x + b", (f) => sumInNumbers(f), (f) => f.z],
    ["σ", "1 / (1 + exp(−z))", (f) => `1 / (1 + exp(${short(-f.z)}))`, (f) => f.sigma],
    ["l", "(y − σ)²", (f) => `(${short(f.y)} − ${short(f.sigma)})²`, (f) => f.l],
    ["dl/dσ", "2(σ − y)", (f) => `2 · (${short(f.sigma)} − ${short(f.y)})`, (f) => f.dl_dsigma],
    ["dσ/dz", "σ(1 − σ)", (f) => `${short(f.sigma)} · (1 − ${short(f.sigma)})`, (f) => f.dsigma_dz],
    ["dl/dz", "dl/dσ · dσ/dz", (f) => `${short(f.dl_dsigma)} · ${short(f.dsigma_dz)}`, (f) => f.dl_dz],
    ["dz/db", "1", () => "whatever the sample", () => 1],
    ["part of dJ/db", null, (f) => `${short(f.dl_dz)} · 1 · ${short(data.share[state.sample])}`,
      (f) => f.dl_dz * data.share[state.sample]],
  ];
  const equal = data.share.every((v) => v === data.share[0]);
  FACTORS.at(-1)[1] = `dl/dz · dz/db · ${equal ? "1/n" : "weight / sum of weights"}`;
  if (d === 1)
    FACTORS.splice(6, 0, ["dz/dw", "x", () => "the feature itself", () => feature(state.sample, 0)]);

  function sumInNumbers(f) {
    if (d > 2) return `sum of ${d} products, and b = ${short(parameter(state.step, d))}`;
    const products = Array.from({ length: d }, (_, j) =>
      `${bracketed(parameter(state.step, j))} · ${bracketed(feature(state.sample, j))}`);
    return `${products.join(" + ")} + ${bracketed(parameter(state.step, d))}`;
  }
  const bracketed = (v) => (v < 0 ? `(${short(v)})` : short(v));

  const factorRows = FACTORS.map(([name, formula]) => {
    const row = $("factors").tBodies[0].insertRow();
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.className = "math";
    head.textContent = name;
    const shown = row.insertCell();
    shown.className = "math";
    shown.textContent = formula;
    const numbers = row.insertCell();
    const cell = row.insertCell();
    cell.className = "value";
    if (name.includes("d")) row.className = "back";
    if (name === "z" && d === 2) row.className = "tall"; // its sum can take two lines
    return { numbers, value: cell.appendChild(document.createElement("data")) };
  });

  const partRows = listed.map((j) => ({ j, cells: cellsOf(headOf($("parts"), j), 5) }));

  function drawChain() {
    const { step, sample } = state;
    const f = factors(step, sample);
    FACTORS.forEach(([, , numbers, value], k) => {
      const row = factorRows[k];
      row.numbers.textContent = numbers(f);
      row.value.value = value(f);
      row.value.textContent = minus(String(value(f))); // every digit
    });
    for (const { j, cells } of partRows) {
      const x = feature(sample, j);
      const values = [parameter(step, j), x, f.dl_dz * x, data.share[sample] * f.dl_dz * x,
        data.gradient[step * (d + 1) + j]];
      values.forEach((value, k) => numberOf(cells[k], value, 6));
    }
    const label = f.y === 1 ? positive : f.y === 0 ? negative : "a soft label";
    const verdict = isRight(sample) ? "right" : "wrong";
    $("sample-note").textContent =
      `Target y = ${short(f.y)} (${label}). At ${where(step)} the neuron outputs ` +
      `σ = ${short(f.sigma)}, on the ${verdict} side of 0.5.`;
    if (document.activeElement !== $("sample")) $("sample").value = data.shown[sample];
    drawNeuron(f);
  }

  const SVG = "http://www.w3.org/2000/svg";
  function shape(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    $("drawing").append(element);
    return element;
  }

  function node(x, y, text) {
    shape("circle", { cx: x, cy: y, r: 21 });
    shape("text", { x, y: y + 6, "text-anchor": "middle", class: "big" }, text);
  }

  const say = (x, y, text, kind = "", anchor = "middle") =>
    shape("text", { x, y, "text-anchor": anchor, class: kind }, text);

  // A line through points, its tip at the last of them.
  function arrow(points, kind = "") {
    shape("polyline", { points: points.map((q) => q.join()).join(" "), class: `edge ${kind}` });
    const [[x1, y1], [x2, y2]] = points.slice(-2);
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
    const tip = [[x2 + 2 * ux, y2 + 2 * uy], [x2 - 7 * ux - 4 * uy, y2 - 7 * uy + 4 * ux],
      [x2 - 7 * ux + 4 * uy, y2 - 7 * uy - 4 * ux]];
    shape("polygon", { points: tip.map((q) => q.join()).join(" "), class: `tip ${kind}` });
  }

  // The inputs drawn: the largest weights, the rest as one, the bias.
  function inputs(most) {
    const order = Array.from({ length: d }, (_, j) => j).sort(
      (a, b) => Math.abs(parameter(data.kept, b)) - Math.abs(parameter(data.kept, a)));
    const drawn = order.slice(0, d > most ? most - 1 : most).map((j) => ({
      name: data.names[j], x: feature(state.sample, j), w: parameter(state.step, j), w_name: "w",
      down: "dz/dw",
    }));
    if (d > most) {
      let sum = 0;
      for (const j of order.slice(most - 1)) sum += parameter(state.step, j) * feature(state.sample, j);
      drawn.push({ name: `${d - most + 1} others`, sum });
    }
    return [...drawn, { name: "bias", x: 1, w: parameter(state.step, d), w_name: "b", down: "dz/db" }];
  }

  function drawNeuron(f) {
    const width = $("neuron").parentElement.clientWidth - 2 * parseFloat(
      getComputedStyle($("neuron").parentElement).paddingLeft);
    $("drawing").replaceChildren();
    const height = width < 640 ? drawNarrow(f, width) : drawWide(f, width);
    $("neuron").setAttribute("viewBox", `0 0 ${width} ${height}`);
    $("neuron").setAttribute("height", height);
    $("neuron-title").textContent =
      `The neuron with sample ${data.shown[state.sample]}: z = ${short(f.z)}, σ = ${short(f.sigma)}, ` +
      `l = ${short(f.l)}; backward dl/dσ = ${short(f.dl_dsigma)}, dσ/dz = ${short(f.dsigma_dz)}, ` +
      `dl/dz = ${short(f.dl_dz)}`;
  }

  function drawWide(f, width) {
    const rows = inputs(5);
    const [spacing, top, r, xIn] = [58, 34, 21, 196];
    const [xSum, xSigma, xLoss] = [0.46, 0.735, 1].map((part) => xIn + part * (width - 46 - xIn));
    const xBend = xSum - r - 58;
    const yMiddle = top + (spacing * (rows.length - 1)) / 2 + 4;
    rows.forEach((input, k) => {
      const y = top + k * spacing;
      const angle = Math.atan2(yMiddle - y, xSum - xBend);
      const [ux, uy] = [Math.cos(angle), Math.sin(angle)];
      const end = (apart) => [xSum - (r + 4) * ux - apart * uy, yMiddle - (r + 4) * uy + apart * ux];
      arrow([[xIn + 15, y - 4], [xBend, y - 4], end(-4)]);
      arrow([end(4), [xBend, y + 4], [xIn + 15, y + 4]], "back");
      shape("circle", { cx: xIn, cy: y, r: 13 });
      say(xIn - 22, y - 2, clip(input.name, 23), "soft", "end");
      const x = (xIn + 15 + xBend) / 2;
      if (input.sum === undefined) {
        say(xIn - 22, y + 15, input.w_name === "b" ? "1" : `x = ${short(input.x)}`, "", "end");
        say(x, y - 11, `${input.w_name} = ${short(input.w)}`);
        say(x, y + 20, `${input.down} = ${short(input.x)}`, "back");
      } else {
        say(x, y - 11, `sum of w·x = ${short(input.sum)}`);
        say(x, y + 20, "dz/dw = x", "back");
      }
    });
    const between = (x1, x2, forward, backward) => {
      arrow([[x1 + r + 2, yMiddle - 4], [x2 - r - 4, yMiddle - 4]]);
      arrow([[x2 - r - 2, yMiddle + 5], [x1 + r + 4, yMiddle + 5]], "back");
      say((x1 + x2) / 2, yMiddle - 12, forward);
      say((x1 + x2) / 2, yMiddle + 23, backward, "back");
    };
    between(xSum, xSigma, `z = ${short(f.z)}`, `dσ/dz = ${short(f.dsigma_dz)}`);
    between(xSigma, xLoss, `σ = ${short(f.sigma)}`, `dl/dσ = ${short(f.dl_dsigma)}`);
    arrow([[xLoss, yMiddle + 78], [xLoss, yMiddle + r + 4]]);
    node(xSum, yMiddle, "Σ");
    node(xSigma, yMiddle, "σ");
    node(xLoss, yMiddle, "l");
    say(xLoss, yMiddle + 94, `y = ${short(f.y)}`);
    say(xLoss + 44, yMiddle - 32, `l = ${short(f.l)}`, "", "end");
    say(xSum - 6, yMiddle + 62, "dl/dz = dl/dσ · dσ/dz", "back", "start");
    say(xSum - 6, yMiddle + 80, `= ${short(f.dl_dsigma)} · ${short(f.dsigma_dz)} = ${short(f.dl_dz)}`,
      "back", "start");
    return Math.max(top + spacing * (rows.length - 1) + 34, yMiddle + 104);
  }

  // On a phone: the inputs below one another, their edges joined on the left, then the row Σ, σ, l.
  function drawNarrow(f, width) {
    const rows = inputs(4);
    const [spacing, top, r, xIn] = [50, 22, 21, 62];
    const [xSum, xSigma, xLoss] = [24, width / 2, width - 24];
    const yMiddle = top + spacing * rows.length + 34;
    rows.forEach((input, k) => {
      const y = top + k * spacing;
      arrow([[xIn - 13, y], [xSum - 4, y], [xSum - 4, yMiddle - r - 4]]);
      arrow([[xSum + 4, yMiddle - r - 2], [xSum + 4, y + 8], [xIn - 13, y + 8]], "back");
      shape("circle", { cx: xIn, cy: y + 3, r: 12 });
      say(xIn + 22, y - 2, clip(input.name, 34), "soft", "start");
      if (input.sum === undefined) {
        say(xIn + 22, y + 16, `${input.w_name} = ${short(input.w)}`, "", "start");
        say(xIn + 132, y + 16, `${input.down} = ${short(input.x)}`, "back", "start");
      } else {
        say(xIn + 22, y + 16, `Σ w·x = ${short(input.sum)}`, "", "start");
        say(xIn + 160, y + 16, "dz/dw = x", "back", "start");
      }
    });
    const between = (x1, x2, forward, backward) => {
      arrow([[x1 + r + 2, yMiddle - 4], [x2 - r - 4, yMiddle - 4]]);
      arrow([[x2 - r - 2, yMiddle + 5], [x1 + r + 4, yMiddle + 5]], "back");
      say((x1 + x2) / 2, yMiddle - 14, forward);
      say((x1 + x2) / 2, yMiddle + 26, backward, "back");
    };
    between(xSum, xSigma, `z = ${short(f.z, 3)}`, `dσ/dz = ${short(f.dsigma_dz, 3)}`);
    between(xSigma, xLoss, `σ = ${short(f.sigma, 3)}`, `dl/dσ = ${short(f.dl_dsigma, 3)}`);
    node(xSum, yMiddle, "Σ");
    node(xSigma, yMiddle, "σ");
    node(xLoss, yMiddle, "l");
    say(width - 2, yMiddle - 30, `l = ${short(f.l, 3)}, y = ${short(f.y)}`, "", "end");
    say(2, yMiddle + 52, `dl/dz = ${short(f.dl_dsigma)} · ${short(f.dsigma_dz)} = ${short(f.dl_dz)}`,
      "back", "start");
    return yMiddle + 64;
  }

  // ------------------------------------------------------------------ what does not move

  function drawCalibration() {
    const sets = Object.entries(data.calibration);
    if (!sets.length) return;
    const p = canvasOf("calibration", [8, 10, 40, 44]);
    const { g } = p;
    const x = linear(-0.02, 1.02, p.x0, p.x1);
    const y = linear(-0.02, 1.02, p.y1, p.y0);
    drawAxes(p, { x, y, xTicks: ticks(0, 1, 5), yTicks: ticks(0, 1, 5),
      xLabel: `predicted probability of ${positive}`, yLabel: "share observed" });
    g.strokeStyle = colours["line-strong"];
    g.setLineDash([2, 4]);
    line(g, x(0), y(0), x(1), y(1));
    for (const [k, [, bins]] of sets.entries()) {
      const test = k === 1;
      const colour = test ? colours.ink : colours["loss-1"];
      g.strokeStyle = g.fillStyle = colour;
      g.lineWidth = 1.8;
      g.setLineDash(test ? [6, 4] : []);
      g.beginPath();
      bins.predicted.forEach((v, q) => g.lineTo(x(v), y(bins.observed[q])));
      g.stroke();
      g.setLineDash([]);
      const total = bins.count.reduce((a, b) => a + b);
      bins.predicted.forEach((v, q) => {
        mark(g, x(v), y(bins.observed[q]), 2.5 + 7 * Math.sqrt(bins.count[q] / total), !test);
        g.fill();
        g.strokeStyle = colours.card;
        g.lineWidth = 1;
        g.stroke();
        g.strokeStyle = colour;
      });
    }
    const words = sets.map(([name, bins]) => `${name} samples: ${bins.predicted
      .map((v, q) => `${short(v, 2)} predicted, ${short(bins.observed[q], 2)} observed`).join("; ")}`);
    $("calibration").setAttribute("aria-label", `Calibration. ${words.join(". ")}`);
  }

  function legendOf(id, entries) {
    $(id).replaceChildren(...entries.map(([words, draw]) => {
      const item = document.createElement("span");
      const icon = document.createElementNS(SVG, "svg");
      icon.setAttribute("viewBox", "0 0 22 12");
      icon.setAttribute("aria-hidden", "true");
      for (const [name, attributes] of draw) {
        const element = document.createElementNS(SVG, name);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        icon.append(element);
      }
      item.append(icon, words);
      return item;
    }));
  }

  const dash = (colour, dashed) => ["line", { x1: 0, y1: 6, x2: 22, y2: 6, stroke: colour,
    "stroke-width": 2.2, ...(dashed && { "stroke-dasharray": "6 4" }) }];
  const circle = (colour) => ["circle", { cx: 11, cy: 6, r: 4.5, fill: colour }];
  const triangle = (colour) => ["polygon", { points: "11,0.5 16.5,10.5 5.5,10.5", fill: colour }];
  const square = (colour) => ["rect", { x: 7, y: 2, width: 9, height: 9, fill: colour }];

  function drawLegends() {
    const [one, zero] = d > 2 ? [square, square] : [circle, triangle];
    legendOf("classes", [
      [d > 2 ? `${positive} (above)` : positive, [one(colours["class-1"])]],
      [d > 2 ? `${negative} (below)` : negative, [zero(colours["class-0"])]],
      [d > 2 ? "boundary σ = 0.5" : "boundary", [dash(colours.ink, d !== 2)]],
    ]);
    legendOf("curves", [
      ["training samples", [dash(colours["loss-1"])]],
      ...(data.J_test ? [["test samples", [dash(colours.muted, true)]]] : []),
    ]);
    legendOf("sets", Object.keys(data.calibration).map((name, k) => [`${name} samples`,
      k ? [dash(colours.ink, true), triangle(colours.ink)]
        : [dash(colours["loss-1"]), circle(colours["loss-1"])]]));
  }

  function writeOnce() {
    const { termination } = data;
    $("title").textContent = data.title;
    $("summary").textContent =
      `A logistic neuron trained with optimizer ${data.optimizer} and α = ${short(data.alpha)} on ` +
      `${count(data.n_samples, "sample")} with ${count(d, "feature")}. Its output σ(z) is the ` +
      `probability of ${positive}; the other class is ${negative}.`;
    document.querySelector("main").classList.toggle("many", d > 8);
    const thinned = [];
    if (nSamples < data.n_samples) thinned.push(`${nSamples} of ${data.n_samples} samples`);
    if (nSteps < data.n_iter) thinned.push(`${nSteps} of ${data.n_iter} iterations`);
    if (thinned.length) {
      $("selection").hidden = false;
      $("selection").textContent = `The page holds ${thinned.join(" and ")}` +
        (nSamples < data.n_samples ? "; the cost surface is J over the samples that it holds." : ".");
    }
    $("samples-title").textContent =
      ["σ over the feature", "Decision boundary"][d - 1] ?? "Samples by σ(z)";
    $("parts-note").textContent =
      `A sample's part of dJ/dw is its dl/dw times ${equal ? "1/n" : "its share of the weights"}. ` +
      `All parts${data.alpha ? ` and the penalty's αw, with α = ${short(data.alpha)},` : ""} add up to dJ/dw` +
      `${data.alpha ? "; the bias has no penalty" : ""}.`;
    if (listed.length <= d) {
      $("parameters-note").hidden = false;
      $("parameters-note").textContent = `The ${MOST_LISTED - 1} largest of ${d} weights, and the bias.`;
    }
    $("ending").textContent =
      `${termination.reason === "gradient" ? "Converged" : "Stopped"} after ` +
      `${count(termination.n_iter, "iteration")}: ${termination.message}.`;
    const kept = where(data.kept);
    const entries = [
      ["Converged", termination.converged ? "yes" : `no (${termination.reason})`],
      ["Parameters kept", kept],
      ["Cost J there", short(data.J[data.kept], 6)],
      ["max |dJ/dθ| there", short(data.gradient_max[data.kept], 3)],
    ];
    for (const [name, value] of entries) {
      $("ending-figures").append(document.createElement("dt"), document.createElement("dd"));
      $("ending-figures").lastChild.previousSibling.textContent = name;
      $("ending-figures").lastChild.textContent = value;
    }
    if (data.figures) {
      const head = $("figures").tHead.insertRow();
      for (const name of ["", ...data.figures.columns]) {
        const cell = head.appendChild(document.createElement(name ? "th" : "td"));
        cell.textContent = name;
        if (name) [cell.scope, cell.className] = ["col", "value"];
      }
      data.figures.rows.forEach((name, k) => {
        const row = $("figures").tBodies[0].insertRow();
        const cell = row.appendChild(document.createElement("th"));
        [cell.scope, cell.textContent] = ["row", name];
        cellsOf(row, data.figures.columns.length).forEach((element, c) => {
          element.value = data.figures.values[k][c];
          element.textContent = data.figures.values[k][c].toFixed(4);
        });
      });
      $("figures-note").textContent = data.figures.rows.length > 1
        ? "Brier score and log loss: lower is better."
        : "Brier score and log loss: lower is better. No test samples were given.";
    } else {
      $("figures-card").hidden = $("calibration-card").hidden = true;
    }
    const longest = Math.max(...data.run.map((_, k) => where(k).length));
    document.documentElement.style.setProperty("--where", `${longest}ch`);
    $("slider").max = nSteps - 1;
    $("sample").max = data.n_samples - 1;
    for (const [select, k] of [["first", 0], ["second", 1]]) {
      for (const j of listed.includes(state.pair[k]) ? listed : [state.pair[k], ...listed])
        $(select).append(new Option(j === d ? "bias b" : data.names[j], j));
      $(select).value = state.pair[k];
    }
  }

  // ------------------------------------------------------------------ moving

  function render() {
    const { step } = state;
    for (let i = 0; i < nSamples; i++) {
      state.z[i] = weightedSum(step, i);
      state.sigma[i] = sigmoidPair(state.z[i])[0];
    }
    $("slider").value = step;
    $("slider").setAttribute("aria-valuetext", `${where(step)}, J = ${short(data.J[step])}`);
    $("where").textContent = where(step);
    $("J").textContent = short(data.J[step], 5);
    $("slope").textContent = short(data.gradient_max[step], 3);
    $("back").disabled = step === 0;
    $("forward").disabled = step === nSteps - 1;
    drawSamples();
    drawLoss();
    drawSurface();
    drawParameters();
    drawChain();
  }

  let due = 0;
  function schedule() {
    due ||= requestAnimationFrame(() => {
      due = 0;
      render();
    });
  }

  let remembered = 0;
  function remember() {
    clearTimeout(remembered);
    remembered = setTimeout(() => {
      history.replaceState(null, "", `#step=${state.step}&sample=${data.shown[state.sample]}`);
    }, 200);
  }

  function recall() {
    const given = new URLSearchParams(location.hash.slice(1));
    const step = Number(given.get("step") ?? NaN);
    const sample = data.shown.indexOf(Number(given.get("sample") ?? NaN));
    if (Number.isInteger(step) && step >= 0 && step < nSteps) state.step = step;
    if (sample >= 0) state.sample = sample;
  }

  function go(step) {
    state.step = Math.max(0, Math.min(nSteps - 1, step));
    remember();
    schedule();
  }

  function choose(sample) {
    state.sample = sample;
    remember();
    schedule();
  }

  function play(on) {
    state.playing = on;
    $("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (state.step === nSteps - 1) go(0);
    // About twelve seconds for a long run; with reduced motion, few and slow steps.
    const interval = still.matches ? 700 : Math.max(12, Math.min(450, 12000 / nSteps));
    const stride = still.matches ? Math.ceil((nSteps - 1) / 20) : 1;
    let last = performance.now();
    const tick = (now) => {
      if (!state.playing) return;
      const n = Math.min(20, Math.floor((now - last) / interval));
      if (n > 0) {
        last = now;
        go(state.step + n * stride);
      }
      if (state.step === nSteps - 1) play(false);
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  function listen() {
    $("play").addEventListener("click", () => play(!state.playing));
    $("back").addEventListener("click", () => go(state.step - 1));
    $("forward").addEventListener("click", () => go(state.step + 1));
    $("slider").addEventListener("input", () => {
      play(false);
      go(Number($("slider").value));
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.closest("input:not([type=range]), select, button, a");
      if (event.key === " " && !typing) {
        event.preventDefault();
        play(!state.playing);
      } else if (["ArrowLeft", "ArrowRight"].includes(event.key) &&
          !event.target.closest("input, select, .scroll")) {
        event.preventDefault();
        play(false);
        go(state.step + (event.key === "ArrowRight" ? 1 : -1));
      }
    });
    $("samples").addEventListener("click", (event) => {
      const distance = (i) =>
        Math.hypot(state.at[i][0] - event.offsetX, state.at[i][1] - event.offsetY);
      const nearest = argmax((i) => -distance(i));
      if (distance(nearest) <= 28) choose(nearest);
    });
    const drag = (event) => {
      if (!event.buttons) return;
      const p = lossPlace();
      const place = ((event.offsetX - p.x0) / (p.x1 - p.x0)) * Math.max(1, data.n_iter - 1);
      let nearest = 0;
      data.steps.forEach((s, k) => {
        if (Math.abs(s - place) < Math.abs(data.steps[nearest] - place)) nearest = k;
      });
      play(false);
      go(nearest);
    };
    const lossPlace = () => ({ x0: 58, x1: $("loss").clientWidth - 14 });
    $("loss").addEventListener("pointerdown", (event) => {
      $("loss").setPointerCapture(event.pointerId);
      drag(event);
    });
    $("loss").addEventListener("pointermove", drag);
    $("sample").addEventListener("input", () => {
      const found = data.shown.indexOf($("sample").valueAsNumber);
      $("sample").setCustomValidity(found < 0 ? "This page does not hold that sample." : "");
      if (found >= 0) choose(found);
    });
    $("sample").addEventListener("change", () => $("sample").reportValidity());
    $("sample").addEventListener("blur", schedule);
    $("largest").addEventListener("click", () =>
      choose(argmax((i) => factors(state.step, i).l)));
    $("strongest").addEventListener("click", () =>
      choose(argmax((i) => Math.abs(factors(state.step, i).dl_dz))));
    $("picked").addEventListener("click", (event) => {
      event.preventDefault(); // the part after # holds the step and the sample
      $("chain").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
    });
    for (const [select, k] of [["first", 0], ["second", 1]])
      $(select).addEventListener("change", () => {
        const chosen = Number($(select).value);
        if (chosen === state.pair[1 - k]) state.pair.reverse();
        else state.pair[k] = chosen;
        [$("first").value, $("second").value] = state.pair;
        schedule();
      });
    addEventListener("hashchange", () => {
      recall();
      schedule();
    });
    const restyle = () => {
      readColours();
      drawLegends();
      drawCalibration();
      schedule();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
    new MutationObserver(restyle).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    new ResizeObserver(() => {
      drawCalibration();
      schedule();
    }).observe(document.querySelector("main"));
  }

  readColours();
  state.sample = argmax((i) => Math.abs(factors(data.kept, i).dl_dz));
  recall();
  writeOnce();
  drawLegends();
  drawCalibration();
  render();
  listen();
  document.documentElement.classList.add("ready");
})();
