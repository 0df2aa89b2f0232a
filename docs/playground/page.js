// What the buttons and fields do, and the start of the page.

"use strict";

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
  click("step", () => (pause(), stepOnce()));
  click("play", play);
  click("back", () => (pause(), run.k--, (run.phase = 2), afterStep()));
  click("reset", () => (pause(), begin(0, 0), afterStep()));
  click("forward", () => (pause(), (run.phase = 1), afterStep()));
  click("backward", () => (pause(), (run.phase = 2), afterStep()));
  click("update", () => {
    pause();
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
    pause();
    run.k = Number(event.target.value);
    run.phase = 2;
    afterStep();
  });
  $("data").addEventListener("change", (event) => {
    pause();
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
