// Tables of one's own: CSV text to rows, and columns of it to X and y.

"use strict";

const Table = (() => {
  const MAX_ROWS = 2000;

  // Fields of one CSV text, quoted ones too. The delimiter is the commonest of , ; and tab in line 1.
  function split(text) {
    const head = text.slice(0, text.search(/\r|\n|$/)).replace(/"[^"]*"/g, "");
    const delimiter = [",", ";", "\t"].reduce((a, b) =>
      head.split(b).length > head.split(a).length ? b : a,
    );
    const lines = [];
    let line = [];
    let field = "";
    let quoted = false;
    for (let i = 0; i <= text.length; i++) {
      const c = text[i];
      if (quoted && c !== undefined) {
        if (c !== '"') field += c;
        else if (text[i + 1] === '"') field += text[++i];
        else quoted = false;
      } else if (c === '"' && field === "") {
        quoted = true;
      } else if (c === delimiter || c === "\n" || c === "\r" || c === undefined) {
        line.push(field.trim());
        field = "";
        if (c !== delimiter) {
          if (line.some((part) => part !== "")) lines.push(line);
          line = [];
        }
      } else {
        field += c;
      }
    }
    return { lines, decimalComma: delimiter === ";" };
  }

  function number(text) {
    return text === "" ? NaN : Number(text);
  }

  // { names, rows } of CSV text; the first line holds the names unless all of it is numbers.
  function parse(text) {
    const { lines, decimalComma } = split(text.replace(/^\ufeff/, ""));
    if (decimalComma) {
      for (const line of lines) {
        line.forEach((part, j) => {
          if (/^[-+]?\d*,\d+([eE][-+]?\d+)?$/.test(part)) line[j] = part.replace(",", ".");
        });
      }
    }
    if (lines.length === 0) throw new Error("The file is empty. A table needs a line for each sample.");
    const hasNames = lines[0].some((part) => Number.isNaN(number(part)));
    const names = hasNames ? lines[0] : lines[0].map((_, j) => `column ${j + 1}`);
    const rows = hasNames ? lines.slice(1) : lines;
    if (names.length < 2) {
      throw new Error(
        "The file has one column. A table needs a feature and a label, separated by , ; or a tab.",
      );
    }
    const uneven = rows.findIndex((row) => row.length !== names.length);
    if (uneven >= 0) {
      throw new Error(
        `Row ${uneven + 1} has ${rows[uneven].length} fields, but there are ${names.length} columns. ` +
          "Put text that holds the delimiter in quotes.",
      );
    }
    if (rows.length === 0) throw new Error("The file has names of columns, but no rows below them.");
    return { names, rows };
  }

  const distinct = (table, j) =>
    [...new Set(table.rows.map((row) => row[j]).filter((part) => part !== ""))].sort((a, b) =>
      Number.isNaN(number(a) - number(b)) ? (a < b ? -1 : 1) : number(a) - number(b),
    );

  // Columns that can be features: numbers wherever there is something, and not all the same.
  function features(table) {
    return table.names
      .map((_, j) => j)
      .filter((j) => {
        const values = distinct(table, j);
        return values.length > 1 && values.every((part) => Number.isFinite(number(part)));
      });
  }

  // Target, positive class and two features that suit most tables.
  function guess(table) {
    const columns = table.names.map((_, j) => j);
    const named = (j) => /^(y|target|label|class|diagnosis|species|outcome)$/i.test(table.names[j]);
    const few = (j) => distinct(table, j).length >= 2 && distinct(table, j).length <= 20;
    const target =
      columns.find((j) => named(j) && few(j)) ??
      columns.findLast((j) => distinct(table, j).length === 2) ??
      columns.findLast(few);
    if (target === undefined) {
      throw new Error("No column has 2 to 20 different values, as a label would. Add a column of classes.");
    }
    const usable = features(table).filter((j) => j !== target);
    if (usable.length === 0) {
      throw new Error("No column but the label holds numbers. The neuron needs a numeric feature.");
    }
    return {
      target,
      positive: distinct(table, target).at(-1),
      x1: usable[0],
      x2: usable[1] ?? null,
      standardize: true,
    };
  }

  // X, y and a note. Rows with a missing value are left out; of many rows evenly spaced ones stay.
  function select(table, { target, positive, x1, x2, standardize }) {
    const columns = x2 === null ? [x1] : [x1, x2];
    let rows = table.rows.filter(
      (row) => row[target] !== "" && columns.every((j) => Number.isFinite(number(row[j]))),
    );
    const notes = [];
    const dropped = table.rows.length - rows.length;
    if (dropped) notes.push(`${dropped} rows with a missing value left out`);
    if (rows.length > MAX_ROWS) {
      notes.push(`${MAX_ROWS} of ${rows.length} rows shown, evenly spaced`);
      rows = Array.from({ length: MAX_ROWS }, (_, i) => rows[Math.floor((i * rows.length) / MAX_ROWS)]);
    }
    if (rows.length === 0) throw new Error("Every row lacks a value. Choose other features.");
    const y = rows.map((row) => (row[target] === positive ? 1 : 0));
    let X = rows.map((row) => columns.map((j) => number(row[j])));
    if (standardize) {
      X = standardized(X);
      notes.push("features brought to mean 0 and variance 1");
    }
    return { X, y, features: columns.map((j) => table.names[j]), notes };
  }

  // Mean 0 and variance 1 (over n), column by column; a constant column is only centred.
  function standardized(X) {
    const n = X.length;
    const scaled = X[0].map((_, j) => {
      const mean = X.reduce((sum, x) => sum + x[j], 0) / n;
      const variance = X.reduce((sum, x) => sum + (x[j] - mean) ** 2, 0) / n;
      return X.map((x) => (x[j] - mean) / (variance > 0 ? Math.sqrt(variance) : 1));
    });
    return X.map((_, i) => scaled.map((column) => column[i]));
  }

  return { parse, features, distinct, guess, select };
})();
