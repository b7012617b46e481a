// What the scripts of all views share: it is put before each of them. Text from jobs only ever becomes text nodes.

const h = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else if (name === "class") node.className = value;
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text; // untouched nodes do not flicker, nor speak again
};

// A remedy, with the commands that it has between backticks.
const advise = (node, text) => {
  if (node.dataset.advice === text) return;
  node.dataset.advice = text;
  const parts = text.split("`");
  node.replaceChildren(...(parts.length % 2 ? parts.map((part, index) => (index % 2 ? h("code", {}, part) : part)) : [text]));
};

// An error's message as a sentence, so that its remedy can follow.
const sentence = (text) => (text && !/[.!?…]$/.test(text) ? `${text}.` : text || "");

const show = (node, on) => {
  if (node.hidden === on) node.hidden = !on;
};

// The root of a view. JupyterLab must not take Ctrl+Enter or arrow keys typed in it for its own.
const root = (el, name, label) => {
  const node = h("section", { class: `lab-view lab-${name}`, "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  el.append(node);
  return node;
};

// A small picture of lines, from the `d` of its paths. It says nothing: its button or its word does.
const icon = (...paths) => {
  const space = "http://www.w3.org/2000/svg";
  const node = document.createElementNS(space, "svg");
  for (const [name, value] of Object.entries({ class: "lab-icon", viewBox: "0 0 24 24", "aria-hidden": "true" })) node.setAttribute(name, value);
  for (const d of paths) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", d);
    node.append(path);
  }
  return node;
};

// The address of another page of the lab, where the document has their navigation; null in a notebook.
const pageUrl = (slug) => {
  const link = document.querySelector(`.frame-top nav a[href$="/${slug}"]`);
  return link ? link.href : null;
};

// Opens the form for something: `again=JOB`, `vary=JOB`, `input=NAME`. The one on this page, or else the dashboard's;
// false where there is neither.
const FORM_EVENT = "lab-form-asked";
const askForm = (word, value) => {
  const query = `${word}=${encodeURIComponent(value)}`;
  if (!document.dispatchEvent(new CustomEvent(FORM_EVENT, { detail: query, cancelable: true }))) return true;
  const page = pageUrl("dashboard");
  if (page) location.assign(`${page}?${query}`);
  return Boolean(page);
};

// A button whose first press asks a question; the second, soon after, means it. `question` says "" for no need.
const SURE_MS = 6000;
const asking = (button, question, act) => {
  let kept = null; // what it shows when it does not ask
  let timer;
  const rest = () => {
    if (!kept) return;
    clearTimeout(timer);
    button.classList.remove("lab-asking");
    button.replaceChildren(...kept.children);
    button.setAttribute("aria-label", kept.label);
    kept = null;
  };
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled")) return;
    const sure = Boolean(kept);
    const asked = question();
    if (asked && !sure) {
      kept = { children: [...button.childNodes], label: button.getAttribute("aria-label") || button.textContent };
      button.classList.add("lab-asking");
      button.replaceChildren(asked);
      button.setAttribute("aria-label", `${asked} ${kept.label}`);
      timer = setTimeout(rest, SURE_MS);
      return;
    }
    rest();
    act(sure);
  });
  // not at once: the buttons beside it would move away under a click that has begun
  button.addEventListener("blur", () => setTimeout(rest, 250));
};

// Listens to a model until the view is taken away, and tells the kernel that a page shows it: a view that nobody
// can see stops looking at the lab.
const SEEN_MS = 20000;
const listener = (model) => {
  const heard = [];
  const seen = () => {
    if (document.hidden) return;
    try {
      model.send({ action: "shown" });
    } catch {} // the kernel is gone: the page says so elsewhere
  };
  const timer = setInterval(seen, SEEN_MS);
  document.addEventListener("visibilitychange", seen);
  seen();
  return {
    on(events, act) {
      for (const event of events.split(" ")) {
        model.on(event, act);
        heard.push([event, act]);
      }
    },
    end() {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
      for (const [event, act] of heard) model.off(event, act);
    },
  };
};

