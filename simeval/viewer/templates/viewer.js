"use strict";

// Colours: those of the system, or those that were chosen here before. This runs before the page is drawn.
const THEME = "simeval-theme", DARK = "(prefers-color-scheme: dark)";
const darkRules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
  .filter((rule) => rule instanceof CSSMediaRule && rule.media.mediaText === DARK);
function chosenTheme() {
  try {
    const theme = localStorage.getItem(THEME);
    return ["light", "dark"].includes(theme) ? theme : "";
  } catch { return ""; /* the browser keeps nothing */ }
}
function colour(theme) {
  for (const rule of darkRules) rule.media.mediaText = { light: "not all", dark: "all" }[theme] || DARK;
  document.documentElement.style.colorScheme = theme || "light dark";
  const choice = document.getElementById("theme");
  if (choice) choice.value = theme;
}
function offerThemes(choice) {
  choice.hidden = false;
  colour(chosenTheme());
  choice.addEventListener("change", () => {
    try {
      if (choice.value) localStorage.setItem(THEME, choice.value); else localStorage.removeItem(THEME);
    } catch { /* then it holds for this page */ }
    colour(choice.value);
  });
  addEventListener("storage", () => colour(chosenTheme())); // chosen in another window
  addEventListener("pageshow", (event) => { if (event.persisted) colour(chosenTheme()); });
}
colour(chosenTheme());

// A list that changes: ask from time to time, and put what is new in the place of what is shown.
function follow(main) {
  let tag = null, timer = null;
  const again = () => { timer = setTimeout(ask, Number(main.dataset.every)); };
  async function ask() {
    try {
      if (!document.hidden) {
        const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {} });
        if (answer.status === 200) {
          tag = answer.headers.get("ETag");
          put(new DOMParser().parseFromString(await answer.text(), "text/html"));
        }
      }
    } catch { /* the viewer was ended, or will be back */ }
    if (main.dataset.every) again();
  }
  function put(page) {
    for (const fresh of page.querySelectorAll("[data-swap]")) {
      const old = document.getElementById(fresh.id);
      if (!old || old.innerHTML === fresh.innerHTML) continue;
      const chosen = [...old.querySelectorAll("input:checked")].map((box) => box.value);
      const left = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
      old.replaceWith(document.adoptNode(fresh));
      for (const box of fresh.querySelectorAll("input")) box.checked = chosen.includes(box.value);
      fresh.querySelectorAll(".scroll").forEach((part, index) => { part.scrollLeft = left[index] || 0; });
    }
    main.dataset.every = page.querySelector("main").dataset.every || "";
  }
  again();
  addEventListener("pagehide", () => clearTimeout(timer));
}

