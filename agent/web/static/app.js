// What the pages do in the browser: the theme, questions before what cannot be taken back, and
// answers as they are written. Text of models and tools is only ever set as text; HTML comes from
// our own server, which has escaped it.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const csrf = () => document.body.dataset.csrf;

// ---- theme: as the system has it, until the button says otherwise ----
$("#theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `perennial_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
});

// ---- a question before what cannot be taken back ----
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset?.confirm || form.dataset.sure) return;
  event.preventDefault();
  const dialog = $("#confirm");
  $("#confirm-text").textContent = form.dataset.confirm;
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.sure = "yes";
    form.requestSubmit();
  }, { once: true });
  dialog.showModal();
});

function notice(words, wayOut = "") {
  const line = document.createElement("p");
  line.className = "notice is-bad";
  line.setAttribute("role", "alert");
  line.textContent = wayOut ? `${words} (${wayOut})` : words;
  $("#notices").replaceChildren(line);
}
// Parts that are loaded again and again say it once, and take it back when the server is there.
let away = null;
document.addEventListener("htmx:sendError", () => {
  notice("The server does not answer.", "is `perennial up` still running?");
  away = $("#notices .notice");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) { away?.remove(); away = null; }
});
// What a notice said is read by then.
document.addEventListener("click", (event) => event.target.closest(".notices .notice")?.remove());
if ($("#notices .notice.is-good")) setTimeout(() => $("#notices .notice.is-good")?.remove(), 8000);

