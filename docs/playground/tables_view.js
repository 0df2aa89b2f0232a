// The chain rule of a sample, the same of TensorFlow Playground's neuron, and all samples.

"use strict";

// Fill a body whose lines are [label, key, phase]; `values` has a list of columns a key.
function fillTable(body, lines, columns, values) {
  const key = JSON.stringify(lines);
  if (body.dataset.key !== key) {
    body.dataset.key = key;
    body.replaceChildren(
      ...lines.map(([label, q, , kind]) => {
        const row = document.createElement("tr");
        if (kind) row.className = kind;
        const [name, ...formula] = label.split(" = ");
        const head = row.insertCell();
        head.append(name);
        if (formula.length) {
          const span = document.createElement("span");
          span.textContent = ` = ${formula.join(" = ")}`;
          head.append(span);
        }
        for (let c = 0; c < columns; c++) Object.assign(row.insertCell().dataset, { q, c: String(c) });
        return row;
      }),
    );
  }
  lines.forEach(([, q, phase], i) => {
    for (let c = 0; c < columns; c++) put(body.rows[i].cells[c + 1], values(q, c), run.phase >= phase);
  });
  for (const cell of body.querySelectorAll(".unknown-text")) cell.classList.add("right");
}

function fillChain(rows, d) {
  const names = parameters(d);
  const set = dataset();
  const local = (j) => (j < d ? `x${SUB[j]}` : "1");
  const penalty = (j) => (j < d && settings.alpha > 0 ? ` + α${names[j]}` : "");
  const mean = set.X.length > 1 ? "mean " : "";
  const trained = names.map((_, j) => j).filter((j) => j < d || settings.bias);
  const lines = [
    ["z = w·x + b", "z", 1],
    ["σ = 1/(1 + e⁻ᶻ)", "sigma", 1],
    ["l", "l", 1],
    ["dl/dσ", "dl_dsig", 2],
    ["dσ/dz = σ(1 − σ)", "dsig_dz", 2],
    ["dl/dz = dl/dσ · dσ/dz", "dl_dz", 2],
    ...names.map((name, j) => [`dz/d${name} = ${local(j)}`, `dz_dw${j}`, 2]),
    ...names.map((name, j) => [`dl/d${name} = dl/dz · ${local(j)}`, `dl_dw${j}`, 2]),
    ...trained.map((j) => [
      `dJ/d${names[j]} = ${mean}dl/d${names[j]}${penalty(j)}`,
      `gradient${j}`,
      2,
      j ? "" : "mean",
    ]),
    ...trained.map((j) => [`next ${names[j]}`, `next${j}`, 2, j ? "" : "mean"]),
  ];
  const next = KINDS.map((kind) => Neuron.step(run.costs[kind], settings.optimizer, run.states[kind][run.k]));
  fillTable($("chain").tBodies[0], lines, 2, (q, c) => {
    const row = rows[KINDS[c]];
    const j = Number(q.slice(-1));
    if (q.startsWith("dz_dw")) return j < d ? row.x[j] : 1;
    if (q.startsWith("dl_dw")) return j < d ? row.dl_dw[j] : row.dl_db;
    if (q.startsWith("gradient")) return run.states[KINDS[c]][run.k].gradient[j];
    if (q.startsWith("next")) return next[c].theta[j];
    return row[q];
  });
  $("sample-title").textContent = `sample ${settings.sample + 1} of ${set.X.length}`;
}

