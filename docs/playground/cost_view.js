// J over the parameters with the path of training, and J against the iteration.

"use strict";

// Half the width of the cost plots: as far as either path has gone.
function reach(set, shown) {
  let far = set.reach;
  for (const kind of KINDS) {
    const states = run.states[kind];
    const stride = Math.max(1, Math.floor(states.length / 500));
    for (let i = 0; i < states.length; i += stride) {
      for (const j of shown) far = Math.max(far, 1.1 * Math.abs(states[i].theta[j]));
    }
    for (const j of shown) far = Math.max(far, 1.1 * Math.abs(states.at(-1).theta[j]));
  }
  if (far === set.reach) return far;
  return set.weightUnit ? 10 ** Math.ceil(Math.log10(far)) : 2 ** Math.ceil(Math.log2(far));
}

function drawCost(kind, set, d) {
  const which = KINDS.indexOf(kind) + 1;
  const plot = (plots[kind] ??= new Plot($(`plot-${kind}`)));
  const names = parameters(d);
  const shown = d === 2 ? [0, 1] : settings.bias ? [0, 1] : [0];
  const R = reach(set, shown);
  const state = run.states[kind][run.k];
  const cost = run.costs[kind];
  const axis = (j) => ({
    domain: [-R, R],
    label: names[j],
    kind: set.weightUnit ? "symlog" : "linear",
    unit: set.weightUnit,
  });
  plot.margin.left = set.weightUnit ? 68 : 46;
  const key = [settings.data, set.note, settings.alpha, settings.bias, R];
  let place;
  if (shown.length === 1) {
    const at = (w) => cost.value([w, state.theta[1]]);
    if (painted[kind] !== [...key, state.theta[1]].join()) {
      painted[kind] = [...key, state.theta[1]].join();
      plot.measure();
      plot.curve = [];
      for (let p = 0; p <= 240; p++) plot.curve.push(-R + (2 * R * p) / 240);
      plot.curve = plot.curve.map((w) => [w, at(w)]);
      plot.highest = Math.max(...plot.curve.map(([, J]) => J));
    }
    plot.layout(axis(0), { domain: [0, plot.highest * 1.06], label: "J" });
    plot.clearField();
    place = (s) => [plot.x(s.theta[0]), plot.y(s.J)];
  } else {
    const slice = d === 2 && settings.bias;
    const fresh = plot.layout(axis(0), axis(1));
    const sum = [...key, slice ? state.theta[2] : ""].join();
    if (fresh || painted[kind] !== sum) {
      painted[kind] = sum;
      const b = d === 2 ? state.theta[2] : null;
      const side = Math.max(18, Math.min(48, Math.floor(Math.sqrt(400000 / set.X.length))));
      const grid = plot.sample(side, (u, v) => cost.value(b === null ? [u, v] : [u, v, b]));
      const flat = grid.flat();
      const [low, high] = [Math.min(...flat), Math.max(...flat)];
      const [from, to] = [colour("--field-low"), colour("--field-high")];
      const bands = Array.from({ length: BANDS + 1 }, (_, i) => [...mix(from, to, i / BANDS), 255]);
      const span = high - low || 1;
      // Cross-entropy has no upper bound: its bands are finer near its minimum.
      const power = kind === "squared_error" ? 1 : 0.5;
      const band = (J) => Math.floor(Math.max(0, (J - low) / span) ** power * (BANDS + 1));
      plot.paint(grid, band, bands, [...colour("--line-strong"), 255]);
    }
    place = (s) => [plot.x(s.theta[0]), plot.y(s.theta[1])];
  }
  plot.body.replaceChildren();
  if (shown.length === 1) {
    const points = plot.curve.map(([w, J]) => [plot.x(w), plot.y(J)]);
    svg("path", { d: path(points), class: `cost-${which}` }, plot.body);
    if (run.phase >= 2) {
      const [dx, slope] = [0.16 * R, state.gradient[0]];
      const end = (side) => [plot.x(state.theta[0] + side * dx), plot.y(state.J + side * dx * slope)];
      const [[x1, y1], [x2, y2]] = [end(-1), end(1)];
      svg("line", { x1, y1, x2, y2, class: "tangent" }, plot.body);
    }
  }
  const states = run.states[kind].slice(0, run.k + 1);
  const stride = Math.ceil(states.length / 600);
  const trail = states.filter((_, i) => i % stride === 0 || i === run.k).map(place);
  if (shown.length === 2) svg("path", { d: path(trail), class: `trail-${which}` }, plot.body);
  const dots = trail.length <= 150 ? trail : [];
  for (const [cx, cy] of dots) svg("circle", { cx, cy, r: 2.4, class: `stop-${which}` }, plot.body);
  const [sx, sy] = trail[0];
  svg("circle", { cx: sx, cy: sy, r: 5.5, class: `start stop-${which}` }, plot.body);
  const [nx, ny] = trail.at(-1);
  svg("circle", { cx: nx, cy: ny, r: 6.5, class: `now stop-${which}` }, plot.body);
  const low = isDark() ? "dark" : "light";
  const slice =
    d === 2 && settings.bias
      ? `The slice at b = ${format(state.theta[2])}; ${low} is low.`
      : shown.length === 2
        ? `${low[0].toUpperCase()}${low.slice(1)} is low.`
        : "The line has the slope dJ/dw₁.";
  $(`hint-${kind}`).textContent = `${slice} Click to start there.`;
}

function startFromPlot(kind, event) {
  const plot = plots[kind];
  const { x, y, px, py } = plot.at(event);
  const { inner } = plot;
  if (px < inner.x || px > inner.x + inner.w || py < inner.y || py > inner.y + inner.h) return;
  const theta = [...settings.start];
  theta[0] = Number(x.toPrecision(3));
  if (dataset().X[0].length === 2 || settings.bias) theta[1] = Number(y.toPrecision(3));
  startAt(theta);
}

function drawLoss() {
  const plot = (plots.loss ??= new Plot($("plot-loss")));
  const last = run.states.squared_error.length - 1;
  const end = [20, 50, 100, 200, 500, 1000, 2000, 5000, MAX_STEPS].find((n) => n >= last);
  const stride = Math.ceil((last + 1) / 600);
  const curves = KINDS.map((kind) =>
    run.states[kind].map((s, i) => [i, s.ruler]).filter(([i]) => i % stride === 0 || i === last),
  );
  const high = Math.max(...curves.flat().map(([, J]) => J));
  const top = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.05].find((v) => v >= high) ?? high * 1.05;
  plot.layout({ domain: [0, end], label: "iteration" }, { domain: [0, top], label: "J" });
  plot.body.replaceChildren();
  plot.top.replaceChildren();
  curves.forEach((curve, which) => {
    const points = curve.map(([i, J]) => [plot.x(i), plot.y(J)]);
    svg("path", { d: path(points), class: `line-${which + 1}` }, plot.body);
    const [cx, cy] = [plot.x(run.k), plot.y(run.states[KINDS[which]][run.k].ruler)];
    svg("circle", { cx, cy, r: 5.5, class: `now stop-${which + 1}` }, plot.top);
  });
}
