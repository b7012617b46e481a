// The canvas of one level: React Flow draws what the document says, and what is done there becomes changes of it.
import { type Connection, type Edge, type EdgeChange, type FinalConnectionState, getViewportForBounds, MiniMap, type Node, type NodeChange, ReactFlow, type ReactFlowInstance, useReactFlow, useStore, useStoreApi } from "@xyflow/react";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { bodyTop, membersOf } from "./arrange";
import { LabEdge } from "./edge";
import { definitionOf, linksOf, nodesOf } from "./graph";
import type { Raw } from "./json";
import { FAR, LabGroup, LabNode } from "./node";
import { fits } from "./plan";
import { sideOf } from "./ports";
import { carryPoints, waysOf } from "./reroutes";
import { linkToPort, suggest } from "./actions";
import { KEYS, useSession, useState_, useUi } from "./use";
import { type NodeView, type Slot, typeColor } from "./view";

const NODE_TYPES = { lab: LabNode, group_: LabGroup };
const EDGE_TYPES = { through: LabEdge };
const ATTRIBUTES = KEYS as unknown as Record<string, string>;
const SPOT = 10;
const LEAST_ZOOM = 0.03;
const MIME = "application/x-lab-node";

const spots = (view: NodeView) => {
  const one = (slot: Slot, type: "source" | "target") => ({
    id: slot.handle,
    type,
    position: (type === "source" ? "right" : "left") as never,
    x: type === "source" ? view.w - SPOT / 2 : -SPOT / 2,
    y: slot.y - SPOT / 2,
    width: SPOT,
    height: SPOT,
  });
  return [...view.inputs.map((slot) => one(slot, "target")), ...view.widgets.flatMap((each) => (each.handle ? [one(each.handle, "target")] : [])), ...view.outputs.map((slot) => one(slot, "source"))];
};

interface Kept {
  view: NodeView;
  selected: boolean;
  x: number;
  y: number;
  node: Node;
}

const describe = (view: NodeView) => `${view.title}${view.mode === 2 ? ", muted" : view.mode === 4 ? ", bypassed" : ""}`;

const useNodes = (views: NodeView[], groups: Raw[], selected: Set<string>, drag: Map<string, { x: number; y: number }>): Node[] => {
  const kept = useRef(new Map<string, Kept>());
  const keptGroups = useRef(new Map<string, { key: string; node: Node }>());
  return useMemo(() => {
    const fresh = new Map<string, Kept>();
    const made = views.map((view) => {
      const at = drag.get(view.id) ?? view;
      const chosen = selected.has(view.id);
      const old = kept.current.get(view.id);
      if (old && old.view === view && old.selected === chosen && old.x === at.x && old.y === at.y) {
        fresh.set(view.id, old);
        return old.node;
      }
      const node: Node = {
        id: view.id,
        type: "lab",
        position: { x: at.x, y: at.y },
        data: { view },
        width: view.w,
        height: view.h,
        measured: { width: view.w, height: view.h },
        handles: spots(view),
        selected: chosen,
        deletable: false,
        ariaLabel: describe(view),
        domAttributes: ATTRIBUTES as never,
      };
      fresh.set(view.id, { view, selected: chosen, x: at.x, y: at.y, node });
      return node;
    });
    kept.current = fresh;
    const freshGroups = new Map<string, { key: string; node: Node }>();
    const boxes = groups.flatMap((group, index): Node[] => {
      const box = group?.bounding;
      if (!Array.isArray(box)) return [];
      const id = `group:${index}`;
      const at = drag.get(id) ?? { x: Number(box[0]) || 0, y: Number(box[1]) || 0 };
      const [w, h] = [Math.max(40, Number(box[2]) || 0), Math.max(40, Number(box[3]) || 0)];
      const chosen = selected.has(id);
      const title = typeof group.title === "string" ? group.title : "Group";
      const color = /^#[0-9a-f]{3,8}$/i.test(group.color ?? "") ? group.color : "#5b7fa6";
      const key = JSON.stringify([at.x, at.y, w, h, chosen, title, color]);
      const old = keptGroups.current.get(id);
      const node: Node =
        old?.key === key
          ? old.node
          : {
              id,
              type: "group_",
              position: { x: at.x, y: at.y },
              data: { title, color, w, h },
              width: w,
              height: h,
              measured: { width: w, height: h },
              handles: [],
              selected: chosen,
              deletable: false,
              connectable: false,
              dragHandle: ".bd-group-title",
              zIndex: -1000,
              style: { pointerEvents: "none" },
              ariaLabel: `Group ${title}`,
              domAttributes: ATTRIBUTES as never,
            };
      freshGroups.set(id, { key, node });
      return [node];
    });
    keptGroups.current = freshGroups;
    return [...boxes, ...made];
  }, [views, groups, selected, drag]);
};

