// Pictures to begin with: dropped, pasted, chosen, or picked from the newest. They go to the kernel in pieces, because
// a page's connection takes no message of twenty megabytes; the kernel says what is wrong with one.

const PIECE = 1 << 20; // bytes
const ANSWER_MS = 30000;
const PICTURE = ["M4 5h16v14H4z", "M4 16l4.5-4.5L12 15l3-3 5 5", "M9 9.2v.01"];

// Sends pictures, and asks for the newest. Each answer comes as a message with the key of its question.
const sender = (model, heard) => {
  const waiting = new Map();
  const mine = Math.random().toString(36).slice(2);
  let number = 0;
  heard.on("msg:custom", (message, buffers) => {
    const asked = waiting.get(message.key);
    if (!asked) return;
    waiting.delete(message.key);
    clearTimeout(asked.timer);
    if (message.error) asked.reject(Object.assign(new Error(message.error), { remedy: message.remedy || "" }));
    else asked.resolve({ ...message, buffers });
  });
  const ask = (content, key, buffers) =>
    new Promise((resolve, reject) => {
      const late = () => {
        waiting.delete(key);
        reject(Object.assign(new Error("The lab does not answer"), { remedy: "Reload the page." }));
      };
      waiting.set(key, { resolve, reject, timer: setTimeout(late, ANSWER_MS) });
      model.send({ ...content, key }, undefined, buffers);
    });
  const fresh = () => `${mine}/${(number += 1)}`;
  return {
    // the picture's name in the input folder
    async upload(file, advanced) {
      const key = fresh();
      for (let at = 0; ; ) {
        const piece = await file.slice(at, at + PIECE).arrayBuffer();
        const said = await ask({ action: "upload", name: file.name || "pasted.png", size: file.size, at }, key, [piece]);
        if (said.name) return said.name;
        at = said.at;
        advanced(file.size ? at / file.size : 1);
      }
    },
    async pick(file) {
      return (await ask({ action: "pick", file }, fresh())).name;
    },
    newest: () => ask({ action: "newest" }, fresh()),
  };
};

const pictureOf = (transfer) => [...((transfer && transfer.files) || [])].find((file) => file.type.startsWith("image/") || !file.type) || [...((transfer && transfer.files) || [])][0];

