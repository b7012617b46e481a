// Two pictures against each other. A picture is an item { key, id, index, label, file }; its bytes come on demand.

const STAR = ["M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.8-5.2 2.8 1-5.8L3.6 9.7l5.8-.8z"];
const SWAP = ["M7 4L3 8l4 4", "M3 8h14", "M17 12l4 4-4 4", "M21 16H7"];
const KEPT_PICTURES = 24;
const MODES = [
  ["side", "Side by side"],
  ["slider", "Divider"],
  ["difference", "Difference"],
];

// Whole pictures from the kernel, as promises of { bytes, mime, url }. The last ones are kept.
const pictureShelf = (model, heard) => {
  const kept = new Map();
  const waiting = new Map();
  const drop = (key) => {
    const old = kept.get(key);
    kept.delete(key);
    if (old) old.then((picture) => URL.revokeObjectURL(picture.url), () => {});
  };
  heard.on("msg:custom", (message, buffers) => {
    const asked = message.kind === "picture" && waiting.get(message.key);
    if (!asked) return;
    waiting.delete(message.key);
    clearTimeout(asked.timer);
    if (message.error) asked.reject(Object.assign(new Error(message.error), { remedy: message.remedy || "" }));
    else asked.resolve({ mime: message.mime, url: URL.createObjectURL(new Blob([buffers[0]], { type: message.mime })) });
  });
  return {
    get(item) {
      if (kept.has(item.key)) return kept.get(item.key);
      const picture = new Promise((resolve, reject) => {
        const late = () => {
          waiting.delete(item.key);
          reject(Object.assign(new Error("The lab does not answer"), { remedy: "Reload the page." }));
        };
        waiting.set(item.key, { resolve, reject, timer: setTimeout(late, PATIENCE_MS) });
        model.send({ action: "picture", key: item.key, id: item.id, index: item.index });
      });
      kept.set(item.key, picture);
      picture.catch(() => kept.delete(item.key)); // the next look asks again
      if (kept.size > KEPT_PICTURES) drop(kept.keys().next().value);
      return picture;
    },
    end() {
      for (const { timer } of waiting.values()) clearTimeout(timer);
      for (const key of [...kept.keys()]) drop(key);
    },
  };
};

// A button that marks a file as a favourite. `mark(file, on)` is a promise; `isMarked(file)` says what is so.
const starButton = (mark, isMarked) => {
  let item = null;
  let said = null; // what was pressed, until the lab says so itself
  const node = h("button", { class: "lab-button lab-icon-button lab-star", type: "button" }, icon(...STAR));
  const draw = () => {
    const on = said ?? Boolean(item && isMarked(item.file));
    node.setAttribute("aria-pressed", String(on));
    const words = item ? `Favourite: ${item.label}` : "Favourite";
    node.setAttribute("aria-label", words);
    node.title = on ? "One of your favourites" : "Make it a favourite, also in the gallery";
    show(node, Boolean(item && item.file));
  };
  node.addEventListener("click", (event) => {
    event.stopPropagation();
    if (!item) return;
    said = node.getAttribute("aria-pressed") !== "true";
    draw();
    mark(item.file, said).catch(() => {}).then(() => setTimeout(() => {
      said = null;
      draw();
    }, 400));
  });
  return {
    node,
    draw,
    set(next) {
      if (!item || !next || item.file !== next.file) said = null;
      item = next;
      draw();
    },
  };
};

// The absolute difference of two pictures, each channel multiplied by `gain`, on a canvas. The second takes the size
// of the first. Returns the mean difference, 0 to 255, and the share of pixels that differ by more than rounding does.
const paintDifference = (canvas, one, other, gain) => {
  const [wide, high] = [one.naturalWidth, one.naturalHeight];
  const pixels = (image) => {
    const room = new OffscreenCanvas(wide, high).getContext("2d", { willReadFrequently: true });
    room.drawImage(image, 0, 0, wide, high);
    return room.getImageData(0, 0, wide, high).data;
  };
  const [a, b] = [pixels(one), pixels(other)];
  canvas.width = wide;
  canvas.height = high;
  const context = canvas.getContext("2d");
  const shown = context.createImageData(wide, high);
  const out = shown.data;
  let sum = 0;
  let changed = 0;
  for (let i = 0; i < a.length; i += 4) {
    let most = 0;
    for (let c = i; c < i + 3; c += 1) {
      const apart = Math.abs(a[c] - b[c]);
      sum += apart;
      if (apart > most) most = apart;
      out[c] = apart * gain; // clamped by the array
    }
    out[i + 3] = 255;
    if (most > 2) changed += 1;
  }
  context.putImageData(shown, 0, 0);
  const count = a.length / 4;
  return { mean: sum / (count * 3), share: changed / count };
};