// The videos of a pair, always at the same control step. A video has a frame per step, the last one after the last step.
function player(root) {
  const hz = Number(root.dataset.hz), steps = Number(root.dataset.steps);
  const $ = (id) => document.getElementById(id);
  const arms = [...root.querySelectorAll(".arm")].filter((arm) => !("missing" in arm.dataset)).map((arm) => ({
    video: arm.querySelector("video"), status: arm.querySelector(".status"), note: arm.querySelector(".clipnote"),
    steps: Number(arm.dataset.steps), ready: false,
  }));
  let step = Number(root.dataset.step), playing = false, last = 0;

  const time = (arm, at) => (Math.min(at, arm.steps) + 0.5) / hz;
  function show(remember) {
    const whole = Math.min(steps, Math.floor(step + 1e-6));
    $("scrub").value = whole;
    $("at").textContent = `${whole} / ${steps}`;
    root.dataset.step = whole;
    if ($("charts")) $("charts").style.setProperty("--at", `${(100 * whole) / Math.max(1, steps)}%`);
    if (!remember) return;
    const address = new URL(location.href);
    if (whole) address.searchParams.set("step", whole); else address.searchParams.delete("step");
    history.replaceState(null, "", address);
    for (const link of document.querySelectorAll("[data-keep-step]")) {
      const target = new URL(link.href);
      target.searchParams.set("step", whole);
      link.href = target;
    }
  }
  function go(to) {
    pause();
    step = Math.max(0, Math.min(steps, to));
    for (const arm of arms) if (arm.ready) arm.video.currentTime = time(arm, step);
    show(true);
  }
  function play() {
    if (playing || !arms.some((arm) => arm.ready)) return;
    if (step >= steps) step = 0;
    step = Math.floor(step);
    playing = true;
    last = performance.now();
    $("play").textContent = "pause";
    for (const arm of arms) {
      if (!arm.ready) continue;
      arm.video.playbackRate = Number($("speed").value);
      arm.video.currentTime = time(arm, step);
      if (step < arm.steps) arm.video.play().catch(() => {});
    }
    requestAnimationFrame(tick);
  }
  function pause() {
    if (!playing) return;
    playing = false;
    $("play").textContent = "play";
    for (const arm of arms) arm.video.pause();
  }
  // One clock for all: a video that is more than a frame away from it is set right.
  function tick(now) {
    if (!playing) return;
    const longest = arms.filter((arm) => arm.ready).reduce((a, b) => (b.steps > a.steps ? b : a));
    const elapsed = ((now - last) / 1000) * Number($("speed").value) * hz;
    last = now;
    const seen = longest.video.currentTime * hz - 0.5;
    step = longest.video.paused || longest.video.seeking ? step : Math.min(steps, Math.max(step, seen));
    if (longest.video.ended || (longest.steps < steps && step >= longest.steps)) step = Math.min(steps, step + elapsed);
    for (const arm of arms) {
      if (!arm.ready || arm === longest || arm.video.seeking) continue;
      if (Math.abs(arm.video.currentTime - time(arm, step)) > 1.5 / hz && step <= arm.steps) arm.video.currentTime = time(arm, step);
    }
    if (step >= steps || longest.video.ended) { step = steps; go(steps); return; }
    show(false);
    requestAnimationFrame(tick);
  }
  function toggle() { if (playing) { pause(); go(Math.floor(step)); } else play(); }

  async function ask() {
    let answer;
    try {
      const response = await fetch(root.dataset.status);
      if (!response.ok) throw new Error(await response.text());
      answer = await response.json();
    } catch {
      for (const arm of arms) if (!arm.ready) arm.status.textContent = "the viewer does not answer";
      setTimeout(ask, 3000);
      return;
    }
    const all = [...root.querySelectorAll(".arm")];
    let open = false;
    answer.arms.forEach((clip, index) => {
      const arm = arms.find((one) => all[index].contains(one.video));
      if (!arm || arm.ready) return;
      if (clip.state === "ready") load(arm, clip);
      else if (clip.state === "failed") { arm.status.textContent = `No video: ${clip.text}`; arm.status.classList.add("failed"); }
      else {
        open = true;
        const done = clip.frames ? `${Math.round((100 * clip.frames) / (arm.steps + 1))} %` : "the scene is being built";
        arm.status.textContent = clip.state === "rendering" ? `rendering: ${done}` : "waiting for its turn to be rendered";
      }
    });
    if (open) setTimeout(ask, 400);
  }
  function load(arm, clip) {
    arm.ready = true;
    arm.note.textContent = clip.text;
    arm.video.addEventListener("loadeddata", () => {
      arm.status.hidden = true;
      arm.video.closest(".screen").style.aspectRatio = `${arm.video.videoWidth} / ${arm.video.videoHeight}`;
      if (!playing) arm.video.currentTime = time(arm, step);
    }, { once: true });
    arm.video.addEventListener("error", () => { arm.ready = false; arm.status.textContent = "this browser cannot play the video"; });
    arm.video.src = `/clip/${clip.key}.mp4`;
  }

  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => go(Math.ceil(step) - 1));
  $("forward").addEventListener("click", () => go(Math.floor(step) + 1));
  $("scrub").addEventListener("input", (event) => go(Number(event.target.value)));
  $("speed").addEventListener("change", () => { for (const arm of arms) arm.video.playbackRate = Number($("speed").value); });
  for (const button of root.querySelectorAll("[data-go]")) button.addEventListener("click", () => go(Number(button.dataset.go)));
  for (const plot of root.querySelectorAll(".plot")) {
    const at = (event) => {
      const box = plot.getBoundingClientRect();
      go(Math.round((steps * (event.clientX - box.left)) / box.width));
    };
    plot.addEventListener("pointerdown", at);
    plot.addEventListener("pointermove", (event) => { if (event.buttons) at(event); });
  }
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("select, input:not([type=range])")) return;
    const by = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowLeft: () => go(Math.ceil(step) - by), ArrowRight: () => go(Math.floor(step) + by),
      Home: () => go(0), End: () => go(steps), " ": toggle,
      n: () => $("next")?.click(), p: () => $("previous")?.click(),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  show(false);
  if (arms.length) ask();
}

addEventListener("DOMContentLoaded", () => {
  offerThemes(document.getElementById("theme"));
  for (const form of document.querySelectorAll("[data-submit]")) {
    form.addEventListener("change", () => form.requestSubmit());
    // Addresses without empty parts.
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
    });
  }
  const main = document.querySelector("main");
  if (main.dataset.every) follow(main);
  const root = document.getElementById("player");
  if (root) player(root);
});