// All the places for pictures of a backend as one control: `values()` has a name for each.
const pictureSlots = ({ mine, model, heard, told, failed }) => {
  const send = sender(model, heard);
  const node = h("div", { class: "lab-slots" });
  let slots = [];

  const slot = (spec) => {
    let name = "";
    let busy = false;
    let painted = null;
    const is_mask = spec.name === "mask";
    const id = `${mine}-${spec.name}`;
    const file = h("input", { type: "file", accept: "image/*", id, class: "lab-hidden", name: `${spec.name}-file`, tabIndex: -1, "aria-label": spec.label });
    const choose = h("button", { class: "lab-button", type: "button", onclick: () => file.click() }, "Choose a file");
    const pick = h("button", { class: "lab-button", type: "button", "aria-expanded": "false", onclick: () => toggle() }, "Newest");
    const words = h("span", { class: "lab-slot-words" });
    const empty = h("div", { class: "lab-slot-empty" }, icon(...PICTURE), words, h("span", { class: "lab-slot-buttons" }, choose, is_mask ? null : pick));
    const img = h("img", { class: "lab-slot-picture", alt: "", hidden: true });
    const title = h("bdi", { class: "lab-slot-name" });
    const facts = h("span", { class: "lab-muted lab-slot-facts" });
    const gone = iconButton(is_mask ? "Remove the mask" : "Remove the picture", CROSS, () => {
      set("");
      told();
      choose.focus();
    });
    const full = h("div", { class: "lab-slot-full", hidden: true }, img, h("div", { class: "lab-slot-text" }, h("span", { class: "lab-field-label" }, spec.label), title, facts), gone);
    const tray = h("div", { class: "lab-slot-tray", role: "group", "aria-label": "Newest pictures", hidden: true });
    const own = h("div", { class: `lab-slot lab-slot-${spec.name}`, role: "group", "aria-label": spec.label, title: upper(spec.hint) }, empty, full, tray, file);
    say(words, is_mask ? "Mask: drop a picture, its white parts are painted anew" : `${spec.label}: drop or paste one`);

    const draw = () => {
      show(empty, !name);
      show(full, Boolean(name));
      own.classList.toggle("lab-busy", busy);
      if (!name) return;
      const known = model.get("inputs")[name];
      say(title, name);
      title.title = name;
      own.classList.toggle("lab-wrong", Boolean(known && known.problem));
      say(facts, !known ? "Looking…" : known.problem ? `${sentence(known.problem)} ${known.remedy}` : known.size);
      if (known && known.thumb && known.thumb.byteLength) {
        if (painted !== name) paint(img, known.thumb, "image/webp");
        painted = name;
      } else {
        unpaint(img);
        painted = null;
      }
      if (!known) model.send({ action: "look", name });
    };
    const set = (text) => {
      name = text || "";
      closeTray();
      draw();
    };
    const take = async (bring) => {
      busy = true;
      draw();
      try {
        const got = await bring();
        set(got);
        told();
        gone.focus({ preventScroll: true });
      } catch (error) {
        failed(error.message, error.remedy);
      } finally {
        busy = false;
        say(words, is_mask ? "Mask: drop a picture, its white parts are painted anew" : `${spec.label}: drop or paste one`);
        draw();
      }
    };
    const upload = (picture) => take(() => send.upload(picture, (part) => say(words, `Sending… ${Math.round(part * 100)} %`)));
    file.addEventListener("change", () => {
      const [picture] = file.files;
      file.value = ""; // the same one may be chosen again
      if (picture) upload(picture);
    });
    const closeTray = () => {
      show(tray, false);
      pick.setAttribute("aria-expanded", "false");
      for (const each of tray.querySelectorAll("img")) unpaint(each);
      tray.replaceChildren();
    };
    const toggle = async () => {
      if (!tray.hidden) return closeTray();
      pick.setAttribute("aria-expanded", "true");
      show(tray, true);
      tray.replaceChildren(h("p", { class: "lab-empty" }, "Looking…"));
      try {
        const { items, buffers } = await send.newest();
        const tiles = items.map((item, index) => {
          const small = h("img", { alt: "" });
          paint(small, buffers[index], "image/webp");
          return h("button", { type: "button", title: item.prompt || item.file, "aria-label": `Begin with: ${item.prompt || item.file}`, onclick: () => take(() => send.pick(item.file)) }, small);
        });
        tray.replaceChildren(...(tiles.length ? tiles : [h("p", { class: "lab-empty" }, "There are no pictures yet.")]));
        if (tiles.length) tiles[0].focus({ preventScroll: true });
      } catch (error) {
        closeTray();
        failed(error.message, error.remedy);
      }
      return undefined;
    };
    tray.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      closeTray();
      pick.focus();
    });
    return { name: spec.name, spec, node: own, get: () => name, set, draw, upload, isFree: () => !name && !busy, clear: () => unpaint(img) };
  };

  return {
    node,
    arrange(specs) {
      for (const each of slots) each.clear();
      slots = specs.map(slot);
      node.replaceChildren(...slots.map((each) => each.node));
      return slots;
    },
    // a picture that was let fall somewhere on the form: into the first free place
    drop(file) {
      const free = slots.find((each) => each.isFree() && !each.node.hidden) || slots.find((each) => !each.node.hidden);
      if (free) free.upload(file);
      return Boolean(free);
    },
    takes: () => slots.length > 0,
    at: (target) => slots.find((each) => each.node.contains(target)),
    draw: () => slots.forEach((each) => each.draw()),
    // of several places for pictures only the next one is offered
    unfold(isAsked) {
      let before = true;
      for (const each of slots) {
        const numbered = /^image\d$/.test(each.name);
        show(each.node, isAsked(each.spec) && (!numbered || before || Boolean(each.get())));
        before = Boolean(each.get());
      }
    },
    end: () => slots.forEach((each) => each.clear()),
  };
};