const EMPTY_DRAG = new Map<string, { x: number; y: number }>();
const NO_GROUPS: Raw[] = [];

// What is to be shown is known before anything is drawn, so this waits for nothing that React Flow measures.
const Follow = () => {
  const session = useSession();
  const flow = useReactFlow();
  const store = useStoreApi();
  const isLaid = useStore((state) => state.width > 0 && state.height > 0);
  const fit = useState_((state) => state.fit);
  const center = useState_((state) => state.center);
  useEffect(() => {
    const { width, height } = store.getState();
    const groups: Raw[] = Array.isArray(session.level.graph.groups) ? session.level.graph.groups : NO_GROUPS;
    const boxes = [...session.nodeViews().map((view) => [view.x, view.y, view.w, view.h]), ...groups.flatMap((group) => (Array.isArray(group?.bounding) ? [group.bounding.map((side: unknown) => Number(side) || 0)] : []))];
    if (!isLaid || !boxes.length) return;
    const [x, y] = [0, 1].map((side) => Math.min(...boxes.map((box) => box[side])));
    const [right, bottom] = [0, 1].map((side) => Math.max(...boxes.map((box) => box[side] + box[side + 2])));
    void flow.setViewport(getViewportForBounds({ x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) }, width, height, LEAST_ZOOM, 1, 0.08));
  }, [fit, isLaid, flow, session, store]);
  useEffect(() => {
    if (!center) return;
    const view = session.nodeViews().find((each) => each.id === center.id);
    if (!view) return;
    void flow.setCenter(view.x + view.w / 2, view.y + view.h / 2, { zoom: Math.max(0.6, Math.min(1, flow.getZoom())) });
    const timer = setTimeout(() => session.focusSoon(center.id), 60);
    return () => clearTimeout(timer);
  }, [center, flow, session]);
  return null;
};

