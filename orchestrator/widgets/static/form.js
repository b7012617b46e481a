const REST_MS = 700; // a double click is one click: the second must not pay again
const PATIENCE_MS = 30000; // a translation takes its time

export default {
  initialize({ model }) {
    // a page may be opened with a job to make again; the kernel cannot see the address
    const asked = new URLSearchParams(location.search);
    if (["again", "vary", "input"].some((word) => asked.has(word))) model.send({ action: "opened", query: location.search.slice(1) });
  },
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "form", "New picture");
    const form = h("form", { noValidate: true, autocomplete: "off" });
    const mine = `lab-form-${(forms += 1)}`;
    const lists = nameLists(mine, model);
    let choices = new Map();
    let controls = new Map(); // a parameter's name -> its control
    let pending = null; // the click that has no outcome yet
    let asking = null; // what was asked for, while its cost is being confirmed
    let total = null; // what the button would cost, once the kernel has said it
    let touched = false; // whether a person has typed or chosen something
    let sent = 0;
    let timer;

    const block = (label, input, more = "") => {
      input.id = `${mine}-${input.name}`;
      return h("div", { class: `lab-field ${more}` }, h("label", { for: input.id }, label), input);
    };
    const prompt = h("textarea", { name: "prompt", rows: 3, required: true, placeholder: "What should the picture show?" });
    const backend = h("select", { name: "backend" });
    const reasons = h("ul", { class: "lab-reasons" });
    const count_away = h("summary");
    const away = h("details", { class: "lab-away", hidden: true }, count_away, reasons);
    const note = h("p", { class: "lab-note", role: "status", hidden: true });
    const styles = h("div");
    const texts = h("div", { class: "lab-texts" });
    const beside = h("div", { class: "lab-beside" }); // what says something only with a picture
    const fields = h("div", { class: "lab-fields" });
    const moreCount = h("span", { class: "lab-badge lab-more-count" });
    const moreFields = h("div", { class: "lab-fields" });
    const more = h("details", { class: "lab-folded" }, h("summary", {}, "More", moreCount), moreFields);
    const limit = model.get("most");
    const count = h("input", { type: "number", name: "count", inputMode: "numeric", min: 1, max: limit, step: 1, value: "1", title: `As many jobs, each with a seed of its own; at most ${limit}` });
    const hold = h("input", { type: "checkbox", name: "hold" });
    const button = h("button", { class: "lab-button lab-primary", type: "submit", title: "Ctrl+Enter" });
    const outcome = h("div", { class: "lab-outcome", role: "status", "aria-live": "polite" });
    const foot = h("div", { class: "lab-foot" }, button, outcome);
    const words = wordsPreview(model, heard);
    const cost = costLine(model, heard, (said) => {
      total = said;
      label();
    });
    // `wrong`: the names of the fields that are to be corrected; the first of them has the focus then
    const complain = (text, remedy, wrong = []) => {
      outcome.className = "lab-outcome lab-bad";
      const what = h("span");
      advise(what, remedy || "");
      outcome.replaceChildren(h("strong", {}, sentence(text)), " ", what);
      const inputs = [...form.elements].filter((input) => wrong.includes(input.name));
      for (const input of inputs) input.setAttribute("aria-invalid", "true");
      if (!inputs.length) return;
      form.style.setProperty("--foot", `${foot.offsetHeight}px`); // what has the focus is not under the words
      const folded = inputs[0].closest("details");
      if (folded) folded.open = true;
      inputs[0].focus();
      inputs[0].scrollIntoView({ block: "nearest" }); // to focus what has the focus moves nothing
    };
    const forgive = (inputs) => {
      for (const input of inputs) input.removeAttribute("aria-invalid");
    };
    const pictures = pictureSlots({ mine, model, heard, told: () => changed(), failed: complain });
    form.append(
      block("Prompt", prompt, "lab-field-wide"),
      styles,
      words.node,
      texts,
      h("div", { class: "lab-backend" }, block("Backend", backend), cost.node, away),
      note,
      pictures.node,
      beside,
      fields,
      more,
      h("div", { class: "lab-last" }, block("How many", count), h("label", { class: "lab-check" }, hold, " Hold as a draft")),
      cost.warning,
      foot,
      lists.node,
    );
    view.append(h("h2", {}, "New picture"), notice(model, heard), form);

    // ---- the backends, in their groups

    const isAway = (name) => Boolean(model.get("unavailable")[name]);
    const offerBackends = () => {
      choices = new Map(model.get("backends").map((each) => [each.name, each]));
      const chosen = backend.value;
      const groups = new Map();
      for (const each of choices.values()) {
        const facts = [each.title, each.size, each.each].filter(Boolean).join(" · ");
        const option = h("option", { value: each.name, disabled: isAway(each.name) }, isAway(each.name) ? `${each.title} · not available` : facts);
        if (!groups.has(each.group)) groups.set(each.group, h("optgroup", { label: each.group }));
        groups.get(each.group).append(option);
      }
      backend.replaceChildren(...groups.values());
      if (choices.has(chosen)) backend.value = chosen;
      const gone = Object.entries(model.get("unavailable"));
      say(count_away, `${gone.length} ${gone.length === 1 ? "backend is" : "backends are"} not available`);
      reasons.replaceChildren(...gone.map(([name, why]) => h("li", {}, h("strong", {}, (choices.get(name) || { title: name }).title), " ", h("span", {}, sentence(why)))));
      show(away, gone.length > 0);
    };
    const chosen = () => choices.get(backend.value) || [...choices.values()][0];
    const tellNote = () => {
      const why = model.get("unavailable")[backend.value];
      say(note, why ? `${chosen().title} cannot run now. ${sentence(why)}` : chosen().note);
      show(note, Boolean(why || chosen().note));
    };

    // ---- what is typed

    const many = () => {
      const number = Number(count.value);
      return Number.isInteger(number) && number >= 1 && number <= limit ? number : 1;
    };
    const label = () => {
      const { paid, each } = chosen();
      const number = many();
      const verb = hold.checked ? (number > 1 ? `Save ${number} drafts` : "Save draft") : number > 1 ? `Generate ${number}` : "Generate";
      const price = paid && !hold.checked ? ` · ${total || (number > 1 ? `${number} × ${each}` : each)}` : "";
      say(button, pending === null ? `${verb}${isAway(backend.value) && !hold.checked ? " anyway" : ""}${price}` : "Sending…");
      if (pending === null) button.removeAttribute("aria-disabled");
      else button.setAttribute("aria-disabled", "true"); // `disabled` would take the focus away
      button.classList.toggle("lab-paid", Boolean(price));
    };
    const said = (name) => {
      const control = controls.get(name);
      return control ? control.get() : "";
    };
    // a field that says something only with another one
    const isAsked = (spec) => {
      const other = spec.with && controls.get(spec.with);
      return !spec.with || Boolean(other && said(spec.with) && said(spec.with) !== other.spec.value);
    };
    const params = () => Object.fromEntries([...controls.values()].filter(({ spec }) => isAsked(spec)).map((control) => [control.name, control.get()]));
    const values = () => ({ prompt: prompt.value, backend: backend.value, hold: hold.checked, count: count.value, params: params() });
    const unfold = () => {
      pictures.unfold(isAsked);
      let set = 0;
      for (const control of controls.values()) {
        const { spec } = control;
        if (spec.kind !== "image") show(control.node, isAsked(spec));
        if (spec.more && isAsked(spec) && control.get() !== spec.value) set += 1;
      }
      say(moreCount, set ? `${set} set` : "");
      show(beside, [...beside.children].some((node) => !node.hidden));
    };
    const look = () => {
      const typed = values();
      words.look(typed);
      cost.look(chosen(), { ...typed, count: many() });
    };
    const remember = () => {
      model.set("values", values());
      model.save_changes();
    };
    const changed = () => {
      touched = true;
      unfold();
      remember();
      look();
      label();
    };
    const places = { styles, negative_prompt: texts };
    const arrange = (typed) => {
      const { fields: specs, max_seed: maxSeed } = chosen();
      const slots = pictures.arrange(specs.filter((spec) => spec.kind === "image"));
      const made = new Map(slots.map((slot) => [slot.name, slot]));
      controls = new Map(specs.map((spec) => [spec.name, made.get(spec.name) || CONTROLS[spec.kind]({ mine, spec, model, lists, maxSeed, told: changed })]));
      for (const node of [styles, texts, beside, fields, moreFields]) node.replaceChildren();
      for (const control of controls.values()) {
        const { spec } = control;
        control.set(typed[spec.name] ?? spec.value);
        if (spec.kind === "image") continue;
        (places[spec.name] || (spec.more ? moreFields : spec.with === "image" ? beside : fields)).append(control.node);
      }
      show(more, moreFields.children.length > 0);
      unfold();
      tellNote();
      label();
    };
    const load = () => {
      const typed = model.get("values");
      if (controls.size && JSON.stringify(typed) === JSON.stringify(values())) return; // our own words came back
      prompt.value = typed.prompt || "";
      if (choices.has(typed.backend)) backend.value = typed.backend;
      hold.checked = Boolean(typed.hold);
      count.value = typed.count || "1";
      arrange(typed.params || {});
      look();
    };
    // who has not begun yet is not left with a backend that cannot run
    const turnFromAway = () => {
      if (touched || prompt.value || !isAway(backend.value)) return;
      const free = [...choices.values()].find((each) => !each.paid && !isAway(each.name));
      if (free) backend.value = free.name;
    };
    // the names of what the servers have come later than the page, and may change
    const offered = () => {
      const before = backend.value;
      const shown = JSON.stringify(chosen());
      const typed = params();
      offerBackends();
      turnFromAway();
      if (backend.value !== before || JSON.stringify(chosen()) !== shown) arrange(backend.value === before ? typed : {});
      tellNote();
      label();
    };

    // ---- asking

    const free = () => {
      pending = null;
      label();
    };
    const ask = (request) => {
      pending = Math.floor(Math.random() * 2 ** 40);
      sent = Date.now();
      asking = request;
      outcome.className = "lab-outcome";
      outcome.replaceChildren();
      label();
      model.send({ action: "generate", number: pending, ...request });
      timer = setTimeout(() => {
        free();
        complain("No answer from the lab yet.", "Look at the queue before pressing the button again.");
      }, PATIENCE_MS);
    };
    const dialog = moneyDialog(view, {
      paid: (question) => ask({ ...asking, agreed: question.amount }),
      kept: () => {
        outcome.className = "lab-outcome";
        outcome.replaceChildren("Nothing was sent.");
      },
    });
    const submit = () => {
      if (pending !== null) return;
      forgive(form.elements);
      if (!prompt.value.trim()) {
        complain("The prompt is empty.", "Say what the picture should show.", ["prompt"]);
        return;
      }
      remember();
      ask(values());
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        event.stopPropagation();
        if (!event.repeat) submit();
      } else if (event.target.closest(".lab-lora, .lab-folded")) event.preventDefault(); // a name is chosen with it
    });
    const mineToTake = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files") && pictures.takes();
    for (const kind of ["dragenter", "dragover"]) {
      view.addEventListener(kind, (event) => {
        if (!mineToTake(event)) return;
        event.preventDefault();
        view.classList.add("lab-dropping");
      });
    }
    view.addEventListener("dragleave", (event) => {
      if (!view.contains(event.relatedTarget)) view.classList.remove("lab-dropping");
    });
    view.addEventListener("drop", (event) => {
      if (!mineToTake(event)) return;
      event.preventDefault();
      view.classList.remove("lab-dropping");
      const picture = pictureOf(event.dataTransfer);
      const slot = pictures.at(event.target);
      if (picture && slot) slot.upload(picture);
      else if (picture) pictures.drop(picture);
    });
    form.addEventListener("paste", (event) => {
      const picture = pictureOf(event.clipboardData);
      if (!picture || !picture.type.startsWith("image/") || !pictures.takes()) return;
      event.preventDefault();
      pictures.drop(picture);
    });
    form.addEventListener("input", (event) => {
      touched = true;
      if (event.target.type === "file") return;
      forgive([event.target]);
      unfold();
      look();
      label();
    });
    form.addEventListener("change", (event) => {
      if (event.target === backend || event.target.type === "file") return;
      changed();
    });
    backend.addEventListener("change", () => {
      // sizes and steps are the new backend's own; what the picture shows stays
      const kept = params();
      const same = chosen().fields.filter((spec) => ["negative_prompt", "seed", "styles", "image"].includes(spec.name));
      total = null;
      arrange(Object.fromEntries(same.filter((spec) => kept[spec.name]).map((spec) => [spec.name, kept[spec.name]])));
      changed();
    });

    // another part of the page asks for a job to be made again, or a picture to begin with
    const onAsk = (event) => {
      event.preventDefault();
      model.send({ action: "opened", query: event.detail });
      view.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "start" });
      prompt.focus({ preventScroll: true });
    };
    document.addEventListener(FORM_EVENT, onAsk);

    heard.on("change:values", load);
    heard.on("change:offers", lists.refresh);
    heard.on("change:backends change:unavailable", offered);
    heard.on("change:styles", () => controls.has("styles") && controls.get("styles").refresh());
    heard.on("change:inputs", pictures.draw);
    heard.on("change:outcome", () => {
      const told = model.get("outcome");
      if (told.number !== pending) return;
      clearTimeout(timer);
      timer = setTimeout(free, told.ok ? REST_MS - (Date.now() - sent) : 0);
      if (told.confirm) {
        clearTimeout(timer);
        free();
        dialog.open(told.confirm);
      } else if (told.ok) {
        outcome.className = "lab-outcome lab-ok";
        outcome.replaceChildren(told.id && h("code", {}, told.id), ` ${told.text}.`);
      } else complain(told.text, told.remedy, told.wrong);
      cost.again();
    });
    offerBackends();
    load();
    turnFromAway();
    if (backend.value !== model.get("values").backend) arrange({});
    look();
    return () => {
      clearTimeout(timer);
      document.removeEventListener(FORM_EVENT, onAsk);
      words.end();
      cost.end();
      pictures.end();
      dialog.end();
      heard.end();
    };
  },
};
