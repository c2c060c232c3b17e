// What makes the pages live and quick: server-sent events, keys, labels without leaving the page.
"use strict";
const $ = (selector, root = document) => root.querySelector(selector);
const table = $("[data-alerts] tbody"), caseView = $("[data-case]"), help = $("#help");
const MOST_ROWS = 60;
const chosen = new URLSearchParams(location.search), isOpenList = !chosen.has("show");

function toast(text, isBad) {
  const box = $(".toast");
  box.textContent = text; box.hidden = false; box.classList.toggle("bad", !!isBad);
  clearTimeout(toast.timer); toast.timer = setTimeout(() => { box.hidden = true; }, 2600);
}
function setOpen(count) { $("[data-open]").textContent = count; document.title = document.title.replace(/^(\(\d+\) )?/, count ? `(${count}) ` : ""); }
function setState(isLive) { $("[data-state]").innerHTML = isLive ? '<i class="lamp"></i>live' : '<i class="lamp off"></i>not live'; }

// The list: one row is the current one.
const rows = () => table ? [...table.rows] : [];
const current = () => table && $("tr.at", table);
function go(row) {
  if (!row) return;
  current()?.classList.remove("at");
  row.classList.add("at"); row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" });
}
function move(step) {
  if (caseView) { const to = step > 0 ? caseView.dataset.next : caseView.dataset.previous; to ? location.assign(to) : toast("no more alerts"); return; }
  const all = rows(); if (!all.length) return;
  const at = all.indexOf(current());
  go(all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + step))]);
}
function open(row) { if (row) location.assign(`/cases/${encodeURIComponent(row.dataset.id)}`); }
function settle() { const box = $("[data-empty]"); if (box) box.hidden = rows().length > 0; }

async function judge(id, label) {
  const body = new URLSearchParams({ token: document.body.dataset.token, label });
  let answer;
  try {
    answer = await fetch(`/cases/${encodeURIComponent(id)}/label`, { method: "POST", body, headers: { accept: "application/json" } });
  } catch { toast("The console does not answer; nothing is written.", true); return; }
  if (!answer.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    toast($("main .empty p", page)?.textContent ?? "Not done; load the page again.", true); return;
  }
  setOpen((await answer.json()).open);
  toast(label === "fraud" ? "confirmed as fraud" : "dismissed: it was honest");
  const badge = `<span class="badge ${label}">${label}</span>`;
  if (caseView) { $("[data-label]").innerHTML = `Label: ${badge}`; return; }
  const row = rows().find((one) => one.dataset.id === id);
  if (!row) return;
  if (isOpenList) { const next = row.nextElementSibling ?? row.previousElementSibling; row.remove(); go(next); settle(); }
  else { row.classList.add("judged"); $(".label", row).innerHTML = badge; }
}

table?.addEventListener("click", (event) => { const row = event.target.closest("tr"); if (!event.target.closest("a")) open(row); });
$("[data-judge]")?.addEventListener("submit", (event) => { event.preventDefault(); judge(caseView.dataset.case, event.submitter.value); });
$("[data-find]")?.addEventListener("submit", (event) => { event.preventDefault(); const id = new FormData(event.target).get("id").trim(); if (id) location.assign(`/cases/${encodeURIComponent(id)}`); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  const id = caseView ? caseView.dataset.case : current()?.dataset.id;
  const keys = {
    j: () => move(1), k: () => move(-1), b: () => location.assign("/"), p: () => pause(), "?": () => help.showModal(),
    "/": () => { event.preventDefault(); $(".find input").focus(); },
    Enter: () => { if (!caseView && !event.target.matches("a, button")) open(current()); },
    c: () => id ? judge(id, "fraud") : toast("choose an alert with j or k first"),
    d: () => id ? judge(id, "honest") : toast("choose an alert with j or k first"),
  };
  if (!help.open && keysOn.checked && keys[event.key]) keys[event.key]();
});

// People who speak to their computer turn the keys off: a spoken word must not confirm a fraud.
const keysOn = $("[data-keys-on]");
function showKeys() { $("[data-keys]").hidden = !keysOn.checked; }
keysOn.checked = localStorage.getItem("keys") !== "off";
keysOn.addEventListener("change", () => { localStorage.setItem("keys", keysOn.checked ? "on" : "off"); showKeys(); });
$("[data-help]").addEventListener("click", () => help.showModal());
$("[data-help]").hidden = false;
showKeys();

// What is new comes by itself; the browser connects again after a break. A reader can pause it.
let held = null; // what came while paused
const pauseButton = $("[data-pause]");
function pause() {
  if (pauseButton.hidden) return;
  const waiting = held; held = waiting ? null : [];
  waiting?.forEach((show) => show());
  pauseButton.textContent = held ? "Resume" : "Pause"; pauseButton.setAttribute("aria-pressed", String(!!held));
}
const whenShown = (show) => held ? held.push(show) : show();
if (document.body.dataset.token) {
  pauseButton.hidden = false;
  pauseButton.addEventListener("click", pause);
  const source = new EventSource(`/events?after=${document.body.dataset.number}&queue=${encodeURIComponent(chosen.get("queue") ?? "")}`);
  source.onopen = () => setState(!$("[data-stale]"));
  source.onerror = () => setState(false);
  source.addEventListener("alert", (event) => whenShown(() => {
    const { id, html } = JSON.parse(event.data);
    if (!table || rows().some((one) => one.dataset.id === id)) return;
    table.insertAdjacentHTML("afterbegin", html);
    table.rows[0].classList.add("fresh");
    while (table.rows.length > MOST_ROWS && table.rows[table.rows.length - 1] !== current()) table.deleteRow(-1);
    settle();
  }));
  source.addEventListener("pulse", (event) => {
    if (held) return; // the next one brings the newest figures
    const { html, ticker, open: count } = JSON.parse(event.data);
    setOpen(count);
    if ($("[data-pulse]")) { $("[data-pulse]").innerHTML = html; $("[data-ticker]").innerHTML = ticker; }
  });
  addEventListener("pagehide", () => source.close());
}
