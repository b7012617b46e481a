// Points that links are led through. ComfyUI keeps them beside the links: a link names its last point, each point the
// one before it. Files of schema 0.4 have both in `extra`, subgraphs and schema 1.0 in the graph and the links.
import type { Draft, Path, Raw } from "./json";

export type Spot = [number, number];

const at = (graph: Raw): Path | null => (Array.isArray(graph?.reroutes) ? ["reroutes"] : Array.isArray(graph?.extra?.reroutes) ? ["extra", "reroutes"] : null);
const listOf = (graph: Raw): Raw[] => (Array.isArray(graph?.reroutes) ? graph.reroutes : Array.isArray(graph?.extra?.reroutes) ? graph.extra.reroutes : []);
const spotOf = (point: Raw): Spot => [Number(point?.pos?.[0]) || 0, Number(point?.pos?.[1]) || 0];

// Link -> the points on its way, from its origin on.
export const waysOf = (graph: Raw): Map<string, Spot[]> => {
  const ways = new Map<string, Spot[]>();
  const points = new Map<unknown, Raw>(listOf(graph).map((point) => [point?.id, point]));
  if (!points.size) return ways;
  const follow = (link: unknown, last: unknown) => {
    const seen = new Set<unknown>();
    const way: Spot[] = [];
    for (let point = points.get(last); point && !seen.has(point); point = points.get(point.parentId)) {
      seen.add(point);
      way.unshift(spotOf(point));
    }
    if (way.length) ways.set(String(link), way);
  };
  for (const each of Array.isArray(graph.extra?.linkExtensions) ? graph.extra.linkExtensions : []) follow(each?.id, each?.parentId);
  for (const each of Object.values(graph.links ?? {}) as Raw[]) if (each && !Array.isArray(each) && each.parentId != null) follow(each.id, each.parentId);
  return ways;
};

// A link is gone: it leads through nothing, and points that no link is left for go with it.
export const forgetWay = (draft: Draft, base: Path, link: Raw) => {
  const extensions: Raw = draft.get([...base, "extra", "linkExtensions"]);
  const noted = Array.isArray(extensions) ? extensions.findIndex((each) => each?.id === link) : -1;
  if (noted >= 0) draft.remove([...base, "extra", "linkExtensions", noted]);
  const place = at(draft.get(base));
  if (!place) return;
  for (let index = draft.get([...base, ...place]).length - 1; index >= 0; index--) {
    const ids: Raw = draft.get([...base, ...place, index])?.linkIds;
    const which = Array.isArray(ids) ? ids.indexOf(link) : -1;
    if (which < 0) continue;
    if (ids.length === 1) draft.remove([...base, ...place, index]);
    else draft.remove([...base, ...place, index, "linkIds", which]);
  }
};

// What stands in a box goes with it.
export const carryPoints = (draft: Draft, base: Path, [x, y, w, h]: number[], dx: number, dy: number) => {
  const place = at(draft.get(base));
  if (!place) return;
  draft.get([...base, ...place]).forEach((point: Raw, index: number) => {
    const [px, py] = spotOf(point);
    if (px >= x && px <= x + w && py >= y && py <= y + h) draft.set([...base, ...place, index, "pos"], [px + dx, py + dy]);
  });
};

// Where nodes are placed anew, links lead straight.
export const dropPoints = (draft: Draft, base: Path) => {
  const place = at(draft.get(base));
  if (!place || !draft.get([...base, ...place]).length) return;
  draft.set([...base, ...place], []);
  if (draft.get([...base, "extra", "linkExtensions"])) draft.set([...base, "extra", "linkExtensions"], []);
  const links: Raw = draft.get([...base, "links"]);
  if (Array.isArray(links)) links.forEach((link: Raw, index: number) => link && !Array.isArray(link) && link.parentId != null && draft.remove([...base, "links", index, "parentId"]));
};
