// Tables of one's own: opened, chosen from, trained on.

"use strict";

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
  fill(
    "own-target",
    table.names.map((_, j) => column(j)),
    choice.target,
  );
  fill(
    "own-positive",
    Table.distinct(table, choice.target).map((v) => [v, v]),
    choice.positive,
  );
  fill("own-x1", features.map(column), choice.x1);
  fill("own-x2", [["", "none"], ...features.filter((j) => j !== choice.x1).map(column)], choice.x2 ?? "");
  $("own-standardize").checked = choice.standardize;
}

function useOwn() {
  const { X, y, features, notes } = Table.select(own.table, own.choice);
  own.set = ownSet(X, y, features, [own.name, ...notes]);
  ownOption();
  pause();
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
      throw new Error(
        `A label must have 2 to 100 different values, “${table.names[choice.target]}” has ${values.length}.`,
      );
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
  if (file.size > 20e6)
    return tellProblem(`${file.name} has ${(file.size / 1e6).toFixed(0)} MB; at most 20 MB can be opened.`);
  openTable(await file.text(), file.name);
}
