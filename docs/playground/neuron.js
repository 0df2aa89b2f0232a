// One logistic neuron σ(w·x + b): its losses, their local derivatives, and the update rules.
//
// The formulas are those of trainer/chain_rule.py and trainer/optimizers, and
// tests/test_playground.py compares the numbers of both. Nothing here touches the page.
//
// Parameters are one array theta, the weights and last the bias. X is an array of rows.

"use strict";

const Neuron = (() => {
  // Largest |d²l/dz²| of the squared error (reached at a margin of 0.465663).
  const MAX_CURVATURE = 0.15405857012135052;

  // σ(z), and 1 - σ(z) = σ(-z). exp(-|z|) cannot overflow, and neither is found by subtraction.
  function sigmoid(z) {
    const small = Math.exp(-Math.abs(z));
    return z < 0 ? small * (1 / (1 + small)) : 1 / (1 + small);
  }

  function weightedSum(x, theta) {
    let z = 0;
    for (let j = 0; j < x.length; j++) z += x[j] * theta[j];
    return z + theta[x.length];
  }

  // σ - y as (1 - y)·σ - y·(1 - σ), which for y = 0 and y = 1 subtracts nothing.
  function residual(y, z) {
    const small = Math.exp(-Math.abs(z));
    const large = 1 / (1 + small);
    return z < 0 ? (1 - y) * small * large - y * large : (1 - y) * large - y * small * large;
  }

  const dsig_dz = (z) => sigmoid(z) * sigmoid(-z);

  // A loss is l, dl/dσ, dσ/dz and dl/dz as functions of y and z. `answer` is the neuron's output.
  const LOSSES = {
    squared_error: {
      answer: sigmoid,
      l: (y, z) => residual(y, z) ** 2,
      dl_dsig: (y, z) => 2 * residual(y, z),
      dsig_dz,
      dl_dz: (y, z) => 2 * residual(y, z) * dsig_dz(z),
      penalty: 1,
    },
    cross_entropy: {
      answer: sigmoid,
      // log(1 + exp(z)) - y·z, without overflow
      l: (y, z) => Math.max(z, 0) - y * z + Math.log1p(Math.exp(-Math.abs(z))),
      // a term without weight is left out: its 1/σ can be infinite
      dl_dsig: (y, z) => (y === 1 ? 0 : (1 - y) / sigmoid(-z)) - (y === 0 ? 0 : y / sigmoid(z)),
      dsig_dz,
      dl_dz: residual,
      penalty: 1,
    },
    // TensorFlow Playground's neuron: ½(tanh z - t)² with t = 2y - 1, in the order of its code,
    // where dl/dσ is called outputDer and dl/dz inputDer. Its penalty is that of w doubled.
    tensorflow_playground: {
      answer: Math.tanh,
      l: (y, z) => 0.5 * (Math.tanh(z) - (2 * y - 1)) ** 2,
      dl_dsig: (y, z) => Math.tanh(z) - (2 * y - 1),
      dsig_dz: (z) => 1 - Math.tanh(z) ** 2,
      dl_dz: (y, z) => (Math.tanh(z) - (2 * y - 1)) * (1 - Math.tanh(z) ** 2),
      penalty: 8,
    },
  };

  // The factors of one sample.
  function explain(loss, theta, x, y) {
    const z = weightedSum(x, theta);
    const dl_dz = loss.dl_dz(y, z);
    return {
      x,
      y,
      z,
      sigma: loss.answer(z),
      l: loss.l(y, z),
      dl_dsig: loss.dl_dsig(y, z),
      dsig_dz: loss.dsig_dz(z),
      dl_dz,
      dz_dw: x,
      dz_db: 1,
      dl_dw: x.map((xj) => dl_dz * xj),
      dl_db: dl_dz,
    };
  }

  // J(θ) = mean l + α/2 ‖w‖² over the rows, and its gradient. Without `bias` b is held.
  function objective({ X, y, loss, alpha = 0, bias = true }) {
    const rule = LOSSES[loss];
    const n = X.length;
    const d = X[0].length;
    const strength = alpha * rule.penalty;

    function value(theta) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += rule.l(y[i], weightedSum(X[i], theta));
      let squares = 0;
      for (let j = 0; j < d; j++) squares += theta[j] * theta[j];
      return sum / n + (strength * squares) / 2;
    }

    function gradient(theta) {
      const g = new Array(d + 1).fill(0);
      for (let i = 0; i < n; i++) {
        const slope = rule.dl_dz(y[i], weightedSum(X[i], theta));
        for (let j = 0; j < d; j++) g[j] += slope * X[i][j];
        g[d] += slope;
      }
      for (let j = 0; j < d; j++) g[j] = g[j] / n + strength * theta[j];
      g[d] = bias ? g[d] / n : 0;
      return g;
    }

    // Mean of x̃x̃ᵀ, with x̃ = (x, 1), or (x, 0) where the bias is held.
    function gram() {
      const G = Array.from({ length: d + 1 }, () => new Array(d + 1).fill(0));
      for (const x of X) {
        const row = [...x, bias ? 1 : 0];
        for (let i = 0; i <= d; i++) for (let j = 0; j <= d; j++) G[i][j] += (row[i] * row[j]) / n;
      }
      return G;
    }

    function meanSquareRow() {
      let sum = 0;
      for (const x of X) for (const xj of x) sum += xj * xj;
      return sum / n + 1;
    }

    return { rule, X, y, n, d, alpha, bias, value, gradient, gram, meanSquareRow };
  }

  // Largest eigenvalue of a small symmetric matrix, by Jacobi's rotations.
  function largestEigenvalue(matrix) {
    const A = matrix.map((row) => [...row]);
    const n = A.length;
    for (let sweep = 0; sweep < 50; sweep++) {
      let off = 0;
      for (let p = 0; p < n; p++) {
        for (let q = p + 1; q < n; q++) {
          off += A[p][q] ** 2;
          if (A[p][q] === 0) continue;
          const half = (A[q][q] - A[p][p]) / (2 * A[p][q]);
          const t = (half < 0 ? -1 : 1) / (Math.abs(half) + Math.hypot(half, 1));
          const c = 1 / Math.hypot(t, 1);
          const s = t * c;
          for (let k = 0; k < n; k++) {
            [A[k][p], A[k][q]] = [c * A[k][p] - s * A[k][q], s * A[k][p] + c * A[k][q]];
          }
          for (let k = 0; k < n; k++) {
            [A[p][k], A[q][k]] = [c * A[p][k] - s * A[q][k], s * A[p][k] + c * A[q][k]];
          }
        }
      }
      if (off === 0) break;
    }
    return Math.max(...A.map((row, i) => row[i]));
  }

  // ------------------------------------------------------------------------ update rules

  const oneOverL = (cost) => 1 / (MAX_CURVATURE * largestEigenvalue(cost.gram()) + cost.alpha);
  const zeros = (theta) => theta.map(() => 0);

  // A rule gives its memory at the start, θ and memory after one update, and its automatic rate.
  const OPTIMIZERS = {
    gradient_descent: {
      autoRate: oneOverL,
      memory: () => ({}),
      update: (theta, g, rate, memory) => [theta.map((t, j) => t - rate * g[j]), memory],
    },
    momentum: {
      autoRate: oneOverL,
      memory: (theta) => ({ velocity: zeros(theta) }),
      update(theta, g, rate, memory) {
        const velocity = memory.velocity.map((u, j) => 0.9 * u - rate * g[j]);
        return [theta.map((t, j) => t + velocity[j]), { velocity }];
      },
    },
    nesterov: {
      autoRate: oneOverL,
      memory: (theta) => ({ x: theta, t: 1 }),
      update(theta, g, rate, { x, t }) {
        const next = theta.map((value, j) => value - rate * g[j]);
        const move = next.map((value, j) => value - x[j]);
        let tNext = (1 + Math.sqrt(1 + 4 * t * t)) / 2;
        let beta = (t - 1) / tNext;
        if (move.reduce((sum, m, j) => sum + m * g[j], 0) > 0) [beta, tNext] = [0, 1];
        return [next.map((value, j) => value + beta * move[j]), { x: next, t: tNext }];
      },
    },
    adam: {
      autoRate: (cost) => 0.25 / Math.sqrt(cost.meanSquareRow()),
      memory: (theta) => ({ first: zeros(theta), second: zeros(theta), n: 0 }),
      update(theta, g, rate, memory) {
        const n = memory.n + 1;
        const first = memory.first.map((m, j) => 0.9 * m + (1 - 0.9) * g[j]);
        const second = memory.second.map((s, j) => 0.999 * s + (1 - 0.999) * g[j] * g[j]);
        const next = theta.map((t, j) => {
          const mean = first[j] / (1 - 0.9 ** n);
          const spread = Math.sqrt(second[j] / (1 - 0.999 ** n));
          return t - (rate * mean) / (spread + 1e-8);
        });
        return [next, { first, second, n }];
      },
    },
    normalized_gradient_descent: {
      autoRate: (cost) => 1 / Math.sqrt(cost.meanSquareRow()),
      memory: () => ({}),
      update(theta, g, rate, memory) {
        const norm = Math.sqrt(g.reduce((sum, gj) => sum + gj * gj, 0));
        return [theta.map((t, j) => t - (rate * g[j]) / (norm > 0 ? norm : 1)), memory];
      },
      nextRate: (rate, before, after) => rate * (after > before ? 0.5 : 1.05),
    },
  };

  // The state before the first update: θ, J and dJ/dθ there, the step length, the rule's memory.
  function init(cost, optimizer, rate, theta) {
    const rule = OPTIMIZERS[optimizer];
    return {
      theta,
      J: cost.value(theta),
      gradient: cost.gradient(theta),
      rate: rate === "auto" ? rule.autoRate(cost) : rate,
      memory: rule.memory(theta),
    };
  }

  // The state after one more update with all rows.
  function step(cost, optimizer, state) {
    const rule = OPTIMIZERS[optimizer];
    const [theta, memory] = rule.update(state.theta, state.gradient, state.rate, state.memory);
    const J = cost.value(theta);
    const rate = rule.nextRate ? rule.nextRate(state.rate, state.J, J) : state.rate;
    return { theta, J, gradient: cost.gradient(theta), rate, memory };
  }

  return { LOSSES, OPTIMIZERS, sigmoid, weightedSum, explain, objective, init, step };
})();
