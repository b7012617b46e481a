// Places for the nodes of a level: each group by itself, then the groups and what is in none; notes beside.
import dagre from "@dagrejs/dagre";
import type { Raw } from "./json";
import type { Link } from "./graph";
import { type NodeView, TITLE } from "./view";

export interface Placed {
  nodes: Map<string, [number, number]>; // upper left corner, title counted in
  groups: Map<number, [number, number, number, number]>;
}
interface Box {
  id: string;
  w: number;
  h: number;
}

const GAP = 50;
const PAD = 20;
const HEAD = 50;

const layered = (boxes: Box[], links: [string, string][]): { places: Map<string, [number, number]>; w: number; h: number } => {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 30, ranksep: 80, marginx: 0, marginy: 0 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) graph.setNode(box.id, { width: box.w, height: box.h });
  const known = new Set(boxes.map((box) => box.id));
  for (const [from, to] of links) if (from !== to && known.has(from) && known.has(to)) graph.setEdge(from, to);
  dagre.layout(graph);
  const places = new Map<string, [number, number]>();
  let w = 0;
  let h = 0;
  for (const box of boxes) {
    const at = graph.node(box.id) as { x: number; y: number };
    places.set(box.id, [at.x - box.w / 2, at.y - box.h / 2]);
    w = Math.max(w, at.x + box.w / 2);
    h = Math.max(h, at.y + box.h / 2);
  }
  return { places, w, h };
};

const stacked = (notes: NodeView[], x: number, y: number, into: Map<string, [number, number]>): [number, number] => {
  let width = 0;
  let at = y;
  for (const note of notes) {
    into.set(note.id, [x, at]);
    at += note.h + 20;
    width = Math.max(width, note.w);
  }
  return [width, at - y];
};

export const membersOf = (group: Raw, views: NodeView[]): NodeView[] => {
  const [x, y, w, h] = group.bounding ?? [0, 0, 0, 0];
  return views.filter((view) => {
    const cx = view.x + view.w / 2;
    const cy = view.y + view.h / 2;
    return cx >= x && cx <= x + w && cy >= y && cy <= y + h;
  });
};

export const arranged = (views: NodeView[], links: Link[], groups: Raw[]): Placed => {
  const nodes = new Map<string, [number, number]>();
  const boxes = new Map<number, [number, number, number, number]>();
  const pairs = links.map((link): [string, string] => [link.from, link.to]);
  const home = new Map<string, number>();
  // of groups inside each other the smallest counts
  const order = groups.map((group, at) => ({ group, at })).sort((a, b) => area(a.group) - area(b.group));
  const members = new Map<number, NodeView[]>();
  for (const { group, at } of order) {
    const inside = membersOf(group, views).filter((view) => !home.has(view.id));
    for (const view of inside) home.set(view.id, at);
    members.set(at, inside);
  }
  const inner = new Map<number, Map<string, [number, number]>>();
  const outer: Box[] = [];
  for (const [at, inside] of members) {
    if (!inside.length) continue;
    const working = inside.filter((view) => view.kind !== "note");
    const notes = inside.filter((view) => view.kind === "note");
    const made = layered(working.map((view) => ({ id: view.id, w: view.w, h: view.h })), pairs);
    const [noteWidth, noteHeight] = stacked(notes, 0, working.length ? made.h + 20 : 0, made.places);
    inner.set(at, made.places);
    const w = Math.max(made.w, noteWidth);
    const h = notes.length ? (working.length ? made.h + 20 : 0) + noteHeight - 20 : made.h;
    outer.push({ id: `group:${at}`, w: w + PAD * 2, h: h + HEAD + PAD });
  }
  const loose = views.filter((view) => !home.has(view.id));
  for (const view of loose) if (view.kind !== "note") outer.push({ id: view.id, w: view.w, h: view.h });
  const place = (id: string) => (home.has(id) ? `group:${home.get(id)}` : id);
  const all = layered(outer, pairs.map(([from, to]): [string, string] => [place(from), place(to)]));
  for (const [id, [x, y]] of all.places) {
    if (!id.startsWith("group:")) {
      nodes.set(id, [x, y]);
      continue;
    }
    const at = Number(id.slice(6));
    const box = outer.find((each) => each.id === id)!;
    boxes.set(at, [x, y, box.w, box.h]);
    for (const [node, [dx, dy]] of inner.get(at)!) nodes.set(node, [x + PAD + dx, y + HEAD + dy]);
  }
  const notes = loose.filter((view) => view.kind === "note");
  const widest = Math.max(0, ...notes.map((view) => view.w));
  stacked(notes, -widest - GAP * 2, 0, nodes);
  return { nodes, groups: boxes };
};

const area = (group: Raw) => (group.bounding?.[2] ?? 0) * (group.bounding?.[3] ?? 0);

export const bodyTop = (view: NodeView, y: number) => (view.kind === "reroute" || view.kind === "port" ? y : y + TITLE);
