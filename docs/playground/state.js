// What the parts of the page share: the data sets, the settings, the run, and the names of things.

"use strict";

const { format, forget, Plot, colour, mix, path, svg } = Draw;
const { SUB } = Picture;
const $ = (id) => document.getElementById(id);
const DATA = JSON.parse($("datasets").textContent); // by name
const KINDS = ["squared_error", "cross_entropy"];
const NAMES = { squared_error: "squared error", cross_entropy: "cross-entropy" };
const MAX_STEPS = 10000;
const MAX_LINK = 6000; // characters of a table of one's own in the address
const BANDS = 16;
// TensorFlow Playground has w/2 where this page has w, and walks beside it at this share of η.
const TENSORFLOW = "tensorflow_playground";
const TENSORFLOW_RATE = { gradient_descent: 1 / 8, momentum: 1 / 8, nesterov: 1 / 8 };

const settings = {};
const own = { table: null, choice: null, set: null, name: "" };
let run = null;
let playing = null;
let pictures = {};
const painted = {};
const plots = {};

const dataset = () => (settings.data === "own" ? own.set : DATA[settings.data]);
