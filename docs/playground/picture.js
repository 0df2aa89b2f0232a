// The neuron as a graph: values on the nodes, local derivatives on the edges, products below.

"use strict";

const Picture = (() => {
  const { svg, format } = Draw;
  const SUB = ["₁", "₂"];
  const R = 27;

  // Names and formulas of a loss.
  const WORDS = {
    squared_error: { l: "l = (y − σ)²", dl_dsig: "2(σ − y)" },
    cross_entropy: { l: "l = −y ln σ − (1 − y) ln(1 − σ)", dl_dsig: "(σ − y) / (σ(1 − σ))" },
  };

  // As `format`, in at most six characters where the exponent allows: a circle holds no more.
  function brief(value) {
    const size = Math.abs(value);
    if (!Number.isFinite(value) || size === 0) return format(value);
    if (size < 1e-3 || size >= 1e4) {
      const digits = size < 1e-99 || size >= 1e100 ? 0 : 1;
      return value.toExponential(digits).replace("e+", "e").replace(/-/g, "−");
    }
    return String(Number(value.toPrecision(size < 0.01 ? 2 : size < 0.1 || value < 0 ? 3 : 4))).replace("-", "−");
  }

  // Build the picture for d features in `box`, wide or narrow; gives a function that fills it in.
  function build(box, loss, d) {
    const width = box.clientWidth;
    const narrow = width < 470;
    const height = narrow ? 472 : 226;
    box.replaceChildren();
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, box);
    const title = svg("title", {}, root);
    const defs = svg("defs", {}, root);
    for (const [kind, size, refX] of [
      ["forward", 9, 7],
      ["backward", 13, 1],
    ]) {
      const shape = { viewBox: "0 0 8 8", refX, refY: 4, markerWidth: size, markerHeight: size };
      const id = `${kind}-${loss}`;
      const marker = svg(
        "marker",
        { id, class: kind, orient: "auto", markerUnits: "userSpaceOnUse", ...shape },
        defs,
      );
      svg("path", { d: "M0 0L8 4L0 8Z" }, marker);
    }
    const edges = svg("g", {}, root);
    const texts = svg("g", {}, root);
    const slots = {};

    const text = (x, y, content, kind, anchor = "middle") =>
      svg("text", { x, y, class: kind, "text-anchor": anchor }, texts, content);
    const value = (x, y, name, kind, anchor = "middle") => {
      const node = text(x, y, "", `value ${kind}`, anchor);
      node.dataset.q = name;
      slots[name] = node;
    };
    const node = (x, y, symbol, name, r = R) => {
      svg("circle", { cx: x, cy: y, r, class: "node" }, texts);
      text(x, y - 6, symbol, "symbol");
      value(x, y + 11, name, "in-node");
    };
    const edge = (d, kind, name = null) => {
      const line = svg("path", { d, class: kind, "marker-end": `url(#${kind}-${loss})` }, edges);
      if (name) slots[name] = line;
    };
    const inputs = [...Array(d).keys()].map((j) => ({
      symbol: `x${SUB[j]}`,
      weight: `w${SUB[j]}`,
      key: String(j),
      local: `x${SUB[j]}`,
    }));
    inputs.push({ symbol: "1", weight: "b", key: "b", local: "1" });

    if (narrow) {
      const middle = width / 2;
      const [yz, ys, yl] = [226, 326, 426];
      inputs.forEach((input, i) => {
        const x = (width * (2 * i + 1)) / (2 * inputs.length);
        node(x, 30, input.symbol, `x${input.key}`, 25);
        text(x, 74, `${input.weight} =`, "formula");
        value(x, 90, `w${input.key}`, "forward");
        text(x, 110, `dz/d${input.weight} = ${input.local} =`, "formula");
        value(x, 126, `dz_dw${input.key}`, "local");
        text(x, 146, `dl/d${input.weight} =`, "formula");
        value(x, 162, `dl_dw${input.key}`, "product");
        edge(`M${x} 168L${middle + (x - middle) * 0.16} ${yz - R - 3}`, "forward");
      });
      node(middle, yz, "z", "z");
      node(middle, ys, "σ", "sigma");
      node(middle, yl, "l", "l");
      edge(`M${middle} ${yz + R}V${ys - R - 3}`, "forward");
      edge(`M${middle} ${ys + R}V${yl - R - 3}`, "forward");
      svg("circle", { cx: width - 30, cy: yl, r: 20, class: "node target" }, texts);
      text(width - 30, yl - 3, "y", "symbol");
      value(width - 30, yl + 11, "y", "in-node");
      edge(`M${width - 52} ${yl}H${middle + R + 3}`, "forward");
      const right = middle + 12;
      text(right, (yz + ys) / 2 - 3, "dσ/dz = σ(1 − σ) =", "formula", "start");
      value(right, (yz + ys) / 2 + 13, "dsig_dz", "local", "start");
      const formula = `${WORDS[loss].dl_dsig} =`;
      const short = formula.length < 14;
      if (!short) text(right, (ys + yl) / 2 - 18, "dl/dσ =", "formula", "start");
      text(right, (ys + yl) / 2 - 3, short ? `dl/dσ = ${formula}` : formula, "formula", "start");
      value(right, (ys + yl) / 2 + 13, "dl_dsig", "local", "start");
      const left = middle - 42;
      edge(`M${left} ${yl - 4}V${ys + 24}`, "backward", "to_sigma");
      edge(`M${left} ${ys - 22}V${yz + 24}`, "backward", "to_z");
      text(left, ys - 9, "dl/dσ =", "formula", "end");
      value(left, ys + 7, "upstream", "product", "end");
      text(left, yz - 9, "dl/dz =", "formula", "end");
      value(left, yz + 7, "dl_dz", "product", "end");
    } else {
      const middle = 112;
      const [xz, xs, xl] = [Math.max(width * 0.47, 266), width * 0.7, width - R - 4];
      const gap = inputs.length === 2 ? 104 : 74;
      inputs.forEach((input, i) => {
        const y = middle + (i - (inputs.length - 1) / 2) * gap;
        node(28, y, input.symbol, `x${input.key}`, 25);
        const end = 210;
        const [toX, toY] = [xz - R - 2, middle + (y - middle) * 0.1];
        edge(`M54 ${y}H${end}C${end + 22} ${y} ${toX - 24} ${toY} ${toX} ${toY}`, "forward");
        text(62, y - 7, `${input.weight} =`, "formula", "start");
        value(208, y - 7, `w${input.key}`, "forward", "end");
        text(62, y + 15, `dz/d${input.weight} = ${input.local}`, "formula", "start");
        value(208, y + 15, `dz_dw${input.key}`, "local", "end");
        text(62, y + 32, `dl/d${input.weight} =`, "formula", "start");
        value(208, y + 32, `dl_dw${input.key}`, "product", "end");
      });
      node(xz, middle, "z", "z");
      node(xs, middle, "σ", "sigma");
      node(xl, middle, "l", "l");
      edge(`M${xz + R} ${middle}H${xs - R - 3}`, "forward");
      edge(`M${xs + R} ${middle}H${xl - R - 3}`, "forward");
      for (const [from, to, name, formula] of [
        [xz, xs, "dsig_dz", "σ(1 − σ)"],
        [xs, xl, "dl_dsig", WORDS[loss].dl_dsig],
      ]) {
        const x = (from + to) / 2;
        const [of, by] = name === "dsig_dz" ? ["σ", "z"] : ["l", "σ"];
        text(x, middle - 66, `d${of}/d${by} =`, "formula");
        text(x, middle - 50, `${formula} =`, "formula");
        value(x, middle - 33, name, "local");
      }
      svg("circle", { cx: xl, cy: middle + 78, r: 20, class: "node target" }, texts);
      text(xl, middle + 75, "y", "symbol");
      value(xl, middle + 89, "y", "in-node");
      edge(`M${xl} ${middle + 57}V${middle + R + 3}`, "forward");
      const low = middle + 50;
      edge(`M${xl - 30} ${low}H${xs + 18}`, "backward", "to_sigma");
      edge(`M${xs - 6} ${low}H${xz + 18}`, "backward", "to_z");
      edge(`M${xz - 6} ${low}H${xz - 34}`, "backward", "to_w");
      text(xs, low + 22, "dl/dσ =", "formula");
      value(xs, low + 39, "upstream", "product");
      text(xz, low + 22, "dl/dz =", "formula");
      value(xz, low + 39, "dl_dz", "product");
      text(xz, low + 56, "dl/dσ · dσ/dz", "formula small");
    }

    // `row` is a sample's chain-rule row; phase 0 knows the parameters, 1 the forward pass too.
    return function fill(row, theta, phase, name) {
      const forward = phase >= 1;
      const backward = phase >= 2;
      const put = (key, number, known) => {
        const slot = slots[key];
        const shape = slot.classList.contains("in-node") ? brief : format;
        slot.textContent = known ? shape(number) : "not yet";
        slot.classList.toggle("unknown", !known);
        if (known) slot.dataset.value = String(number);
        else delete slot.dataset.value;
      };
      for (let j = 0; j < d; j++) {
        put(`x${j}`, row.x[j], true);
        put(`w${j}`, theta[j], true);
        put(`dz_dw${j}`, row.x[j], backward);
        put(`dl_dw${j}`, row.dl_dw[j], backward);
      }
      put("xb", 1, true);
      slots.xb.textContent = "";
      put("wb", theta[d], true);
      put("dz_dwb", 1, backward);
      put("dl_dwb", row.dl_db, backward);
      put("y", row.y, true);
      put("z", row.z, forward);
      put("sigma", row.sigma, forward);
      put("l", row.l, forward);
      put("dsig_dz", row.dsig_dz, backward);
      put("dl_dsig", row.dl_dsig, backward);
      put("upstream", row.dl_dsig, backward);
      put("dl_dz", row.dl_dz, backward);
      // The arrows back are as thick as what they carry, so that a vanishing factor is seen.
      const carried = { to_sigma: row.dl_dsig, to_z: row.dl_dz, to_w: row.dl_dz };
      for (const [key, number] of Object.entries(carried)) {
        if (!slots[key]) continue;
        slots[key].classList.toggle("unknown", !backward);
        slots[key].setAttribute("marker-end", `url(#${backward ? "backward" : "forward"}-${loss})`);
        const share = Math.min(1, Math.abs(number));
        slots[key].style.strokeWidth = backward ? `${(0.7 + 5.3 * Math.sqrt(share)).toFixed(2)}px` : "1px";
      }
      title.textContent =
        `Neuron trained on ${name}, sample with y = ${row.y}: ` +
        (forward ? `z ${format(row.z)}, σ ${format(row.sigma)}, l ${format(row.l)}; ` : "") +
        (backward
          ? `dl/dσ ${format(row.dl_dsig)} times dσ/dz ${format(row.dsig_dz)} is dl/dz ${format(row.dl_dz)}.`
          : "derivatives not computed yet.");
    };
  }

  return { build, WORDS, SUB };
})();
