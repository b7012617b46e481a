// A node on the canvas. Its handles stand where `view.ts` says, so that links can be drawn without measuring anything.
import { Handle, type NodeProps, Position, useStore } from "@xyflow/react";
import { memo } from "react";
import { shown } from "./json";
import { isWidget } from "./plan";
import { KEYS, useMark, useSession, useState_ } from "./use";
import { type NodeView, type Slot, typeColor } from "./view";
import { Field } from "./widgets";

export const FAR = 0.4; // below this zoom nothing can be read or edited: nodes are sketched
const FAINT = 0.2; // and below this one, or where there are many, only boxes and titles are drawn
const MANY = 60;

const Dot = ({ slot, side, owner }: { slot: Slot; side: "in" | "out"; owner: string }) => (
  <Handle
    id={slot.handle}
    type={side === "in" ? "target" : "source"}
    position={side === "in" ? Position.Left : Position.Right}
    style={{ top: slot.y, background: slot.linked || side === "out" ? typeColor(slot.type) : undefined, borderColor: typeColor(slot.type) }}
    aria-label={`${side === "in" ? "Input" : "Output"} ${slot.label} of ${owner}, ${slot.type}`}
    title={`${slot.label}: ${slot.type}`}
    data-shape={slot.optional ? "optional" : undefined}
  />
);

const MODES: Record<number, string> = { 2: "muted", 4: "bypassed" };

const Picture = () => {
  const picture = useState_((state) => state.picture);
  return picture ? <img className="bd-shown" src={picture} alt="What the test run made" draggable={false} /> : null;
};

const Body = ({ view }: { view: NodeView }) => {
  const { title } = view;
  return (
    <>
      {view.inputs.map((slot) => (
        <div key={slot.handle}>
          <Dot slot={slot} side="in" owner={title} />
          <span className="bd-slot" style={{ top: slot.y - 10 }}>
            {slot.label}
          </span>
        </div>
      ))}
      {view.outputs.map((slot) => (
        <div key={slot.handle}>
          <Dot slot={slot} side="out" owner={title} />
          <span className="bd-slot bd-out" style={{ top: slot.y - 10 }}>
            {slot.label}
          </span>
        </div>
      ))}
      {view.widgets.map((widget, at) => {
        const long = widget.h > 30 || (widget.entry.kind === "STRING" && widget.entry.config?.multiline);
        return (
          <div key={`${widget.name}-${at}`}>
            {widget.handle ? <Dot slot={widget.handle} side="in" owner={title} /> : null}
            <div className={long ? "bd-widget bd-long" : "bd-widget"} style={{ top: widget.y, height: widget.h }} title={isWidget(widget.entry) ? String(widget.entry.config?.tooltip ?? "") : ""}>
              {long ? null : <span className="bd-name">{widget.label}</span>}
              <Field widget={widget} owner={title} />
            </div>
          </div>
        );
      })}
      {view.shows ? <Picture /> : null}
    </>
  );
};

const Closed = ({ view }: { view: NodeView }) => (
  <>
    {[...view.inputs, ...view.widgets.flatMap((each) => (each.handle ? [each.handle] : []))].map((slot) => (
      <Dot key={slot.handle} slot={slot} side="in" owner={view.title} />
    ))}
    {view.outputs.map((slot) => (
      <Dot key={slot.handle} slot={slot} side="out" owner={view.title} />
    ))}
  </>
);

// React Flow measures where links end by these classes; from afar nothing else of a socket is needed.
const Ends = ({ view }: { view: NodeView }) => (
  <>
    {[...view.inputs, ...view.widgets.flatMap((each) => (each.handle?.linked ? [each.handle] : []))].map((slot) => (
      <i key={slot.handle} className="target bd-end" data-handleid={slot.handle} data-handlepos="left" style={{ top: slot.y, ["--type" as string]: typeColor(slot.type) }} />
    ))}
    {view.outputs.map((slot) => (
      <i key={slot.handle} className="source bd-end bd-end-right" data-handleid={slot.handle} data-handlepos="right" style={{ top: slot.y, ["--type" as string]: typeColor(slot.type) }} />
    ))}
  </>
);

const Sketch = ({ view }: { view: NodeView }) => (
  <>
    <Ends view={view} />
    {view.collapsed
      ? null
      : view.widgets.map((widget) => (
          <span key={widget.y} className="bd-sketch" style={{ top: widget.y, height: widget.h }}>
            {widget.h > 30 ? null : <i>{widget.label} </i>}
            {shown(widget.value).slice(0, 2000)}
          </span>
        ))}
    {view.shows ? <Picture /> : null}
  </>
);

const NodeBox = ({ id, data, selected }: NodeProps) => {
  const view = data.view as NodeView;
  const session = useSession();
  const mark = useMark(id);
  const far = useStore((state) => (state.transform[2] >= FAR ? "" : state.transform[2] < FAINT || state.nodes.length > MANY ? "box" : "sketch"));
  const mode = MODES[view.mode];
  const said = [mark.includes("error") && "has an error", mark.includes("fault") && "failed", mark.includes("running") && "is running"].filter(Boolean).join(", ");
  return (
    <div
      className={`bd-node bd-${view.kind}`}
      data-mode={mode}
      data-mark={mark || undefined}
      data-selected={selected || undefined}
      data-far={far || undefined}
      data-class={view.kind === "port" ? undefined : String(view.raw.type)}
      style={{ width: view.w, height: view.h, ["--tint" as string]: view.color || undefined }}
    >
      {view.kind === "reroute" ? null : (
        <div className="bd-title" title={view.title}>
          {view.kind === "host" ? (
            <svg className="bd-sign" viewBox="0 0 12 12" aria-hidden="true">
              <path d="M1.5 1.5h6v6h-6zM4.5 7.5v3h6v-6h-3" />
            </svg>
          ) : null}
          <span>{view.title}</span>
          {mode ? <em>{mode}</em> : null}
          {view.kind === "unknown" ? <em>unknown</em> : null}
          {view.kind === "host" && !far ? (
            <button {...KEYS} tabIndex={-1} type="button" className="nodrag bd-enter" onClick={() => session.enter(id)}>
              Open
            </button>
          ) : null}
          {mark.includes("error") || mark.includes("fault") ? (
            <b className="bd-badge" aria-label={said}>
              !
            </b>
          ) : mark.includes("warning") ? (
            <b className="bd-badge bd-soft" aria-label="has a warning">
              ?
            </b>
          ) : null}
        </div>
      )}
      {far === "box" ? <Ends view={view} /> : far ? <Sketch view={view} /> : view.collapsed ? <Closed view={view} /> : <Body view={view} />}
    </div>
  );
};

export const LabNode = memo(NodeBox, (a, b) => a.data.view === b.data.view && a.selected === b.selected && a.id === b.id);

const GroupBox = ({ data, selected }: NodeProps) => {
  const { title, color, w, h } = data as { title: string; color: string; w: number; h: number };
  return (
    <div className="bd-group" data-selected={selected || undefined} style={{ width: w, height: h, ["--tint" as string]: color }}>
      <div className="bd-group-title">{title}</div>
    </div>
  );
};
export const LabGroup = memo(GroupBox);
