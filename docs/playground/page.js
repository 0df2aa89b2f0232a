// The page: settings, the run, and what is drawn of it. DATA holds the data sets by name.

"use strict";

(() => {
  const { format, forget, Plot, colour, mix, path, svg } = Draw;
  const { SUB } = Picture;
  const $ = (id) => document.getElementById(id);
  const KINDS = ["squared_error", "cross_entropy"];
  const NAMES = { squared_error: "squared error", cross_entropy: "cross-entropy" };
  const MAX_STEPS = 10000;
  const MAX_LINK = 6000; // characters of a table of one's own in the address
  const BANDS = 16;
  // TensorFlow Playground has w/2 where this page has w, and walks beside it at this share of η.
  const TWIN = "tensorflow_playground";
  const TWIN_RATE = { gradient_descent: 1 / 8, momentum: 1 / 8, nesterov: 1 / 8 };

  const settings = {};
  const own = { table: null, choice: null, set: null, name: "" };
  let run = null;
  let playing = null;
  let pictures = {};
  const painted = {};

  // ------------------------------------------------------------------------- settings

  const dataset = () => (settings.data === "own" ? own.set : DATA[settings.data]);

  function defaults(name) {
    const set = name === "own" ? own.set : DATA[name];
    return {
      data: name,
      optimizer: "gradient_descent",
      rate: "auto",
      alpha: set.alpha,
      bias: set.bias,
      start: [...set.start],
      sample: 0,
    };
  }

  function parseNumber(text, name, rule, holds) {
    const value = Number(text.trim().replace("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2"));
    if (text.trim() === "" || !Number.isFinite(value) || !holds(value)) {
      throw new Error(`${name} must be ${rule}, got “${text}”.`);
    }
    return value;
  }

  const positive = (v) => v > 0;
  const notNegative = (v) => v >= 0;
  const readRate = (text) => parseNumber(text, "The learning rate", "a number above 0, or auto", positive);
  const readAlpha = (text) => parseNumber(text, "The penalty α", "0 or a positive number", notNegative);
  const readStart = (text, name) => parseNumber(text, name, "a finite number", () => true);

  // Settings, iteration and part from the address; what is wrong with it is told and left out.
  function readHash() {
    clearTimeout(pending);
    const given = new URLSearchParams(location.hash.slice(1));
    const problems = [];
    const attempt = (key, action) => {
      if (!given.has(key)) return;
      try {
        action(given.get(key));
      } catch (error) {
        problems.push(error.message);
      }
    };
    const whole = (text, name, high) =>
      parseNumber(text, name, `a whole number from 0 to ${high}`, (v) => Number.isInteger(v) && v >= 0 && v <= high);
    attempt("rows", (text) => {
      const rows = text.split(";").map((row) => row.split(",").map((v) => readStart(v, "A value in rows")));
      const width = rows[0].length;
      const fits = (row) => row.length === width && row[width - 1] >= 0 && row[width - 1] <= 1;
      if (width < 2 || width > 3 || !rows.every(fits)) {
        throw new Error("The link's rows must each hold one or two features and a label between 0 and 1.");
      }
      const features = (given.get("columns") ?? "").split(",");
      Object.assign(own, { table: null, choice: null, name: "from the link" });
      own.set = ownSet(
        rows.map((row) => row.slice(0, -1)),
        rows.map((row) => row[width - 1]),
        rows[0].slice(1).map((_, j) => features[j] || `feature ${j + 1}`),
        ["own table, as the link holds it"],
      );
    });
    let name = given.get("data") ?? "lesson";
    if (name === "own" && !own.set) {
      problems.push("The link's table was too large for a link. Open the CSV file to see it.");
      name = "moons";
    } else if (name !== "own" && !Object.hasOwn(DATA, name)) {
      problems.push(`There is no data set “${name}”.`);
      name = "lesson";
    }
    const read = defaults(name);
    const set = name === "own" ? own.set : DATA[name];
    const d = set.X[0].length;
    attempt("optimizer", (text) => {
      if (!Object.hasOwn(Neuron.OPTIMIZERS, text)) throw new Error(`There is no optimizer “${text}”.`);
      read.optimizer = text;
    });
    attempt("rate", (text) => (read.rate = text === "auto" ? "auto" : readRate(text)));
    attempt("alpha", (text) => (read.alpha = readAlpha(text)));
    attempt("bias", (text) => (read.bias = text !== "0"));
    attempt("w", (text) => {
      const weights = text.split(",").map((part) => readStart(part, "A weight at the start"));
      if (weights.length !== d) throw new Error(`The start needs ${d} weights, got “${text}”.`);
      read.start.splice(0, d, ...weights);
    });
    attempt("b", (text) => (read.start[d] = readStart(text, "The bias at the start")));
    attempt("sample", (text) => (read.sample = whole(text, "The sample", set.X.length - 1)));
    let steps = 0;
    attempt("steps", (text) => (steps = whole(text, "The number of steps", MAX_STEPS)));
    let part = steps > 0 ? 2 : 0;
    attempt("part", (text) => (part = whole(text, "The part of a step", 2)));
    Object.assign(settings, read);
    stop();
    tellProblem("");
    begin(steps, part);
    if (problems.length) tellProblem(problems.join(" "));
  }

  function hash() {
    const usual = defaults(settings.data);
    const set = dataset();
    const d = set.X[0].length;
    const parts = [["data", settings.data]];
    const add = (key, value, standard) => {
      if (String(value) !== String(standard)) parts.push([key, value]);
    };
    add("optimizer", settings.optimizer, usual.optimizer);
    add("rate", settings.rate, usual.rate);
    add("alpha", settings.alpha, usual.alpha);
    add("bias", Number(settings.bias), Number(usual.bias));
    add("w", settings.start.slice(0, d), usual.start.slice(0, d));
    add("b", settings.start[d], usual.start[d]);
    add("sample", settings.sample, 0);
    add("steps", run.k, 0);
    add("part", run.phase, run.k > 0 ? 2 : 0);
    if (settings.data === "own") {
      const rows = set.X.map((x, i) => [...x, set.y[i]].join(",")).join(";");
      if (rows.length <= MAX_LINK) {
        parts.push(["columns", set.features.map((f) => f.replaceAll(",", " ")).join(",")], ["rows", rows]);
      }
    }
    return `#${parts.map(([k, v]) => `${k}=${encodeURIComponent(v).replace(/%2C/g, ",").replace(/%3B/g, ";")}`).join("&")}`;
  }

  // The address follows a little later: browsers limit how often it may change.
  let pending = 0;
  function writeHash() {
    clearTimeout(pending);
    pending = setTimeout(writeHashNow, 120);
  }

  function writeHashNow() {
    clearTimeout(pending);
    history.replaceState(null, "", hash());
  }

  // ------------------------------------------------------------------------------ run

  // Train `steps` steps from the start; part 0 of the last one knows θ, 1 the forward pass, 2 all.
  function begin(steps, part) {
    if (run?.ended) tellProblem("");
    const { X, y } = dataset();
    const { alpha, bias, start } = settings;
    const costs = {};
    for (const loss of [...KINDS, TWIN]) costs[loss] = Neuron.objective({ X, y, loss, alpha, bias });
    const first = (loss, rate, theta) => Neuron.init(costs[loss], settings.optimizer, rate, theta);
    const state = first("squared_error", settings.rate, start);
    const states = {
      squared_error: [state],
      cross_entropy: [first("cross_entropy", state.rate, start)],
    };
    if (settings.optimizer in TWIN_RATE) {
      const half = start.map((t) => t / 2);
      states[TWIN] = [first(TWIN, state.rate * TWIN_RATE[settings.optimizer], half)];
    }
    run = { costs, states, k: 0, phase: part, rate: state.rate, ended: "" };
    measure();
    while (run.k < steps && advance());
    if (run.k < steps || (steps > 0 && run.ended)) run.phase = 2;
    showSettings();
    render();
  }

  // The squared error of a state, by which both neurons can be compared.
  function measure() {
    for (const kind of KINDS) {
      const state = run.states[kind].at(-1);
      state.ruler = kind === "squared_error" ? state.J : run.costs.squared_error.value(state.theta);
    }
  }

  // One iteration on; false at the end of what can be done.
  function advance() {
    if (run.k + 1 < run.states.squared_error.length) {
      run.k++;
      return true;
    }
    if (run.k >= MAX_STEPS) {
      run.ended = `The page stops after ${MAX_STEPS} iterations.`;
      return false;
    }
    const next = {};
    for (const [kind, states] of Object.entries(run.states)) {
      next[kind] = Neuron.step(run.costs[kind], settings.optimizer, states.at(-1));
      if (![...next[kind].theta, next[kind].J].every(Number.isFinite)) {
        run.ended = "The next step leads to numbers without limit: choose a smaller learning rate.";
        return false;
      }
    }
    for (const kind in next) run.states[kind].push(next[kind]);
    run.k++;
    measure();
    return true;
  }

  function stepOnce() {
    if (advance()) run.phase = 2;
    afterStep();
  }

  function afterStep() {
    render();
    writeHash();
    const words = KINDS.map((kind) => `${NAMES[kind]} J ${format(run.states[kind][run.k].J)}`);
    const part = ["", "after the forward pass", "after the backward pass"][run.phase];
    $("live").textContent = run.ended || `Iteration ${run.k} ${part}: ${words.join(", ")}`;
  }

  function play() {
    if (playing) return stop();
    let last = performance.now();
    let due = 1;
    run.ended = "";
    const frame = (now) => {
      due = Math.min(due + ((now - last) / 1000) * Number($("speed").value), 200);
      last = now;
      let moved = false;
      const until = performance.now() + 30; // slow data sets take fewer steps a frame
      while (due >= 1 && !run.ended && performance.now() < until) {
        due -= 1;
        if (advance()) moved = true;
      }
      if (moved) {
        run.phase = 2;
        render();
      }
      if (run.ended) {
        stop();
        afterStep();
      } else {
        playing = requestAnimationFrame(frame);
      }
    };
    playing = requestAnimationFrame(frame);
    showPlaying();
  }

  function stop() {
    if (!playing) return;
    cancelAnimationFrame(playing);
    playing = null;
    showPlaying();
    writeHash();
  }

  function showPlaying() {
    $("play").textContent = playing ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", String(Boolean(playing)));
  }

  // A setting changed: the same number of steps once more.
  function repeat() {
    begin(run.k, run.phase);
    writeHash();
  }

  function startAt(theta) {
    stop();
    settings.start = theta;
    begin(0, 0);
    writeHash();
  }

  // -------------------------------------------------------------------------- settings shown

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

  // -------------------------------------------------------------------------- own tables

  function ownSet(X, y, features, notes) {
    const d = X[0].length;
    const ones = y.filter((v) => v === 1).length;
    return {
      title: "Own table",
      note: `${X.length} rows, ${ones} of class 1; ${notes.join("; ")}.`,
      X,
      y,
      features,
      alpha: 0.0001,
      bias: true,
      start: new Array(d + 1).fill(0),
      reach: 4,
    };
  }

  function openTable(text, name) {
    try {
      const table = Table.parse(text);
      const choice = Table.guess(table);
      Object.assign(own, { table, choice, name });
      fillOwn();
      useOwn();
    } catch (error) {
      tellProblem(`${name}: ${error.message}`);
    }
  }

  function fillOwn() {
    const { table, choice } = own;
    const fill = (id, options, chosen) => {
      $(id).replaceChildren(...options.map(([value, label]) => new Option(label, value)));
      $(id).value = String(chosen);
    };
    const column = (j) => [String(j), table.names[j]];
    const features = Table.features(table).filter((j) => j !== choice.target);
    fill("own-target", table.names.map((_, j) => column(j)), choice.target);
    fill("own-positive", Table.distinct(table, choice.target).map((v) => [v, v]), choice.positive);
    fill("own-x1", features.map(column), choice.x1);
    fill("own-x2", [["", "none"], ...features.filter((j) => j !== choice.x1).map(column)], choice.x2 ?? "");
    $("own-standardize").checked = choice.standardize;
  }

  function useOwn() {
    const { X, y, features, notes } = Table.select(own.table, own.choice);
    own.set = ownSet(X, y, features, [own.name, ...notes]);
    ownOption();
    stop();
    Object.assign(settings, defaults("own"));
    tellProblem("");
    begin(0, 0);
    writeHash();
  }

  function ownOption() {
    if (!$("data").querySelector("[value=own]")) $("data").append(new Option("Own table", "own"));
  }

  function changeOwn() {
    const { table } = own;
    const before = { ...own.choice };
    const choice = own.choice;
    choice.target = Number($("own-target").value);
    const values = Table.distinct(table, choice.target);
    choice.positive = choice.target === before.target ? $("own-positive").value : values.at(-1);
    const usable = Table.features(table).filter((j) => j !== choice.target);
    try {
      if (values.length < 2 || values.length > 100) {
        throw new Error(`A label must have 2 to 100 different values, “${table.names[choice.target]}” has ${values.length}.`);
      }
      if (usable.length === 0) throw new Error("No other column holds numbers. Choose another label.");
      const x1 = Number($("own-x1").value);
      choice.x1 = usable.includes(x1) ? x1 : usable[0];
      const x2 = $("own-x2").value === "" ? null : Number($("own-x2").value);
      choice.x2 = x2 !== null && usable.includes(x2) && x2 !== choice.x1 ? x2 : null;
      choice.standardize = $("own-standardize").checked;
      useOwn();
    } catch (error) {
      own.choice = before;
      tellProblem(error.message);
    }
    fillOwn();
  }

  async function readFile(file) {
    if (!file) return;
    if (file.size > 20e6) return tellProblem(`${file.name} has ${(file.size / 1e6).toFixed(0)} MB; at most 20 MB can be opened.`);
    openTable(await file.text(), file.name);
  }

  // --------------------------------------------------------------------------- drawing

  const plots = {};

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
    fillTwin(rows.squared_error, set, d);
    if ($("all").open) fillRows(set, d);
    showTransport();
  }

  function showTransport() {
    const last = run.states.squared_error.length - 1;
    $("k").textContent = String(run.k);
    Object.assign($("iteration"), { max: String(Math.max(last, 1)), value: String(run.k), disabled: last === 0 });
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

  // ---- data and boundaries

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
        else svg("path", { d: `M${x} ${y - r * 1.25}l${r * 1.2} ${r * 2.1}h${-r * 2.4}Z`, class: "class-0" }, points);
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
    $("live").textContent = `Sample ${settings.sample + 1}: x = ${X[settings.sample].map(format).join(", ")}; y = ${y[settings.sample]}`;
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
    const lines = [["z", "z", 1], ["σ", "sigma", 1], ["l", "l", 1], ["dl/dσ", "dl_dsig", 2], ["dσ/dz", "dsig_dz", 2], ["dl/dz", "dl_dz", 2]];
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

  // ---- cost over one or two parameters

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
    plot.margin.left = set.weightUnit ? 60 : 46;
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
    const slice = d === 2 && settings.bias ? `The slice at b = ${format(state.theta[2])}; ${low} is low.` : shown.length === 2 ? `${low[0].toUpperCase()}${low.slice(1)} is low.` : "The line has the slope dJ/dw₁.";
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

  // ---- loss curve

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

  // ---------------------------------------------------------------------------- tables

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
      ...trained.map((j) => [`dJ/d${names[j]} = ${mean}dl/d${names[j]}${penalty(j)}`, `gradient${j}`, 2, j ? "" : "mean"]),
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

  function fillTwin(ours, set, d) {
    const names = parameters(d);
    const i = settings.sample;
    const theta = run.states.squared_error[run.k].theta;
    const rule = Neuron.LOSSES[TWIN];
    const theirs = Neuron.explain(rule, theta.map((t) => t / 2), set.X[i], set.y[i]);
    const lines = [
      ...names.map((name, j) => [name, theta[j], name, theta[j] / 2, 0]),
      ["z", ours.z, "z", theirs.z, 1],
      ["σ(z)", ours.sigma, "tanh z = 2σ − 1", theirs.sigma, 1],
      ["y", ours.y, "t = 2y − 1", 2 * ours.y - 1, 0],
      ["(y − σ)²", ours.l, "½(tanh z − t)²", theirs.l, 1],
      ["dl/dσ", ours.dl_dsig, "outputDer = tanh z − t", theirs.dl_dsig, 2],
      ["dσ/dz", ours.dsig_dz, "1 − tanh² z", theirs.dsig_dz, 2],
      ["dl/dz", ours.dl_dz, "inputDer", theirs.dl_dz, 2],
      ...SUB.slice(0, d).map((s, j) => [`dl/dw${s}`, ours.dl_dw[j], `errorDer = inputDer · x${s}`, theirs.dl_dw[j], 2]),
    ];
    const body = $("tensorflow").tBodies[0];
    while (body.rows.length > lines.length) body.deleteRow(-1);
    while (body.rows.length < lines.length) for (let c = 0, row = body.insertRow(); c < 5; c++) row.insertCell();
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
    const states = run.states[TWIN];
    const text = $("tensorflow-run");
    if (!states) {
      text.textContent = "Choose gradient descent, momentum or Nesterov to train both side by side.";
      delete text.dataset.value;
      return;
    }
    const twin = states[run.k].theta;
    const apart = Math.max(...theta.map((t, j) => Math.abs(2 * twin[j] - t)));
    const rate = format(run.rate / 8);
    const penalty = settings.alpha > 0 ? ` and the penalty 8α = ${format(8 * settings.alpha)}` : "";
    text.textContent =
      `Trained from half the start with the learning rate η/8 = ${rate}${penalty}, TensorFlow Playground's neuron ` +
      `has, after ${run.k} iterations, ${names.map((n, j) => `${n} = ${format(twin[j])}`).join(", ")}. ` +
      `Doubled, that differs from this page's neuron by ${apart === 0 ? "nothing" : `at most ${apart.toExponential(0).replace("-", "−")}`}.`;
    text.dataset.value = String(apart);
  }

  function fillRows(set, d) {
    const kind = document.querySelector("[name=which]:checked").value;
    const table = $("rows");
    const names = parameters(d);
    const { theta, gradient } = run.states[kind][run.k];
    const head = ["sample", ...names.slice(0, d).map((_, j) => `x${SUB[j]}`), "y", "z", "σ", "l", "dl/dσ", "dσ/dz", "dl/dz", ...names.map((n) => `dl/d${n}`)];
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
    const label = settings.alpha > 0 ? "with the penalty: J, dJ/dw, dJ/db" : "mean over all samples: J, dJ/dw, dJ/db";
    last(label, run.states[kind][run.k].J, settings.bias ? gradient : [...gradient.slice(0, d), sums[d]]);
    $("rows-note").textContent = [
      shown < set.X.length ? `The first ${shown} of ${set.X.length} samples are listed; the mean is over all.` : "",
      settings.bias ? "" : "The bias is held, whatever its derivative.",
    ].join(" ");
  }

  // ---------------------------------------------------------------------------- events

  function repaint() {
    forget();
    pictures = {};
    for (const key of Object.keys(painted)) delete painted[key];
    if (run) render();
  }

  const isDark = () =>
    document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;

  function showTheme() {
    $("theme").textContent = isDark() ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", `${isDark() ? "Light" : "Dark"} colours`);
    repaint();
  }

  async function copyLink() {
    writeHashNow();
    const whole = settings.data !== "own" || location.hash.includes("rows=");
    try {
      await navigator.clipboard.writeText(location.href);
      $("copy").textContent = "Copied";
    } catch {
      tellProblem("The browser does not allow copying here; copy the address of the page instead.");
    }
    if (!whole) tellProblem("The table is too large for a link: give the CSV file along with it.");
    setTimeout(() => ($("copy").textContent = "Copy link"), 1600);
  }

  function listen() {
    const click = (id, action) => $(id).addEventListener("click", action);
    click("step", () => (stop(), stepOnce()));
    click("play", play);
    click("back", () => (stop(), run.k--, (run.phase = 2), afterStep()));
    click("reset", () => (stop(), begin(0, 0), afterStep()));
    click("forward", () => (stop(), (run.phase = 1), afterStep()));
    click("backward", () => (stop(), (run.phase = 2), afterStep()));
    click("update", () => {
      stop();
      if (advance()) run.phase = 0;
      afterStep();
    });
    // A part that is done is disabled; the next one takes the focus, for the keyboard.
    ["forward", "backward", "update"].forEach((id, part, all) =>
      click(id, () => {
        if ($(id).disabled) $(all[(part + 1) % 3]).focus();
      }),
    );
    $("iteration").addEventListener("input", (event) => {
      stop();
      run.k = Number(event.target.value);
      run.phase = 2;
      afterStep();
    });
    $("data").addEventListener("change", (event) => {
      stop();
      Object.assign(settings, defaults(event.target.value));
      tellProblem("");
      begin(0, 0);
      writeHash();
    });
    $("optimizer").addEventListener("change", (event) => {
      settings.optimizer = event.target.value;
      repeat();
    });
    $("rate").addEventListener("change", (event) =>
      reading(event.target, (text) => (settings.rate = text.trim() === "auto" ? "auto" : readRate(text))),
    );
    $("rate-slider").addEventListener("input", (event) => {
      settings.rate = Number((10 ** Number(event.target.value)).toPrecision(3));
      repeat();
    });
    $("auto").addEventListener("change", (event) => {
      settings.rate = event.target.checked ? "auto" : Number(run.rate.toPrecision(4));
      repeat();
    });
    $("alpha").addEventListener("change", (event) =>
      reading(event.target, (text) => (settings.alpha = readAlpha(text))),
    );
    $("bias").addEventListener("change", (event) => {
      settings.bias = event.target.checked;
      repeat();
    });
    for (const part of ["0", "1", "b"]) {
      $(`start-${part}`).addEventListener("change", (event) =>
        reading(event.target, (text) => {
          const j = part === "b" ? settings.start.length - 1 : Number(part);
          settings.start = settings.start.with(j, readStart(text, "The start"));
        }),
      );
    }
    for (const id of ["own-target", "own-positive", "own-x1", "own-x2", "own-standardize"]) {
      $(id).addEventListener("change", changeOwn);
    }
    click("open", () => $("file").click());
    $("file").addEventListener("change", (event) => {
      readFile(event.target.files[0]);
      event.target.value = "";
    });
    let depth = 0;
    const dragging = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => {
      if (dragging(event)) $("drop").hidden = ++depth === 0;
    });
    addEventListener("dragleave", (event) => {
      if (dragging(event)) $("drop").hidden = --depth <= 0;
    });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      $("drop").hidden = true;
      readFile(event.dataTransfer.files[0]);
    });
    click("previous", () => choose(settings.sample - 1));
    click("next", () => choose(settings.sample + 1));
    const data = $("plot-data");
    data.addEventListener("click", (event) => {
      const i = nearest(event);
      if (i >= 0) choose(i);
    });
    data.addEventListener("pointermove", hover);
    data.addEventListener("pointerleave", () => ($("tooltip").hidden = true));
    data.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      choose(settings.sample + by);
    });
    for (const kind of KINDS) {
      $(`plot-${kind}`).addEventListener("click", (event) => startFromPlot(kind, event));
    }
    $("all").addEventListener("toggle", render);
    for (const radio of document.querySelectorAll("[name=which]")) radio.addEventListener("change", render);
    click("copy", copyLink);
    click("theme", () => {
      document.documentElement.dataset.theme = isDark() ? "light" : "dark";
      showTheme();
    });
    click("skip", (event) => {
      event.preventDefault(); // the address holds the settings
      $("step").focus();
    });
    for (const link of document.querySelectorAll(".presets a")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        history.pushState(null, "", link.hash);
        readHash();
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
    addEventListener("hashchange", readHash);
    addEventListener("popstate", readHash);
    new ResizeObserver(repaint).observe(document.querySelector("main"));
  }

  for (const [name, set] of Object.entries(DATA)) $("data").append(new Option(set.title, name));
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) $("speed").value = "1";
  else $("speed").value = "25";
  listen();
  readHash();
  if (own.set) ownOption();
  showSettings();
  showTheme();
})();
