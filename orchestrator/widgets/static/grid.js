export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "grids", "Grids");
    // what comes beside an answer belongs to it
    heard.on("msg:custom", (message, buffers) => {
      if (message.kind === "answer" && message.answer) message.answer.buffers = buffers;
    });
    const ask = asker(model, heard);
    const shelf = pictureShelf(model, heard);
    const toast = notice(model, heard);
    let timer;
    const complain = (error) => {
      say(toast.firstElementChild, sentence(error.message));
      advise(toast.lastElementChild, error.remedy || "");
      toast.classList.remove("lab-good");
      show(toast, true);
      clearTimeout(timer);
      timer = setTimeout(() => show(toast, false), TOAST_MS);
    };
    const told = (asked) => (action, content) =>
      asked(action, content).catch((error) => {
        complain(error);
        throw error;
      });
    const mark = (file, on) => told(ask)("favourite", { file, on });
    const change = async (name, what, agreed = null) => {
      const said = await told(ask)("change", { name, what, agreed }).catch(() => ({}));
      if (said.confirm) again.open({ ...said.confirm, name });
    };
    const again = moneyDialog(view, { paid: (question) => change(question.name, "retry", question.amount), kept: () => {} });
    const planner = gridPlanner({ model, heard, ask, view, ran: (name) => model.send({ action: "open", name }) });
    const list = batchList({ model, heard, change });
    const sheet = batchSheet({ model, heard, ask, shelf, view, mark, complain });
    view.append(
      banner(model, heard),
      toast,
      h("div", { class: "lab-grids-columns" }, planner.node, h("div", { class: "lab-grids-results" }, sheet.node, list.node)),
    );
    heard.on("change:batches", () => {
      // what is missing may be another number now
      const over = model.get("batches").map((batch) => `${batch.name}${batch.over}`).join();
      if (view.dataset.over !== undefined && view.dataset.over !== over) planner.look();
      view.dataset.over = over;
    });
    return () => {
      clearTimeout(timer);
      again.end();
      planner.end();
      list.end();
      sheet.end();
      shelf.end();
      heard.end();
    };
  },
};
