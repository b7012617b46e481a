// One picture as large as the window allows: zoomed, moved, with its recipe and what can be done with it.

const MOST_FIT = 2; // a small picture is not blown up to the whole window
const MOST_ZOOM = 16;
const ZOOM_STEP = 1.25;
const PAN_PX = 80; // of an arrow key
const SWIPE_PX = 60;

// The picture itself. At zoom 1 it fits; `told` hears of every change.
const stage = ({ told, swiped }) => {
  const img = h("img", { alt: "", draggable: false });
  const film = h("video", { controls: true, loop: true, muted: true, autoplay: true, playsInline: true, hidden: true });
  const wait = h("p", { class: "lab-viewer-wait", role: "status" });
  const node = h("div", { class: "lab-viewer-stage", tabIndex: -1 }, img, film, wait);
  const fingers = new Map(); // pointer id -> where it is
  let size = { width: 1, height: 1 };
  let fit = 1; // pixels of the window for one of the picture
  let zoom = 1;
  let at = { x: 0, y: 0 }; // the picture's middle, from the stage's
  let began = null;
  let loading = 0;

  const stop = () => {
    film.onerror = null;
    film.pause();
    film.removeAttribute("src");
    film.load(); // what is not there yet need not come any more
    show(film, false);
  };
  const clamp = (value, most) => Math.max(-most, Math.min(most, value));
  const place = () => {
    const { clientWidth: width, clientHeight: height } = node;
    if (!width || !height) return;
    fit = Math.min(width / size.width, height / size.height, MOST_FIT);
    const [w, h] = [size.width * fit * zoom, size.height * fit * zoom];
    at = { x: clamp(at.x, Math.max(0, (w - width) / 2)), y: clamp(at.y, Math.max(0, (h - height) / 2)) };
    img.style.width = `${size.width * fit}px`;
    img.style.height = `${size.height * fit}px`;
    img.style.transform = `translate(-50%, -50%) translate(${at.x}px, ${at.y}px) scale(${zoom})`;
    img.style.imageRendering = fit * zoom * devicePixelRatio > 3 ? "pixelated" : "auto";
    node.classList.toggle("lab-zoomed", zoom > 1);
    told(Math.round(fit * zoom * 100));
  };
  // `point`, from the stage's middle, stays where it is
  const zoomTo = (to, point = { x: 0, y: 0 }) => {
    const next = Math.max(1, Math.min(MOST_ZOOM / Math.min(fit, 1), to));
    const grown = next / zoom;
    at = { x: point.x + (at.x - point.x) * grown, y: point.y + (at.y - point.y) * grown };
    zoom = next;
    place();
  };
  const fromMiddle = (event) => {
    const box = node.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };
  const pan = (x, y) => {
    at = { x: at.x + x, y: at.y + y };
    place();
  };
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };

  node.addEventListener("wheel", (event) => {
    if (!film.hidden) return;
    event.preventDefault();
    zoomTo(zoom * Math.exp(-event.deltaY / (event.deltaMode ? 20 : 400)), fromMiddle(event));
  }, { passive: false });
  node.addEventListener("dblclick", (event) => film.hidden && zoomTo(zoom > 1 ? 1 : Math.max(2, 1 / fit), fromMiddle(event)));
  node.addEventListener("pointerdown", (event) => {
    if (event.target === film) return; // its own controls
    node.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, fromMiddle(event));
    began = { ...fromMiddle(event), touch: event.pointerType === "touch" && fingers.size === 1 && zoom === 1 };
  });
  node.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const here = fromMiddle(event);
    if (fingers.size === 1) {
      fingers.set(event.pointerId, here);
      if (zoom > 1) pan(here.x - last.x, here.y - last.y);
      return;
    }
    const was = apart();
    fingers.set(event.pointerId, here);
    const [a, b] = [...fingers.values()];
    zoomTo((zoom * apart()) / was, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  });
  const lift = (event) => {
    const here = fromMiddle(event);
    const went = began && began.touch && fingers.size === 1 && event.type === "pointerup" ? here.x - began.x : 0;
    fingers.delete(event.pointerId);
    began = null;
    if (Math.abs(went) > SWIPE_PX) swiped(went < 0 ? 1 : -1);
  };
  node.addEventListener("pointerup", lift);
  node.addEventListener("pointercancel", lift);
  const resized = new ResizeObserver(place);
  resized.observe(node);

  return {
    node,
    get zoom() { return zoom; },
    zoomBy: (factor) => zoomTo(zoom * factor),
    reset: () => {
      at = { x: 0, y: 0 };
      zoomTo(1);
    },
    pan,
    // its thumbnail at once, itself when it has come; a film plays by itself, without its sound
    async put(item) {
      const mine = (loading += 1);
      stop();
      show(img, !item.film);
      size = { width: item.width || 512, height: item.height || 512 };
      zoom = 1;
      at = { x: 0, y: 0 };
      img.alt = item.prompt || item.file;
      img.src = item.thumb;
      say(wait, "");
      place();
      node.classList.toggle("lab-film", item.film);
      if (item.film) {
        film.onerror = () => mine === loading && say(wait, "This browser cannot play the film: download it.");
        film.src = fileUrl(item);
        show(film, true);
        return;
      }
      const whole = new Image();
      whole.src = fileUrl(item);
      try {
        await whole.decode();
        if (mine === loading) img.src = whole.src;
      } catch {
        if (mine === loading) say(wait, "The picture cannot be shown: it was moved, deleted or is damaged.");
      }
    },
    get isFilm() { return !film.hidden; },
    clear: () => {
      loading += 1;
      img.removeAttribute("src");
      stop();
    },
    end: () => resized.disconnect(),
  };
};

