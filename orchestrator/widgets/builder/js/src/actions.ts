// What can be done with nodes besides dragging: adding, linking, finding; by dialogs that work without a mouse.
import { arranged, bodyTop } from "./arrange";
import { definitions, INPUTS, linksOf, OUTPUTS } from "./graph";
import type { Raw } from "./json";
import { type Entry, fits, isWidget, type Plans, socketType } from "./plan";
import { addPort, removePort, renamePort, sideOf } from "./ports";
import { dropPoints } from "./reroutes";
import type { Session } from "./session";
import type { Item, Ui } from "./use";
import type { NodeView, Slot } from "./view";

export const EXTRAS: [string, string][] = [
  ["Note", "Note"],
  ["MarkdownNote", "Note (Markdown)"],
  ["Reroute", "Reroute"],
  ["PrimitiveNode", "Primitive"],
];

export interface PaletteItem extends Item {
  category: string;
}

const cache = new WeakMap<Plans, PaletteItem[]>();
export const palette = (plans: Plans, doc?: Raw): PaletteItem[] => {
  let made = cache.get(plans);
  if (!made) {
    made = [
      ...Object.entries(plans).map(([type, plan]): PaletteItem => ({ key: type, label: plan.title, hint: plan.category || "other", find: `${type} ${(plan.aliases ?? []).join(" ")}`, category: plan.category || "other" })),
      ...EXTRAS.map(([key, label]): PaletteItem => ({ key, label, hint: "editor", find: key, category: "editor" })),
    ];
    made.sort((a, b) => a.category.localeCompare(b.category) || a.label.localeCompare(b.label));
    cache.set(plans, made);
  }
  const own = doc ? definitions(doc).map((each): PaletteItem => ({ key: String(each.id), label: String(each.name || "Subgraph"), hint: "subgraphs of this workflow", category: "subgraphs of this workflow" })) : [];
  return own.length ? [...own, ...made] : made;
};

// A free place for a new node: right of what is selected, else in the middle of what is seen.
export const freePlace = (session: Session, middle: [number, number]): [number, number] => {
  const views = session.nodeViews();
  const chosen = views.filter((view) => session.state.selected.has(view.id));
  let [x, y] = chosen.length ? [Math.max(...chosen.map((view) => view.x + view.w)) + 60, Math.min(...chosen.map((view) => view.y))] : [middle[0] - 130, middle[1] - 60];
  for (let tries = 0; tries < 200; tries++) {
    const hit = views.find((view) => x < view.x + view.w + 10 && x + 280 > view.x - 10 && y < view.y + view.h + 10 && y + 160 > view.y - 10);
    if (!hit) break;
    y = hit.y + hit.h + 40;
  }
  return [x, y + 30];
};

export const addNode = (session: Session, type: string, middle: [number, number]): string => {
  let id = "";
  session.edit((editor) => {
    id = editor.addNode(type, freePlace(session, middle));
  });
  session.show([...session.state.path, id]);
  return id;
};

export const askNode = (session: Session, ui: Ui, middle: [number, number]) =>
  ui.ask({ title: "Add a node", placeholder: "Name, alias or category", items: palette(session.state.plans, session.state.doc), pick: (type) => addNode(session, type, middle) });

interface End {
  node: string;
  slot: Slot;
  out: boolean;
}

const inputsOf = (view: NodeView): Slot[] => [...view.inputs, ...view.widgets.flatMap((each) => (each.handle ? [each.handle] : []))];

const link = (session: Session, end: End, other: string, slot: Slot) =>
  session.edit((editor) => {
    if (end.out) editor.connect(end.node, Number(end.slot.handle.slice(1)), other, slot.handle);
    else editor.connect(other, Number(slot.handle.slice(1)), end.node, end.slot.handle);
  });

const takes = (list: Entry[], type: string): boolean => list.some((entry) => fits(type, socketType(entry)) && socketType(entry) !== "*" && (!isWidget(entry) || entry.sent !== false));

