// The run: both neurons, and TensorFlow Playground's, step by step.

"use strict";

// Train `steps` steps from the start; part 0 of the last one knows θ, 1 the forward pass, 2 all.
function begin(steps, part) {
  if (run?.ended) tellProblem("");
  const { X, y } = dataset();
  const { alpha, bias, start } = settings;
  const costs = {};
  for (const loss of [...KINDS, TENSORFLOW]) costs[loss] = Neuron.objective({ X, y, loss, alpha, bias });
  const first = (loss, rate, theta) => Neuron.init(costs[loss], settings.optimizer, rate, theta);
  const state = first("squared_error", settings.rate, start);
  const states = {
    squared_error: [state],
    cross_entropy: [first("cross_entropy", state.rate, start)],
  };
  if (settings.optimizer in TENSORFLOW_RATE) {
    const half = start.map((t) => t / 2);
    states[TENSORFLOW] = [first(TENSORFLOW, state.rate * TENSORFLOW_RATE[settings.optimizer], half)];
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
  if (playing) return pause();
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
      pause();
      afterStep();
    } else {
      playing = requestAnimationFrame(frame);
    }
  };
  playing = requestAnimationFrame(frame);
  showPlaying();
}

function pause() {
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
  pause();
  settings.start = theta;
  begin(0, 0);
  writeHash();
}
