// All views at once: the pictures of the neurons, their figures, the buttons.

"use strict";

function showSettings() {
  const set = dataset();
  const d = set.X[0].length;
  $("data").value = settings.data;
  $("optimizer").value = settings.optimizer;
  const auto = settings.rate === "auto";
  $("auto").checked = auto;
  $("rate").value = auto ? String(Number(run.rate.toPrecision(4))) : String(settings.rate);
  $("rate-slider").value = String(Math.log10(run.rate));
  $("rate-slider").setAttribute("aria-valuetext", format(run.rate));
  $("alpha").value = String(settings.alpha);
  $("start-0").value = String(settings.start[0]);
  $("start-1").value = d === 2 ? String(settings.start[1]) : "";
  $("start-1-label").hidden = d !== 2;
  $("start-b").value = String(settings.start[d]);
  $("bias").checked = settings.bias;
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  $("description").textContent = set.note;
  $("own").hidden = !(settings.data === "own" && own.table);
}

function tellProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// Read an input; a value that breaks the rule is told and changes nothing.
function reading(input, action) {
  try {
    action(input.value);
  } catch (error) {
    input.setAttribute("aria-invalid", "true");
    return tellProblem(error.message);
  }
  tellProblem("");
  repeat();
}

function render() {
  const set = dataset();
  const d = set.X[0].length;
  settings.sample = Math.min(settings.sample, set.X.length - 1);
  const i = settings.sample;
  const rows = {};
  for (const kind of KINDS) {
    const theta = run.states[kind][run.k].theta;
    rows[kind] = Neuron.explain(run.costs[kind].rule, theta, set.X[i], set.y[i]);
  }
  drawPictures(rows, d);
  for (const kind of KINDS) fillStats(kind, d);
  drawData(set, d);
  for (const kind of KINDS) drawCost(kind, set, d);
  drawLoss();
  fillChain(rows, d);
  fillTensorFlow(rows.squared_error, set, d);
  if ($("all").open) fillRows(set, d);
  showTransport();
}

function showTransport() {
  const last = run.states.squared_error.length - 1;
  $("k").textContent = String(run.k);
  Object.assign($("iteration"), {
    max: String(Math.max(last, 1)),
    value: String(run.k),
    disabled: last === 0,
  });
  $("back").disabled = run.k === 0;
  $("reset").disabled = run.k === 0 && run.phase === 0 && last === 0;
  for (const id of ["step", "play", "update"]) $(id).disabled = Boolean(run.ended) && run.k === last;
  ["forward", "backward", "update"].forEach((id, part) => {
    if (part !== run.phase) $(id).disabled = true;
    else if (id !== "update") $(id).disabled = false;
  });
  if (run.ended && run.k === last) tellProblem(run.ended);
  else if ($("problem").textContent === run.ended) tellProblem("");
}

function drawPictures(rows, d) {
  for (const kind of KINDS) {
    if (pictures[kind]?.d !== d) {
      pictures[kind] = { d, fill: Picture.build(document.querySelector(`#${kind} .picture`), kind, d) };
    }
    pictures[kind].fill(rows[kind], run.states[kind][run.k].theta, run.phase, NAMES[kind]);
    document.querySelector(`#${kind} .of-sample`).textContent =
      `sample ${settings.sample + 1} of ${dataset().X.length}`;
  }
}

const parameters = (d) => [...SUB.slice(0, d).map((s) => `w${s}`), "b"];

function put(node, value, known = true) {
  node.textContent = known ? format(value) : "not yet";
  node.classList.toggle("unknown-text", !known);
  node.classList.toggle("number", known);
  if (known) node.dataset.value = String(value);
  else delete node.dataset.value;
  node.title = known ? String(value) : "";
}

function fillStats(kind, d) {
  const list = document.querySelector(`#${kind} .stats`);
  const names = parameters(d);
  if (list.dataset.d !== String(d)) {
    list.dataset.d = String(d);
    const items = [
      ["J", "J"],
      ...names.map((name, j) => [`dJ/d${name}`, `gradient${j}`]),
      ["mean σ(1 − σ)", "saturation"],
      ["last ‖Δθ‖", "moved"],
    ];
    list.replaceChildren(
      ...items.map(([label, q]) => {
        const item = document.createElement("div");
        const [dt, dd] = ["dt", "dd"].map((tag) => document.createElement(tag));
        dt.textContent = label;
        dd.dataset.q = q;
        item.append(dt, dd);
        return item;
      }),
    );
  }
  const state = run.states[kind][run.k];
  const cell = (q) => list.querySelector(`[data-q=${q}]`);
  put(cell("J"), state.J, run.phase >= 1);
  names.forEach((_, j) => put(cell(`gradient${j}`), state.gradient[j], run.phase >= 2));
  const { X } = dataset();
  const slope = Neuron.LOSSES.squared_error.dsig_dz;
  const mean = X.reduce((sum, x) => sum + slope(Neuron.weightedSum(x, state.theta)), 0) / X.length;
  put(cell("saturation"), mean, run.phase >= 1);
  const before = run.k > 0 ? run.states[kind][run.k - 1].theta : state.theta;
  const moved = Math.hypot(...state.theta.map((t, j) => t - before[j]));
  put(cell("moved"), moved, run.k > 0);
}
