const TYPING_MS = 200;
const ZIPPED = 2000; // pictures that the server puts into one zip
const AT_ONCE = 100; // pictures marked with one message
const SHOWN = [["all", "All"], ["favourites", "★ Favourites"], ["orphans", "No job"], ["trash", "Trash"]];
const DATES = [["", "Any date"], ["0", "Today"], ["6", "Last 7 days"], ["29", "Last 30 days"], ["between", "Between…"]];

export default {
  render({ model, el }) {
    const heard = listener(model);
    const ask = asker(model, heard);
    const view = root(el, "pics", "Pictures");
    view.classList.toggle("lab-pics-page", isPage());
    const toast = toaster(view);
    const fail = (error) => toast.say(`${sentence(error.message)} ${error.remedy || ""}`, { bad: true });
    // a question whose refusal is said, and whose button waits for the answer
    const carry = async (button, action, content) => {
      if (button) hold(button, true);
      try {
        return await ask(action, content);
      } catch (error) {
        fail(error);
        return null;
      } finally {
        if (button) hold(button, false);
      }
    };

    // ---------------------------------------------------------------- what is asked for

    const address = new URLSearchParams(isPage() ? location.search : "");
    let job = model.get("job") || address.get("job") || "";
    let shown = "all";
    const option = ([value, text]) => h("option", { value }, text);
    const search = h("input", { type: "search", placeholder: "Search in prompts", "aria-label": "Search in prompts" });
    const backend = h("select", { "aria-label": "Backend" });
    const date = h("select", { "aria-label": "Date" }, ...DATES.map(option));
    const since = h("input", { type: "date", "aria-label": "From this day" });
    const until = h("input", { type: "date", "aria-label": "To this day" });
    const between = h("span", { class: "lab-pics-between", hidden: true }, since, h("span", { "aria-hidden": "true" }, "–"), until);
    const kinds = SHOWN.map(([kind, text]) => {
      const button = h("button", { class: "lab-pics-kind", type: "button", onclick: () => showKind(kind) }, text);
      button.dataset.kind = kind;
      return button;
    });
    const kind = h("div", { class: "lab-pics-kinds", role: "group", "aria-label": "Show" }, ...kinds);
    const jobId = h("code");
    const jobState = h("span", { class: "lab-muted" });
    const chip = h(
      "p",
      { class: "lab-pics-chip", hidden: true },
      h("span", {}, "Pictures of job "),
      jobId,
      jobState,
      h("button", { type: "button", "aria-label": "Show all pictures", title: "Show all pictures", onclick: () => leaveJob() }, "×"),
    );

    const startOfDay = (text) => (text ? new Date(`${text}T00:00`) : null);
    const dates = () => {
      if (date.value === "between") {
        const last = startOfDay(until.value);
        if (last) last.setDate(last.getDate() + 1);
        const first = startOfDay(since.value);
        return { since: first && first.toISOString(), until: last && last.toISOString() };
      }
      if (date.value === "") return {};
      const today = new Date();
      today.setHours(0, 0, 0, 0);
      today.setDate(today.getDate() - Number(date.value));
      return { since: today.toISOString() };
    };
    const filters = () => {
      if (shown === "trash") return { trash: true };
      const said = { ...dates() };
      if (search.value.trim()) said.text = search.value.trim();
      if (backend.value) said.backend = backend.value;
      if (shown === "favourites") said.favourite = true;
      if (shown === "orphans") said.owned = false;
      if (job) said.job = job;
      return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null && value !== undefined));
    };
    const isFiltered = () => Object.keys(filters()).length > 0;
    const apply = () => {
      grid.clear();
      grid.reload({ filters: filters() });
      arrange();
    };
    const showKind = (wanted) => {
      shown = wanted;
      apply();
    };
    const leaveJob = () => {
      job = "";
      if (isPage()) {
        address.delete("job");
        const left = address.toString();
        history.replaceState(null, "", location.pathname + (left ? `?${left}` : ""));
      }
      apply();
      search.focus();
    };
    const clearAll = () => {
      search.value = since.value = until.value = "";
      backend.value = date.value = "";
      shown = "all";
      leaveJob();
    };
    let typing;
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(apply, TYPING_MS);
    });
    for (const input of [backend, date, since, until]) input.addEventListener("change", () => apply());

    // ---------------------------------------------------------------- what is done with pictures

    const dashboard = { link: "Watch it on the dashboard", href: siteUrl("dashboard") };
    const back = (files) => async () => {
      const said = await carry(null, "restore", { files });
      if (!said) return;
      toast.say(`${plural(said.files.length, "picture is", "pictures are")} back.`);
      grid.reload();
    };
    const discard = async (files, button) => {
      const said = await carry(button, "trash", { files });
      if (!said) return;
      grid.clear();
      grid.reload();
      const words = said.files.length === 1 ? "Moved to the trash." : `${plural(said.files.length, "picture")} moved to the trash.`;
      if (said.files.length) toast.say(words, { button: "Undo", act: back(said.files) });
      else toast.say("The picture was gone already.");
    };
    // a mark is a file: ten thousand of them take their time
    const mark = async (files, on, button) => {
      for (let from = 0; from < files.length; from += AT_ONCE) {
        const said = await carry(button, "favourite", { files: files.slice(from, from + AT_ONCE), on });
        if (!said) return;
        for (const file of said.files) grid.change(file, { favourite: on });
        if (files.length > AT_ONCE) toast.say(`Marked ${plural(Math.min(files.length, from + AT_ONCE), "picture")} of ${NUMBERS.format(files.length)}.`);
      }
      box.look();
    };
    const submit = async (action, item, button, words) => {
      const said = await carry(button, action, { file: item.file, sure: true }); // its price stood on the button
      if (said) toast.say([`${words} Job ${said.short} is in the queue${said.seed ? ` with seed ${said.seed}` : ""}.`, ...said.notes.map(sentence)].join(" "), dashboard);
    };
    const deeds = {
      again: (item, button) => submit("again", item, button, "Same recipe, same seed."),
      vary: (item, button) => submit("vary", item, button, "Same recipe, new seed."),
      async use(item, button) {
        const said = await carry(button, "use", { file: item.file });
        if (!said || askForm("input", said.name)) return;
        const copy = async () => {
          const done = await copyText(said.name, box.isOpen ? document.querySelector("dialog[open]") : view);
          toast.say(done ? "The name is on the clipboard." : "The browser does not let this page copy.", { bad: !done });
        };
        toast.say(`Copied to the input folder as ${said.name}.`, { button: "Copy name", act: copy });
      },
      star: (item) => mark([item.file], !item.favourite),
      remove: (item) => discard([item.file], null),
      closed: () => changed(),
    };
    // a single picture by its own address, several as one zip; more than the server packs at once as several
    const fetchZip = async (files) => {
      const reply = await fetch(siteUrl("api/images/zip"), {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-XSRFToken": cookie("_xsrf") },
        body: JSON.stringify({ files }),
      });
      if (reply.ok) return reply.blob();
      const said = await reply.json().catch(() => ({}));
      throw Object.assign(new Error(said.error || `The server answered with ${reply.status}`), { remedy: said.remedy });
    };
    const download = async (button) => {
      const files = [...grid.selected];
      if (files.length === 1) {
        keep(siteUrl(`api/images/${encodeURIComponent(files[0])}?download=1`), files[0]);
        return;
      }
      const many = Math.ceil(files.length / ZIPPED);
      hold(button, true);
      try {
        for (let part = 0; part < many; part += 1) {
          say(button, many > 1 ? `Packing ${part + 1} of ${many}…` : "Packing…");
          const url = URL.createObjectURL(await fetchZip(files.slice(part * ZIPPED, (part + 1) * ZIPPED)));
          keep(url, many > 1 ? `pictures-${part + 1}.zip` : "pictures.zip");
          setTimeout(() => URL.revokeObjectURL(url), 60000);
        }
      } catch (error) {
        fail(error);
      } finally {
        hold(button, false);
        say(button, "Download");
      }
    };

    // ---------------------------------------------------------------- the bar over the grid

    const count = h("span", { class: "lab-pics-count", role: "status" });
    const chosen = () => [...grid.selected];
    const starAll = pressable("★ Favourite", () => mark(chosen(), true, starAll));
    const saveAll = pressable("Download", () => download(saveAll));
    const dropAll = pressable("Delete", () => discard(chosen(), dropAll), "lab-button lab-danger");
    const bringAll = pressable("Put back", async () => {
      await back(chosen())();
      grid.clear();
    });
    const selectAll = pressable("Select all", () => grid.all());
    const selectNone = pressable("Clear selection", () => grid.clear());
    const tools = h("div", { class: "lab-pics-tools", role: "toolbar", "aria-label": "Selected pictures" }, starAll, saveAll, bringAll, dropAll, selectAll, selectNone);
    const bar = h("div", { class: "lab-pics-bar" }, count, tools);
    const pill = h("button", { class: "lab-pics-pill", type: "button", hidden: true, onclick: () => newest() });
    const emptyText = h("p");
    const emptyMore = h("p", { class: "lab-muted" });
    const emptyDo = h("a", { class: "lab-button", href: siteUrl("dashboard") }, "Open the dashboard");
    const emptyClear = pressable("Show all pictures", clearAll);
    const empty = h("div", { class: "lab-pics-empty", hidden: true }, emptyText, emptyMore, emptyDo, emptyClear);

    const frameTop = isPage() ? document.querySelector(".frame-top") : null;
    const frameBottom = () => (frameTop ? frameTop.getBoundingClientRect().bottom : 0);
    const grid = pictureGrid({
      ask,
      stickyBottom: () => Math.max(frameBottom(), bar.getBoundingClientRect().bottom),
      act: {
        open: (index) => (shown === "trash" ? null : box.open(index)),
        star: (index) => shown !== "trash" && grid.itemAt(index) && deeds.star(grid.itemAt(index)),
        remove: (index) => {
          const files = grid.selected.size ? chosen() : grid.itemAt(index) ? [grid.itemAt(index).file] : [];
          if (files.length && shown !== "trash") discard(files, dropAll);
        },
        selection: () => arrange(),
        shown: () => {
          arrange();
          box.look();
        },
        failed: fail,
      },
    });
    const controls = h("div", { class: "lab-pics-filters", role: "search", "aria-label": "Filter the pictures" }, search, backend, date, between, kind);
    view.append(banner(model, heard), controls, chip, bar, pill, empty, grid.node);
    const box = viewer({ grid, ask, toast, deeds, home: view });
    view.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      search.focus();
    });

    const sayEmpty = () => {
      const none = grid.isKnown && grid.total === 0;
      show(empty, none);
      grid.node.classList.toggle("lab-nothing", none); // hidden it would have no width, and ask for nothing
      if (!none) return;
      let [text, more] = ["No picture matches.", "Take a filter away, or search for another word."];
      if (shown === "trash") [text, more] = ["The trash is empty.", "Deleted pictures wait here, so that they can be put back."];
      else if (job && Object.keys(filters()).length === 1) {
        const state = model.get("jobs")[job] || {};
        [text, more] = [sentence(state.text) || "Looking for this job…", state.remedy || ""];
      }
      else if (!isFiltered()) [text, more] = ["No pictures yet.", "Describe one on the dashboard; it appears here by itself when it is done. Pictures put into the output folder by hand are shown too."];
      say(emptyText, text);
      say(emptyMore, more);
      show(emptyDo, shown !== "trash" && (!isFiltered() || Boolean(job)));
      show(emptyClear, isFiltered());
    };
    const arrange = () => {
      const picked = grid.selected.size;
      const held = tools.contains(document.activeElement) ? document.activeElement : null;
      if (!grid.isKnown) say(count, count.textContent || "Looking…");
      else if (picked) say(count, `${NUMBERS.format(picked)} of ${NUMBERS.format(grid.total)} selected`);
      else say(count, shown === "trash" ? `${plural(grid.total, "picture")} in the trash` : plural(grid.total, "picture"));
      const trash = shown === "trash";
      for (const node of [starAll, saveAll, dropAll]) show(node, picked > 0 && !trash);
      show(bringAll, picked > 0 && trash);
      show(selectNone, picked > 0);
      show(selectAll, grid.total > 0 && picked < grid.total);
      for (const node of kinds) node.setAttribute("aria-pressed", String(node.dataset.kind === shown));
      show(between, date.value === "between");
      for (const node of [search, backend, date, since, until]) node.disabled = trash;
      show(chip, Boolean(job) && !trash);
      say(jobId, job.slice(0, 13));
      const state = (model.get("jobs")[job] || {}).label;
      say(jobState, state && state !== "done" ? `· ${state}` : "");
      view.classList.toggle("lab-choosing", picked > 0);
      const waiting = grid.fresh;
      say(pill, `↑ ${plural(waiting, "new picture")}`);
      show(pill, waiting > 0);
      sayEmpty();
      if (held && held.hidden) grid.focus(); // the button that was pressed has gone
    };
    const backends = () => {
      const now = backend.value;
      backend.replaceChildren(...[["", "All backends"], ...model.get("backends")].map(option));
      backend.value = now;
    };
    const trashed = () => {
      const there = model.get("trashed");
      say(kinds[3], there ? `Trash (${NUMBERS.format(there)})` : "Trash");
    };
    const newest = () => {
      grid.toTop();
      grid.reload({ latest: true });
      grid.goTo(0);
    };
    // The lab has changed. Who looks further down is told of new pictures, and keeps looking at what is there.
    const changed = () => {
      if (!isFiltered() && !grid.isKnown && model.get("head").items) grid.adopt(model.get("head"), filters());
      else grid.reload({ latest: grid.atTop() && !box.isOpen });
    };

    heard.on("change:revision", changed);
    heard.on("change:jobs", () => arrange());
    heard.on("change:backends", backends);
    heard.on("change:trashed", trashed);
    heard.on("change:notice", () => {
      const said = model.get("notice") || {};
      if (said.text) fail({ message: said.text, remedy: said.remedy });
    });
    backends();
    trashed();
    if (!isFiltered() && model.get("head").items) grid.adopt(model.get("head"), filters());
    else grid.reload({ filters: filters() });
    arrange();
    const placeBar = () => view.style.setProperty("--frame-bottom", `${frameTop ? frameTop.offsetHeight : 0}px`);
    placeBar();
    addEventListener("resize", placeBar);
    const timer = setInterval(grid.redraw, 30000); // ages
    return () => {
      clearInterval(timer);
      clearTimeout(typing);
      removeEventListener("resize", placeBar);
      box.end();
      grid.end();
      toast.end();
      heard.end();
    };
  },
};