// New nodes for the other end of a link; each is added and linked at once.
export const suggest = (session: Session, ui: Ui, end: End, at: [number, number]) => {
  const { plans } = session.state;
  const type = end.slot.type;
  const fitting = palette(plans).filter(({ key }) => {
    const plan = plans[key];
    if (!plan) return key === "Reroute" || (key === "PrimitiveNode" && !end.out && ["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"].includes(type));
    return end.out ? takes(plan.inputs, type) : plan.outputs.some((each) => fits(each, type) && each !== "*");
  });
  const sockets = fitting.filter(({ key }) => !plans[key] || !end.out || plans[key].inputs.some((entry) => !isWidget(entry) && entry.type === type));
  const first = new Set(sockets.map((item) => item.key));
  ui.ask({
    title: end.out ? `Add a node that takes ${type}` : `Add a node that gives ${type}`,
    items: [...sockets, ...fitting.filter((item) => !first.has(item.key))],
    pick: (key) => {
      let id = "";
      session.edit((editor) => {
        id = editor.addNode(key, [end.out ? at[0] : at[0] - 280, at[1]]);
        const node = editor.node(id)!.node;
        const list: Raw[] = end.out ? node.inputs : node.outputs;
        const slot = list.findIndex((each) => each.type === type);
        const found = slot >= 0 ? slot : list.findIndex((each) => fits(each.type ?? "*", type));
        if (found < 0) return;
        if (end.out) editor.connect(end.node, Number(end.slot.handle.slice(1)), id, `i${found}`);
        else editor.connect(id, found, end.node, end.slot.handle);
      });
      session.select([id]);
      setTimeout(() => session.focusSoon(id), 60);
    },
  });
};

// A new socket of the subgraph for an end of a link, linked at once.
export const linkToPort = (session: Session, end: End) =>
  session.edit((editor) => {
    const slot = addPort(editor, end.out ? "outputs" : "inputs", end.slot.name, end.slot.type);
    if (end.out) editor.connect(end.node, Number(end.slot.handle.slice(1)), OUTPUTS, `i${slot}`);
    else editor.connect(INPUTS, slot, end.node, end.slot.handle);
  });

// What can be done with the sockets of the subgraph that is shown.
export const askSockets = (session: Session, ask: Ui["ask"], port: string, write: (title: string, value: string, done: (text: string) => void) => void) => {
  const side = sideOf(port);
  const sockets: Raw[] = side ? (session.level.graph[side] ?? []) : [];
  if (!side || !sockets.length) return session.tell("The subgraph has no such sockets yet.", "Drop a link here to make one.");
  const what = side === "inputs" ? "input" : "output";
  const nameOf = (slot: number) => String(sockets[slot].label || sockets[slot].name);
  ask({
    title: `Sockets of the subgraph's ${side}`,
    items: sockets.flatMap((socket, at) => [
      { key: `rename ${at}`, label: `Rename ${nameOf(at)}`, hint: String(socket.type) },
      { key: `remove ${at}`, label: `Remove ${nameOf(at)}`, hint: socket.linkIds?.length ? "linked" : "" },
    ]),
    pick: (key) => {
      const slot = Number(key.split(" ")[1]);
      if (key.startsWith("remove")) return session.edit((editor) => removePort(editor, side, slot));
      write(`Name of the ${what}`, nameOf(slot), (text) => session.edit((editor) => renamePort(editor, side, slot, text)));
    },
  });
};

