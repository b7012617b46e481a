export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "compare", "Comparison");
    const ask = asker(model, heard);
    const shelf = pictureShelf(model, heard);
    const toast = notice(model, heard);
    const isMarked = (file) => model.get("favourites").includes(file);
    const mark = (file, on) =>
      ask("favourite", { file, on }).catch((error) => {
        say(toast.firstElementChild, sentence(error.message));
        advise(toast.lastElementChild, error.remedy || "");
        show(toast, true);
        throw error;
      });
    const made = comparison({ shelf, mark, isMarked });
    view.append(h("header", {}, h("h2", {}, "Compare")), banner(model, heard), toast, made.node);
    const draw = () => made.set(model.get("items"));
    heard.on("change:items", draw);
    heard.on("change:favourites", made.stars);
    draw();
    return () => {
      made.end();
      shelf.end();
      heard.end();
    };
  },
};
