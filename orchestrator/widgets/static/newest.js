export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "newest", "Newest pictures");
    const grid = h("ul", { class: "lab-grid" });
    const empty = h("p", { class: "lab-empty" }, "Finished pictures appear here.");
    const canvas = h("a", { class: "lab-more", hidden: true }, "All pictures");
    view.append(h("header", {}, h("h2", {}, "Newest pictures"), canvas), banner(model, heard), empty, grid);
    if (pageUrl("canvas")) {
      canvas.href = pageUrl("canvas");
      show(canvas, true);
    }
    const box = lightbox(model, heard, view);
    const tiles = new Map(); // key -> <li>

    const tile = (item) => {
      const img = h("img", { alt: "", decoding: "async" });
      paint(img, model.get("thumbnails")[item.key], "image/webp");
      const open = () => {
        const items = model.get("items");
        const small = model.get("thumbnails");
        box.open(items.map((each) => ({ ...each, small: small[each.key] })), items.findIndex((each) => each.key === item.key));
      };
      const button = h("button", { type: "button", title: item.prompt, "aria-label": `Show picture: ${item.prompt}`, onclick: open }, img, item.moves ? h("span", { class: "lab-row-moves", "aria-hidden": "true" }, icon("M8 5l11 7-11 7z")) : null);
      return h("li", {}, button);
    };
    const draw = () => {
      const items = model.get("items").filter((item) => model.get("thumbnails")[item.key]);
      const keys = new Set(items.map((item) => item.key));
      for (const [key, node] of tiles) {
        if (keys.has(key)) continue;
        unpaint(node.querySelector("img"));
        node.remove();
        tiles.delete(key);
      }
      items.forEach((item, index) => {
        if (!tiles.has(item.key)) tiles.set(item.key, tile(item));
        const node = tiles.get(item.key);
        if (grid.children[index] !== node) grid.insertBefore(node, grid.children[index] || null);
      });
      show(empty, model.get("ready") && items.length === 0);
    };
    heard.on("change:items change:ready", draw);
    draw();
    return () => {
      heard.end();
      for (const node of tiles.values()) unpaint(node.querySelector("img"));
    };
  },
};