// ---- asking: one run, its lines as they come ----
async function* lines(path, body, signal) {
  const reply = await fetch(path, {
    method: "POST", signal, body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", Accept: "application/x-ndjson", "X-CSRF": csrf() },
  });
  if (!reply.ok) {
    const said = await reply.json().catch(() => ({}));
    if (reply.status === 401) location.href = `/login?next=${encodeURIComponent(location.pathname)}`;
    yield { is: "error", message: said.message ?? said.error?.message ?? `status ${reply.status}`, way_out: said.way_out ?? "" };
    return;
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}

const made = (id) => $(`#${id}`).content.firstElementChild.cloneNode(true);

// Shows one run in `place`, an <li> of a list of turns; returns how it ended.
async function show(path, body, place, signal, onStart = () => {}) {
  const calls = new Map();
  const steps = $(".steps", place);
  let text = $(".answer .text", place);
  try {
    for await (const line of lines(path, body, signal)) {
      if (line.is === "start") {
        $(".badge.version", place).textContent = line.version;
        onStart(line);
      } else if (line.is === "token") {
        text.textContent += line.text;
      } else if (line.is === "call") {
        if (text.textContent.trim()) {
          const aside = document.createElement("p");
          aside.className = "aside text";
          aside.textContent = text.textContent;
          steps.append(aside);
        }
        text.textContent = "";
        const call = made("call-template");
        $(".name", call).textContent = line.name;
        $(".short", call).textContent = line.arguments;
        $(".arguments", call).textContent = line.arguments;
        calls.set(line.id, call);
        steps.append(call);
      } else if (line.is === "result") {
        const call = calls.get(line.id);
        if (!call) continue;
        $(".result", call).textContent = line.text;
        $(".call-state", call).textContent = line.ok ? "done" : "failed";
        $(".call-state", call).classList.toggle("is-bad", !line.ok);
      } else if (line.is === "asked") {
        text.classList.remove("streaming");
        $(".working", place).textContent = "waits for you";
        return { end: "asked", calls: line.calls, place };
      } else if (line.is === "done") {
        const holder = document.createElement("template");
        holder.innerHTML = line.html;
        const turn = holder.content.firstElementChild;
        // What the reader has unfolded while it was written stays so.
        const unfolded = [...place.querySelectorAll("details.call")].map((call) => call.open);
        turn.querySelectorAll("details.call").forEach((call, i) => { call.open = unfolded[i] ?? false; });
        place.replaceWith(turn);
        htmx.process(turn);
        return { end: "done", place: turn };
      } else if (line.is === "error") {
        ended(place, line.way_out ? `${line.message} (${line.way_out})` : line.message, true);
        return { end: "error", place };
      }
      follow();
    }
    ended(place, "The answer broke off. Ask again.", true);
    return { end: "error", place };
  } catch (error) {
    const stopped = error.name === "AbortError";
    ended(place, stopped ? "Stopped. This turn is not kept." : "The server does not answer. Is `perennial up` still running?", !stopped);
    return { end: stopped ? "stopped" : "error", place };
  }
}

function ended(place, words, bad) {
  $(".answer .text", place)?.classList.remove("streaming");
  place.classList.remove("is-streaming");
  $(".working", place)?.remove();
  const line = document.createElement("p");
  line.className = bad ? "notice is-bad" : "small muted";
  line.textContent = words;
  $(".reply", place).append(line);
}

// ---- the chat ----
const composer = $("#composer");
let running = null;
let follow = () => {};

if (composer) {
  const box = $("#text"), scroll = $("#scroll"), turns = $("#turns"), stop = $("#stop"), send = $("#send");
  const fit = () => { box.style.height = "auto"; box.style.height = `${Math.min(box.scrollHeight, 240)}px`; };
  const down = () => { scroll.scrollTop = scroll.scrollHeight; };
  // Whoever has scrolled up to read is not pulled down again.
  let near = true;
  scroll.addEventListener("scroll", () => { near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80; });
  follow = () => { if (near) down(); };
  down();

  async function run(path, body, place, restore = "") {
    running = new AbortController();
    stop.hidden = false; send.hidden = true;
    const result = await show(path, body, place, running.signal, (line) => {
      if (line.thread && !composer.dataset.thread) {
        composer.dataset.thread = line.thread;
        history.replaceState(null, "", `/chat/${line.thread}`);
        $("#export").href = `/chat/${line.thread}/export`;
        $("#delete").action = `/chat/${line.thread}/delete`;
        $("#thread-do").hidden = false;
      }
    });
    running = null;
    stop.hidden = true; send.hidden = false;
    const answer = $(".answer", result.place)?.textContent.trim().slice(0, 1000);
    $("#said").textContent = { done: `Answered: ${answer}`, stopped: "Stopped.", error: "That failed.", asked: "The assistant asks for your yes." }[result.end];
    if (result.end === "asked") ask(result.calls, result.place);
    if ((result.end === "stopped" || result.end === "error") && restore && !box.value) { box.value = restore; fit(); }
    if (composer.dataset.thread) htmx.ajax("GET", `/chat/${composer.dataset.thread}/list`, { target: "#thread-list", swap: "innerHTML" });
    follow();
    return result;
  }

  function turn(question) {
    $("#welcome")?.remove();
    const place = made("turn-template");
    $(".question .text", place).textContent = question;
    turns.append(place);
    near = true; down();
    return place;
  }

  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = box.value.trim();
    if (!text || running) return;
    box.value = ""; fit();
    run("/ask/chat", { text, thread: composer.dataset.thread || null, version: $("#version").value }, turn(text), text);
  });
  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); composer.requestSubmit(); }
  });
  stop.addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { running?.abort(); document.querySelectorAll(".menu[open]").forEach((menu) => { menu.open = false; }); }
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); box.focus(); }
  });
  document.querySelectorAll(".starter").forEach((starter) => starter.addEventListener("click", () => {
    box.value = starter.textContent; composer.requestSubmit();
  }));
  $("#show-threads").addEventListener("click", (event) => {
    const open = $("#threads").classList.toggle("is-open");
    event.currentTarget.setAttribute("aria-expanded", String(open));
  });

  // A retry on another version stands below the answer; the thread goes on without it.
  turns.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!menu.classList?.contains("again") || !menu.open) return;
    const own = $(".badge.version", menu.closest(".meta")).textContent;
    const names = [...$("#version").options].map((option) => option.value).filter((name) => name !== "live" && name !== own);
    const entries = names.map((name) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button"; button.textContent = name; item.append(button);
      button.addEventListener("click", () => {
        menu.open = false;
        if (running) return;
        const old = menu.closest(".turn"), place = made("turn-template");
        place.classList.add("other");
        old.after(place);
        run("/ask/again", { episode: old.dataset.episode, version: name }, place).then((result) => result.place.classList.add("other"));
      });
      return item;
    });
    if (!entries.length) {
      const item = document.createElement("li"), words = document.createElement("p");
      words.textContent = "No other version is loaded."; item.append(words); entries.push(item);
    }
    $("ul", menu).replaceChildren(...entries);
  }, true);

  // Calls that need a person's yes.
  function ask(calls, place) {
    const form = made("asked-template");
    for (const call of calls) {
      const item = document.createElement("li"), label = document.createElement("label");
      const tick = document.createElement("input"), shown = document.createElement("pre");
      tick.type = "checkbox"; tick.checked = true; tick.value = call.id;
      shown.textContent = `${call.name} ${JSON.stringify(call.arguments, null, 2)}`;
      label.append(tick, shown); item.append(label); $("ul", form).append(item);
    }
    const go = (approved) => {
      form.remove();
      const working = $(".working", place);
      if (working) working.textContent = "working";
      run("/ask/answer", { thread: composer.dataset.thread, approved }, place);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go([...form.querySelectorAll("input:checked")].map((tick) => tick.value));
    });
    $(".no", form).addEventListener("click", () => go([]));
    $(".reply", place).append(form);
    $(".yes", form).focus();
    follow();
  }
  const waits = $("#waits");
  if (waits) ask(JSON.parse(waits.textContent), turn("(the assistant waits for your yes)"));
}

// ---- two versions side by side ----
$("#compare")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = $("button", form);
  button.disabled = true;
  await Promise.all(["a", "b"].map((side) => {
    const version = form.elements[side].value, place = made("turn-template");
    $(`#side-${side}-name`).textContent = version;
    $(`#side-${side}`).replaceChildren(place);
    return show("/ask/version", { text: form.elements.question.value, version }, place, undefined);
  }));
  button.disabled = false;
  $("#said").textContent = "Both have answered.";
});