// The whole comparison. `shelf` gives pictures, `mark` and `isMarked` are the star's. `set(items, left, right)` by key.
const comparison = ({ shelf, mark, isMarked, wide = false }) => {
  const mine = `lab-compare-${Math.random().toString(36).slice(2)}`;
  let items = [];
  let mode = "side";
  let turn = 0; // only the newest choice is shown

  const choice = (name, label) => {
    const input = h("select", { id: `${mine}-${name}`, onchange: () => draw() });
    const star = starButton(mark, isMarked);
    const step = (by, words, sign) =>
      h("button", { class: "lab-button lab-icon-button lab-compare-step", type: "button", title: words, "aria-label": `${label}: ${words}`, onclick: () => {
        if (!items.length) return;
        const at = items.findIndex((item) => item.key === input.value);
        input.value = items[(at + by + items.length) % items.length].key;
        draw();
      } }, sign);
    const node = h("div", { class: "lab-compare-choice" }, h("label", { for: input.id }, label), h("div", { class: "lab-joined" }, step(-1, "previous picture", "‹"), input, step(1, "next picture", "›"), star.node));
    return { node, input, star, item: () => items.find((item) => item.key === input.value) || null };
  };
  const left = choice("left", "Left");
  const right = choice("right", "Right");
  const sides = [left, right];

  const modes = h("div", { class: "lab-compare-modes", role: "group", "aria-label": "How to compare" });
  const buttons = MODES.map(([name, words]) => {
    const node = h("button", { class: "lab-pill", type: "button", onclick: () => choose(name) }, words);
    node.dataset.mode = name;
    modes.append(node);
    return node;
  });
  const gain = h("input", { id: `${mine}-gain`, type: "range", min: 1, max: 32, step: 1, value: "4" });
  const gainSaid = h("output", { for: gain.id });
  const gainBox = h("div", { class: "lab-compare-gain" }, h("label", { for: gain.id }, "Gain"), gain, gainSaid);
  const swap = h("button", { class: "lab-button", type: "button", onclick: () => {
    [left.input.value, right.input.value] = [right.input.value, left.input.value];
    draw();
  } }, icon(...SWAP), "Swap");

  const figure = () => {
    const img = h("img", { alt: "", hidden: true, draggable: false });
    const film = h("video", { controls: true, loop: true, muted: true, playsInline: true, hidden: true });
    const caption = h("figcaption");
    return { img, film, caption, node: h("figure", {}, img, film, caption) };
  };
  const [one, other] = [figure(), figure()];
  const pair = h("div", { class: "lab-compare-pair" }, one.node, other.node);
  const under = h("img", { alt: "", draggable: false });
  const over = h("img", { alt: "", draggable: false });
  const divider = h("input", { class: "lab-compare-divider", type: "range", min: 0, max: 100, step: 0.5, value: "50", "aria-label": "Where the left picture ends" });
  const line = h("i", { class: "lab-compare-line", "aria-hidden": "true" });
  const words = [h("span", { class: "lab-compare-tag" }), h("span", { class: "lab-compare-tag lab-compare-tag-right" })];
  const layers = h("div", { class: "lab-compare-layers", hidden: true }, under, over, line, ...words, divider);
  const canvas = h("canvas", { role: "img" });
  const difference = h("div", { class: "lab-compare-difference", hidden: true }, canvas);
  const told = h("p", { class: "lab-compare-told lab-muted", role: "status" });
  const empty = h("p", { class: "lab-empty" }, "There is nothing to compare yet: finished pictures appear here.");
  const stage = h("div", { class: "lab-compare-stage" }, pair, layers, difference);
  const node = h("div", { class: `lab-comparison${wide ? " lab-comparison-wide" : ""}` }, h("div", { class: "lab-compare-bar" }, modes, gainBox, swap), h("div", { class: "lab-compare-choices" }, left.node, right.node), empty, stage, told);

  const place = () => {
    layers.style.setProperty("--at", `${divider.value}%`);
    divider.setAttribute("aria-valuetext", `${Math.round(divider.value)} %`);
  };
  divider.addEventListener("input", place);
  gain.addEventListener("input", () => {
    say(gainSaid, `× ${gain.value}`);
    subtract();
  });
  const loaded = (img, url) =>
    new Promise((resolve, reject) => {
      if (img.src === url && img.complete && img.naturalWidth) return resolve(img);
      img.onload = () => resolve(img);
      img.onerror = () => reject(new Error("The picture cannot be read"));
      img.src = url;
      return null;
    });
  let both = null; // the two <img>, once both are there
  const subtract = () => {
    if (mode !== "difference" || !both) return;
    const said = paintDifference(canvas, ...both, Number(gain.value));
    const percent = said.share * 100;
    const share = percent > 0 && percent < 0.1 ? "less than 0.1" : percent.toFixed(percent < 10 ? 1 : 0);
    const [a, b] = both;
    const scaled = a.naturalWidth === b.naturalWidth && a.naturalHeight === b.naturalHeight ? "" : " The right picture was scaled to the size of the left.";
    const text = said.share || said.mean ? `${share} % of the pixels differ, by ${said.mean.toFixed(1)} of 255 on the average.${scaled}` : `The pictures are the same, pixel by pixel.${scaled}`;
    say(told, text);
    canvas.setAttribute("aria-label", `Difference. ${text}`);
  };
  const put = (at, item, picture) => {
    const moves = picture.mime.startsWith("video/");
    show(at.img, !moves);
    show(at.film, moves);
    if (moves) at.film.src = picture.url;
    else at.img.src = picture.url;
    at.img.alt = item.label;
  };
  const draw = async () => {
    const mineTurn = (turn += 1);
    both = null;
    for (const side of sides) side.star.set(side.item());
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    const [a, b] = sides.map((side) => side.item());
    const ready = Boolean(a && b);
    show(empty, !items.length);
    show(stage, ready);
    show(pair, mode === "side");
    show(layers, mode === "slider");
    show(difference, mode === "difference");
    show(gainBox, mode === "difference");
    say(told, "");
    if (!ready) return;
    for (const [at, item] of [[one, a], [other, b]]) say(at.caption, item.label);
    say(words[0], a.label);
    say(words[1], b.label);
    try {
      const [first, second] = await Promise.all([shelf.get(a), shelf.get(b)]);
      if (mineTurn !== turn) return;
      put(one, a, first);
      put(other, b, second);
      if ([first, second].some((picture) => picture.mime.startsWith("video/"))) {
        if (mode !== "side") say(told, "A film can be compared side by side only.");
        show(pair, true);
        show(layers, false);
        show(difference, false);
        return;
      }
      if (mode === "side") return;
      const made = await Promise.all([loaded(under, second.url), loaded(over, first.url)]);
      if (mineTurn !== turn) return;
      over.alt = a.label;
      under.alt = b.label;
      layers.style.setProperty("--ratio", `${made[1].naturalWidth} / ${made[1].naturalHeight}`);
      both = [made[1], made[0]];
      place();
      subtract();
    } catch (error) {
      if (mineTurn === turn) say(told, `${sentence(error.message)} ${error.remedy || ""}`.trim());
    }
  };
  const choose = (name) => {
    mode = name;
    draw();
  };
  say(gainSaid, `× ${gain.value}`);
  const key = (list) => JSON.stringify(list.map((item) => [item.key, item.label]));
  return {
    node,
    focus: () => buttons.find((button) => button.dataset.mode === mode).focus({ preventScroll: true }),
    stars: () => sides.forEach((side) => side.star.draw()),
    set(next, first = left.input.value, second = right.input.value) {
      const same = key(next) === key(items) && first === left.input.value && second === right.input.value;
      items = next;
      if (same) return;
      const has = (wanted) => items.some((item) => item.key === wanted);
      for (const side of sides) side.input.replaceChildren(...items.map((item) => h("option", { value: item.key }, item.label)));
      if (items.length) {
        left.input.value = has(first) ? first : items[0].key;
        right.input.value = has(second) ? second : (items.find((item) => item.key !== left.input.value) || items[0]).key;
      }
      draw();
    },
    end() {
      turn += 1;
      one.film.pause();
      other.film.pause();
    },
  };
};
