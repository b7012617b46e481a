// What the parts of the gallery share: addresses, questions to the kernel, and words that come and go.

const PATIENCE_MS = 30000;
const TOAST_MS = 12000;

// Where the server begins. The page and JupyterLab both carry it; the log-in cookie opens what lies there.
const siteUrl = (path) => {
  let said = {};
  try {
    said = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  } catch { /* a notebook shown elsewhere: its pictures are looked for on its own host */ }
  return `${said.baseUrl || "/"}${path}`;
};

const fileUrl = (item, more = "") => siteUrl(`api/images/${encodeURIComponent(item.file)}${more}?v=${encodeURIComponent(item.version)}`);

// A page has a window of its own to scroll; in a notebook the gallery is one output among others.
const isPage = () => document.body.dataset.voila === "voila";

const bytes = (size) => {
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${(size / 1e3).toFixed(size < 1e4 ? 1 : 0)} kB`;
  return `${(size / 1e6).toFixed(size < 1e7 ? 1 : 0)} MB`;
};

// made once: they are slow to make, and a grid says many times
const TIMES = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const NUMBERS = new Intl.NumberFormat();

const moment = (iso) => TIMES.format(new Date(iso));

const plural = (number, one, many = `${one}s`) => `${NUMBERS.format(number)} ${number === 1 ? one : many}`;

// A button that can be held back without losing the focus, which a disabled one would.
const pressable = (label, act, more = "lab-button") =>
  h("button", { class: more, type: "button", onclick: (event) => isHeld(event.currentTarget) || act(event.currentTarget) }, label);
const hold = (node, on) => node.setAttribute("aria-disabled", String(Boolean(on)));
const isHeld = (node) => node.getAttribute("aria-disabled") === "true";

// Questions to the kernel as promises. A refusal is an Error with a remedy.
const asker = (model, heard) => {
  const waiting = new Map();
  const mine = Math.random().toString(36).slice(2);
  let number = 0;
  const end = (key) => {
    const asked = waiting.get(key);
    if (asked) clearTimeout(asked.timer);
    waiting.delete(key);
    return asked;
  };
  heard.on("msg:custom", (message) => {
    if (message.kind !== "answer") return;
    const asked = end(message.key);
    if (!asked) return; // another view of this model asked
    if (message.error) asked.reject(Object.assign(new Error(message.error), { remedy: message.remedy || "" }));
    else asked.resolve(message.answer);
  });
  return (action, content = {}) =>
    new Promise((resolve, reject) => {
      const key = `${mine}/${(number += 1)}`;
      const late = () => {
        end(key);
        reject(Object.assign(new Error("The lab does not answer"), { remedy: "Reload the page." }));
      };
      waiting.set(key, { resolve, reject, timer: setTimeout(late, PATIENCE_MS) });
      model.send({ ...content, action, key });
    });
};

// One line at the bottom of the window that says what became of an action, with a button to undo it.
const toaster = (home) => {
  const text = h("span");
  const extra = h("span", { class: "lab-toast-extra" });
  const shut = h("button", { class: "lab-toast-shut", type: "button", "aria-label": "Dismiss", onclick: () => hide() }, "×");
  const node = h("div", { class: "lab-toast", hidden: true }, text, extra, shut);
  const region = h("div", { class: "lab-toasts", role: "status" }, node);
  home.append(region);
  let timer;
  let before = null; // where the focus came from, and goes back to
  const hide = () => {
    clearTimeout(timer);
    const held = node.contains(document.activeElement);
    show(node, false);
    if (held && before && before.isConnected) before.focus({ preventScroll: true });
  };
  node.addEventListener("focusin", (event) => {
    if (!node.contains(event.relatedTarget)) before = event.relatedTarget;
  });
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(hide, TOAST_MS);
  };
  for (const event of ["mouseenter", "focusin"]) node.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["mouseleave", "focusout"]) node.addEventListener(event, wait);
  return {
    // a dialog covers everything that is not inside it
    moveTo: (parent) => parent.append(region),
    comeHome: () => home.append(region),
    hide,
    say(words, { button = null, act = null, link = null, href = "", bad = false } = {}) {
      node.classList.toggle("lab-bad", bad);
      say(text, words);
      extra.replaceChildren();
      if (button) {
        const press = () => {
          hide();
          act();
        };
        extra.append(h("button", { class: "lab-button", type: "button", onclick: press }, button));
      }
      if (link) extra.append(h("a", { href }, link));
      show(node, true);
      wait();
    },
    end: () => clearTimeout(timer),
  };
};

// http:// on another machine has no clipboard of its own
const copyText = async (text, parent) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const area = h("textarea", { class: "lab-hidden", value: text, readOnly: true });
    parent.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before) before.focus();
    return done;
  }
};

const cookie = (name) => {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
};

// Have the browser keep something under a name.
const keep = (href, name) => {
  const link = h("a", { href, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
};