const banner = (model, heard) => {
  const text = h("strong");
  const remedy = h("span");
  const node = h("div", { class: "lab-banner", role: "status", hidden: true }, text, " ", remedy);
  const draw = () => {
    const said = model.get("banner") || {};
    say(text, sentence(said.text));
    advise(remedy, said.remedy || "");
    show(node, Boolean(said.text));
  };
  heard.on("change:banner", draw);
  draw();
  return node;
};

// What became of an action; goes away by itself.
const notice = (model, heard) => {
  const text = h("strong");
  const remedy = h("span");
  const node = h("div", { class: "lab-notice", role: "alert", hidden: true }, text, " ", remedy);
  let timer;
  heard.on("change:notice", () => {
    const said = model.get("notice") || {};
    say(text, sentence(said.text));
    advise(remedy, said.remedy || "");
    node.classList.toggle("lab-good", Boolean(said.good));
    show(node, Boolean(said.text) && !isSaidBeside(said.about, node));
    clearTimeout(timer);
    timer = setTimeout(() => show(node, false), 12000);
  });
  return node;
};

// Whether the view shows the job that a notice is about, with a place for it: `mending` says it there.
const isSaidBeside = (job, node) => {
  const beside = job && node.parentElement && node.parentElement.querySelector(`[data-mending="${CSS.escape(job)}"]`);
  return Boolean(beside && beside.getClientRects().length);
};

// The buttons of a job's diagnosis, and what became of the one that was pressed. The page sends an action's name; the
// kernel looks at the job anew and refuses what would not help any more.
const MEND_MS = 70000; // a service may take a minute to restart
const mending = (model, heard) => {
  const buttons = h("div", { class: "lab-mend-buttons" });
  const said = h("p", { class: "lab-mend-said", role: "status" });
  const node = h("div", { class: "lab-mend" }, buttons, said);
  let job = "";
  let waiting;
  const free = () => {
    clearTimeout(waiting);
    for (const each of buttons.children) each.removeAttribute("aria-disabled");
  };
  const tell = (text, state) => {
    advise(said, text);
    said.dataset.state = state;
  };
  const press = (name, sure) => {
    for (const each of buttons.children) each.setAttribute("aria-disabled", "true"); // `disabled` would take the focus away
    tell("Working on it…", "");
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      free();
      tell("There is no answer. Reload the page, and look whether it was done.", "bad");
    }, MEND_MS);
    model.send({ action: "mend", id: job, name, sure });
  };
  const make = ({ name, title, question }) => {
    const made = h("button", { class: "lab-button", type: "button" }, title);
    made.dataset.mend = name;
    asking(made, () => question, (sure) => press(name, sure));
    return made;
  };
  let before = "";
  node.update = (id, actions, stamp) => {
    const key = JSON.stringify([id, actions, stamp]);
    if (key === before) return;
    before = key;
    job = id;
    node.dataset.mending = id;
    free();
    tell("", "");
    buttons.replaceChildren(...actions.map(make));
  };
  heard.on("change:notice", () => {
    const { about, text, remedy, good } = model.get("notice") || {};
    if (!about || about !== job) return;
    free();
    tell([sentence(text), remedy].filter(Boolean).join(" "), good ? "ok" : "bad");
  });
  return node;
};

const length = (from, to) => Math.max(0, (to - new Date(from).getTime()) / 1000);

const span = (seconds) => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const ago = (moment) => {
  const seconds = length(moment, Date.now());
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.min(50, Math.round(seconds / 10) * 10)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(moment).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
};

// How long a job has run, or ran; empty before it starts.
const took = (row) => {
  if (!row.started) return "";
  if (row.finished) return span(length(row.started, new Date(row.finished).getTime()));
  return row.status === "running" ? span(length(row.started, Date.now())) : "";
};

