export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "job", "Job");
    const status = badge("lab-status");
    const backend = badge();
    const time = h("span", { class: "lab-muted" });
    const id = h("code", { class: "lab-muted" });
    const prompt = h("p", { class: "lab-job-prompt" });
    const bar = progressBar();
    const preview = h("img", { class: "lab-job-preview", alt: "Preview", hidden: true });
    const failure = failureBox(model, heard);
    const pictures = h("div", { class: "lab-job-pictures" });
    const cancel = h("button", { class: "lab-button", type: "button" }, "Cancel");
    cancel.onclick = () => {
      cancel.disabled = true;
      model.send({ action: "cancel" });
    };
    view.append(
      h("header", { "aria-live": "polite" }, status, backend, time, id, cancel),
      prompt,
      banner(model, heard),
      notice(model, heard),
      bar,
      preview,
      failure,
      pictures,
    );
    const box = lightbox(model, heard, view);

    const tick = () => say(time, took(model.get("row")));
    const draw = () => {
      const row = model.get("row");
      view.dataset.status = row.status;
      say(status, row.label);
      say(backend, row.backend);
      say(id, row.short);
      say(prompt, row.prompt);
      prompt.title = row.whole;
      show(cancel, row.actions.includes("cancel"));
      failure.update(row);
      tick();
      advance();
    };
    const advance = () => {
      const row = model.get("row");
      show(bar, row.status === "running");
      bar.update(model.get("progress"), `Progress of ${row.prompt}`);
      const bytes = model.get("preview");
      if (row.status === "running" && bytes && bytes.byteLength) paint(preview, bytes);
      else if (row.status !== "running") unpaint(preview);
    };
    const fill = () => {
      const made = model.get("pictures");
      for (const img of pictures.querySelectorAll("img")) unpaint(img);
      const open = (index) => {
        const row = model.get("row");
        const items = made.map((small, at) => ({ ...row, key: `${row.id}/${at}`, index: at, small: small.byteLength ? small : null }));
        box.open(items, index);
      };
      pictures.replaceChildren(
        ...made.map((bytes, index) => {
          if (!bytes.byteLength) return h("p", { class: "lab-empty" }, "The picture is not in its folder any more.");
          const img = h("img", { alt: model.get("row").prompt });
          paint(img, bytes, "image/webp");
          return h("button", { type: "button", "aria-label": `Show picture ${index + 1} whole`, onclick: () => open(index) }, img);
        }),
      );
    };
    heard.on("change:row", draw);
    heard.on("change:progress change:preview", advance);
    heard.on("change:pictures", fill);
    heard.on("change:notice", () => {
      cancel.disabled = false;
    });
    draw();
    fill();
    const timer = setInterval(tick, 500);
    return () => {
      clearInterval(timer);
      heard.end();
    };
  },
};