// Linking without a mouse: first the socket of the selected node, then what it is linked to.
export const askLink = (session: Session, ui: Ui) => {
  const views = session.nodeViews();
  const view = views.find((each) => session.state.selected.has(each.id));
  if (!view) return session.tell("Select a node first.", "Then L links one of its outputs or inputs.");
  const ends: End[] = [...view.outputs.map((slot) => ({ node: view.id, slot, out: true })), ...inputsOf(view).map((slot) => ({ node: view.id, slot, out: false }))];
  const choose = (end: End) => {
    const others = views
      .filter((each) => each.id !== view.id)
      .flatMap((each) => (end.out ? inputsOf(each) : each.outputs).map((slot) => ({ view: each, slot })))
      .filter(({ slot }) => fits(end.slot.type, slot.type))
      // exact types first, free sockets first, those of widgets last
      .sort((a, b) => rank(a.slot, a.view, end) - rank(b.slot, b.view, end));
    ui.ask({
      title: `${end.out ? "Link" : "Fill"} ${end.slot.label} (${end.slot.type}) ${end.out ? "to" : "from"}`,
      items: [
        ...others.map(({ view: each, slot }, at) => ({ key: String(at), label: `${each.title} · ${slot.label}`, hint: slot.linked && end.out ? "linked: is replaced" : `#${each.id}`, find: String(each.raw.type) })),
        { key: "new", label: "Add a new node for it", hint: "" },
        ...(session.level.isRoot ? [] : [{ key: "port", label: `Make it an ${end.out ? "output" : "input"} of the subgraph`, hint: "a new socket" }]),
      ],
      pick: (key) => {
        if (key === "port") {
          linkToPort(session, end);
          return session.focusNode(view.id);
        }
        if (key === "new") return suggest(session, ui, end, end.out ? [view.x + view.w + 80, view.y + 30] : [view.x - 60, view.y + 30]);
        link(session, end, others[Number(key)].view.id, others[Number(key)].slot);
        session.focusNode(view.id);
      },
    });
  };
  if (ends.length === 1) return choose(ends[0]);
  ui.ask({ title: `Link from ${view.title}`, items: ends.map((end, at) => ({ key: String(at), label: end.slot.label || end.slot.type, hint: `${end.out ? "output" : "input"} ${end.slot.type}` })), pick: (key) => choose(ends[Number(key)]) });
};

const rank = (slot: Slot, view: NodeView, end: End) => (slot.type === end.slot.type ? 0 : 4) + (slot.linked && end.out ? 2 : 0) + (view.widgets.some((each) => each.handle === slot) ? 1 : 0);

export const askFind = (session: Session, ui: Ui) => {
  const items = session.nodeViews().map((view) => ({ key: view.id, label: view.title, hint: `#${view.id}`, find: String(view.raw?.type ?? "") }));
  ui.ask({ title: "Go to a node", items, pick: (id) => session.show([...session.state.path, id]) });
};

export const layOut = (session: Session) => {
  const views = session.nodeViews();
  const groups: Raw[] = Array.isArray(session.level.graph.groups) ? session.level.graph.groups : [];
  const placed = arranged(views, linksOf(session.level.graph), groups);
  session.edit((editor) => {
    for (const view of views) {
      const at = placed.nodes.get(view.id);
      if (at) editor.move(view.id, at[0], bodyTop(view, at[1]));
    }
    dropPoints(editor, editor.level.base);
    for (const [index, box] of placed.groups) editor.set([...editor.level.base, "groups", index, "bounding"], box.map(Math.round));
  });
  session.showAll();
};

export const groupSelected = (session: Session, title: string) => {
  const views = session.nodeViews().filter((view) => session.state.selected.has(view.id));
  if (!views.length) return session.tell("Select the nodes of the group first.");
  const x = Math.min(...views.map((view) => view.x)) - 20;
  const y = Math.min(...views.map((view) => view.y)) - 50;
  const w = Math.max(...views.map((view) => view.x + view.w)) + 20 - x;
  const h = Math.max(...views.map((view) => view.y + view.h)) + 20 - y;
  session.edit((editor) => editor.addGroup([x, y, w, h], title));
};

export const nodesSelected = (session: Session): Set<string> => new Set([...session.state.selected].filter((id) => !id.includes(":") && id !== INPUTS && id !== OUTPUTS));
