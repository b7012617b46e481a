// What anywidget calls: one editor per view of the widget.
import { createRoot } from "react-dom/client";
import { App, MODIFIERS } from "./app";
import { type Model, Session } from "./session";
import "@xyflow/react/dist/base.css";
import "./style.css";
import { SessionContext } from "./use";

export default {
  render({ model, el }: { model: Model; el: HTMLElement }) {
    const section = document.createElement("section");
    section.className = "lab-view lab-builder";
    section.setAttribute("aria-label", "Builder");
    section.setAttribute("data-lm-suppress-shortcuts", "true");
    const inner = document.createElement("div");
    section.append(inner);
    el.append(section);
    // nothing that is typed here is for the notebook; React, inside, has heard it by then
    const keep = (event: Event) => MODIFIERS.includes((event as KeyboardEvent).key) || event.stopPropagation();
    const events = ["keydown", "keypress", "paste", "copy", "cut", "contextmenu"];
    for (const event of events) section.addEventListener(event, keep);
    const session = new Session(model);
    const root = createRoot(inner);
    root.render(
      <SessionContext.Provider value={session}>
        <App section={section} />
      </SessionContext.Provider>,
    );
    return () => {
      root.unmount();
      session.end();
    };
  },
};
