// The settings in the address of the page, so that a link shows what its sender sees.

"use strict";

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
  const value = Number(
    text
      .trim()
      .replace("−", "-")
      .replace(/^(-?\d*),(\d+)$/, "$1.$2"),
  );
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
    parseNumber(
      text,
      name,
      `a whole number from 0 to ${high}`,
      (v) => Number.isInteger(v) && v >= 0 && v <= high,
    );
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
  pause();
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
