// Enhances the pages: keys, the viewer's time zone, the badge in the title, and live updates.
// Every page works without it.
"use strict";
(() => {
  const KEYS_OFF = "perdure-keys-off";
  const RECONNECT_MS = 3000;
  const POLL_MS = 5000;
  const POLLS_PER_NEWS = 4;
  const POLLS_PER_COUNT = 12;
  const MOST_IN_ICON = 9;

  // The server writes times in this zone.
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
  if (!document.cookie.includes(`perdure_zone=${zone}`)) {
    document.cookie = `perdure_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }

  const offline = document.getElementById("offline");
  function showOffline(isOffline) {
    if (offline) offline.hidden = !isOffline;
  }

  // On a small screen, a calendar begins at today.
  const calendar = document.querySelector(".calendar");
  const today = calendar?.querySelector("thead .today");
  if (today) {
    const first = calendar.querySelector("th").offsetWidth;
    const room = calendar.parentElement.clientWidth;
    if (calendar.offsetWidth > 2 * room) calendar.parentElement.scrollLeft = today.offsetLeft - first;
  }

  // --- keys -----------------------------------------------------------------------------------
  const help = document.getElementById("keys");
  const off = document.getElementById("keys-off");
  if (off) {
    off.checked = localStorage.getItem(KEYS_OFF) === "1";
    off.addEventListener("change", () => localStorage.setItem(KEYS_OFF, off.checked ? "1" : "0"));
  }
  document.getElementById("show-keys")?.addEventListener("click", () => help.showModal());

  function isVisible(element) {
    return element.checkVisibility() && !element.disabled;
  }

  function move(step) {
    const rows = [...document.querySelectorAll("[data-row]")].filter(isVisible);
    if (!rows.length) return;
    const current = rows.indexOf(document.activeElement);
    const next = current < 0 ? (step > 0 ? 0 : rows.length - 1) : current + step;
    rows[Math.max(0, Math.min(rows.length - 1, next))].focus();
  }

  function press(key) {
    const target = [...document.querySelectorAll("[aria-keyshortcuts]")].find(
      (element) => element.getAttribute("aria-keyshortcuts").toLowerCase() === key && isVisible(element),
    );
    if (!target) return false;
    const fold = target.closest("details");
    if (target.matches("summary")) {
      fold.open = true;
      fold.querySelector("textarea, input:not([type=hidden])")?.focus();
    } else if (target.matches("textarea, input")) {
      if (fold) fold.open = true;
      target.focus();
    } else {
      target.click();
    }
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, dialog[open]")) return;
    if (event.key === "?") {
      help?.showModal();
      event.preventDefault();
      return;
    }
    if (localStorage.getItem(KEYS_OFF) === "1") return;
    const key = event.key.toLowerCase();
    if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key.length !== 1 || !press(key)) return;
    event.preventDefault();
  });

  // --- the number of open requests, in the title and in the icon ---------------------------------
  const title = document.title;
  const icon = document.getElementById("icon");
  document.addEventListener("htmx:after:swap", () => {
    const count = document.getElementById("open-requests")?.textContent.trim();
    document.title = count ? `(${count}) ${title}` : title;
    const name = count ? `icon-${Math.min(Number(count), MOST_IN_ICON + 1)}.svg` : "icon.svg";
    const address = icon.getAttribute("href").replace(/icon(-\d+)?\.svg/, name);
    if (address !== icon.getAttribute("href")) icon.setAttribute("href", address);
  });

  // Parts of pages read again after `news`, or at each `poll`. A hidden page reads only the number
  // of open requests, once a minute; it reads the rest as soon as it is shown again.
  let polls = 0;
  function poll() {
    polls += 1;
    if (document.hidden) {
      if (polls % POLLS_PER_COUNT === 0) htmx.trigger("#open-requests", "count");
      return;
    }
    htmx.trigger(document.body, "poll");
    if (polls % POLLS_PER_NEWS === 0) htmx.trigger(document.body, "news");
  }
  setInterval(poll, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    polls = -1;
    poll();
  });

  // An answer can be withdrawn for some seconds.
  for (const button of document.querySelectorAll("[data-enabled-ms]")) {
    setTimeout(() => { button.disabled = true; }, Number(button.dataset.enabledMs));
  }

  // --- forms --------------------------------------------------------------------------------------
  // A list of rows always ends with an empty one.
  document.addEventListener("input", (event) => {
    const last = event.target.closest("[data-rows]")?.lastElementChild;
    if (!last?.contains(event.target)) return;
    const more = last.cloneNode(true);
    const added = last.parentElement.children.length;
    for (const cell of more.querySelectorAll("input, textarea, select")) {
      cell.value = "";
      cell.id = cell.id.replace(/-\d+$/, `-${added}`);
      cell.previousElementSibling.htmlFor = cell.id;
    }
    last.after(more);
  });

  // --- live updates -----------------------------------------------------------------------------
  // A part that is replaced keeps its unfolded details.
  let unfolded = [];
  document.addEventListener("htmx:before:swap", () => {
    unfolded = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.addEventListener("htmx:after:swap", () => {
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    for (const text of document.querySelectorAll("[data-settled]")) text.textContent = "";
    for (const text of document.querySelectorAll("[data-settled]")) text.removeAttribute("data-settled");
  });
  document.addEventListener("htmx:error", () => showOffline(true));
  document.addEventListener("htmx:after:request", () => showOffline(!navigator.onLine));
  window.addEventListener("offline", () => showOffline(true));
  window.addEventListener("online", () => showOffline(false));

  for (const element of document.querySelectorAll("[data-events]")) follow(element);

  // A viewer who reads the end stays at the end.
  function isAtEnd() {
    const page = document.documentElement;
    return window.scrollY > 0 && page.scrollHeight - window.innerHeight - window.scrollY < 80;
  }

  function scrollToEnd() {
    window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  function follow(element) {
    const live = element.querySelector("[data-live]");
    let turn = 0;
    let isReading = false;
    let hasNews = false;
    let wasLost = false;

    // One read at a time: each replaces the element that knows where the next one begins.
    async function refresh() {
      hasNews = true;
      if (isReading) return;
      isReading = true;
      while (hasNews) {
        hasNews = false;
        const tail = document.getElementById("tail");
        if (!tail) break;
        const stay = isAtEnd();
        try {
          await htmx.ajax("GET", tail.dataset.updates, { target: tail, swap: "outerHTML" });
        } catch {
          showOffline(true);
        }
        if (stay) scrollToEnd();
      }
      isReading = false;
      htmx.trigger(document.body, "news");
    }

    function show(delta) {
      const stay = isAtEnd();
      if (delta.turn !== turn || delta.offset === 0) live.textContent = delta.offset ? "\u2026" : "";
      turn = delta.turn;
      live.removeAttribute("data-settled");
      live.append(delta.delta);
      if (stay) scrollToEnd();
    }

    // The browser connects again by itself, except after a refusal or the end of the execution.
    function connect() {
      const source = new EventSource(element.dataset.events);
      source.addEventListener("open", () => {
        showOffline(false);
        if (wasLost) refresh(); // a read may have failed meanwhile
        wasLost = false;
      });
      source.addEventListener("error", () => {
        showOffline(true);
        wasLost = true;
        if (source.readyState === EventSource.CLOSED) setTimeout(reconnect, RECONNECT_MS);
      });
      source.addEventListener("delta", (event) => show(JSON.parse(event.data)));
      for (const type of element.dataset.types.split(" ")) {
        source.addEventListener(type, () => {
          if (type === "turn.completed") live.setAttribute("data-settled", "");
          if (/^execution\.(completed|failed|cancelled)$/.test(type)) source.close();
          refresh();
        });
      }
    }

    async function reconnect() {
      await refresh();
      if (document.getElementById("tail")) connect();
      else showOffline(false);
    }

    connect();
  }
})();
