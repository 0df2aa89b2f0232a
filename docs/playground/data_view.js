// The data with both boundaries, and the choice of a sample.

"use strict";

function drawData(set, d) {
  const plot = (plots.data ??= new Plot($("plot-data")));
  const X = set.X;
  const range = (j) => {
    if (set.unit) return [-2 * set.unit, 3000 * set.unit];
    let [low, high] = [Math.min(...X.map((x) => x[j])), Math.max(...X.map((x) => x[j]))];
    if (low === high) [low, high] = [low - 3, high + 3];
    return [low - 0.08 * (high - low), high + 0.08 * (high - low)];
  };
  const kind = set.unit ? "symlog" : "linear";
  const axis = (j) => ({ domain: range(j), label: set.features[j], kind, unit: set.unit });
  const second = d === 2 ? axis(1) : { domain: [-0.12, 1.12], label: "σ", ticks: [0, 0.25, 0.5, 0.75, 1] };
  const fresh = plot.layout(axis(0), second);
  const key = [settings.data, own.name, set.note, X.length];
  if (fresh || painted.points !== key.join()) {
    painted.points = key.join();
    painted.field = "";
    plot.body.replaceChildren();
    plot.moving = svg("g", {}, plot.body);
    const points = svg("g", {}, plot.body);
    plot.marks = svg("g", {}, plot.body);
    plot.positions = X.map((x, i) => [plot.x(x[0]), plot.y(d === 2 ? x[1] : set.y[i])]);
    const r = X.length > 400 ? 2.5 : 4.5;
    plot.positions.forEach(([x, y], i) => {
      if (set.y[i] >= 0.5) svg("circle", { cx: x, cy: y, r, class: "class-1" }, points);
      else
        svg(
          "path",
          { d: `M${x} ${y - r * 1.25}l${r * 1.2} ${r * 2.1}h${-r * 2.4}Z`, class: "class-0" },
          points,
        );
    });
  }
  const thetas = KINDS.map((k) => run.states[k][run.k].theta);
  plot.moving.replaceChildren();
  if (d === 2) {
    const field = thetas[0].join();
    if (painted.field !== field) {
      painted.field = field;
      const [c0, c1, card] = ["--class-0", "--class-1", "--card"].map(colour);
      const grid = plot.sample(40, (x, y) => Neuron.sigmoid(Neuron.weightedSum([x, y], thetas[0])));
      const tint = (s) => [...(s < 0.5 ? mix(c0, card, 2 * s) : mix(card, c1, 2 * s - 1)), 70];
      const tints = Array.from({ length: 101 }, (_, i) => tint(i / 100));
      plot.paint(grid, (s) => Math.round(100 * s), tints);
    }
  } else {
    plot.clearField();
  }
  const { inner } = plot;
  thetas.forEach((theta, which) => {
    const line = [];
    if (d === 1) {
      for (let p = 0; p <= inner.w; p += 2) {
        const x = plot.x.invert(inner.x + p);
        line.push([inner.x + p, plot.y(Neuron.sigmoid(x * theta[0] + theta[1]))]);
      }
    } else {
      // along the axis in which the boundary is a function
      const wide = (j) => Math.abs(theta[j]) * (range(j)[1] - range(j)[0]);
      const j = wide(1) >= wide(0) ? 0 : 1;
      if (theta[1 - j] !== 0) {
        const [scale, other] = j === 0 ? [plot.x, plot.y] : [plot.y, plot.x];
        const [from, length] = j === 0 ? [inner.x, inner.w] : [inner.y, inner.h];
        for (let p = 0; p <= length; p += 2) {
          const v = scale.invert(from + p);
          const at = Math.max(-2000, Math.min(3000, other(-(theta[j] * v + theta[2]) / theta[1 - j])));
          line.push(j === 0 ? [from + p, at] : [at, from + p]);
        }
      }
    }
    if (line.length) svg("path", { d: path(line), class: `line-${which + 1}` }, plot.moving);
  });
  plot.marks.replaceChildren();
  const [x, y] = plot.positions[settings.sample];
  if (d === 1) {
    thetas.forEach((theta, which) => {
      const to = plot.y(Neuron.sigmoid(set.X[settings.sample][0] * theta[0] + theta[1]));
      const at = x + (which ? 2.5 : -2.5);
      svg("line", { x1: at, x2: at, y1: y, y2: to, class: `residual-${which + 1}` }, plot.marks);
    });
  }
  svg("circle", { cx: x, cy: y, r: 8.5, class: "chosen" }, plot.marks);
  const flat = d === 2 && thetas.every((theta) => theta[0] === 0 && theta[1] === 0);
  $("hint-data").textContent = flat
    ? "At w = 0 there is no boundary yet. Click a sample for its factors."
    : d === 2
      ? "Tint: σ of the squared-error neuron. Click a sample for its factors."
      : "Curves: σ(w·x + b). Click a sample for its factors.";
}

function nearest(event) {
  const plot = plots.data;
  const { px, py } = plot.at(event);
  let [best, distance] = [-1, 22];
  plot.positions.forEach(([x, y], i) => {
    const away = Math.hypot(x - px, y - py);
    if (away < distance) [best, distance] = [i, away];
  });
  return best;
}

function choose(i) {
  const n = dataset().X.length;
  settings.sample = ((i % n) + n) % n;
  render();
  writeHash();
  const { X, y } = dataset();
  $("live").textContent =
    `Sample ${settings.sample + 1}: x = ${X[settings.sample].map(format).join(", ")}; y = ${y[settings.sample]}`;
}

function hover(event) {
  const i = event.pointerType === "touch" ? -1 : nearest(event);
  const tip = $("tooltip");
  tip.hidden = i < 0;
  if (i < 0) return;
  const { X, y } = dataset();
  const rows = KINDS.map((kind) =>
    Neuron.explain(run.costs[kind].rule, run.states[kind][run.k].theta, X[i], y[i]),
  );
  const lines = [
    ["z", "z", 1],
    ["σ", "sigma", 1],
    ["l", "l", 1],
    ["dl/dσ", "dl_dsig", 2],
    ["dσ/dz", "dsig_dz", 2],
    ["dl/dz", "dl_dz", 2],
  ];
  const table = document.createElement("table");
  const head = table.insertRow();
  for (const text of ["", "squared error", "cross-entropy"]) head.insertCell().textContent = text;
  for (const [label, key, phase] of lines) {
    const row = table.insertRow();
    row.insertCell().textContent = label;
    for (const values of rows) put(row.insertCell(), values[key], run.phase >= phase);
  }
  const title = document.createElement("b");
  title.textContent = `Sample ${i + 1}: x = (${X[i].map(format).join(", ")}), y = ${y[i]}`;
  tip.replaceChildren(title, table);
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 16, innerWidth - box.width - 8))}px`;
  tip.style.top = `${Math.max(8, event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 16)}px`;
}
