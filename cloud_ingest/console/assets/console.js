// Keeps the page alive: news over server-sent events, rows that never move under the cursor, ages, keys.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id), body = document.body;
  const words = JSON.parse($("words").textContent);
  const BEAT_MS = 12000, HOLD_MS = 20000, RETRY_MS = 2000;
  const say = (name, values) => Object.entries(values || {}).reduce((told, [key, value]) => told.replaceAll(`{${key}}`, value), words[name] || name);
  const count = (name, n) => say(`${name}.${n === 1 ? "one" : "other"}`, { n });

  // --- ages -------------------------------------------------------------------------------------------------------
  const skew = Number(body.dataset.now) / 1000 - Date.now(); // the server's clock is the one that counts
  const now = () => Date.now() + skew;
  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    for (const [unit, size, from] of [["d", 86400, 172800], ["h", 3600, 7200], ["min", 60, 60]]) if (whole >= from) return say(`span.${unit}`, { n: Math.floor(whole / size) });
    return say("span.s", { n: whole });
  }
  const forms = {
    ago: (s) => say("time.ago", { span: span(s) }),
    last: (s) => say("live.last", { ago: say("time.ago", { span: span(s) }) }),
    left: (s, time) => { time.classList.toggle("due", s > -900); return s > 0 ? say("row.overdue", { span: span(s) }) : say("row.left", { span: span(-s) }); },
  };
  function tick() {
    for (const time of document.querySelectorAll("time[data-us]")) {
      const told = forms[time.dataset.form]((now() - Number(time.dataset.us) / 1000) / 1000, time);
      if (time.textContent !== told) time.textContent = told;
    }
  }

  // --- rows -------------------------------------------------------------------------------------------------------
  let chosen = null, touched = 0, held = null;
  const rows = () => [...document.querySelectorAll("[data-list] .row")];
  const lists = ["rows-now", "rows-late"];
  const holding = () => Date.now() - touched < HOLD_MS && (document.querySelector("[data-list]:hover") !== null || document.activeElement?.closest("[data-list]") !== null && document.activeElement !== body);
  function choose(row) {
    chosen = row ? row.dataset.id : null;
    for (const one of rows()) { one.classList.toggle("chosen", one === row); one.querySelector("a").toggleAttribute("aria-current", one === row); }
  }
  function swap(id, fresh) {
    const old = $(id), next = fresh.querySelector("#" + id);
    if (!next) { old?.remove(); return; }
    if (old && old.outerHTML !== next.outerHTML) { old.replaceWith(next); htmx.process(next); }
  }
  function place(fresh) { // every row where it belongs; a row that did not change is kept as it is
    for (const id of lists) {
      const list = $(id), next = fresh.querySelector("#" + id);
      const wanted = [...next.children].map((row) => {
        const old = $(row.id);
        if (old && old.dataset.v === row.dataset.v) return old;
        if (!old) row.classList.add("arrived");
        else old.remove();
        return row;
      });
      const focused = document.activeElement;
      list.replaceChildren(...wanted);
      if (focused?.closest("[data-list]") || (focused !== body && !document.contains(focused))) $(focused.closest(".row")?.id)?.querySelector("a")?.focus({ preventScroll: true });
      htmx.process(list);
    }
    $("late").className = fresh.querySelector("#late").className;
    choose(rows().find((row) => row.dataset.id === chosen) || null);
    held = null;
    $("fresh").hidden = true;
  }
  function keep(fresh) { // rows stay where they are: known ones are renewed in place, new ones wait
    let waiting = 0, urgent = false;
    for (const row of fresh.querySelectorAll("[data-list] .row")) {
      const old = $(row.id);
      if (!old) { waiting += 1; urgent ||= row.classList.contains("high"); continue; }
      if (old.dataset.v === row.dataset.v) continue;
      const focus = old.contains(document.activeElement), next = row.cloneNode(true);
      old.replaceWith(next);
      htmx.process(next);
      if (focus) next.querySelector("a").focus({ preventScroll: true });
    }
    const left = new Set([...fresh.querySelectorAll("[data-list] .row")].map((row) => row.id));
    for (const row of rows()) row.classList.toggle("gone", !left.has(row.id));
    choose(rows().find((row) => row.dataset.id === chosen) || null);
    held = fresh;
    $("fresh").hidden = waiting === 0;
    $("fresh").classList.toggle("high", urgent);
    if (waiting) $("fresh").textContent = count("row.fresh", waiting);
  }
  function showWork(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const known = new Set(rows().map((row) => row.id));
    const open = fresh.querySelectorAll(".row.open").length; // counted before rows move out of it
    const added = [...fresh.querySelectorAll("[data-list] .row")].filter((row) => !known.has(row.id)).length;
    for (const id of ["pulse", "head", "start", "calm", "unshown"]) if ($(id) || id === "calm") swapOrAdd(id, fresh);
    if (holding()) keep(fresh); else place(fresh);
    if (added) $("say").textContent = count("live.new", added);
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (open) document.title = `(${open}) ` + document.title;
    tick();
  }
  function swapOrAdd(id, fresh) {
    if ($(id)) swap(id, fresh);
    else { const next = fresh.querySelector("#" + id); if (next) $("rows-now").after(next); }
  }
  function showWard(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = $(part.id), focus = old.contains(document.activeElement) ? document.activeElement.dataset.pane : null;
      old.replaceWith(part);
      htmx.process(part);
      if (focus) [...part.querySelectorAll("[data-pane]")].find((one) => one.dataset.pane === focus)?.focus({ preventScroll: true });
    }
    tick();
  }

  // --- fetching: one at a time for each fragment; news that must not wait shortens the wait of news that may -----------
  const AT_ONCE_MS = 50, SOON_MS = 1000;
  function fetcher(url, show) {
    let busy = false, due = Infinity, timer = 0, last = -SOON_MS;
    const plan = () => { if (!busy) { clearTimeout(timer); timer = setTimeout(go, Math.max(0, due - performance.now())); } };
    const go = async () => {
      busy = true;
      due = Infinity;
      last = performance.now();
      try {
        const answer = await fetch(url);
        if (answer.ok) show(await answer.text());
        else if (answer.status === 401) lost("live.ended");
      } catch (fault) { if (!(fault instanceof TypeError)) throw fault; /* the event stream notices a lost line, and says so */ } finally {
        busy = false;
        if (due < Infinity) plan();
      }
    };
    return (gap) => { due = Math.min(due, last + gap); plan(); };
  }
  const work = fetcher("/fragments/work", showWork), ward = fetcher("/fragments/ward", showWard);
  const urgent = () => { work(AT_ONCE_MS); setTimeout(ward, AT_ONCE_MS, SOON_MS); }, soon = () => { work(SOON_MS); ward(SOON_MS); };

  // --- the line -----------------------------------------------------------------------------------------------------
  let line = null, beat = Date.now(), gone = false;
  function lost(name) {
    if (gone && name !== "live.ended") return;
    gone = true;
    body.classList.add("lost");
    const at = new Intl.DateTimeFormat(body.dataset.lang === "en" ? "en-GB" : "zh-CN", { timeZone: body.dataset.zone, timeStyle: "medium", hourCycle: "h23" }).format(new Date(beat + skew));
    $("lost").textContent = say(name || "live.lost", { at });
    $("lost").hidden = false;
  }
  function heard() {
    beat = Date.now();
    if (!gone) return;
    gone = false;
    body.classList.remove("lost");
    $("lost").hidden = true;
    $("say").textContent = words["live.back"];
    urgent(); renewPane();
  }
  function listen() {
    line?.close();
    line = new EventSource("/events");
    line.addEventListener("beat", heard);
    line.addEventListener("beat", urgent, { once: true }); // what was told between the page and its line reached nobody
    line.addEventListener("alert", () => { heard(); urgent(); renewPane(); });
    for (const topic of ["reading", "box", "series"]) line.addEventListener(topic, () => { heard(); soon(); });
    line.addEventListener("reload", () => { heard(); urgent(); renewPane(); });
    line.onerror = () => { lost(); if (line.readyState === EventSource.CLOSED) setTimeout(retry, RETRY_MS); };
  }
  async function retry() {
    try {
      const answer = await fetch("/fragments/work");
      if (answer.status === 401) { lost("live.ended"); return; }
      if (answer.ok) { listen(); return; }
    } catch { /* still away */ }
    setTimeout(retry, RETRY_MS);
  }

  // --- the pane: it shows what was asked for last, and nothing can be done in it while that is still on its way ------
  const pane = $("pane");
  let asked = 0, shownUrl = null;
  const acted = () => pane.querySelector("form[data-change]");
  async function openPane(url) {
    const turn = ++asked, same = url === shownUrl;
    shownUrl = url;
    if (!same) for (const button of pane.querySelectorAll(".actions button")) button.disabled = true;
    pane.setAttribute("aria-busy", "true");
    let told = null;
    try {
      const answer = await fetch(url);
      if (answer.status === 401) lost("live.ended");
      if (answer.ok) told = await answer.text();
    } catch (fault) { if (!(fault instanceof TypeError)) throw fault; }
    if (turn !== asked) return;
    pane.removeAttribute("aria-busy");
    if (told === null) { if (!same) pane.textContent = words["live.failed"]; return; }
    const at = pane.scrollTop;
    pane.innerHTML = told; // our own server's escaped fragment
    htmx.process(pane);
    pane.scrollTop = same ? at : 0;
    VitalgateChart.drawAll(pane);
  }
  function renewPane() { if (shownUrl && !pane.contains(document.activeElement)) openPane(shownUrl); }
  document.addEventListener("htmx:afterSwap", tick);
  document.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 401) lost("live.ended"); else $("say").textContent = words["live.failed"]; });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt.closest?.("form[data-change]");
    if (!form || !event.detail.successful) return;
    work(AT_ONCE_MS);
    if (acted() === form) openPane(shownUrl);
  });
  function acknowledge() { // the row that is chosen, never one that the pane still shows from before
    const form = acted();
    if (form && (chosen === null || form.dataset.change === chosen)) form.querySelector("#acknowledge:enabled")?.click();
  }
  function shut() { pane.classList.remove("open"); rows().find((row) => row.dataset.id === chosen)?.querySelector("a").focus(); }

  // --- hands ------------------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const target = event.target, row = target.closest(".row"), opens = target.closest("[data-pane]");
    if (opens && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      choose(row);
      document.querySelectorAll(".person").forEach((one) => one.classList.toggle("chosen", one.contains(opens)));
      pane.classList.add("open");
      openPane(opens.dataset.pane);
    }
    const days = target.closest("[data-days]");
    if (days && days.tagName === "BUTTON") {
      const figure = days.closest("figure");
      figure.dataset.days = days.dataset.days;
      VitalgateChart.draw(figure);
    }
    if (target.closest('[data-do="keys"]')) $("keys").showModal();
    if (target.closest('[data-do="shut"]')) shut();
    if (target.id === "fresh" && held) { place(held); tick(); }
  });
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.dataset.id === chosen), next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    const link = next.querySelector("a");
    choose(next);
    link.focus();
    next.scrollIntoView({ block: "nearest" });
    if (matchMedia("(min-width: 1181px)").matches) openPane(link.dataset.pane);
  };
  document.addEventListener("keydown", (event) => {
    touched = Date.now();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select") || $("keys").open) return;
    const act = { j: () => move(1), k: () => move(-1), a: acknowledge, "?": () => $("keys").showModal(), Escape: shut }[event.key === "?" ? "?" : event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { event.preventDefault(); act(); }
  });
  for (const kind of ["pointermove", "pointerdown", "wheel"]) document.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });

  // --- start ----------------------------------------------------------------------------------------------------------
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("zone=")) document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=strict`;
  const first = rows().find((row) => row.dataset.id === pane.querySelector("[data-alert]")?.dataset.alert);
  if (first) { choose(first); shownUrl = first.querySelector("a").dataset.pane; }
  VitalgateChart.drawAll(pane);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => VitalgateChart.drawAll(pane));
  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => VitalgateChart.drawAll(pane), 150); });
  listen();
  setInterval(() => {
    tick();
    if (!gone && Date.now() - beat > BEAT_MS) lost();
    if (held && !holding()) { place(held); }
  }, 1000);
})();