// An <img> or a <video> from bytes of a trait or a message. The old picture goes only when the new one is there.
const paint = (img, bytes, mime = "") => {
  const url = URL.createObjectURL(new Blob([bytes], mime ? { type: mime } : {}));
  const old = img.dataset.url;
  img.dataset.url = url;
  img.onload = img.onloadeddata = img.onerror = () => old && URL.revokeObjectURL(old);
  img.src = url;
  show(img, true);
};

const unpaint = (img) => {
  if (img.dataset.url) URL.revokeObjectURL(img.dataset.url);
  delete img.dataset.url;
  img.removeAttribute("src");
  show(img, false);
};

// A progress bar that says only what is known: without a fraction it moves to and fro.
const progressBar = () => {
  const fill = h("i");
  const bar = h("div", { class: "lab-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  const text = h("span", { class: "lab-bar-text" });
  const node = h("div", { class: "lab-progress" }, bar, text);
  node.update = (live, label) => {
    const known = live && live.fraction > 0;
    bar.classList.toggle("lab-unknown", !known);
    const percent = known ? Math.round(live.fraction * 100) : 0;
    fill.style.width = known ? `${percent}%` : "";
    if (known) bar.setAttribute("aria-valuenow", String(percent));
    else bar.removeAttribute("aria-valuenow");
    bar.setAttribute("aria-label", label);
    const step = live && live.step && live.steps ? `step ${live.step} of ${live.steps}` : "";
    say(text, [step || (live && live.text) || "starting", known ? `${percent} %` : ""].filter(Boolean).join(" · "));
  };
  return node;
};

const badge = (extra = "") => h("span", { class: `lab-badge ${extra}` });

// `besides`: what the view has another button for
const failureBox = (model, heard, besides = []) => {
  const text = h("strong");
  const cause = h("p", { class: "lab-failure-cause" });
  const remedy = h("p", { class: "lab-failure-remedy" });
  const mend = mending(model, heard);
  const node = h("div", { class: "lab-failure", hidden: true }, text, cause, remedy, mend);
  node.update = (row) => {
    const failure = row.failure;
    show(node, Boolean(failure));
    if (!failure) return;
    node.classList.toggle("lab-passing", row.status !== "failed");
    say(text, sentence(row.ambiguous ? `This may have been paid for already. ${failure.text}` : failure.text));
    say(cause, failure.cause);
    advise(remedy, failure.remedy);
    mend.update(row.id, failure.actions.filter(({ name }) => !besides.includes(name)), row.finished);
  };
  return node;
};

// A dialog with a whole picture, asked for when it is shown; arrow keys go through `items`.
const lightbox = (model, heard, parent) => {
  const img = h("img", { alt: "" });
  const film = h("video", { controls: true, loop: true, muted: true, autoplay: true, playsInline: true, hidden: true });
  const wait = h("p", { class: "lab-box-wait", role: "status" });
  const text = h("p", { class: "lab-box-prompt" });
  const sentText = h("p", { class: "lab-box-sent lab-muted" });
  const facts = h("dl", { class: "lab-box-facts" });
  const save = h("a", { class: "lab-button" }, "Save");
  const canvas = h("a", { class: "lab-button", hidden: true }, "Open in Canvas");
  const use = (word, value) => () => {
    const item = items[at];
    box.close();
    askForm(word, value(item));
  };
  const again = h("button", { class: "lab-button", type: "button", title: "Fills the form with the same settings and seed", onclick: use("again", (item) => item.id) }, "Again");
  const vary = h("button", { class: "lab-button", type: "button", title: "Fills the form with the same settings and no seed", onclick: use("vary", (item) => item.id) }, "Again, other seed");
  const begin = h("button", { class: "lab-button", type: "button", title: "The next picture begins with this one", onclick: () => pick() }, "Use as input");
  const back = h("button", { class: "lab-button lab-box-go", type: "button", "aria-label": "Newer picture", onclick: () => go(-1) }, "‹");
  const next = h("button", { class: "lab-button lab-box-go", type: "button", "aria-label": "Older picture", onclick: () => go(1) }, "›");
  const shut = h("button", { class: "lab-button", type: "button", onclick: () => box.close() }, "Close");
  const box = h(
    "dialog",
    { class: "lab-box", "aria-label": "Picture", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "lab-box-stage" }, back, h("div", { class: "lab-box-picture" }, img, film, wait), next),
    h("div", { class: "lab-box-caption" }, text, sentText, facts, h("div", { class: "lab-box-buttons" }, again, vary, begin, save, canvas, shut)),
  );
  parent.append(box);
  let items = [];
  let at = 0;
  const whole = new Map(); // key -> { bytes, mime }, of what was looked at last

  const put = ({ bytes, mime }) => {
    const moves = mime.startsWith("video/");
    if (moves) unpaint(img);
    else unpaint(film);
    const shown = moves ? film : img;
    paint(shown, bytes, mime);
    say(wait, "");
    const item = items[at];
    save.href = shown.dataset.url;
    show(begin, !moves && canAsk());
    save.download = `${item.id}${item.index ? `-${item.index + 1}` : ""}.${mime.split("/")[1].replace("jpeg", "jpg")}`;
    show(save, true);
  };
  const canAsk = () => Boolean(pageUrl("dashboard") || document.querySelector(".lab-form"));
  const pick = () => {
    const item = items[at];
    begin.setAttribute("aria-disabled", "true");
    model.send({ action: "use", key: item.key, id: item.id, index: item.index });
  };
  const draw = () => {
    const item = items[at];
    img.alt = item.whole || "Picture";
    say(text, item.whole || "");
    say(sentText, item.sent ? `Sent: ${item.sent}` : "");
    for (const node of [again, vary]) show(node, canAsk());
    show(begin, false); // until it is known whether it is a film
    begin.removeAttribute("aria-disabled");
    unpaint(film);
    const rows = [...item.settings, ["backend", item.backend], ["job", item.short]];
    if (item.cost) rows.push(["cost", `$${item.cost}`]);
    facts.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    show(back, items.length > 1);
    show(next, items.length > 1);
    show(save, false);
    const page = pageUrl("canvas");
    if (page) canvas.href = `${page}?job=${encodeURIComponent(item.id)}`;
    show(canvas, Boolean(page));
    if (whole.has(item.key)) return put(whole.get(item.key));
    if (item.small) paint(img, item.small);
    else unpaint(img);
    say(wait, item.small ? "" : "Loading…");
    model.send({ action: "picture", key: item.key, id: item.id, index: item.index });
  };
  const go = (by) => {
    at = (at + by + items.length) % items.length;
    draw();
  };
  heard.on("msg:custom", (message, buffers) => {
    if (message.kind === "used" && box.open && items[at].key === message.key) {
      begin.removeAttribute("aria-disabled");
      if (message.error) return say(wait, `${sentence(message.error)} ${message.remedy}`);
      box.close();
      askForm("input", message.name);
      return;
    }
    if (message.kind !== "picture" || !box.open || items[at].key !== message.key) return;
    if (message.error) return say(wait, `${sentence(message.error)} ${message.remedy}`);
    const picture = { bytes: buffers[0], mime: message.mime };
    whole.set(message.key, picture);
    if (whole.size > 12) whole.delete(whole.keys().next().value);
    put(picture);
  });
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (items.length < 2 || event.target === film) return;
    if (event.key === "ArrowRight") go(1);
    if (event.key === "ArrowLeft") go(-1);
  });
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });
  box.addEventListener("close", () => {
    unpaint(img);
    unpaint(film);
  });
  return {
    open(shown, index = 0) {
      items = shown;
      at = index;
      draw();
      box.showModal();
      shut.focus();
    },
  };
};
