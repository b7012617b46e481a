// The model files of this machine, the user's workflows, and what no server can run.

const LISTED = 12; // files before "show all"

const stockPanel = () => {
  const bad = h("ul", { class: "lab-stock-bad" });
  const files = table("Model files", ["File", "Kind", "Family", "Size"]);
  const all = h("button", { class: "lab-button lab-quiet", type: "button" });
  const summary = h("p", { class: "lab-muted lab-diag-note" });
  const empty = h("p", { class: "lab-empty" }, "There are no model files in modelsRoot and ComfyUI's folders. `orchestrator models pull` gets some.");
  const away = h("ul", { class: "lab-stock-list" });
  const awayBox = h("div", { hidden: true }, h("h3", { class: "lab-diag-under" }, "Backends that no server can run"), away);
  const flows = h("ul", { class: "lab-stock-list" });
  const flowsBox = h("div", { hidden: true }, h("h3", { class: "lab-diag-under" }, "Your workflows"), flows);
  const node = panel("stock", "Models and workflows", bad, empty, files, all, summary, awayBox, flowsBox);
  let open = false;
  let last = null;

  const fault = (file) => {
    const remedy = h("span");
    advise(remedy, file.remedy);
    return h("li", { class: "lab-failure" }, h("strong", { class: "lab-stock-name" }, `${file.folder ? `${file.folder}/` : ""}${file.name}`), h("p", {}, sentence(file.problem)), h("p", {}, h("strong", {}, "What to do: "), remedy));
  };
  const row = (file) => {
    const name = h("span", {}, file.name);
    const notes = [...file.notes, file.seen ? "" : "no ComfyUI of this machine lists it"].filter(Boolean);
    const made = line(name, h("td", { class: "lab-number" }, file.kind || file.folder), file.family || "–", bytes(file.size));
    if (notes.length) made.firstElementChild.append(h("span", { class: "lab-muted lab-stock-notes" }, sentence(upperFirst(notes.join("; ")))));
    return made;
  };
  const upperFirst = (text) => text[0].toUpperCase() + text.slice(1);
  const draw = (said) => {
    last = said;
    const broken = said.files.filter((file) => file.problem);
    const whole = said.files.filter((file) => !file.problem);
    bad.replaceChildren(...broken.map(fault));
    show(bad, broken.length > 0);
    files.fill((open ? whole : whole.slice(0, LISTED)).map(row));
    show(files, whole.length > 0);
    show(all, whole.length > LISTED);
    say(all, open ? "Show fewer" : `Show all ${whole.length}`);
    show(empty, said.total === 0);
    show(summary, said.total > 0);
    const folders = said.folders.map(([name, number]) => `${number} in ${name}`).join(", ");
    const hidden = said.total - said.files.length;
    say(summary, `${many(said.total, "file")}: ${folders}. ${said.bad ? `${said.bad} cannot be loaded.` : "No fault was found."}${hidden > 0 ? ` ${hidden} more are not shown.` : ""}`);
    away.replaceChildren(...said.unavailable.map((each) => h("li", {}, h("strong", {}, each.title), " ", sentence(each.why))));
    show(awayBox, said.unavailable.length > 0);
    flows.replaceChildren(...said.workflows.map((each) => {
      const item = h("li", {}, h("strong", {}, each.name), " ", each.problem ? sentence(each.problem) : "can be chosen in the form.");
      item.dataset.state = each.problem ? "bad" : "ok";
      return item;
    }));
    show(flowsBox, said.workflows.length > 0);
  };
  all.onclick = () => {
    open = !open;
    draw(last);
  };
  const fill = changed(draw);
  node.update = (said) => {
    show(node, Boolean(said.files));
    if (said.files) fill(said);
  };
  advise(empty, empty.textContent);
  return node;
};