// `deeds`: again, vary, use, star, remove; each gets an item.
const viewer = ({ grid, ask, toast, deeds, home }) => {
  let at = 0;
  let item = null;
  let recipe = null;

  const percent = h("output", { class: "lab-viewer-percent", "aria-label": "Zoom" });
  const picture = stage({ told: (now) => say(percent, `${now} %`), swiped: (by) => go(by) });
  const round = (label, sign, act) => {
    const node = pressable(sign, act, "lab-viewer-round");
    node.setAttribute("aria-label", label);
    node.title = label;
    return node;
  };
  const newer = round("Newer picture", "‹", () => go(-1));
  const older = round("Older picture", "›", () => go(1));
  const place = h("span", { class: "lab-viewer-place" });
  const bar = h(
    "div",
    { class: "lab-viewer-bar", role: "toolbar", "aria-label": "Zoom" },
    round("Zoom out (−)", "−", () => picture.zoomBy(1 / ZOOM_STEP)),
    percent,
    round("Zoom in (+)", "+", () => picture.zoomBy(ZOOM_STEP)),
    round("Fit (0)", "⤢", picture.reset),
  );
  newer.classList.add("lab-viewer-newer");
  older.classList.add("lab-viewer-older");

  const title = h("bdi", { class: "lab-viewer-title" });
  const prompt = h("p", { class: "lab-viewer-prompt" });
  const sent = h("p", { class: "lab-viewer-sent", hidden: true });
  const note = h("p", { class: "lab-note", hidden: true });
  const facts = h("dl", { class: "lab-viewer-facts" });
  const json = h("pre", { tabIndex: 0, "aria-label": "Recipe as JSON" });
  const whole = h("details", { class: "lab-viewer-json" }, h("summary", {}, "Whole recipe"), json);
  // what costs money takes a second press, of the same picture
  const making = (word, act) => {
    let armed = false;
    let timer;
    const node = pressable(word, () => {
      if (price() && !armed) {
        armed = true;
        say(node, `Pay ${price()}?`);
        timer = setTimeout(rest, SURE_MS);
        return;
      }
      rest();
      act();
    });
    const rest = () => {
      clearTimeout(timer);
      armed = false;
      say(node, price() ? `${word} · ${price()}` : word);
    };
    return { node, rest };
  };
  const price = () => (recipe && recipe.price) || "";
  const { node: again, rest: restAgain } = making("Again", () => deeds.again(item, again));
  const { node: vary, rest: restVary } = making("Again, other seed", () => deeds.vary(item, vary));
  const use = pressable("Use as input", () => deeds.use(item, use));
  const star = pressable("☆ Favourite", () => deeds.star(item));
  const save = h("a", { class: "lab-button" }, "Download");
  const remove = pressable("Delete", () => deeds.remove(item), "lab-button lab-danger");
  const copy = pressable("Copy recipe", () => copied(recipe ? recipe.text : "", "The recipe"));
  const copyPrompt = pressable("Copy prompt", () => copied(recipe ? recipe.prompt : item.prompt, "The prompt"));
  const shut = round("Close (Escape)", "×", () => box.close());
  shut.classList.add("lab-viewer-shut");
  again.title = "A new job with the same recipe and the same seed";
  vary.title = "A new job with the same recipe and another seed";
  use.title = "The next picture begins with this one";
  const box = h(
    "dialog",
    { class: "lab-viewer", "aria-label": "Picture", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "lab-viewer-left" }, picture.node, newer, older, place, bar),
    h(
      "div",
      { class: "lab-viewer-side" },
      h("header", {}, title),
      h("div", { class: "lab-viewer-scroll" }, prompt, sent, note, facts, h("div", { class: "lab-viewer-copies" }, copyPrompt, copy), whole),
      h("div", { class: "lab-viewer-deeds" }, again, vary, use, star, save, remove),
    ),
    shut,
  );
  home.append(box);

  const copied = async (text, what) => {
    const done = await copyText(text, box);
    toast.say(done ? `${what} is on the clipboard.` : "The browser does not let this page copy.", { bad: !done });
  };
  const list = (rows) =>
    facts.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("bdi", {}, value))]));
  const file = () => [
    ["made", moment(item.created)],
    ["size", `${item.width} × ${item.height} px · ${bytes(item.size)}`],
  ];
  const dressStar = () => {
    say(star, item.favourite ? "★ Favourite" : "☆ Favourite");
    star.setAttribute("aria-pressed", String(item.favourite));
  };
  const sayPlace = () => {
    hold(newer, at === 0);
    hold(older, at >= grid.total - 1);
    say(place, `${NUMBERS.format(at + 1)} of ${NUMBERS.format(grid.total)}`);
  };
  const draw = () => {
    recipe = null;
    say(title, item.file);
    title.title = item.file;
    say(prompt, item.prompt);
    show(prompt, Boolean(item.prompt));
    show(note, false);
    show(sent, false);
    hold(use, item.film);
    show(bar, !item.film);
    list(file());
    show(whole, false);
    whole.open = false;
    say(json, "");
    dressStar();
    save.href = fileUrl(item);
    save.download = item.file;
    for (const node of [again, vary, copy]) hold(node, true); // until the recipe says that there is one
    hold(copyPrompt, !item.prompt);
    restAgain();
    restVary();
    sayPlace();
    picture.put(item);
    tell(item.file);
  };
  const tell = async (name) => {
    try {
      const said = await ask("recipe", { file: name });
      if (!item || item.file !== name) return; // the user has gone on
      recipe = said;
      say(prompt, said.prompt);
      show(prompt, Boolean(said.prompt));
      say(note, said.note);
      show(note, Boolean(said.note));
      say(sent, `Sent: ${said.sent}`);
      show(sent, Boolean(said.sent));
      list([...file(), ...said.facts]);
      say(json, said.text);
      show(whole, Boolean(said.text));
      for (const node of [again, vary]) hold(node, !said.repeatable);
      hold(copy, !said.text);
      hold(copyPrompt, !said.prompt);
      restAgain();
      restVary();
    } catch (error) {
      if (!item || item.file !== name) return;
      say(note, `${sentence(error.message)} ${error.remedy || ""}`);
      show(note, true);
    }
  };
  let asked = 0;
  const showAt = async (index) => {
    const mine = (asked += 1);
    const there = await grid.load(index);
    if (mine !== asked) return; // overtaken by a later key
    if (!there) return;
    at = index;
    item = there;
    draw();
    if (!box.open) {
      box.showModal();
      toast.moveTo(box);
      shut.focus();
      picture.reset();
    }
    for (const next of [index + 1, index - 1]) {
      const beside = grid.itemAt(next);
      if (beside && !beside.film) new Image().src = fileUrl(beside);
    }
  };
  const go = (by) => {
    const to = at + by;
    if (to >= 0 && to < grid.total) showAt(to);
  };

  const onKey = (event) => {
    if (!box.open) return;
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inText = event.target === json || event.target.tagName === "VIDEO";
    const zoomed = picture.zoom > 1;
    const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (arrows && zoomed && !inText) picture.pan(arrows[0] * PAN_PX, arrows[1] * PAN_PX);
    else if (arrows && arrows[0] && !inText) go(-arrows[0]);
    else if (event.key === "PageDown" && !inText) go(1);
    else if (event.key === "PageUp" && !inText) go(-1);
    else if (event.key === "+" || event.key === "=") picture.zoomBy(ZOOM_STEP);
    else if (event.key === "-") picture.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") picture.reset();
    else if (event.key === "f") deeds.star(item);
    else if (event.key === "Delete") deeds.remove(item);
    else return;
    event.preventDefault();
  };
  // a click on the picture leaves the focus nowhere: the keys count all the same
  document.addEventListener("keydown", onKey);
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("close", () => {
    asked += 1;
    item = null;
    picture.clear();
    toast.comeHome();
    grid.goTo(at); // where one was, however far the arrows went
    deeds.closed();
  });

  return {
    get isOpen() { return box.open; },
    open: showAt,
    close: () => box.close(),
    // the item may have changed, or gone
    async look() {
      if (!box.open) return;
      if (!grid.total) {
        box.close();
        return;
      }
      const index = Math.min(at, grid.total - 1);
      const there = await grid.load(index);
      if (!there || !box.open) return;
      if (item && there.file === item.file && there.version === item.version) {
        item = there;
        at = index;
        dressStar();
        sayPlace();
      } else {
        at = index;
        item = there;
        draw();
      }
    },
    end() {
      document.removeEventListener("keydown", onKey);
      picture.end();
      if (box.open) box.close();
    },
  };
};