function fillTensorFlow(ours, set, d) {
  const names = parameters(d);
  const i = settings.sample;
  const theta = run.states.squared_error[run.k].theta;
  const rule = Neuron.LOSSES[TENSORFLOW];
  const theirs = Neuron.explain(
    rule,
    theta.map((t) => t / 2),
    set.X[i],
    set.y[i],
  );
  const lines = [
    ...names.map((name, j) => [name, theta[j], name, theta[j] / 2, 0]),
    ["z", ours.z, "z", theirs.z, 1],
    ["σ(z)", ours.sigma, "tanh z = 2σ − 1", theirs.sigma, 1],
    ["y", ours.y, "t = 2y − 1", 2 * ours.y - 1, 0],
    ["(y − σ)²", ours.l, "½(tanh z − t)²", theirs.l, 1],
    ["dl/dσ", ours.dl_dsig, "outputDer = tanh z − t", theirs.dl_dsig, 2],
    ["dσ/dz", ours.dsig_dz, "1 − tanh² z", theirs.dsig_dz, 2],
    ["dl/dz", ours.dl_dz, "inputDer", theirs.dl_dz, 2],
    ...SUB.slice(0, d).map((s, j) => [
      `dl/dw${s}`,
      ours.dl_dw[j],
      `errorDer = inputDer · x${s}`,
      theirs.dl_dw[j],
      2,
    ]),
  ];
  const body = $("tensorflow").tBodies[0];
  while (body.rows.length > lines.length) body.deleteRow(-1);
  while (body.rows.length < lines.length)
    for (let c = 0, row = body.insertRow(); c < 5; c++) row.insertCell();
  lines.forEach(([mine, value, their, other, phase], r) => {
    const cells = body.rows[r].cells;
    cells[0].textContent = mine;
    cells[2].textContent = their;
    const known = run.phase >= phase;
    put(cells[1], value, known);
    put(cells[3], other, known);
    const constant = !/tanh z = |t = /.test(their) && value !== 0;
    cells[4].textContent = known && constant ? Number((other / value).toPrecision(6)).toString() : "";
    for (const c of [1, 3, 4]) cells[c].classList.add("right");
    cells[4].classList.add("number");
  });
  const states = run.states[TENSORFLOW];
  const text = $("tensorflow-run");
  if (!states) {
    text.textContent = "Choose gradient descent, momentum or Nesterov to train both side by side.";
    delete text.dataset.value;
    return;
  }
  const trained = states[run.k].theta;
  const apart = Math.max(...theta.map((t, j) => Math.abs(2 * trained[j] - t)));
  const rate = format(run.rate / 8);
  const penalty = settings.alpha > 0 ? ` and the penalty 8α = ${format(8 * settings.alpha)}` : "";
  text.textContent =
    `Trained from half the start with the learning rate η/8 = ${rate}${penalty}, TensorFlow Playground's neuron ` +
    `has, after ${run.k} iterations, ${names.map((n, j) => `${n} = ${format(trained[j])}`).join(", ")}. ` +
    `Doubled, that differs from this page's neuron by ${apart === 0 ? "nothing" : `at most ${apart.toExponential(0).replace("-", "−")}`}.`;
  text.dataset.value = String(apart);
}

function fillRows(set, d) {
  const kind = document.querySelector("[name=which]:checked").value;
  const table = $("rows");
  const names = parameters(d);
  const { theta, gradient } = run.states[kind][run.k];
  const head = [
    "sample",
    ...names.slice(0, d).map((_, j) => `x${SUB[j]}`),
    "y",
    "z",
    "σ",
    "l",
    "dl/dσ",
    "dσ/dz",
    "dl/dz",
    ...names.map((n) => `dl/d${n}`),
  ];
  const shown = Math.min(set.X.length, 300);
  const cell = (row, value, phase = 0) => {
    const node = row.insertCell();
    put(node, value, run.phase >= phase);
    node.classList.add("right");
  };
  const line = document.createElement("tr");
  for (const text of head) {
    const th = document.createElement("th");
    Object.assign(th, { scope: "col", textContent: text, className: text === "sample" ? "" : "right" });
    line.append(th);
  }
  table.tHead.replaceChildren(line);
  const body = table.tBodies[0];
  body.replaceChildren();
  const sums = new Array(d + 1).fill(0);
  let loss = 0;
  set.X.forEach((x, i) => {
    const row = Neuron.explain(run.costs[kind].rule, theta, x, set.y[i]);
    loss += row.l / set.X.length;
    [...row.dl_dw, row.dl_db].forEach((v, j) => (sums[j] += v / set.X.length));
    if (i >= shown) return;
    const tr = body.insertRow();
    if (i === settings.sample) tr.className = "current";
    tr.insertCell().textContent = String(i + 1);
    for (const xj of x) cell(tr, xj);
    cell(tr, row.y);
    for (const q of ["z", "sigma", "l"]) cell(tr, row[q], 1);
    for (const q of ["dl_dsig", "dsig_dz", "dl_dz"]) cell(tr, row[q], 2);
    for (const v of [...row.dl_dw, row.dl_db]) cell(tr, v, 2);
  });
  const foot = table.tFoot;
  foot.replaceChildren();
  const last = (label, l, values) => {
    const tr = foot.insertRow();
    const first = tr.insertCell();
    first.textContent = label;
    first.colSpan = d + 4;
    cell(tr, l, 1);
    tr.insertCell().colSpan = 3;
    for (const v of values) cell(tr, v, 2);
  };
  if (settings.alpha > 0) last("mean over all samples", loss, sums);
  const label =
    settings.alpha > 0 ? "with the penalty: J, dJ/dw, dJ/db" : "mean over all samples: J, dJ/dw, dJ/db";
  last(label, run.states[kind][run.k].J, settings.bias ? gradient : [...gradient.slice(0, d), sums[d]]);
  $("rows-note").textContent = [
    shown < set.X.length
      ? `The first ${shown} of ${set.X.length} samples are listed; the mean is over all.`
      : "",
    settings.bias ? "" : "The bias is held, whatever its derivative.",
  ].join(" ");
}