export const Canvas = memo(({ onFlow }: { onFlow(flow: ReactFlowInstance): void }) => {
  const session = useSession();
  const ui = useUi();
  const doc = useState_((state) => state.doc);
  const plans = useState_((state) => state.plans);
  const path = useState_((state) => state.path);
  const selected = useState_((state) => state.selected);
  const [drag, setDrag] = useState(EMPTY_DRAG);
  const flow = useRef<ReactFlowInstance | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const level = useMemo(() => session.level, [session, doc, path]);
  const views = useMemo(() => session.nodeViews(), [session, doc, path, plans]);
  const groups: Raw[] = Array.isArray(level.graph.groups) ? level.graph.groups : NO_GROUPS;
  const nodes = useNodes(views, groups, selected, drag);
  const carried = useRef<{ id: string; x: number; y: number; with: { id: string; x: number; y: number }[] } | null>(null);

  const byId = useMemo(() => new Map(views.map((view) => [view.id, view])), [views]);
  const keptEdges = useRef(new Map<string, { key: string; edge: Edge }>());
  const edges = useMemo(() => {
    const fresh = new Map<string, { key: string; edge: Edge }>();
    const ways = waysOf(level.graph);
    const made = linksOf(level.graph).flatMap((link): Edge[] => {
      const source = byId.get(link.from);
      const target = byId.get(link.to);
      if (!source || !target) return [];
      const from = source.outputs[link.fromSlot];
      const to = target.kind === "port" ? target.inputs[link.toSlot] : [...target.inputs, ...target.widgets.flatMap((each) => (each.handle ? [each.handle] : []))].find((slot) => slot.handle === `i${link.toSlot}`);
      if (!from || !to) return [];
      const id = `link:${link.id}`;
      const chosen = selected.has(id);
      const type = link.type === "*" ? from.type : link.type;
      const points = ways.get(String(link.id));
      const off = source.mode === 2 || target.mode === 2;
      const key = `${link.from} ${from.handle} ${link.to} ${to.handle} ${type} ${chosen} ${off} ${source.title} ${target.title} ${points ?? ""}`;
      const old = keptEdges.current.get(id);
      const edge: Edge =
        old?.key === key
          ? old.edge
          : {
              id,
              source: link.from,
              target: link.to,
              sourceHandle: from.handle,
              targetHandle: to.handle,
              ...(points ? { type: "through", data: { points } } : {}),
              selected: chosen,
              deletable: false,
              interactionWidth: 14,
              style: { stroke: typeColor(type), opacity: off ? 0.35 : undefined },
              ariaLabel: `Link from ${from.label} of ${source.title} to ${to.label} of ${target.title}`,
              domAttributes: ATTRIBUTES as never,
            };
      fresh.set(id, { key, edge });
      return [edge];
    });
    keptEdges.current = fresh;
    return made;
  }, [level, byId, selected]);

  const commitMoves = useCallback(
    (moves: { id: string; x: number; y: number }[]) => {
      session.edit((editor) => {
        for (const move of moves) {
          if (move.id.startsWith("group:")) {
            const at = [...editor.level.base, "groups", Number(move.id.slice(6)), "bounding"];
            const box = editor.get(at);
            const [x, y] = [Math.round(move.x), Math.round(move.y)];
            if (!Array.isArray(box) || (box[0] === x && box[1] === y)) continue;
            carryPoints(editor, editor.level.base, box, x - box[0], y - box[1]);
            editor.set(at, [x, y, box[2], box[3]]);
            continue;
          }
          const view = session.nodeViews().find((each) => each.id === move.id);
          if (view && (Math.round(view.x) !== Math.round(move.x) || Math.round(view.y) !== Math.round(move.y))) editor.move(move.id, move.x, bodyTop(view, move.y));
        }
      }, "move");
    },
    [session],
  );

  const onNodesChange = useCallback(
    (changes: NodeChange[]) => {
      let chosen: Set<string> | null = null;
      const moving = new Map<string, { x: number; y: number }>();
      const moved: { id: string; x: number; y: number }[] = [];
      for (const change of changes) {
        if (change.type === "select") {
          chosen ??= new Set(session.state.selected);
          if (change.selected) chosen.add(change.id);
          else chosen.delete(change.id);
        } else if (change.type === "position" && change.position) {
          if (change.dragging) moving.set(change.id, change.position);
          else moved.push({ id: change.id, ...change.position });
        }
      }
      if (chosen) session.select(chosen);
      if (moving.size)
        setDrag((old) => {
          const all = new Map([...old, ...moving]);
          const lead = carried.current && moving.get(carried.current.id);
          if (lead) for (const each of carried.current!.with) if (!moving.has(each.id)) all.set(each.id, { x: each.x + lead.x - carried.current!.x, y: each.y + lead.y - carried.current!.y });
          return all;
        });
      if (moved.length) {
        const lead = carried.current && moved.find((each) => each.id === carried.current!.id);
        const ids = new Set(moved.map((each) => each.id));
        if (lead) moved.push(...carried.current!.with.filter((each) => !ids.has(each.id)).map((each) => ({ id: each.id, x: each.x + lead.x - carried.current!.x, y: each.y + lead.y - carried.current!.y })));
        carried.current = null;
        commitMoves(moved);
        setDrag(EMPTY_DRAG);
      }
    },
    [session, commitMoves],
  );

  const onEdgesChange = useCallback(
    (changes: EdgeChange[]) => {
      const chosen = new Set(session.state.selected);
      let any = false;
      for (const change of changes)
        if (change.type === "select") {
          any = true;
          if (change.selected) chosen.add(change.id);
          else chosen.delete(change.id);
        }
      if (any) session.select(chosen);
    },
    [session],
  );

  const slotOf = (id: string | null, handle: string | null | undefined, side: "in" | "out"): Slot | undefined => {
    const view = id ? byId.get(id) : undefined;
    if (!view) return undefined;
    return (side === "out" ? view.outputs : [...view.inputs, ...view.widgets.flatMap((each) => (each.handle ? [each.handle] : []))]).find((slot) => slot.handle === handle);
  };
  const isValid = (connection: Connection | Edge) => {
    const from = slotOf(connection.source, connection.sourceHandle, "out");
    const to = slotOf(connection.target, connection.targetHandle, "in");
    return Boolean(from && to && connection.source !== connection.target && fits(from.type, to.type));
  };
  const connect = (connection: Connection) => {
    session.edit((editor) => {
      editor.connect(connection.source, Number(connection.sourceHandle!.slice(1)), connection.target, connection.targetHandle!);
    });
  };
  const onConnectEnd = (event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
    if (state.isValid || !state.fromNode || !state.fromHandle) return;
    const out = state.fromHandle.type === "source";
    const slot = slotOf(state.fromNode.id, state.fromHandle.id, out ? "out" : "in");
    if (!slot) return;
    const point = "changedTouches" in event ? event.changedTouches[0] : event;
    const target = (event.target as Element | null)?.closest?.(".react-flow__node");
    const over = target && byId.get(target.getAttribute("data-id") ?? "");
    if (over) {
      if (over.id === state.fromNode.id) return;
      if (state.toHandle) {
        const other = slotOf(over.id, state.toHandle.id, out ? "in" : "out");
        if (other) return session.tell(`${slot.type} does not fit ${other.label}, which takes ${other.type}.`);
      }
      const places = out ? [...over.inputs, ...over.widgets.flatMap((each) => (each.handle ? [each.handle] : []))] : over.outputs;
      const open = places.find((each) => fits(slot.type, each.type) && !each.linked);
      if (!open && over.kind === "port" && sideOf(over.id) === (out ? "outputs" : "inputs")) return linkToPort(session, { node: state.fromNode.id, slot, out });
      const free = open ?? places.find((each) => fits(slot.type, each.type));
      if (!free) return session.tell(`Nothing of ${over.title} ${out ? "takes" : "gives"} ${slot.type}.`);
      session.edit((editor) => {
        if (out) editor.connect(state.fromNode!.id, Number(slot.handle.slice(1)), over.id, free.handle);
        else editor.connect(over.id, Number(free.handle.slice(1)), state.fromNode!.id, slot.handle);
      });
      return;
    }
    const at = flow.current!.screenToFlowPosition({ x: point.clientX, y: point.clientY });
    suggest(session, ui, { node: state.fromNode.id, slot, out }, [at.x, at.y]);
  };

  return (
    <ReactFlow
      key={path.join("/")}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      edgeTypes={EDGE_TYPES}
      onNodesChange={onNodesChange}
      onEdgesChange={onEdgesChange}
      onConnect={connect}
      onConnectEnd={onConnectEnd}
      isValidConnection={isValid}
      onNodeDragStart={(_, node) => {
        if (!node.id.startsWith("group:")) return;
        const group = groups[Number(node.id.slice(6))];
        carried.current = { id: node.id, x: node.position.x, y: node.position.y, with: membersOf(group, views).map((view) => ({ id: view.id, x: view.x, y: view.y })) };
      }}
      onNodeDoubleClick={(event, node) => {
        if ((event.target as Element).closest("input, textarea, button")) return;
        if (definitionOf(doc, byId.get(node.id)?.raw.type)) session.enter(node.id);
        else ui.rename(node.id);
      }}
      onPaneClick={() => session.focusCanvas()}
      onInit={(made) => {
        flow.current = made as unknown as ReactFlowInstance;
        onFlow(flow.current);
      }}
      onDragOver={(event) => {
        if (event.dataTransfer.types.includes(MIME)) {
          event.preventDefault();
          event.dataTransfer.dropEffect = "copy";
        }
      }}
      onDrop={(event) => {
        const type = event.dataTransfer.getData(MIME);
        if (!type) return;
        event.preventDefault();
        const at = flow.current!.screenToFlowPosition({ x: event.clientX, y: event.clientY });
        let id = "";
        session.edit((editor) => {
          id = editor.addNode(type, [at.x - 40, at.y + 15]);
        });
        session.select([id]);
        setTimeout(() => session.focusSoon(id), 60);
      }}
      onMoveStart={(_, { zoom }) => zoom >= FAR && frame.current?.classList.add("bd-moving")}
      onMoveEnd={() => frame.current?.classList.remove("bd-moving")}
      ref={frame}
      minZoom={LEAST_ZOOM}
      maxZoom={2.5}
      onlyRenderVisibleElements
      deleteKeyCode={null}
      selectNodesOnDrag={false}
      elevateNodesOnSelect={false}
      elevateEdgesOnSelect
      nodeDragThreshold={2}
      connectionRadius={24}
      zoomOnDoubleClick={false}
      disableKeyboardA11y={false}
      autoPanOnNodeFocus
      proOptions={{ hideAttribution: false }}
      aria-label={level.isRoot ? "Workflow" : `Subgraph ${level.names.join(", ")}`}
    >
      {nodesOf(level.graph).length > 1 ? <MiniMap pannable zoomable ariaLabel="Overview" nodeClassName={(node) => (node.type === "group_" ? "bd-mini-group" : "bd-mini")} nodeStrokeWidth={0} /> : null}
      <Follow />
    </ReactFlow>
  );
});
